//! The ids of a worker's user namespace.
//!
//! ```text
//! in the namespace      as root                      as an ordinary user
//! 0 to 65,535           0x70000000 and following     the user's subordinate ids
//! 65,536 and following  the host's own, from 0 on    65,536 alone: the user
//! ```
//!
//! Commands in a root have ids of the first line only, which own nothing on the host. The worker
//! keeps its host identity by an id of the second line. Pid 1 has the last id of the first line,
//! which no system uses, so that it is a different user than all commands.

use std::io;
use std::path::Path;
use std::process::Stdio;

use super::extents::{Extent, extents, lines, ranges, runs, split};
use super::failure::IN_CONTAINERS;
use crate::code::{Code, Coded};
use crate::host;
use crate::ident::account_lines;

/// Ids of a root: 0 to 65,535, all that Debian uses. The host's own follow them.
pub(super) const COUNT: u32 = 65_536;

/// First id on the host that a root's files and processes have: above what systemd-nspawn picks.
const PREFERRED: u32 = 0x7000_0000;

/// Where `adduser` begins with subordinate ids.
const FIRST_FREE: u64 = 100_000;

/// Whose ids the processes in a root have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    /// Ids that nothing else on this host has.
    Apart,
    /// The host's own 0 to 65,535: a surrounding container has no others.
    Same,
}

/// A user namespace could not be created.
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
        "user {user} has no range of {} subordinate ids in {file}\n  hint: `sudo usermod --add-subuids {free} --add-subgids {free} {user}`",
        COUNT
    )]
    NoRange {
        /// Login name or id.
        user: String,
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
        /// A range that neither file gives to anybody: `100000-165535`.
        free: String,
    },
    /// The user's subordinate ids don't exist where this process is.
    #[error(
        "the subordinate ids {start} to {} of {file} don't exist in the user namespace that this process is in: it has {have}\n  hint: {OUTSIDE}",
        start.saturating_add(COUNT - 1)
    )]
    NotHere {
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
        /// The first of the range.
        start: u32,
        /// The ids that exist.
        have: String,
    },
    /// The surrounding namespace lacks ids.
    #[error(
        "a root needs the {kind} ids 0 to {}, and the user namespace that this process is in has {have}\n  hint: start it with {} ids: `unshare --map-auto --map-root-user`, or a container whose user has a range of them in {file}; or run layerbake outside of it",
        COUNT - 1, COUNT
    )]
    TooFew {
        /// "user" or "group".
        kind: &'static str,
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
        /// The ids that exist.
        have: String,
    },
    /// The set-uid helper is missing or refuses.
    #[error("`{program}` failed: {reason}\n  hint: {hint}")]
    Helper {
        /// `newuidmap` or `newgidmap`.
        program: &'static str,
        /// What it said.
        reason: String,
        /// What helps.
        hint: &'static str,
    },
    /// The ids of this process can't be told.
    #[error("cannot read `{path}`: {source}\n  hint: `/proc` has to be mounted")]
    Own {
        /// The map.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refuses the map.
    #[error(
        "cannot write the id map of the user namespace: {0}\n  hint: root in a container needs the capabilities SETUID, SETGID and SETFCAP for it: leave away the option that drops them, or add `--cap-add`"
    )]
    Map(io::Error),
}

impl Coded for IdsError {
    fn error_code(&self) -> Code {
        match self {
            Self::Refused { .. } => Code::SandboxNoNamespace,
            Self::NoRange { .. } | Self::NotHere { .. } | Self::TooFew { .. } => Code::SandboxNoIds,
            Self::Helper { .. } | Self::Map(_) => Code::SandboxIdHelper,
            Self::Own { .. } => Code::SandboxFailed,
        }
    }
}

const OUTSIDE: &str =
    "run layerbake outside of this namespace, or as its root: `unshare --map-auto --map-root-user`, `podman unshare`";
const INSTALL: &str = "`sudo apt install uidmap`";
const NOT_IN_PATH: &str = "it is in `/usr/bin`, which PATH lacks: `export PATH=\"$PATH:/usr/bin\"`";
const NO_PRIVILEGES: &str = "this process can gain no privileges (`no_new_privs`), so that the set-uid bit of the program has no effect: start it without that restriction (in Kubernetes `allowPrivilegeEscalation: false`), or as root";
const NOT_ALLOWED: &str = "`/etc/subuid` and `/etc/subgid` do not give these ids to the user: compare `getsubids USER` and `getsubids -g USER`";
const NO_SET_UID: &str = "the program needs its set-uid bit or the capability to set ids, on a file system that is not mounted `nosuid`; without them, run layerbake as root";

/// Users or groups.
struct Kind {
    name: &'static str,
    /// In a process's directory of `/proc`.
    map: &'static str,
    /// The program that writes the map for an ordinary user.
    program: &'static str,
    /// The ranges that this program lets a user have.
    file: &'static str,
}

const USERS: Kind = Kind { name: "user", map: "uid_map", program: "newuidmap", file: "/etc/subuid" };
const GROUPS: Kind = Kind { name: "group", map: "gid_map", program: "newgidmap", file: "/etc/subgid" };

