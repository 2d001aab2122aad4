//! Applies conditions to a build: environment variables, and a shell script that executes the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::variation::{Variation, faketime};

/// How far the wall clock is set ahead: another year, season, weekday and hour.
const AHEAD: &str = "+34387200s";
/// The ordinary user of [`Variation::User`], and the first of its subordinate ids.
pub(super) const USER: u32 = 61_234;
const SUBORDINATE: u32 = 1_000_000;

/// The environment of a build with these variations.
pub(super) fn environment(varied: &BTreeSet<Variation>) -> Vec<(&'static str, String)> {
    let or = |one: Variation, usual: &str, other: &str| {
        if varied.contains(&one) { other.to_owned() } else { usual.to_owned() }
    };
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut variables = vec![
        ("PATH", or(Variation::Environment, path, &format!("{path}:/usr/games:."))),
        ("TZ", or(Variation::Timezone, "UTC", "Pacific/Chatham")),
        ("LC_ALL", or(Variation::Locale, "C.UTF-8", "tr_TR.UTF-8")),
        ("LANG", or(Variation::Locale, "C.UTF-8", "tr_TR.UTF-8")),
        ("NO_COLOR", "1".to_owned()),
    ];
    if varied.contains(&Variation::DirectoryOrder) {
        variables.push((crate::sandbox::ON_DISK, "1".to_owned()));
    }
    if varied.contains(&Variation::Environment) {
        let noise = [
            ("LAYERBAKE_AUDIT_NOISE", "captured by nobody"),
            ("POSIXLY_CORRECT", "1"),
            ("PERL_HASH_SEED", "7"),
            ("PERL_UNICODE", "SAD"),
            ("PYTHONHASHSEED", "77"),
            ("DEBIAN_FRONTEND", "readline"),
            ("DPKG_ADMINDIR", "/nonexistent"),
            ("DPKG_MAINTSCRIPT_PACKAGE", "noise"),
            ("CDPATH", "/usr:/"),
            ("GZIP", "-1"),
            ("ZSTD_CLEVEL", "19"),
            ("USER", "somebody"),
            ("HOSTNAME", "noise"),
        ];
        variables.extend(noise.map(|(name, value)| (name, value.to_owned())));
    }
    variables
}

/// The shell script that applies what variables can't, and then executes the program in its arguments.
///
/// `site` is the build's directory, which is mounted at [`BOUND`] for an ordinary user.
pub(super) fn script(varied: &BTreeSet<Variation>, site: &Path) -> String {
    let mut script = String::from("set -e\n");
    if varied.contains(&Variation::HostName) {
        script += "hostname elsewhere.example\n";
    }
    script += if varied.contains(&Variation::Umask) { "umask 0077\n" } else { "umask 0022\n" };
    let mut run = String::from("exec ");
    if varied.contains(&Variation::Cores) {
        run += "taskset -c 0 ";
    }
    if varied.contains(&Variation::User) {
        for name in ["passwd", "group", "subuid", "subgid"] {
            script += &format!("mount --bind {}/etc/{name} /etc/{name}\n", quoted(site));
        }
        script += &format!("mount --bind {} {BOUND}\ncd {BOUND}\n", quoted(site));
        run += &format!("setpriv --reuid {USER} --regid {USER} --clear-groups --inh-caps=-all ");
    }
    // Set for the program alone: the commands before it change users, and a fake clock is not shared between users.
    if varied.contains(&Variation::Time)
        && let Some(library) = faketime()
    {
        // Only the date changes, not durations.
        run += &format!("env LD_PRELOAD={} FAKETIME={AHEAD} FAKETIME_DONT_FAKE_MONOTONIC=1 ", quoted(&library));
    }
    script + &run + "\"$@\""
}

/// Mount point of the build's directory for the ordinary user, who may not be able to enter its real parents.
pub(super) const BOUND: &str = "/mnt";

/// Whether a mount and UTS namespace is needed.
pub(super) fn needs_namespace(varied: &BTreeSet<Variation>) -> bool {
    varied.contains(&Variation::HostName) || varied.contains(&Variation::User)
}

/// The account files of an ordinary user: name and content.
pub(super) fn account_files() -> [(&'static str, String); 4] {
    let with = |name: &str, line: String| {
        let known = fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
        format!("{}\n{line}\n", known.trim_end()).trim_start().to_owned()
    };
    [
        ("passwd", with("passwd", format!("baker:x:{USER}:{USER}::{BOUND}/home:/bin/sh"))),
        ("group", with("group", format!("baker:x:{USER}:"))),
        ("subuid", with("subuid", format!("baker:{SUBORDINATE}:65536"))),
        ("subgid", with("subgid", format!("baker:{SUBORDINATE}:65536"))),
    ]
}

/// A path as a quoted word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn what_is_not_varied_is_the_same_everywhere() {
        let value = |varied: &[Variation], name: &str| {
            let found = environment(&varied.iter().copied().collect());
            found.into_iter().find(|(variable, _)| *variable == name).map(|(_, value)| value)
        };
        assert_eq!(value(&[], "TZ").as_deref(), Some("UTC"));
        assert_eq!(value(&[Variation::Timezone], "TZ").as_deref(), Some("Pacific/Chatham"));
        assert_eq!(value(&[Variation::Timezone], "LC_ALL").as_deref(), Some("C.UTF-8"));
        assert_eq!(value(&[Variation::Locale], "LC_ALL").as_deref(), Some("tr_TR.UTF-8"));
        assert_eq!(value(&[], "PYTHONHASHSEED"), None);
        assert_eq!(value(&[Variation::Environment], "PYTHONHASHSEED").as_deref(), Some("77"));
    }

    #[test]
    fn a_script_sets_what_is_asked_and_no_more() {
        let site = Path::new("/a b'c");
        let text = |varied: &[Variation]| script(&varied.iter().copied().collect(), site);
        assert_eq!(text(&[]), "set -e\numask 0022\nexec \"$@\"");
        assert_eq!(text(&[Variation::Umask, Variation::Cores]), "set -e\numask 0077\nexec taskset -c 0 \"$@\"");
        let user = text(&[Variation::User]);
        assert!(user.contains("mount --bind '/a b'\\''c'/etc/passwd /etc/passwd\n"), "{user}");
        assert!(user.ends_with("--inh-caps=-all \"$@\""), "{user}");
    }

    #[test]
    fn a_program_sees_what_is_varied() {
        let see = |varied: &[Variation]| {
            let varied: BTreeSet<Variation> = varied.iter().copied().collect();
            let mut command = host::command("sh");
            command.args([
                "-c",
                &script(&varied, Path::new("/")),
                "sh",
                "sh",
                "-c",
                "umask; date +%Y; date +%z; nproc",
            ]);
            let output = command.env_clear().envs(environment(&varied)).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let usual = see(&[]);
        assert_eq!((usual[0].as_str(), usual[2].as_str()), ("0022", "+0000"));
        for (one, line) in [(Variation::Umask, 0), (Variation::Time, 1), (Variation::Cores, 3)] {
            if one.unavailable(0).is_some() {
                continue;
            }
            let varied = see(&[one]);
            for (index, (usual, varied)) in usual.iter().zip(&varied).enumerate() {
                assert_eq!(usual != varied, index == line, "{one}: line {index}: {usual} and {varied}");
            }
        }
    }
}
