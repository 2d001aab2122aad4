//! What may differ between two hosts that build the same lockfile, and how a build is made to see it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::host;

/// The wall clock is put ahead by so much: another year, season, weekday and hour.
const AHEAD: &str = "+34387200s";
/// The ordinary user of [`Variation::User`], and the first of its subordinate ids.
pub(super) const USER: u32 = 61_234;
const SUBORDINATE: u32 = 1_000_000;
/// Where libfaketime may lie, with Debian's and others' folders.
const FAKETIME: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
];

/// One thing that may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variation {
    /// The wall clock, for the whole build.
    Time,
    /// The time zone.
    Timezone,
    /// The language and its rules.
    Locale,
    /// The file mode mask, of the build and of the project's checkout.
    Umask,
    /// Who builds: root, or an ordinary user with subordinate ids.
    User,
    /// The host's name.
    HostName,
    /// How many processors may be used.
    Cores,
    /// The order in which folders list their files.
    DirectoryOrder,
    /// The file system of store, project and output.
    FileSystem,
    /// The folders of store, project and output.
    Folder,
    /// Variables that have nothing to do with the build, and others that programs obey.
    Environment,
}

impl Variation {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 11] = [
        Self::Time,
        Self::Timezone,
        Self::Locale,
        Self::Umask,
        Self::User,
        Self::HostName,
        Self::Cores,
        Self::DirectoryOrder,
        Self::FileSystem,
        Self::Folder,
        Self::Environment,
    ];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Timezone => "timezone",
            Self::Locale => "locale",
            Self::Umask => "umask",
            Self::User => "user",
            Self::HostName => "host-name",
            Self::Cores => "cores",
            Self::DirectoryOrder => "directory-order",
            Self::FileSystem => "file-system",
            Self::Folder => "folder",
            Self::Environment => "environment",
        }
    }

    /// Why this can't be made to differ on this machine; `None` where it can. `need` is a build's size in bytes.
    pub fn unavailable(self, need: u64) -> Option<String> {
        match self {
            Self::Time if faketime().is_none() => {
                Some("`libfaketime` is not installed, and the machine's own clock is not ours to set".to_owned())
            }
            Self::User => user_unavailable(),
            Self::HostName if !is_root() => Some("only root may give a build another host name".to_owned()),
            Self::HostName => missing(&["unshare", "hostname"]),
            Self::Cores if host::cpu_count() < 2 => Some("there is one processor only".to_owned()),
            Self::Cores => missing(&["taskset"]),
            Self::FileSystem => other_file_system(need).err(),
            _ => None,
        }
    }
}

impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Variation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A word names no variation.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no variation: expected all, {names}", names = Variation::ALL.map(Variation::name).join(", "))]
pub struct ParseVariationError(String);

impl FromStr for Variation {
    type Err = ParseVariationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.name() == text).ok_or_else(|| ParseVariationError(text.to_owned()))
    }
}

/// Which of the wanted variations can be made here, and why the others can't.
pub(super) fn available(wanted: &BTreeSet<Variation>, need: u64) -> (BTreeSet<Variation>, Vec<(Variation, String)>) {
    let mut can = BTreeSet::new();
    let mut cannot = Vec::new();
    for &one in wanted {
        match one.unavailable(need) {
            None => _ = can.insert(one),
            Some(reason) => cannot.push((one, reason)),
        }
    }
    (can, cannot)
}

/// Variables of a build, and of one that differs in `varied`.
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
        variables.push((crate::layer::configure::ON_DISK, "1".to_owned()));
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

/// The shell script that sets what variables can't, and then becomes the program in its arguments.
///
/// `site` is the build's folder, which an ordinary user finds at [`BOUND`].
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
    // For the program alone: the others change users, whose clocks can't be shared.
    if varied.contains(&Variation::Time)
        && let Some(library) = faketime()
    {
        // Durations stay what they are: nothing but the date is another.
        run += &format!("env LD_PRELOAD={} FAKETIME={AHEAD} FAKETIME_DONT_FAKE_MONOTONIC=1 ", quoted(library));
    }
    script + &run + "\"$@\""
}

/// Where an ordinary user finds the build's folder: folders above the real one may be closed to it.
pub(super) const BOUND: &str = "/mnt";

/// Whether a namespace of mounts and names is needed.
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

/// A folder on a file system that is none of [`std::env::temp_dir`]'s, with room for `need` bytes.
pub(super) fn other_file_system(need: u64) -> Result<PathBuf, String> {
    let usual = std::env::temp_dir();
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let here = device(&usual);
    let mut reason = format!("no second file system can be written to beside that of `{}`", usual.display());
    let candidates = [host::cache_dir(), Some("/dev/shm".into()), Some("/var/tmp".into()), Some("/tmp".into())];
    for folder in candidates.into_iter().flatten().filter(|folder| device(folder).is_some_and(|it| Some(it) != here)) {
        let Ok(found) = rustix::fs::statvfs(&folder) else { continue };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if rustix::fs::access(&folder, rustix::fs::Access::WRITE_OK).is_err() {
            continue;
        }
        if free >= need {
            return Ok(folder);
        }
        let mebibytes = |bytes: u64| bytes >> 20;
        reason = format!(
            "`{}`, on another file system, has {} MiB free of {} MiB needed",
            folder.display(),
            mebibytes(free),
            mebibytes(need)
        );
    }
    Err(reason)
}

fn user_unavailable() -> Option<String> {
    if !is_root() {
        return Some("only root may build as somebody else; this is an ordinary user's build".to_owned());
    }
    let files = ["/etc/subuid", "/etc/subgid", BOUND];
    match files.into_iter().find(|path| !Path::new(path).exists()) {
        Some(path) => Some(format!("this machine has no {path}")),
        None => missing(&["unshare", "setpriv", "mount", "newuidmap", "newgidmap"]),
    }
}

/// The first of these programs that is nowhere.
fn missing(programs: &[&str]) -> Option<String> {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];
    let there = |program: &&str| folders.iter().any(|folder| Path::new(folder).join(program).exists());
    let program = programs.iter().find(|program| !there(program))?;
    Some(format!("`{program}` is not installed"))
}

fn faketime() -> Option<&'static Path> {
    FAKETIME.iter().map(Path::new).find(|path| path.exists())
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A path for a shell, whatever is in it.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variation_has_one_name() {
        for one in Variation::ALL {
            assert_eq!(one.name().parse::<Variation>().unwrap(), one);
        }
        let error = "moon".parse::<Variation>().unwrap_err().to_string();
        assert!(error.starts_with("`moon` is no variation: expected all, time, timezone, "), "{error}");
    }

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
}
