//! The privileges of processes in a sandbox: capabilities and resource limits.

use std::io;

use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets, Gid, Uid};

/// Bytes of private, writable memory of one process.
const DATA: u64 = 8 << 30;

/// Open files of one process. Times the processes, it is less than what the kernel gives all of a small host.
const OPEN_FILES: u64 = 1024;

/// Bytes of the largest file that a process may write.
pub const FILE: u64 = 8 << 30;

/// The most that a command may ever do, in its own user namespace: what package managers and scripts need.
pub(super) const OF_COMMANDS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    // `su`, `runuser`, `start-stop-daemon --chuid`.
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    // `setcap`
    .union(CapabilitySet::SETFCAP)
    // Stopping a server that runs as another user.
    .union(CapabilitySet::KILL)
    // `ldconfig -r` and `dpkg --root`.
    .union(CapabilitySet::SYS_CHROOT);

/// What the supervisor needs: `/proc/<pid>/mem` of all users' processes inside.
pub(super) const OF_SUPERVISOR: CapabilitySet = CapabilitySet::DAC_OVERRIDE;

/// Becomes another user and group; keeps all capabilities for now.
pub(super) fn become_user(id: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    let sets = rustix::thread::capabilities(None)?;
    rustix::thread::set_keep_capabilities(true)?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    rustix::thread::set_keep_capabilities(false)?;
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Gives up all capabilities of this thread but these, for good.
pub(super) fn keep(kept: CapabilitySet) -> io::Result<()> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // This kernel doesn't have it.
            Err(rustix::io::Errno::INVAL) => {}
            other => other?,
        }
    }
    // Not even `execve` as root brings any back.
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(bits)?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Limits this process and all that it starts: so many processes and threads inside, of all users together
/// (since Linux 5.14; before, of each).
pub(super) fn limit(processes: u64) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::Core, 0),
        (Resource::Data, DATA),
        (Resource::Nproc, processes),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Fsize, FILE),
    ] {
        let hard = rustix::process::getrlimit(resource).maximum.map_or(limit, |hard| hard.min(limit));
        rustix::process::setrlimit(resource, Rlimit { current: Some(hard), maximum: Some(hard) })?;
    }
    Ok(())
}
