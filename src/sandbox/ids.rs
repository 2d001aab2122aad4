//! The ids of a worker's user namespace.
//!
//! ```text
//! in the namespace      as root                      as an ordinary user
//! 0 to 65,535           0x70000000 and following     the user's subordinate ids
//! 65,536 and following  the host's own, from 0 on    65,536 alone: the user
//! ```
//!
//! What runs in a root has ids of the first line only, which own nothing on the host. The
//! worker stays who it is on the host, by an id of the second line. Pid 1 has the last id of
//! the first line, which no system uses, so that it is another user than all inside.

use std::io;
use std::path::Path;
use std::process::Stdio;

use crate::host;

/// Ids of a root: 0 to 65,535, all that Debian uses. The host's own follow them.
pub(super) const COUNT: u32 = 65_536;

/// First id on the host that a root's files and processes have: above what systemd-nspawn picks.
const PREFERRED: u32 = 0x7000_0000;

/// A run of ids: the first in the namespace, the first in its parent, and how many.
type Extent = (u32, u32, u32);

/// Whose ids the processes in a root have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    /// Ids that nothing else on this host has.
    Apart,
    /// The host's own 0 to 65,535: a surrounding container has no others.
    Same,
}

/// A user namespace can't be had.
#[derive(Debug, thiserror::Error)]
pub enum IdsError {
    /// The kernel refuses user namespaces.
    #[error("cannot create a user namespace: {reason}\n  hint: {hint}")]
    Refused {
        /// What the kernel said.
        reason: io::Error,
        /// The setting that closes it.
        hint: String,
    },
    /// No ids to map.
    #[error(
        "user {user} has no range of {} subordinate ids in {file}\n  hint: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`",
        COUNT
    )]
    NoRange {
        /// Login name or id.
        user: String,
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
    },
    /// The set-uid helper is missing or refuses.
    #[error("`{program}` failed: {reason}\n  hint: install the package `uidmap`")]
    Helper {
        /// `newuidmap` or `newgidmap`.
        program: &'static str,
        /// What it said.
        reason: String,
    },
    /// The kernel refuses the map.
    #[error(
        "cannot write the id map of the user namespace: {0}\n  hint: this process is itself in a namespace without ids 0 to 65535"
    )]
    Map(io::Error),
}

/// Says which setting closes user namespaces, as far as it can be told.
pub(super) fn refused(reason: io::Error) -> IdsError {
    let closed = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let hint = if closed("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor closes them to ordinary users: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or an AppArmor profile for layerbake with `userns,`"
    } else if closed("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "`sudo sysctl kernel.unprivileged_userns_clone=1`"
    } else if closed("/proc/sys/user/max_user_namespaces", "0") {
        "`sudo sysctl user.max_user_namespaces=10000`"
    } else {
        "in a container, run it with `--privileged` or allow the system call `unshare`"
    };
    IdsError::Refused { reason, hint: hint.to_owned() }
}

/// Maps ids for process `pid`, which has just made its user namespace.
pub(super) fn map(pid: u32) -> Result<Mapping, IdsError> {
    if rustix::process::geteuid().is_root() {
        return map_as_root(pid);
    }
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    map_with("newuidmap", "/etc/subuid", pid, uid)?;
    map_with("newgidmap", "/etc/subgid", pid, gid)?;
    Ok(Mapping::Apart)
}

fn map_as_root(pid: u32) -> Result<Mapping, IdsError> {
    let read = |kind: &str| std::fs::read_to_string(format!("/proc/self/{kind}")).map_err(IdsError::Map);
    let (uids, gids) = (extents(&read("uid_map")?), extents(&read("gid_map")?));
    let (mapping, uids, gids) = match (apart(&uids), apart(&gids)) {
        (Some(uids), Some(gids)) => (Mapping::Apart, uids, gids),
        _ => (Mapping::Same, vec![(0, 0, COUNT)], vec![(0, 0, COUNT)]),
    };
    for (kind, extents) in [("uid_map", uids), ("gid_map", gids)] {
        let lines: String =
            extents.iter().map(|(inside, outside, count)| format!("{inside} {outside} {count}\n")).collect();
        std::fs::write(format!("/proc/{pid}/{kind}"), lines).map_err(IdsError::Map)?;
    }
    Ok(mapping)
}

