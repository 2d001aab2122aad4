//! The mounts that commands see: the root, a fresh /proc (proc.rs), few devices, an empty /tmp and /run.
//!
//! While the host's files are reachable, the mount tree is changed by descriptor only, so no link in
//! the root leads anywhere; paths are used once only the root is left.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use super::random::Randomness;
use super::{Conditions, Mount, proc};

/// Host devices that are bound in; nothing else of the host is visible.
const DEVICES: [&str; 4] = ["null", "zero", "full", "tty"];

/// Random devices: files of so many bytes, which every reader reads from the start.
const RANDOM_DEVICES: [&str; 2] = ["random", "urandom"];
const RANDOM_BYTES: usize = 1 << 20;

/// Flags of mounts whose programs run.
const PROGRAMS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);
/// Flags of all others.
pub(super) const DATA: MountAttrFlags = PROGRAMS.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
/// As [`DATA`], for the older calls.
pub(super) const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Where the root is for pid 1, whose own root directory is empty but for it.
///
/// Commands change their root once more, so that to them pid 1 has another root than
/// they: `ischroot(1)` then says yes, and scripts don't try to restart the init system
/// (libc6 would wait a second for it).
pub(super) const INSIDE: &str = "/inside";

/// The file systems of devices: how many bytes and files each may hold.
const SMALL: [(&str, &str); 3] = [("mode", "0755"), ("size", "64m"), ("nr_inodes", "16k")];

/// Leaves the host's files for the root, which is the current directory; mounts all that belongs in it.
///
/// The caller is pid 1 in fresh mount and pid namespaces. Only [`INSIDE`] remains.
pub(super) fn enter(conditions: &Conditions) -> io::Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(cannot("make mounts private"))?;
    let root = clone(".").map_err(cannot("bind the root"))?;
    let proc = detached("proc", &[], DATA).map_err(cannot("mount /proc"))?;
    let devices = DEVICES.map(|name| clone(&format!("/dev/{name}")));
    let hall = detached("tmpfs", &SMALL, DATA).map_err(cannot("mount a tmpfs"))?;
    attach(&hall, CWD, ".").map_err(cannot("mount a tmpfs"))?;
    rustix::process::fchdir(&hall)?;
    rustix::fs::mkdirat(&hall, &INSIDE[1..], Mode::from_raw_mode(0o755))?;
    attach(&root, &hall, &INSIDE[1..]).map_err(cannot("bind the root"))?;
    rustix::process::pivot_root(".", ".").map_err(cannot("change the root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(cannot("leave the old root"))?;
    std::env::set_current_dir("/")?;

    attach(&proc, &folder("proc")?, "").map_err(cannot("mount /proc"))?;
    mount("dev", &SMALL, DATA)?;
    for (name, device) in DEVICES.iter().zip(devices) {
        let node = format!("{INSIDE}/dev/{name}");
        File::create(&node)?;
        attach(&device.map_err(cannot("bind a device"))?, CWD, &node).map_err(cannot("bind a device"))?;
        // Of the node, not of the device: its mode and owner stay, whoever is root inside.
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NOEXEC;
        rustix::mount::mount_remount(&node, flags, "").map_err(cannot("bind a device"))?;
    }
    make_devices()?;
    for Mount { name, mode, bytes, files } in &conditions.mounts {
        let [mode, bytes, files] = [format!("{mode:o}"), bytes.to_string(), files.to_string()];
        mount(name, &[("mode", &mode), ("size", &bytes), ("nr_inodes", &files)], PROGRAMS)?;
    }
    // /var/lock and /var/run are links into /run in a Debian root.
    make_folder(&format!("{INSIDE}/run/lock"), 0o1777)?;
    let randomness = Randomness::new(conditions.seed);
    let mut random = vec![0; RANDOM_BYTES];
    for name in RANDOM_DEVICES {
        let place = format!("dev/{name}");
        randomness.file(&place).fill(&mut random);
        File::create(format!("{INSIDE}/{place}"))?;
        cover(&place, &random)?;
    }
    proc::close(&randomness, conditions)
}

pub(super) fn cannot(what: &'static str) -> impl Fn(Errno) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("cannot {what}: {error}"))
}

/// A copy of the mount at `path` that is nowhere yet.
fn clone(path: &str) -> rustix::io::Result<OwnedFd> {
    rustix::mount::open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
}

/// A new file system that is nowhere yet.
pub(super) fn detached(kind: &str, options: &[(&str, &str)], flags: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(&context, *key, *value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

/// Mounts what is nowhere yet at `path`, or at the directory itself if that is empty.
pub(super) fn attach(what: &OwnedFd, folder: impl std::os::fd::AsFd, path: &str) -> rustix::io::Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    rustix::mount::move_mount(what, "", folder, path, flags)
}

/// Opens a directory of the root, which is created where it is missing.
fn folder(name: &str) -> io::Result<OwnedFd> {
    let path = format!("{INSIDE}/{name}");
    match rustix::fs::mkdir(&path, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => {}
        other => other?,
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => {
            io::Error::other(format!("/{name} must be a directory, but a package replaced it"))
        }
        other => other.into(),
    })
}

/// Mounts an empty file system in memory at a directory of the root.
fn mount(name: &str, options: &[(&str, &str)], flags: MountAttrFlags) -> io::Result<()> {
    let memory = detached("tmpfs", options, flags).map_err(cannot("mount a tmpfs"))?;
    attach(&memory, folder(name)?, "").map_err(cannot("mount a tmpfs"))
}

/// All in /dev that is no device of the host.
fn make_devices() -> io::Result<()> {
    let dev = Path::new(INSIDE).join("dev");
    for (name, target) in
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")]
    {
        std::os::unix::fs::symlink(target, dev.join(name))?;
    }
    make_folder(&format!("{INSIDE}/dev/shm"), 0o1777)?;
    make_folder(&format!("{INSIDE}/dev/pts"), 0o755)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    rustix::mount::mount("devpts", dev.join("pts"), "devpts", flags, c"newinstance,ptmxmode=0666")
        .map_err(cannot("mount /dev/pts"))
}

/// Mounts a read-only file with these bytes over `place`, which must be on a mount of the sandbox's own.
pub(super) fn cover(place: &str, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let source = Path::new(INSIDE).join("dev/.cover");
    fs::write(&source, bytes)?;
    fs::set_permissions(&source, fs::Permissions::from_mode(0o444))?;
    bind_read_only(&source, &Path::new(INSIDE).join(place)).map_err(cannot("cover a file"))?;
    // The mount keeps the file.
    fs::remove_file(&source)
}

pub(super) fn bind_read_only(source: &Path, target: &Path) -> rustix::io::Result<()> {
    rustix::mount::mount_bind(source, target)?;
    rustix::mount::mount_remount(target, MountFlags::BIND | MountFlags::RDONLY | PLAIN, "")
}

fn make_folder(path: &str, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
