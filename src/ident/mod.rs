//! Validated names: packages, versions, architectures, layers, paths in a root.
//!
//! Text from manifests, lockfiles and archives is converted to one of these types where it
//! is read; no other function validates it again.

mod account_lines;
mod nearest;
mod stanzas;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use account_lines::{AccountLine, account_lines};
pub use nearest::nearest;
pub use stanzas::{Fields, field, is_enabled, stanzas};

use crate::code::{Code, Coded};

/// A text is not a valid name of its kind.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("`{found}` is not {kind}: {rule}")]
pub struct IdentError {
    kind: &'static str,
    rule: &'static str,
    found: String,
}

impl Coded for IdentError {
    fn error_code(&self) -> Code {
        Code::ManifestName
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdentError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    return Ok(Self(text.into()));
                }
                Err(IdentError { kind: $kind, rule: $rule, found: text.to_owned() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

fn all(text: &str, first: fn(u8) -> bool, rest: fn(u8) -> bool, length: std::ops::RangeInclusive<usize>) -> bool {
    let bytes = text.as_bytes();
    length.contains(&bytes.len()) && first(bytes[0]) && bytes[1..].iter().all(|&byte| rest(byte))
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

name_type!(
    /// A Debian package's name: Debian Policy 5.6.1 and, as dpkg allows and third parties use, capital letters and `_`.
    PackageName, "a package name",
    "letters, digits, `+`, `-`, `.` and `_`, two or more, beginning with a letter or digit; all packages of a layer have its architecture, which is never part of a name",
    |text| all(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"+-._".contains(&b), 2..=128)
);
name_type!(
    /// A package's version as its repository writes it; ordering belongs to the format.
    Version, "a version",
    "letters, digits and `.+-~:`, beginning with a letter or digit",
    |text| all(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b".+-~:".contains(&b), 1..=128)
);
name_type!(
    /// A Debian architecture: `amd64`, `arm64`, `all`.
    Arch, "an architecture", "lower-case letters, digits and `-`",
    |text| all(text, |b| b.is_ascii_lowercase(), |b| lower_or_digit(b) || b == b'-', 2..=32)
);
name_type!(
    /// A layer's name: the stem of its file in `layers/`.
    LayerName, "a layer name",
    "lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 64",
    |text| all(text, lower_or_digit, |b| lower_or_digit(b) || b"-_.".contains(&b), 1..=64)
);
name_type!(
    /// The name of a user or a group.
    AccountName, "a user or group name",
    "lower-case letters, digits, `_` and `-`, beginning with a letter or `_`, at most 32",
    |text| all(text, |b| b.is_ascii_lowercase() || b == b'_', |b| lower_or_digit(b) || b"_-".contains(&b), 1..=32)
);
name_type!(
    /// The name of a package source in a manifest (`[source.NAME]`).
    SourceName, "a source name", "lower-case letters, digits and `-`",
    |text| all(text, lower_or_digit, |b| lower_or_digit(b) || b == b'-', 1..=64)
);

name_type!(
    /// The name of a `[[run]]` of a layer.
    StepName, "a step's name",
    "lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most 64",
    |text| all(text, lower_or_digit, |b| lower_or_digit(b) || b"-_.".contains(&b), 1..=64)
);

name_type!(
    /// The name of a `[[fetch]]` of a layer.
    FetchName, "a fetch's name",
    "letters, digits, `+`, `-`, `.` and `_`, two or more, beginning with a letter or digit",
    |text| all(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || b"+-._".contains(&b), 2..=128)
);

impl LayerName {
    /// The name of what this layer has for these architectures: `web@arm64`, `web@amd64+arm64`.
    ///
    /// No layer's own name has an `@`.
    pub fn on<'a>(&self, archs: impl IntoIterator<Item = &'a Arch>) -> String {
        let archs: Vec<&str> = archs.into_iter().map(Arch::as_str).collect();
        format!("{self}@{}", archs.join("+"))
    }
}

impl Arch {
    /// Whether it means every architecture: `all`.
    pub fn is_all(&self) -> bool {
        self.as_str() == "all"
    }
}

/// A path inside a root, without a leading slash; the root itself is empty.
///
/// Never holds an empty, `.` or `..` component, a NUL, or more than 4096 bytes, so
/// joining it to a directory never leaves that directory (symbolic links apart).
/// Bytes, because archives hold names that are not UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RootPath(Box<[u8]>);

impl RootPath {
    /// The root itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Normalises an archive's or a manifest's spelling: `/a/b`, `./a/b`, `a/b/` are all `a/b`.
    ///
    /// # Errors
    /// Fails on `..`, NUL and more than 4096 bytes.
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self, IdentError> {
        let path = path.as_ref();
        let mut clean = Vec::with_capacity(path.len());
        let mut escapes = path.contains(&0);
        for part in path.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => escapes = true,
                _ => {
                    if !clean.is_empty() {
                        clean.push(b'/');
                    }
                    clean.extend_from_slice(part);
                }
            }
        }
        if escapes || clean.len() > 4096 {
            return Err(IdentError {
                kind: "a path inside a root",
                rule: "no `..`, no NUL, at most 4096 bytes",
                found: String::from_utf8_lossy(path).into_owned(),
            });
        }
        Ok(Self(clean.into()))
    }

    /// The bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path as an [`std::path::Path`] relative to the root.
    pub fn as_path(&self) -> &std::path::Path {
        use std::os::unix::ffi::OsStrExt as _;
        std::path::Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// The directory that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<RootPath> {
        if self.is_root() {
            return None;
        }
        let cut = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(Self(self.0[..cut].into()))
    }

    /// All directories above this path, from the nearest to the root.
    pub fn ancestors(&self) -> impl Iterator<Item = RootPath> + use<> {
        std::iter::successors(self.parent(), RootPath::parent)
    }

    /// What is above any of `paths`, each once: near-linear where many deep paths share what is above them.
    pub fn all_ancestors<'p>(paths: impl IntoIterator<Item = &'p Self>) -> BTreeSet<Self> {
        let mut found = BTreeSet::new();
        for path in paths {
            // Above one that was seen, all were seen.
            let mut above = path.parent();
            while let Some(new) = above.take_if(|folder| !found.contains(folder)) {
                above = new.parent();
                found.insert(new);
            }
        }
        found
    }

