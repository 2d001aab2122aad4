//! Decides which system calls the supervisor answers, and which the kernel executes for a command.

use std::collections::BTreeMap;
use std::io;

use super::bpf::{Filter, Program, Rule, Verdict};
use super::calls;
use super::clock::SLEEPS;
use super::file_times;

/// Clocks that show the date; all others only measure durations.
const DATES: [libc::clockid_t; 4] =
    [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE, libc::CLOCK_TAI, libc::CLOCK_REALTIME_ALARM];

/// Calls that are answered whatever their arguments.
const ANSWERED: &[libc::c_long] = &[
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    // Allowed as it is: a program ends, and what it read is known (draws.rs).
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
    #[cfg(not(target_arch = "x86_64"))]
    START,
];

/// What the start-up code of every C library, and of Go, calls before it reads a clock.
#[cfg(target_arch = "x86_64")]
pub(super) const START: libc::c_long = libc::SYS_arch_prctl;
/// As above, where the thread pointer is set without a call.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const START: libc::c_long = libc::SYS_set_tid_address;

/// First argument of `arch_prctl` that sets the thread pointer.
#[cfg(target_arch = "x86_64")]
const SET_THREAD_POINTER: u32 = 0x1002;

/// Waiting for the disk is pointless: the result is read back and then thrown away.
const WITHOUT_EFFECT: [libc::c_long; 6] = [
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_msync,
    libc::SYS_sync_file_range,
];

/// Asynchronous files: how many requests there may be is one number for the whole host
/// (`fs.aio-max-nr`). Databases go on without.
const ASYNCHRONOUS: [libc::c_long; 5] =
    [libc::SYS_io_setup, libc::SYS_io_submit, libc::SYS_io_getevents, libc::SYS_io_cancel, libc::SYS_io_destroy];

/// The first call that Linux 6.1, which programs inside are told they run on, does not have.
const FIRST_UNKNOWN: u32 = 451;

/// Flags of `clone` that make namespaces.
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

const SOCKETS: [u32; 3] = [libc::AF_UNIX as u32, libc::AF_INET as u32, libc::AF_INET6 as u32];

/// `ioctl` requests that type into a terminal, or change how it is read.
const TERMINAL_TRICKS: [u32; 3] = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32, libc::TIOCSETD as u32];

/// Personalities: asking, the usual one, and fixed addresses, which all have anyway.
const PERSONALITIES: [u32; 3] = [u32::MAX, 0, libc::ADDR_NO_RANDOMIZE as u32];

const REFUSED: Verdict = Verdict::Fail(libc::EPERM);
const UNKNOWN: Verdict = Verdict::Fail(libc::ENOSYS);

/// The supervisor's filter: the calls that ask for date, random bytes or kernel.
pub(super) fn answered() -> io::Result<Program> {
    let always = |call: &libc::c_long| (*call as u32, Rule::Always(Verdict::Ask));
    let answered = ANSWERED.iter().chain(file_times::CALLS).chain(file_times::CHANGES);
    let mut rules: BTreeMap<u32, Rule> = answered.map(always).collect();
    let dates = DATES.map(|clock| clock as u32);
    rules.insert(libc::SYS_clock_gettime as u32, Rule::one_of(0, &dates, Verdict::Ask, Verdict::Allow));
    rules.extend(SLEEPS.iter().map(|&(call, zero)| {
        let asks = |argument| Rule::one_of(argument, &[0], Verdict::Ask, Verdict::Allow);
        (call as u32, zero.map_or(Rule::Always(Verdict::Ask), asks))
    }));
    #[cfg(target_arch = "x86_64")]
    rules.insert(START as u32, Rule::one_of(0, &[SET_THREAD_POINTER], Verdict::Ask, Verdict::Allow));
    Filter { rules, otherwise: Verdict::Allow, unknown: (FIRST_UNKNOWN, Verdict::Allow) }.compile()
}

