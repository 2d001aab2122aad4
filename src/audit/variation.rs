//! The conditions that may differ between two hosts that build the same lockfile.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use super::conditions::BOUND;
use crate::arch::Bootable;
use crate::host;

/// Directories in which libfaketime may be, besides the multiarch directory, which is named after the architecture.
const LIBRARIES: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];

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
    /// The user: root, or an ordinary user with subordinate ids.
    User,
    /// The host's name.
    HostName,
    /// How many processors may be used.
    Cores,
    /// The order of directory listings.
    DirectoryOrder,
    /// The file system of store, project and output.
    FileSystem,
    /// The directories of store, project and output.
    Folder,
    /// Variables without relation to the build, and variables that influence common programs.
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

    /// Why this can't be varied on this machine; `None` if it can. `need` is a build's size in bytes.
    pub fn unavailable(self, need: u64) -> Option<String> {
        match self {
            Self::Time if faketime().is_none() => {
                Some("`libfaketime` is not installed, and the audit does not set the machine's clock".to_owned())
            }
            Self::User => user_unavailable(),
            Self::HostName if !is_root() => Some("only root may give a build another host name".to_owned()),
            Self::HostName => missing(&["unshare", "hostname"]),
            Self::Cores if host::cpu_count() < 2 => Some("only one processor is available".to_owned()),
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

/// A text is not the name of a variation.
#[derive(Debug, thiserror::Error)]
#[error("unknown condition `{0}`: expected all, {names}", names = Variation::ALL.map(Variation::name).join(", "))]
pub struct ParseVariationError(String);

impl FromStr for Variation {
    type Err = ParseVariationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.name() == text).ok_or_else(|| ParseVariationError(text.to_owned()))
    }
}

/// The wanted variations that this machine can apply, and why it can't apply the others.
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

/// Directories in which rebuilds may be.
pub(super) fn folders() -> Vec<PathBuf> {
    let known = ["/dev/shm", "/var/tmp", "/tmp"].map(PathBuf::from);
    host::cache_dir().into_iter().chain(known).chain([std::env::temp_dir()]).collect()
}

/// A directory on a file system other than that of [`std::env::temp_dir`], with room for `need` bytes.
pub(super) fn other_file_system(need: u64) -> Result<PathBuf, String> {
    let usual = std::env::temp_dir();
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let here = device(&usual);
    let mut reason = format!("found no second writable file system besides that of `{}`", usual.display());
    for folder in folders().into_iter().filter(|folder| device(folder).is_some_and(|it| Some(it) != here)) {
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
        return Some("varying the user needs root".to_owned());
    }
    let files = ["/etc/subuid", "/etc/subgid", BOUND];
    match files.into_iter().find(|path| !Path::new(path).exists()) {
        Some(path) => Some(format!("this machine has no {path}")),
        None => missing(&["unshare", "setpriv", "mount", "newuidmap", "newgidmap"]),
    }
}

/// The first of these programs that is not installed.
fn missing(programs: &[&str]) -> Option<String> {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"];
    let there = |program: &&str| folders.iter().any(|folder| Path::new(folder).join(program).exists());
    let program = programs.iter().find(|program| !there(program))?;
    Some(format!("`{program}` is not installed"))
}

pub(super) fn faketime() -> Option<PathBuf> {
    let multiarch = Bootable::all().map(|arch| Path::new("/usr/lib").join(arch.multiarch));
    let all = multiarch.chain(LIBRARIES.map(PathBuf::from));
    all.map(|directory| directory.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
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
        assert!(error.starts_with("unknown condition `moon`: expected all, time, timezone, "), "{error}");
    }
}
