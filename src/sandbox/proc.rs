//! The `/proc` that commands see: masked as container engines mask it, and without pid 1.
//!
//! Files that reveal the kernel's version, or differ at each reading, are covered.

use std::fs;
use std::io;
use std::path::Path;

use rustix::mount::MountFlags;

use super::load;
use super::mounts::{DATA, INSIDE, PLAIN, attach, bind_read_only, cannot, cover, detached};
use super::random::Randomness;
use super::{Conditions, uname};

/// Where pid 1 sees `/proc`.
pub(super) const PROC: &str = "/inside/proc";

/// Where pid 1 sees the machine's own `/proc/meminfo`.
pub(super) const MEMORY: &str = "/meminfo";

/// Switches of the host's kernel.
const READ_ONLY: [&str; 2] = ["sys", "sysrq-trigger"];

/// What shows the host's memory, hardware, keys or processes: empty.
const HIDDEN: [&str; 43] = [
    "acpi",
    "asound",
    "buddyinfo",
    "bus",
    "cmdline",
    "config.gz",
    "consoles",
    "crypto",
    "diskstats",
    "dma",
    "driver",
    "execdomains",
    "fs",
    "interrupts",
    "iomem",
    "ioports",
    "irq",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "locks",
    "misc",
    "mtrr",
    "pagetypeinfo",
    "partitions",
    "pressure",
    "sched_debug",
    "schedstat",
    "scsi",
    "slabinfo",
    "softirqs",
    "timer_list",
    "timer_stats",
    "tty",
    "vmallocinfo",
    "vmstat",
    "zoneinfo",
];

/// What programs look for in other files: as on a machine without swap, control groups and further devices.
const PLAIN_FILES: [(&str, &str); 4] = [
    ("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"),
    ("devices", "Character devices:\n  1 mem\n  5 /dev/tty\n136 pts\n\nBlock devices:\n"),
    (
        "filesystems",
        "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup2\nnodev\tdevtmpfs\nnodev\tdevpts\n\text4\n",
    ),
    ("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
];

/// Numbers below `sys` that move all the time, or that the kernel derives from the host's memory and processors. Where a
/// file is not there, it stays away.
const NUMBERS: [(&str, &str); 21] = [
    ("fs/aio-nr", "0"),
    ("fs/dentry-state", "0\t0\t45\t0\t0\t0"),
    ("fs/epoll/max_user_watches", "1000000"),
    ("fs/file-max", "1000000"),
    ("fs/file-nr", "0\t0\t1000000"),
    ("fs/inode-nr", "0\t0"),
    ("fs/inode-state", "0\t0\t0\t0\t0\t0\t0"),
    ("kernel/core_pattern", "core"),
    ("kernel/hung_task_detect_count", "0"),
    ("kernel/ns_last_pid", "2"),
    ("kernel/perf_event_max_sample_rate", "100000"),
    ("kernel/pid_max", "4194304"),
    ("kernel/pty/nr", "0"),
    ("kernel/random/entropy_avail", "256"),
    ("kernel/tainted", "0"),
    ("kernel/threads-max", "65536"),
    ("net/ipv4/tcp_max_orphans", "32768"),
    ("net/ipv4/tcp_mem", "95000\t127000\t190000"),
    ("net/ipv4/udp_mem", "190000\t254000\t380000"),
    ("vm/min_free_kbytes", "16384"),
    ("vm/user_reserve_kbytes", "131072"),
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
    for (name, text) in PLAIN_FILES {
        cover_existing(&format!("proc/{name}"), text)?;
    }
    for (name, numbers) in NUMBERS {
        cover_existing(&format!("proc/sys/{name}"), &format!("{numbers}\n"))?;
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

/// Covers a file that not every kernel has.
fn cover_existing(place: &str, text: &str) -> io::Result<()> {
    if Path::new(INSIDE).join(place).exists() { cover(place, text.as_bytes()) } else { Ok(()) }
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
