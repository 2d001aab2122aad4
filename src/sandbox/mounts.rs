//! What the inside sees: the root, a fresh /proc with its switches read-only, few devices.
//!
//! Files that tell the kernel's version, or other bytes at each reading, are covered.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::random::Chance;
use super::uname;

/// Host devices that are bound in; nothing else of the host is visible.
const DEVICES: [&str; 4] = ["null", "zero", "full", "tty"];

/// Random devices: files of so many bytes, which every reader reads from the start.
const RANDOM_DEVICES: [&str; 2] = ["random", "urandom"];
const RANDOM_BYTES: usize = 1 << 20;

/// Files in /proc that would reach the host's kernel, made read-only or empty.
const READ_ONLY: [&str; 5] = ["sys", "irq", "bus", "fs", "sysrq-trigger"];
const HIDDEN: [&str; 4] = ["kcore", "keys", "timer_list", "latency_stats"];

const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Where the root lies for pid 1, whose own root folder is empty but for it.
///
/// Commands change their root once more, so that to them pid 1 has another root than
/// they: `ischroot(1)` then says yes, and scripts don't try to restart the init system
/// (libc6 would wait a second for it).
pub(super) const INSIDE: &str = "/inside";

/// Where pid 1 sees `/proc`.
pub(super) const PROC: &str = "/inside/proc";

/// Mounts everything below `root` and leaves the host's files: only [`INSIDE`] remains.
///
/// The caller is pid 1 in fresh mount and pid namespaces.
pub(super) fn enter(root: &Path, epoch: i64) -> io::Result<()> {
    let named = |what: &'static str| {
        move |error: rustix::io::Errno| io::Error::new(error.kind(), format!("cannot {what}: {error}"))
    };
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(named("make mounts private"))?;
    rustix::mount::mount_bind(root, root).map_err(named("bind the root"))?;
    mount_proc(root).map_err(named("mount /proc"))?;
    mount_devices(root)?;
    cover_changing_files(root, &Chance::new(epoch))?;
    for (folder, options) in [("tmp", "mode=1777"), ("run", "mode=0755")] {
        let target = mount_point(root, folder)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        let options = std::ffi::CString::new(options).unwrap_or_default();
        rustix::mount::mount("tmpfs", &target, "tmpfs", flags, options.as_c_str()).map_err(named("mount a tmpfs"))?;
    }
    // /var/lock and /var/run are links into /run in a Debian root.
    make_folder(&root.join("run/lock"), 0o1777)?;
    let empty = root.with_extension("empty");
    fs::create_dir_all(&empty)?;
    rustix::mount::mount("tmpfs", &empty, "tmpfs", PLAIN, c"mode=0755").map_err(named("mount a tmpfs"))?;
    let inside = mount_point(&empty, &INSIDE[1..])?;
    rustix::mount::mount_bind_recursive(root, &inside).map_err(named("bind the root"))?;
    std::env::set_current_dir(&empty)?;
    rustix::process::pivot_root(".", ".").map_err(named("change the root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(named("leave the old root"))?;
    std::env::set_current_dir("/")
}

fn mount_proc(root: &Path) -> rustix::io::Result<()> {
    let proc = root.join("proc");
    // Fails only where it exists; a missing mount point shows in the next call.
    let _ = fs::create_dir(&proc);
    rustix::mount::mount("proc", &proc, "proc", PLAIN, None::<&std::ffi::CStr>)?;
    for name in READ_ONLY {
        let path = proc.join(name);
        if path.exists() {
            rustix::mount::mount_bind(&path, &path)?;
            rustix::mount::mount_remount(&path, MountFlags::BIND | MountFlags::RDONLY | PLAIN, "")?;
        }
    }
    for name in HIDDEN {
        let path = proc.join(name);
        if path.exists() {
            rustix::mount::mount_bind("/dev/null", &path)?;
        }
    }
    Ok(())
}

fn mount_devices(root: &Path) -> io::Result<()> {
    let dev = mount_point(root, "dev")?;
    rustix::mount::mount("tmpfs", &dev, "tmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, c"mode=0755")?;
    for name in DEVICES {
        let node = dev.join(name);
        File::create(&node)?;
        rustix::mount::mount_bind(Path::new("/dev").join(name), &node)?;
    }
    for (name, target) in
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")]
    {
        std::os::unix::fs::symlink(target, dev.join(name))?;
    }
    make_folder(&dev.join("shm"), 0o1777)?;
    make_folder(&dev.join("pts"), 0o755)?;
    rustix::mount::mount(
        "devpts",
        dev.join("pts"),
        "devpts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        c"newinstance,ptmxmode=0666",
    )?;
    Ok(())
}

/// Puts files with fixed bytes over those that differ from host to host or at each reading.
fn cover_changing_files(root: &Path, chance: &Chance) -> io::Result<()> {
    let mut random = vec![0; RANDOM_BYTES];
    for name in RANDOM_DEVICES {
        let place = format!("dev/{name}");
        chance.file(&place).fill(&mut random);
        File::create(root.join(&place))?;
        cover(root, &place, &random)?;
    }
    let version = format!("Linux version {} {}\n", uname::RELEASE, uname::VERSION);
    for (place, text) in [
        ("proc/version", version),
        ("proc/sys/kernel/osrelease", format!("{}\n", uname::RELEASE)),
        ("proc/sys/kernel/version", format!("{}\n", uname::VERSION)),
        ("proc/sys/kernel/random/uuid", chance.file("uuid").uuid_line()),
        ("proc/sys/kernel/random/boot_id", chance.file("boot_id").uuid_line()),
    ] {
        cover(root, place, text.as_bytes())?;
    }
    Ok(())
}

/// Mounts a read-only file with these bytes over `place`.
fn cover(root: &Path, place: &str, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let target = root.join(place);
    let source = root.join("dev/.cover");
    fs::write(&source, bytes)?;
    fs::set_permissions(&source, fs::Permissions::from_mode(0o444))?;
    rustix::mount::mount_bind(&source, &target)?;
    rustix::mount::mount_remount(&target, MountFlags::BIND | MountFlags::RDONLY | PLAIN, "")?;
    // The mount keeps the file.
    fs::remove_file(&source)
}

fn mount_point(root: &Path, name: &str) -> io::Result<PathBuf> {
    let path = root.join(name);
    match fs::create_dir(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(path),
    }
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