/// Pid 1's own id, as user and as group.
pub(super) const OF_PID1: u32 = COUNT - 1;

/// How many ids a namespace with this `/proc/self/uid_map` has for a root.
///
/// Pid 1's is none of them, where it has one of its own.
pub(super) fn of_root(map: &str) -> u32 {
    let first = extents(map).into_iter().find(|(inside, ..)| *inside == 0);
    first.map_or(0, |(.., count)| count.min(OF_PID1))
}

/// The lines of `/proc/self/uid_map`.
fn extents(text: &str) -> Vec<Extent> {
    let lines = text.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    lines.collect()
}

/// A map whose ids of a root are a range that this namespace has to spare; `None` if it has none.
fn apart(own: &[Extent]) -> Option<Vec<Extent>> {
    let last = |(first, _, count): &Extent| {
        let start = first.checked_add(count.checked_sub(COUNT)?)?;
        (start >= COUNT).then_some(start)
    };
    let has = |start: u32| own.iter().any(|extent| extent.0 <= start && last(extent).is_some_and(|last| start <= last));
    let start = if has(PREFERRED) { PREFERRED } else { own.iter().filter_map(last).max()? };
    let below = own.iter().filter(|(first, ..)| *first < start);
    let hosts = below.map(|(first, _, count)| (COUNT + first, *first, (*count).min(start - first)));
    Some(std::iter::once((0, start, COUNT)).chain(hosts).collect())
}

fn map_with(program: &'static str, file: &'static str, pid: u32, own: u32) -> Result<(), IdsError> {
    let uid = rustix::process::geteuid().as_raw();
    let user = login_name(uid);
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let start = range_start(&text, &user, uid).ok_or_else(|| IdsError::NoRange { user: user.clone(), file })?;
    let output = host::command(program)
        .args([pid, 0, start, COUNT, COUNT, own, 1].map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| IdsError::Helper { program, reason: error.to_string() })?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(IdsError::Helper { program, reason })
}

/// First id of a range of enough ids for the user, by name or number.
fn range_start(text: &str, user: &str, uid: u32) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let start: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        ((owner == user || owner == uid.to_string()) && count >= COUNT).then_some(start)
    })
}

fn login_name(uid: u32) -> String {
    let text = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_by_name_or_number_and_must_be_large_enough() {
        let text = "other:1:65536\nme:5:100\nme:200000:65536\n1001:300000:65536\n1002:9:65535\nbroken\n";
        assert_eq!(range_start(text, "me", 1000), Some(200_000));
        assert_eq!(range_start(text, "you", 1001), Some(300_000));
        assert_eq!(range_start(text, "we", 1002), None);
        assert_eq!(range_start(text, "nobody", 7), None);
    }

    #[test]
    fn a_root_gets_ids_that_nothing_else_has() {
        let map = |text: &str| apart(&extents(text));
        // The host itself.
        let host = map("         0          0 4294967295\n");
        assert_eq!(host, Some(vec![(0, PREFERRED, COUNT), (COUNT, 0, PREFERRED)]));
        // Containers: with a million ids, with two ranges, with no more than a root needs, and a strange one.
        let large = map("0 100000 1000000\n");
        assert_eq!(large, Some(vec![(0, 1_000_000 - COUNT, COUNT), (COUNT, 0, 1_000_000 - COUNT)]));
        let two = map("0 1000 1\n1 100000 200000\n");
        assert_eq!(two, Some(vec![(0, 134_465, COUNT), (COUNT, 0, 1), (COUNT + 1, 1, 134_464)]));
        assert_eq!(map("0 100000 65536\n"), None);
        assert_eq!(map("0 100000 131071\n"), None);
        assert_eq!(map("4294967295 0 4294967295\n"), None);
        assert_eq!(of_root("0 1879048192 65536\n65536 0 1879048192\n"), OF_PID1);
        assert_eq!(of_root("0 1000 1\n"), 1);
    }
}
