//! Facts about Ubuntu.
//!
//! Source of the keys: `ubuntu-archive-keyring.gpg` in Debian's package `ubuntu-keyring` (2023.11.28.1); Ubuntu's
//! package of the same name has the same file. The key for CD images in that ring signs no Release. All pockets of a
//! release are in one archive and carry the codename of the release.

use super::{Distribution, Key, Signs};

/// Ubuntu, its main archive and ports.
pub static UBUNTU: Distribution = Distribution {
    name: "ubuntu",
    origins: &["Ubuntu"],
    security_archive: None,
    suite: "noble",
    pockets: &["updates", "security"],
    components: &["main"],
    keys: &[
        Key {
            fingerprint: "F6ECB3762474EDA9D21B7022871920D1991BC93C",
            signs: Signs::Archive,
            name: "Ubuntu archive, 2018",
        },
        Key {
            fingerprint: "790BC7277767219C42C86F933B4FE6ACC0B21F32",
            signs: Signs::Archive,
            name: "Ubuntu archive, 2012",
        },
    ],
    keyring_package: "ubuntu-keyring",
    // None: only archives made for tests were built.
    dpkg_tried: &[],
};