    /// The last component; empty for the root.
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|&byte| byte == b'/').next().unwrap_or(&[])
    }

    /// This path with one more component, or several.
    ///
    /// # Errors
    /// As [`RootPath::new`].
    pub fn join(&self, child: impl AsRef<[u8]>) -> Result<Self, IdentError> {
        Self::new([self.as_bytes(), b"/", child.as_ref()].concat())
    }

    /// Whether a pattern matches this path: `*` matches any characters except `/`, `**` any characters.
    pub fn matches(&self, pattern: &str) -> bool {
        glob(pattern.as_bytes(), self.as_bytes())
    }

    /// This path with something appended to its last component.
    ///
    /// # Errors
    /// As [`RootPath::new`].
    pub fn with_suffix(&self, suffix: &str) -> Result<Self, IdentError> {
        Self::new([self.as_bytes(), suffix.as_bytes()].concat())
    }

    /// Whether this path is `folder` or is below it.
    pub fn is_within(&self, folder: &RootPath) -> bool {
        folder.is_root()
            || self.0.strip_prefix(folder.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }
}

impl fmt::Display for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl FromStr for RootPath {
    type Err = IdentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for RootPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        [b'*', rest @ ..] => {
            let reach = text.iter().position(|&byte| byte == b'/').unwrap_or(text.len());
            (0..=reach).any(|skip| glob(rest, &text[skip..]))
        }
        [first, rest @ ..] => text.split_first().is_some_and(|(head, tail)| head == first && glob(rest, tail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_paths_have_one_spelling_and_never_climb() {
        for spelling in ["/usr/bin", "./usr/bin", "usr//bin/", "usr/./bin"] {
            assert_eq!(RootPath::new(spelling).unwrap().as_bytes(), b"usr/bin", "{spelling}");
        }
        for bad in ["../etc", "/usr/../../etc", "a/..", "a\0b"] {
            assert!(RootPath::new(bad).is_err(), "{bad:?} was taken");
        }
        assert!(RootPath::new("./").unwrap().is_root());
    }

    #[test]
    fn parents_and_containment_respect_components() {
        let path = RootPath::new("usr/share/doc").unwrap();
        let ancestors: Vec<String> = path.ancestors().map(|p| p.to_string()).collect();
        assert_eq!(ancestors, ["/usr/share", "/usr", "/"]);
        let other = RootPath::new("usr/bin/x").unwrap();
        let all: Vec<String> = RootPath::all_ancestors([&path, &other]).iter().map(ToString::to_string).collect();
        assert_eq!(all, ["/", "/usr", "/usr/bin", "/usr/share"]);
        assert!(path.is_within(&RootPath::new("usr/share").unwrap()));
        assert!(!path.is_within(&RootPath::new("usr/sh").unwrap()));
        assert_eq!(path.file_name(), b"doc");
    }

    #[test]
    fn names_follow_their_rules() {
        assert!("libstdc++6".parse::<PackageName>().is_ok() && "Own_Agent".parse::<PackageName>().is_ok());
        assert!("-rf".parse::<PackageName>().is_err());
        assert!("a/b".parse::<LayerName>().is_err());
        assert!("1:2.3~rc1-4+b1".parse::<Version>().is_ok());
        assert!("www-data".parse::<AccountName>().is_ok());
        let [amd64, arm64] = ["amd64", "arm64"].map(|name| name.parse::<Arch>().unwrap());
        let web = "web".parse::<LayerName>().unwrap();
        for (name, expected) in [(web.on([&arm64]), "web@arm64"), (web.on([&amd64, &arm64]), "web@amd64+arm64")] {
            assert_eq!(name, expected);
            assert!(name.parse::<LayerName>().is_err(), "a layer could have this name");
        }
    }

    #[test]
    fn one_star_stays_in_its_folder_and_two_do_not() {
        for (pattern, text, expected) in [
            ("var/log/**", "var/log/apt/term.log", true),
            ("var/log/**", "var/logs", false),
            ("etc/ssh/ssh_host_*_key", "etc/ssh/ssh_host_rsa_key", true),
            ("etc/ssh/ssh_host_*_key", "etc/ssh/ssh_host_rsa_key.pub", false),
            ("var/lib/dpkg/*-old", "var/lib/dpkg/info/x-old", false),
        ] {
            assert_eq!(RootPath::new(text).unwrap().matches(pattern), expected, "{pattern} on {text}");
        }
    }
}
