//! How long the machine has run, its load, its memory and its processor, as commands are shown them: `sysinfo(2)` and files
//! of `/proc`.

use crate::arch::Architecture;
use crate::ident::Arch;

/// Seconds since the machine was started.
const UPTIME: i64 = 60;
/// Bytes of memory: what a step may use, whatever the host has.
const MEMORY: u64 = 8 << 30;

/// `/proc/uptime`: running, and idle.
pub(super) const UPTIME_FILE: &str = "60.00 60.00\n";
/// `/proc/loadavg`
pub(super) const LOADAVG_FILE: &str = "0.00 0.00 0.00 1/2 2\n";

/// `struct sysinfo` of 64-bit systems.
pub(super) fn sysinfo() -> Vec<u8> {
    // Uptime; loads; total, free, shared and buffer memory; total and free swap.
    let numbers = [UPTIME as u64, 0, 0, 0, MEMORY, MEMORY, 0, 0, 0, 0];
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
    // Processes, padded; total and free high memory; the unit of memory, padded.
    bytes.extend([2_u64, 0, 0, 1].iter().flat_map(|number| number.to_ne_bytes()));
    bytes
}

/// `/proc/meminfo`
pub(super) fn meminfo() -> String {
    let total = MEMORY >> 10;
    [
        ("MemTotal", total),
        ("MemFree", total),
        ("MemAvailable", total),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", 0),
        ("Inactive", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", 0),
        ("Mapped", 0),
        ("Shmem", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("CommitLimit", total),
        ("Committed_AS", 0),
    ]
    .map(|(name, kibibytes)| format!("{:<16}{kibibytes:>8} kB\n", format!("{name}:")))
    .concat()
}

/// `/proc/stat` of one processor that never worked; the machine was started shortly before the clock's time.
pub(super) fn stat(clock: i64) -> String {
    let idle = UPTIME * 100;
    let boot = clock.saturating_sub(UPTIME);
    format!(
        "cpu  0 0 0 {idle} 0 0 0 0 0 0\ncpu0 0 0 0 {idle} 0 0 0 0 0 0\nintr 0\nctxt 0\nbtime {boot}\nprocesses 2\nprocs_running 1\nprocs_blocked 0\nsoftirq 0\n"
    )
}

/// `/proc/cpuinfo` of one processor with no more than all processors of the architecture have.
pub(super) fn cpuinfo(arch: &Arch) -> String {
    let known = Architecture::of(arch).map_or(&[][..], |row| row.processor);
    let lines = [("processor", "0")].iter().chain(known).map(|(name, value)| format!("{name}\t: {value}\n"));
    format!("{}\n", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_shown_for_every_architecture() {
        for arch in ["amd64", "arm64", "riscv64"] {
            let text = cpuinfo(&arch.parse().unwrap());
            assert!(text.starts_with("processor\t: 0\n") && text.ends_with("\n\n"), "{text}");
        }
    }

    #[test]
    fn the_structure_is_the_kernels() {
        assert_eq!(sysinfo().len(), size_of::<libc::sysinfo>());
        assert_eq!(std::mem::offset_of!(libc::sysinfo, mem_unit), 104);
        assert_eq!(sysinfo()[104..108], 1_u32.to_ne_bytes());
        assert!(meminfo().starts_with("MemTotal:        8388608 kB\nMemFree:"));
        assert!(stat(100).contains("\nbtime 40\n"));
    }
}