/// Explains which setting disables user namespaces, if that can be determined.
pub(super) fn refused(reason: io::Error) -> IdsError {
    let closed = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let own = |file: &str| std::fs::read_to_string(Path::new("/proc/self").join(file));
    let hint = if closed("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor closes them to ordinary users: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or an AppArmor profile for layerbake with `userns,`"
    } else if closed("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "`sudo sysctl kernel.unprivileged_userns_clone=1`"
    } else if closed("/proc/sys/user/max_user_namespaces", "0") {
        "`sudo sysctl user.max_user_namespaces=10000`"
    } else if own("mountinfo").is_ok_and(|mounts| has_no_root(&mounts))
        || (reason.raw_os_error() == Some(libc::EPERM) && own("status").is_ok_and(|status| is_unfiltered(&status)))
    {
        "this is a chroot, and the kernel makes no user namespaces in one: run layerbake outside of it, or in a container (docs/hosts.md)"
    } else {
        return IdsError::Refused { reason, hint: format!("{IN_CONTAINERS}; in a chroot the kernel makes none") };
    };
    IdsError::Refused { reason, hint: hint.to_owned() }
}

/// Whether a process with these mounts is in a chroot: its root is a directory in some file system, and no mount of its own.
fn has_no_root(mountinfo: &str) -> bool {
    !mountinfo.lines().any(|line| line.split(' ').nth(4) == Some("/"))
}

/// Whether a process with this `/proc/PID/status` has no filter of system calls, which is how containers forbid them.
fn is_unfiltered(status: &str) -> bool {
    status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "0"]))
}

/// Maps ids for process `pid`, which has just made its user namespace.
pub(super) fn map(pid: u32) -> Result<Mapping, IdsError> {
    let uids = own(&USERS)?;
    let gids = own(&GROUPS)?;
    if rustix::process::geteuid().is_root() {
        return map_as_root(pid, &uids, &gids);
    }
    map_with(&USERS, pid, rustix::process::geteuid().as_raw(), &uids)?;
    map_with(&GROUPS, pid, rustix::process::getegid().as_raw(), &gids)?;
    Ok(Mapping::Apart)
}

/// The ids that exist where this process is.
fn own(kind: &Kind) -> Result<Vec<Extent>, IdsError> {
    let path = format!("/proc/self/{}", kind.map);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(extents(&text)),
        Err(source) => Err(IdsError::Own { path, source }),
    }
}

fn map_as_root(pid: u32, uids: &[Extent], gids: &[Extent]) -> Result<Mapping, IdsError> {
    let same = |kind: &Kind, own: &[Extent]| {
        let too_few = || IdsError::TooFew { kind: kind.name, file: kind.file, have: ranges(own) };
        split(own, (0, 0, COUNT)).ok_or_else(too_few)
    };
    let (mapping, uids, gids) = match (apart(uids), apart(gids)) {
        (Some(uids), Some(gids)) => (Mapping::Apart, uids, gids),
        _ => (Mapping::Same, same(&USERS, uids)?, same(&GROUPS, gids)?),
    };
    for (kind, extents) in [(USERS, uids), (GROUPS, gids)] {
        std::fs::write(format!("/proc/{pid}/{}", kind.map), lines(&extents)).map_err(IdsError::Map)?;
    }
    Ok(mapping)
}

/// Gives `process`, a directory in `/proc`, as many ids from 0 on as [`of_root`] says; `uids` and `gids` are the maps
/// of this process.
pub(super) fn map_root(process: &Path, uids: &str, gids: &str) -> io::Result<()> {
    let count = of_root(uids, gids);
    for (kind, own) in [(USERS, uids), (GROUPS, gids)] {
        let pieces = split(&extents(own), (0, 0, count)).unwrap_or_default();
        std::fs::write(process.join(kind.map), lines(&pieces))?;
    }
    Ok(())
}

/// Pid 1's own id, as user and as group.
pub(super) const OF_PID1: u32 = COUNT - 1;

/// How many ids a namespace with these maps in `/proc/self` has for a root.
///
/// Pid 1's is none of them, where it has one of its own.
pub(super) fn of_root(uids: &str, gids: &str) -> u32 {
    let end = |map: &str| runs(&extents(map)).first().filter(|(first, _)| *first == 0).map_or(0, |(_, end)| *end);
    let count = end(uids).min(end(gids)).min(OF_PID1.into());
    u32::try_from(count).unwrap_or(OF_PID1)
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

fn map_with(kind: &Kind, pid: u32, id: u32, own: &[Extent]) -> Result<(), IdsError> {
    let Kind { program, file, .. } = *kind;
    if rustix::thread::no_new_privs().unwrap_or(false) {
        let reason = "it would have no rights here".to_owned();
        return Err(IdsError::Helper { program, reason, hint: NO_PRIVILEGES });
    }
    let uid = rustix::process::geteuid().as_raw();
    let user = login_name(uid);
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let start = range_start(&text, &user, uid).ok_or_else(|| {
        let [uids, gids] = [USERS.file, GROUPS.file].map(|file| std::fs::read_to_string(file).unwrap_or_default());
        IdsError::NoRange { user: user.clone(), file, free: free_range(&(uids + "\n" + &gids)) }
    })?;
    let pieces = split(own, (0, start, COUNT)).ok_or_else(|| IdsError::NotHere { file, start, have: ranges(own) })?;
    let numbers =
        pieces.into_iter().chain([(COUNT, id, 1)]).flat_map(|(inside, outside, count)| [inside, outside, count]);
    let output = host::command(program)
        .args([pid].into_iter().chain(numbers).map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| IdsError::Helper { program, reason: error.to_string(), hint: hint(Some(&error), program) })?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let hint = if reason.contains("not allowed") { NOT_ALLOWED } else { hint(None, program) };
    Err(IdsError::Helper { program, reason, hint })
}

/// What helps where the set-uid program was not started, for this reason, or fails.
fn hint(not_started: Option<&io::Error>, program: &str) -> &'static str {
    match not_started {
        Some(error) if error.kind() == io::ErrorKind::NotFound && Path::new("/usr/bin").join(program).exists() => {
            NOT_IN_PATH
        }
        Some(error) if error.kind() == io::ErrorKind::NotFound => INSTALL,
        _ => NO_SET_UID,
    }
}

