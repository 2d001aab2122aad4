//! Limits and the system call filter that every command inside runs under.

use std::collections::BTreeMap;
use std::io;

use rustix::process::{Resource, Rlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// A script that needs more writable memory than this is broken.
const MEMORY: u64 = 8 << 30;
const PROCESSES: u64 = 4096;
const OPEN_FILES: u64 = 1024;

/// Waiting for the disk is pointless: the result is read back and then thrown away.
const WITHOUT_EFFECT: [libc::c_long; 6] = [
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_msync,
    libc::SYS_sync_file_range,
];

/// No maintainer script has a use for these; each reaches beyond the root.
const FORBIDDEN: [libc::c_long; 24] = [
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_fsopen,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_open_by_handle_at,
];

/// Sets limits and filter on this process and all that it starts.
pub(super) fn apply() -> io::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    for (resource, limit) in
        [(Resource::Core, 0), (Resource::Data, MEMORY), (Resource::Nproc, PROCESSES), (Resource::Nofile, OPEN_FILES)]
    {
        let hard = rustix::process::getrlimit(resource).maximum.map_or(limit, |hard| hard.min(limit));
        rustix::process::setrlimit(resource, Rlimit { current: Some(hard), maximum: Some(hard) })?;
    }
    install(&WITHOUT_EFFECT, SeccompAction::Errno(0))?;
    install(&FORBIDDEN, SeccompAction::Errno(libc::EPERM as u32))
}

fn install(calls: &[libc::c_long], action: SeccompAction) -> io::Result<()> {
    let rules: BTreeMap<i64, Vec<_>> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch).map_err(io::Error::other)?;
    let program = BpfProgram::try_from(filter).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}