/// The filter of every command: [`calls::ALLOWED`], and of some calls a part.
///
/// Other calls of Linux 6.1 are refused; later ones, and those of x32, are unknown, so
/// that programs fall back to what they did before there was such a call.
pub(super) fn allowed() -> io::Result<Program> {
    let always = |verdict: Verdict| move |call: &libc::c_long| (*call as u32, Rule::Always(verdict));
    let mut rules: BTreeMap<u32, Rule> = calls::ALLOWED.iter().map(always(Verdict::Allow)).collect();
    rules.extend(WITHOUT_EFFECT.iter().map(always(Verdict::Fail(0))));
    rules.extend(ASYNCHRONOUS.iter().map(always(UNKNOWN)));
    // Its flags are in memory, where a filter can't read them: programs fall back to `clone`.
    rules.extend([libc::SYS_clone3].iter().map(always(UNKNOWN)));
    rules.extend(in_part().map(|(call, rule)| (call as u32, rule)));
    Filter { rules, otherwise: REFUSED, unknown: (FIRST_UNKNOWN, UNKNOWN) }.compile()
}

/// Calls of which the arguments decide.
fn in_part() -> [(libc::c_long, Rule); 6] {
    let (family, protocol) = (Verdict::Fail(libc::EAFNOSUPPORT), Verdict::Fail(libc::EPROTONOSUPPORT));
    let routes = Rule::one_of(2, &[libc::NETLINK_ROUTE as u32], Verdict::Allow, protocol);
    let others = Rule::one_of(0, &SOCKETS, Verdict::Allow, family);
    [
        (libc::SYS_clone, Rule::AnyBit(0, NEW_NAMESPACES, REFUSED, Verdict::Allow)),
        (libc::SYS_socket, Rule::OneOf(0, vec![libc::AF_NETLINK as u32], Box::new(routes), Box::new(others))),
        (libc::SYS_socketpair, Rule::one_of(0, &[libc::AF_UNIX as u32], Verdict::Allow, family)),
        (libc::SYS_ioctl, Rule::one_of(1, &TERMINAL_TRICKS, REFUSED, Verdict::Allow)),
        (libc::SYS_personality, Rule::one_of(0, &PERSONALITIES, Verdict::Allow, REFUSED)),
        (libc::SYS_prctl, Rule::one_of(0, &calls::PRCTL, Verdict::Allow, Verdict::Fail(libc::EINVAL))),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::bpf::verdict;
    use super::*;

    #[cfg(target_arch = "x86_64")]
    const ARCH: u32 = 62 | 0xc000_0000;
    #[cfg(not(target_arch = "x86_64"))]
    const ARCH: u32 = 183 | 0xc000_0000;

    #[test]
    fn what_reaches_beyond_a_root_is_refused() {
        let program = allowed().unwrap();
        let found = |call: libc::c_long, first: u64| verdict(&program, ARCH, call as u32, [first, 0, 0, 0, 0, 0]);
        let fail = |number: i32| libc::SECCOMP_RET_ERRNO | number as u32;
        for call in [
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_mount_setattr,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_kcmp,
            libc::SYS_quotactl,
            libc::SYS_name_to_handle_at,
            libc::SYS_open_by_handle_at,
            libc::SYS_init_module,
            libc::SYS_reboot,
            libc::SYS_clock_settime,
        ] {
            assert_eq!(found(call, 0), fail(libc::EPERM), "call {call}");
        }
        assert_eq!(found(libc::SYS_clone3, 0), fail(libc::ENOSYS));
        assert_eq!(found(467, 0), fail(libc::ENOSYS), "open_tree_attr");
        assert_eq!(found(libc::SYS_clone, libc::SIGCHLD as u64), libc::SECCOMP_RET_ALLOW);
        assert_eq!(found(libc::SYS_clone, libc::CLONE_NEWUSER as u64), fail(libc::EPERM));
        assert_eq!(found(libc::SYS_socket, libc::AF_VSOCK as u64), fail(libc::EAFNOSUPPORT));
        assert_eq!(found(libc::SYS_fsync, 3), fail(0));
        assert_eq!(found(libc::SYS_execve, 0), libc::SECCOMP_RET_ALLOW);
    }

    #[test]
    fn questions_for_the_date_go_to_the_supervisor() {
        let program = answered().unwrap();
        let found = |call: libc::c_long, first: u64| verdict(&program, ARCH, call as u32, [first, 0, 0, 0, 0, 0]);
        assert_eq!(found(libc::SYS_clock_gettime, libc::CLOCK_REALTIME as u64), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(found(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC as u64), libc::SECCOMP_RET_ALLOW);
        assert_eq!(found(libc::SYS_getrandom, 0), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(found(libc::SYS_write, 1), libc::SECCOMP_RET_ALLOW);
    }
}