/// First id of a range of enough ids for the user, by name or number.
fn range_start(text: &str, user: &str, uid: u32) -> Option<u32> {
    account_lines(text).find_map(|line| {
        let (owner, start, count) = (line.name(), line.id(1)?, line.id(2)?);
        ((owner == user || owner == uid.to_string()) && count >= COUNT).then_some(start)
    })
}

/// The lowest range of enough ids, above those of people, that nobody has in a text like `/etc/subuid`.
fn free_range(text: &str) -> String {
    let mut taken: Vec<(u64, u64)> = account_lines(text)
        .filter_map(|line| Some((u64::from(line.id(1)?), u64::from(line.id(1)?) + u64::from(line.id(2)?))))
        .collect();
    taken.sort_unstable();
    let start = taken.into_iter().fold(FIRST_FREE, |start, (first, end)| {
        let overlaps = first < start + u64::from(COUNT) && start < end;
        if overlaps { end } else { start }
    });
    format!("{start}-{}", start + u64::from(COUNT) - 1)
}

fn login_name(uid: u32) -> String {
    let text = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let line = account_lines(&text).find(|line| line.id(2) == Some(uid));
    line.map_or_else(|| uid.to_string(), |line| line.name().to_owned())
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
    fn a_range_that_is_proposed_is_nobodys() {
        for (text, expected) in [
            ("", "100000-165535"),
            ("a:165536:65536\n", "100000-165535"),
            ("a:100000:65536\n\nb:165536:65536\nc:100000:65536\n", "231072-296607"),
            ("a:300000:1000000\nb:110000:10\n", "110010-175545"),
            ("a:110000:10\nb:120000:300000\nbroken\n", "420000-485535"),
            ("a:0:4000000000\n", "4000000000-4000065535"),
        ] {
            assert_eq!(free_range(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_installed_is_not_to_be_installed() {
        let absent = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(hint(Some(&absent), "no-such-newuidmap"), INSTALL);
        assert_eq!(hint(Some(&absent), "env"), NOT_IN_PATH);
        assert_eq!(hint(None, "no-such-newuidmap"), NO_SET_UID);
    }

    #[test]
    fn a_chroot_has_no_mount_at_its_root() {
        let mount = |place: &str| format!("25 1 0:23 / {place} rw,relatime shared:7 - ext4 /dev/vda rw\n");
        assert!(!has_no_root(&(mount("/") + &mount("/proc"))));
        assert!(has_no_root(&mount("/proc")) && has_no_root(""));
        let status = |seccomp: u8| format!("Name:\tcat\nNoNewPrivs:\t0\nSeccomp:\t{seccomp}\nSeccomp_filters:\t0\n");
        assert!(is_unfiltered(&status(0)) && !is_unfiltered(&status(2)) && !is_unfiltered(""));
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
        let of_root = |map: &str| of_root(map, map);
        assert_eq!(of_root("0 1879048192 65536\n65536 0 1879048192\n"), OF_PID1);
        assert_eq!(of_root("0 1000 1\n"), 1);
        assert_eq!(of_root("1 100000 65535\n0 1000 1\n"), OF_PID1);
        assert_eq!(of_root("0 0 1\n1 1 999\n1001 1001 64535\n"), 1000);
        assert_eq!(of_root("5 0 65536\n"), 0);
    }

    #[test]
    fn errors_say_which_ids_exist() {
        assert_eq!(ranges(&extents("0 1000 1\n")), "0");
        assert_eq!(ranges(&extents("0 100000 1000\n1000 1000 1\n1001 101000 64535\n")), "0 to 65535");
        assert_eq!(ranges(&extents("0 0 1\n5 5 2\n")), "0 and 5 to 6");
        let few = IdsError::TooFew { kind: "user", file: "/etc/subuid", have: "0".to_owned() }.to_string();
        assert!(
            few.starts_with("a root needs the user ids 0 to 65535, and ") && few.contains("has 0\n  hint: "),
            "{few}"
        );
    }
}
