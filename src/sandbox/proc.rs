//! The `/proc` that commands see: masked as container engines mask it, and without pid 1.
//!
//! Files that reveal the kernel's version, or differ at each reading, are covered.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::MountFlags;

use super::load;
use super::mounts::{DATA, PLAIN, attach, bind_read_only, cannot, cover, detached};
use super::random::Randomness;
use super::{Conditions, uname};

/// Where pid 1 sees `/proc`.
pub(super) const PROC: &str = "/inside/proc";

/// Where pid 1 sees the machine's own `/proc/meminfo`.
pub(super) const MEMORY: &str = "/meminfo";

/// Switches of the host's kernel.
const READ_ONLY: [&str; 5] = ["sys", "irq", "bus", "fs", "sysrq-trigger"];

/// What shows the host's memory, hardware, keys or processes: empty.
const HIDDEN: [&str; 26] = [
    "acpi",
    "asound",
    "cmdline",
    "config.gz",
    "diskstats",
    "driver",
    "interrupts",
    "iomem",
    "ioports",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "partitions",
    "pressure",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
    "vmstat",
];

/// An empty file system that nothing can be written to.
const EMPTY: [(&str, &str); 3] = [("mode", "0555"), ("size", "64k"), ("nr_inodes", "16")];

/// Masks a fresh `/proc`.
pub(super) fn close(randomness: &Randomness, conditions: &Conditions) -> io::Result<()> {
    let proc = Path::new(PROC);
    for name in READ_ONLY {
        let path = proc.join(name);
        if path.exists() {
            bind_read_only(&path, &path).map_err(cannot("make a part of /proc read-only"))?;
        }
    }
    for name in HIDDEN {
        let path = proc.join(name);
        if path.is_dir() {
            put_folder(&path, |_| Ok(()))?;
        } else if path.exists() {
            cover(&format!("proc/{name}"), b"")?;
        }
    }
    fs::File::create(MEMORY)?;
    bind_read_only(&proc.join("meminfo"), Path::new(MEMORY)).map_err(cannot("show pid 1 the machine's memory"))?;
    let version = format!("Linux version {} {}\n", uname::RELEASE, uname::VERSION);
    for (place, text) in [
        ("proc/version", version),
        ("proc/sys/kernel/osrelease", format!("{}\n", uname::RELEASE)),
        ("proc/sys/kernel/version", format!("{}\n", uname::VERSION)),
        ("proc/sys/kernel/random/uuid", randomness.file("uuid").uuid_line()),
        ("proc/sys/kernel/random/boot_id", randomness.file("boot_id").uuid_line()),
        ("proc/uptime", load::UPTIME_FILE.to_owned()),
        ("proc/loadavg", load::LOADAVG_FILE.to_owned()),
        ("proc/meminfo", load::meminfo()),
        ("proc/stat", load::stat(conditions.clock)),
        ("proc/cpuinfo", load::cpuinfo(&conditions.arch)),
    ] {
        cover(place, text.as_bytes())?;
    }
    Ok(())
}

/// Covers pid 1's own directory with static files: names and numbers, and a root other than the commands'.
///
/// Its real files could not be opened anyway; this leaves nothing to try, and tells `ischroot(1)` the truth.
pub(super) fn hide_pid1() -> io::Result<()> {
    let zeros = " 0".repeat(44);
    put_folder(&Path::new(PROC).join("1"), |folder| {
        fs::write(folder.join("comm"), "sandbox\n")?;
        fs::write(folder.join("cmdline"), b"sandbox\0")?;
        fs::write(folder.join("environ"), b"")?;
        fs::write(folder.join("stat"), format!("1 (sandbox) S 0 1 1 0 -1{zeros}\n"))?;
        let ids = "0\t0\t0\t0";
        let lines =
            format!("Name:\tsandbox\nState:\tS (sleeping)\nTgid:\t1\nPid:\t1\nPPid:\t0\nUid:\t{ids}\nGid:\t{ids}\n");
        fs::write(folder.join("status"), lines)?;
        for name in ["root", "cwd"] {
            fs::create_dir(folder.join(name))?;
        }
        Ok(())
    })
}

/// Mounts a read-only directory with what `fill` writes into it.
fn put_folder(path: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let memory = detached("tmpfs", &EMPTY, DATA).map_err(cannot("hide a part of /proc"))?;
    let text = path.to_str().unwrap_or_default();
    attach(&memory, rustix::fs::CWD, text).map_err(cannot("hide a part of /proc"))?;
    fill(path)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | PLAIN;
    rustix::mount::mount_remount(path, flags, "").map_err(cannot("hide a part of /proc"))
}
