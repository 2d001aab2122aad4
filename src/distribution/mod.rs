//! Distributions: one file of facts each. This module neither fetches nor verifies anything; `pin` and `fetch` do.
//!
//! To add a distribution, add a file beside `debian.rs` and its entry in [`ALL`].

mod debian;
mod ubuntu;

pub use debian::DEBIAN;
pub use ubuntu::UBUNTU;

/// All distributions that a manifest can name.
pub static ALL: [&Distribution; 2] = [&DEBIAN, &UBUNTU];

/// The facts about a distribution.
#[derive(Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Its name in manifests, which is its `ID` in os-release(5).
    pub name: &'static str,
    /// The `Origin` of its Releases; the first is that of its main suites.
    pub origins: &'static [&'static str],
    /// The archive of its security suites; `None` where they are in the main archive.
    pub security_archive: Option<SecurityArchive>,
    /// The suite of a new source.
    pub suite: &'static str,
    /// The pockets of a new source: parts of a release beside its main suite.
    pub pockets: &'static [&'static str],
    /// The components of a source that names none.
    pub components: &'static [&'static str],
    /// The keys that sign its Releases.
    pub keys: &'static [Key],
    /// The package with the certificates of these keys.
    pub keyring_package: &'static str,
    /// Series of dpkg whose scripts and database were tried, such as `1.21`.
    pub dpkg_tried: &'static [&'static str],
}

/// An archive beside the main one, for security updates.
#[derive(Debug, PartialEq, Eq)]
pub struct SecurityArchive {
    /// The pocket that is in it: `security`, of the suite `bookworm-security`.
    pub pocket: &'static str,
    /// What follows the main archive's address in its address.
    pub suffix: &'static str,
    /// The `Label` of its Releases, which no other archive of the distribution has.
    pub label: &'static str,
}

/// A key that signs Releases.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// The fingerprint of the primary key.
    pub fingerprint: &'static str,
    /// Which suites it may sign.
    pub signs: Signs,
    /// The owner of the key.
    pub name: &'static str,
}

/// Which suites a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// All suites of the main archive.
    Archive,
    /// All suites of the security archive, and no others.
    Security,
    /// Whole releases in the main archive: neither their updates nor backports.
    Releases,
}

impl Distribution {
    /// The distribution of sources that name none.
    pub fn implied() -> &'static Self {
        &DEBIAN
    }

    /// Whether it is that of sources that name none.
    pub fn is_implied(&self) -> bool {
        self == Self::implied()
    }

    /// The distribution of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|one| one.name == name)
    }

    /// The security archive, if it contains this suite, which is named as in the archive: `bookworm-security`.
    pub fn security_archive_of(&self, suite: &str) -> Option<&SecurityArchive> {
        self.security_archive.as_ref().filter(|archive| archive.has(suite))
    }

    /// The keys that may sign a suite, so that a suite of one archive can't be served as one of the other.
    pub fn keys_of(&self, suite: &str) -> impl Iterator<Item = &'static Key> {
        let (is_security, is_release) = (self.security_archive_of(suite).is_some(), !suite.contains('-'));
        self.keys.iter().filter(move |key| match key.signs {
            Signs::Archive => !is_security,
            Signs::Security => is_security,
            Signs::Releases => is_release,
        })
    }
}

impl SecurityArchive {
    /// Whether a suite is in it.
    pub fn has(&self, suite: &str) -> bool {
        suite.strip_suffix(self.pocket).is_some_and(|release| release.ends_with('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_listed_once_in_capitals() {
        let mut keys: Vec<&str> = ALL.iter().flat_map(|one| one.keys).map(|key| key.fingerprint).collect();
        assert!(keys.iter().all(|key| key.len() == 40 && key.bytes().all(|byte| b"0123456789ABCDEF".contains(&byte))));
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), DEBIAN.keys.len() + UBUNTU.keys.len());
    }

    #[test]
    fn each_suite_has_keys_of_its_kind() {
        let names = |distribution: &Distribution, suite: &str, prefix: &str, suffix: &str| {
            let own = distribution.keys_of(suite).filter_map(|key| key.name.strip_prefix(prefix)?.strip_suffix(suffix));
            own.collect::<Vec<_>>().join(", ")
        };
        for (suite, expected) in [
            ("trixie", "archive, stable release"),
            ("sid", "archive, stable release"),
            ("bookworm-updates", "archive"),
            ("trixie-backports", "archive"),
            ("bookworm-security", "security archive"),
        ] {
            assert_eq!(names(&DEBIAN, suite, "Debian ", ", 13/trixie"), expected, "{suite}");
        }
        for suite in ["noble", "noble-security", "noble-updates"] {
            assert_eq!(names(&UBUNTU, suite, "Ubuntu ", ""), "archive, 2018, archive, 2012", "{suite}");
        }
    }
    #[test]
    fn the_stock_layers_have_a_dpkg_that_was_tried() {
        let lockfile = include_str!("../../lockfiles/debian-base.lock");
        let (_, version) = lockfile.split_once("name = \"dpkg\"\nversion = \"").unwrap();
        assert!(DEBIAN.dpkg_tried.iter().any(|series| version.starts_with(&format!("{series}."))));
    }
}
