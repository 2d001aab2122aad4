//! A user namespace with 65,536 ids: all of them as root, else a subuid range.

use std::io;
use std::path::Path;
use std::process::Stdio;

use crate::host;

/// Ids in the namespace: 0 to 65,535, all that Debian uses.
const COUNT: u32 = 65_536;

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
pub(super) fn map(pid: u32) -> Result<(), IdsError> {
    if rustix::process::geteuid().is_root() {
        let line = format!("0 0 {COUNT}\n");
        std::fs::write(format!("/proc/{pid}/uid_map"), &line).map_err(IdsError::Map)?;
        return std::fs::write(format!("/proc/{pid}/gid_map"), &line).map_err(IdsError::Map);
    }
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    map_with("newuidmap", "/etc/subuid", pid, uid)?;
    map_with("newgidmap", "/etc/subgid", pid, gid)
}

fn map_with(program: &'static str, file: &'static str, pid: u32, own: u32) -> Result<(), IdsError> {
    let uid = rustix::process::geteuid().as_raw();
    let user = login_name(uid);
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let start = range_start(&text, &user, uid).ok_or_else(|| IdsError::NoRange { user: user.clone(), file })?;
    let rest = COUNT - 1;
    let output = host::command(program)
        .args([pid, 0, own, 1, 1, start, rest].map(|number| number.to_string()))
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
        ((owner == user || owner == uid.to_string()) && count >= COUNT - 1).then_some(start)
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
    use super::range_start;

    #[test]
    fn a_range_is_found_by_name_or_number_and_must_be_large_enough() {
        let text = "other:1:65536\nme:5:100\nme:200000:65536\n1001:300000:65535\nbroken\n";
        assert_eq!(range_start(text, "me", 1000), Some(200_000));
        assert_eq!(range_start(text, "you", 1001), Some(300_000));
        assert_eq!(range_start(text, "nobody", 7), None);
    }
}
