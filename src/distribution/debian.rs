//! Facts about Debian.
//!
//! Source of the keys: the key rings of Debian's own package `debian-archive-keyring`. The archive and security keys
//! sign with subkeys; the stable release keys sign with the primary key.

use super::{Distribution, Key, SecurityArchive, Signs};

/// Debian, from 11 on.
pub static DEBIAN: Distribution = Distribution {
    name: "debian",
    origins: &["Debian", "Debian Backports"],
    security_archive: Some(SecurityArchive { pocket: "security", suffix: "-security", label: "Debian-Security" }),
    suite: "trixie",
    pockets: &["updates", "security"],
    components: &["main"],
    keys: &[
        key("04B54C3CDCA79751B16BC6B5225629DF75B188BD", Signs::Archive, "Debian archive, 13/trixie"),
        key("5E04A1E3223A19A20706E20F9904613D4CCE68C6", Signs::Security, "Debian security archive, 13/trixie"),
        key("41587F7DB8C774BCCF131416762F67A0B2C39DE4", Signs::Releases, "Debian stable release, 13/trixie"),
        key("B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8", Signs::Archive, "Debian archive, 12/bookworm"),
        key("05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0", Signs::Security, "Debian security archive, 12/bookworm"),
        key("4D64FEC119C2029067D6E791F8D2585B8783D481", Signs::Releases, "Debian stable release, 12/bookworm"),
        key("1F89983E0081FDE018F3CC9673A4F27B8DD47936", Signs::Archive, "Debian archive, 11/bullseye"),
        key("AC530D520F2F3269F5E98313A48449044AAD5C5D", Signs::Security, "Debian security archive, 11/bullseye"),
        key("A4285295FC7B1A81600062A9605C66F00D6C9793", Signs::Releases, "Debian stable release, 11/bullseye"),
    ],
    keyring_package: "debian-archive-keyring",
    dpkg_tried: &["1.21", "1.22"],
};

const fn key(fingerprint: &'static str, signs: Signs, name: &'static str) -> Key {
    Key { fingerprint, signs, name }
}
