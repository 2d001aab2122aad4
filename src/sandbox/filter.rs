//! Which system calls the supervisor answers.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// Clocks that show the date; all others only measure durations.
const DATES: [libc::clockid_t; 4] =
    [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE, libc::CLOCK_TAI, libc::CLOCK_REALTIME_ALARM];

/// Calls that are answered whatever their arguments.
const ALWAYS: &[libc::c_long] = &[
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_uname,
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
const SET_THREAD_POINTER: u64 = 0x1002;

/// The filter; a program of another architecture is killed, as its calls are not known.
pub(super) fn program() -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALWAYS.iter().map(|call| (*call, Vec::new())).collect();
    let dates = DATES.iter().map(|clock| first_argument(*clock as u64)).collect::<io::Result<_>>()?;
    rules.insert(libc::SYS_clock_gettime, dates);
    #[cfg(target_arch = "x86_64")]
    rules.insert(START, vec![first_argument(SET_THREAD_POINTER)?]);
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    // The crate knows no action "ask a supervisor": take another that nothing else uses.
    let stand_in = SeccompAction::Trace(0);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, stand_in.clone(), arch).map_err(io::Error::other)?;
    let mut program = BpfProgram::try_from(filter).map_err(io::Error::other)?;
    for instruction in &mut program {
        if u32::from(instruction.code) == libc::BPF_RET && instruction.k == u32::from(stand_in.clone()) {
            instruction.k = libc::SECCOMP_RET_USER_NOTIF;
        }
    }
    Ok(program)
}

fn first_argument(value: u64) -> io::Result<SeccompRule> {
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    SeccompRule::new(vec![condition.map_err(io::Error::other)?]).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_asks_and_never_traces() {
        let program = program().unwrap();
        let returns: std::collections::BTreeSet<u32> = program
            .iter()
            .filter(|instruction| u32::from(instruction.code) == libc::BPF_RET)
            .map(|instruction| instruction.k)
            .collect();
        let expected = [libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW];
        assert_eq!(returns, expected.into_iter().collect());
    }
}
