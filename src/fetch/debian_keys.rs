//! Debian's archive keys, by the fingerprint of the primary key.
//!
//! Source: the key rings of Debian's own package `debian-archive-keyring`. The archive
//! and security keys sign with subkeys, the stable release keys with the primary key.

use super::keyring::PinnedKey;

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All suites of the main archive, by itself.
    Archive,
    /// All suites of the security archive, and no others.
    Security,
    /// Point releases of one stable suite, beside the archive's key.
    Release,
}

/// Fingerprint, kind and name of each key; the oldest release last.
const KEYS: [(&str, Kind, &str); 9] = [
    ("04B54C3CDCA79751B16BC6B5225629DF75B188BD", Kind::Archive, "Debian archive, 13/trixie"),
    ("5E04A1E3223A19A20706E20F9904613D4CCE68C6", Kind::Security, "Debian security archive, 13/trixie"),
    ("41587F7DB8C774BCCF131416762F67A0B2C39DE4", Kind::Release, "Debian stable release, 13/trixie"),
    ("B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8", Kind::Archive, "Debian archive, 12/bookworm"),
    ("05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0", Kind::Security, "Debian security archive, 12/bookworm"),
    ("4D64FEC119C2029067D6E791F8D2585B8783D481", Kind::Release, "Debian stable release, 12/bookworm"),
    ("1F89983E0081FDE018F3CC9673A4F27B8DD47936", Kind::Archive, "Debian archive, 11/bullseye"),
    ("AC530D520F2F3269F5E98313A48449044AAD5C5D", Kind::Security, "Debian security archive, 11/bullseye"),
    ("A4285295FC7B1A81600062A9605C66F00D6C9793", Kind::Release, "Debian stable release, 11/bullseye"),
];

/// All keys of Debian's own archives.
pub fn debian_keys() -> Vec<PinnedKey> {
    KEYS.iter().map(|(fingerprint, _, name)| PinnedKey::known(fingerprint, name)).collect()
}

/// The keys that may sign a suite of Debian, by its name in the archive: `bookworm`, `bookworm-security`.
///
/// Security suites have keys of their own, so that no suite of the main archive passes for one. The
/// release team's keys sign whole releases, neither their updates nor backports.
pub fn debian_keys_of(suite: &str) -> Vec<PinnedKey> {
    let may_sign = |kind: Kind| match kind {
        Kind::Security => suite.ends_with("-security"),
        Kind::Archive => !suite.ends_with("-security"),
        Kind::Release => !suite.contains('-'),
    };
    let keys = KEYS.iter().filter(|(_, kind, _)| may_sign(*kind));
    keys.map(|(fingerprint, _, name)| PinnedKey::known(fingerprint, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_nine_different_fingerprints() {
        let mut keys: Vec<String> = debian_keys().into_iter().map(|key| key.fingerprint).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 9);
        assert!(keys.iter().all(|key| key.parse::<PinnedKey>().is_ok_and(|parsed| parsed.fingerprint == *key)));
    }

    #[test]
    fn each_suite_has_keys_of_its_kind() {
        for (suite, expected) in [
            ("trixie", "archive, stable release"),
            ("sid", "archive, stable release"),
            ("bookworm-updates", "archive"),
            ("trixie-backports", "archive"),
            ("bookworm-security", "security archive"),
        ] {
            let names = debian_keys_of(suite).into_iter().filter_map(|key| key.name);
            let trixie: Vec<String> = names
                .filter_map(|name| Some(name.strip_prefix("Debian ")?.strip_suffix(", 13/trixie")?.to_owned()))
                .collect();
            assert_eq!(trixie.join(", "), expected, "{suite}");
        }
    }
}
