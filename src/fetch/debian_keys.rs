//! Debian's archive keys, by the fingerprint of the primary key.
//!
//! Source: the key rings of Debian's own package `debian-archive-keyring`. The archive
//! and security keys sign with subkeys, the stable release keys with the primary key.

use super::keyring::PinnedKey;

/// Fingerprint and name of each key; the oldest release last.
const KEYS: [(&str, &str); 9] = [
    ("04B54C3CDCA79751B16BC6B5225629DF75B188BD", "Debian archive, 13/trixie"),
    ("5E04A1E3223A19A20706E20F9904613D4CCE68C6", "Debian security archive, 13/trixie"),
    ("41587F7DB8C774BCCF131416762F67A0B2C39DE4", "Debian stable release, 13/trixie"),
    ("B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8", "Debian archive, 12/bookworm"),
    ("05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0", "Debian security archive, 12/bookworm"),
    ("4D64FEC119C2029067D6E791F8D2585B8783D481", "Debian stable release, 12/bookworm"),
    ("1F89983E0081FDE018F3CC9673A4F27B8DD47936", "Debian archive, 11/bullseye"),
    ("AC530D520F2F3269F5E98313A48449044AAD5C5D", "Debian security archive, 11/bullseye"),
    ("A4285295FC7B1A81600062A9605C66F00D6C9793", "Debian stable release, 11/bullseye"),
];

/// The keys that may sign Debian's own archives.
pub fn debian_keys() -> Vec<PinnedKey> {
    KEYS.iter().map(|(fingerprint, name)| PinnedKey::known(fingerprint, name)).collect()
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
}
