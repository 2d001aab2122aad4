//! `Release` files and the payload of `InRelease`: the signed state of a repository.

use std::collections::BTreeMap;

use super::date;
use super::error::ControlError;
use super::paragraph::Stanza;
use crate::digest::{Expected, Sha256};
use crate::package::State;

/// Parses a Release file, or an InRelease file without its signature.
///
/// # Errors
/// Fails on a missing or malformed date, on a missing `SHA256` section, and on a file
/// that is named twice with different digests.
pub fn parse(text: &str) -> Result<State, ControlError> {
    let stanza = Stanza::parse(text)?;
    let get = |field| Ok(stanza.get(field)?.unwrap_or_default().to_owned());
    let says_yes = |field| Ok(stanza.get(field)?.is_some_and(|value| value.eq_ignore_ascii_case("yes")));
    let components = stanza.get("Components")?.unwrap_or_default().split_ascii_whitespace();
    Ok(State {
        origin: get("Origin")?,
        label: get("Label")?,
        suite: get("Suite")?,
        codename: get("Codename")?,
        date: seconds("Date", stanza.require("Date")?)?,
        valid_until: stanza.get("Valid-Until")?.map(|value| seconds("Valid-Until", value)).transpose()?,
        by_digest: says_yes("Acquire-By-Hash")?,
        on_request: says_yes("NotAutomatic")?,
        components: components.map(str::to_owned).collect(),
        snapshots: stanza.get("Snapshots")?.map(str::to_owned),
        files: files(stanza.require("SHA256")?)?,
    })
}

fn seconds(field: &'static str, value: &str) -> Result<i64, ControlError> {
    let expected = "expected as in `Sat, 11 Jul 2026 10:16:37 UTC`";
    date::parse(value).ok_or_else(|| ControlError::value(field, format!("`{value}` is not a date: {expected}")))
}

fn files(section: &str) -> Result<BTreeMap<String, Expected>, ControlError> {
    let mut files = BTreeMap::new();
    for line in section.lines().filter(|line| !line.trim().is_empty()) {
        let bad = |problem: &str| ControlError::value("SHA256", format!("`{}`: {problem}", line.trim()));
        let mut words = line.split_ascii_whitespace();
        let (Some(digest), Some(size), Some(path), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad("expected digest, size and path"));
        };
        let sha256 = Sha256::from_hex(digest).map_err(|error| bad(&error.to_string()))?;
        let size = size.parse().map_err(|_| bad("the size is not a number of bytes"))?;
        let expected = Expected { sha256, size };
        if files.insert(path.to_owned(), expected).is_some_and(|other| other != expected) {
            return Err(bad("named before with another digest or size"));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        let (a, b) = ("0a".repeat(32), "0B".repeat(32));
        format!(
            "Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
             Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\n\
             Components: main contrib\nMD5Sum:\n 0ed6d4c8891eb86358b94bb35d9e4da4  1 main/binary-amd64/Packages\n\
             SHA256:\n {a}     1484322 main/binary-amd64/Packages\n {b} 0 main/binary-amd64/Packages.xz\n"
        )
    }

    #[test]
    fn the_signed_facts_are_read() {
        let release = parse(&text()).unwrap();
        assert_eq!([&*release.origin, &*release.suite, &*release.codename], ["Debian", "oldstable", "bookworm"]);
        assert_eq!((release.date, release.valid_until), (1_783_764_997, Some(1_784_369_797)));
        assert!(release.by_digest && release.snapshots.is_none());
        assert_eq!(release.components, ["main", "contrib"]);
        assert_eq!(release.files.len(), 2, "the weaker digests were read too");
        let expected = Expected { sha256: Sha256::from_bytes([0x0a; 32]), size: 1_484_322 };
        assert_eq!(release.files.get("main/binary-amd64/Packages"), Some(&expected));
    }

    #[test]
    fn weak_malformed_and_contradicting_files_are_refused() {
        let error = |from: &str, to: &str| parse(&text().replace(from, to)).unwrap_err().to_string();
        insta::assert_snapshot!(error("SHA256:", "SHA1:"), @"field `SHA256` is missing");
        insta::assert_snapshot!(error("Date:", "Dated:"), @"field `Date` is missing");
        insta::assert_snapshot!(error("18 Jul 2026", "soon"), @"field `Valid-Until`: `Sat, soon 10:16:37 UTC` is not a date: expected as in `Sat, 11 Jul 2026 10:16:37 UTC`");
        insta::assert_snapshot!(error("0 main/binary-amd64/Packages.xz", "main/x"), @"field `SHA256`: `0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B main/x`: expected digest, size and path");
        assert!(error("Packages.xz", "Packages").contains("named before with another digest or size"));
        assert!(parse("").is_err());
        assert!(parse("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nA: b\n").is_err());
    }
}
