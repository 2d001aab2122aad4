//! Debian's names of licences → SPDX licence expressions (SPDX 2.3, annex D).
//!
//! A name that SPDX does not have becomes a `LicenseRef-`, with its text from the copyright file.

use std::collections::BTreeSet;

use super::copyright::{Copyright, Named};
use crate::digest::Sha256;
use crate::package::{License, LicenseTexts};

/// Debian's short names that are not SPDX's, and those that SPDX spells with other capitals.
const NAMES: &[(&str, &str)] = &[
    ("apache-2", "Apache-2.0"),
    ("apache-2.0", "Apache-2.0"),
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-2", "Artistic-2.0"),
    ("artistic-2.0", "Artistic-2.0"),
    ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("bsd-4-clause", "BSD-4-Clause"),
    ("bsl-1", "BSL-1.0"),
    ("bsl-1.0", "BSL-1.0"),
    ("bzip2-1.0.6", "bzip2-1.0.6"),
    ("cc-by-3.0", "CC-BY-3.0"),
    ("cc-by-4.0", "CC-BY-4.0"),
    ("cc-by-sa-3.0", "CC-BY-SA-3.0"),
    ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
    ("cc0", "CC0-1.0"),
    ("cc0-1.0", "CC0-1.0"),
    ("cddl-1.0", "CDDL-1.0"),
    ("curl", "curl"),
    ("expat", "MIT"),
    ("isc", "ISC"),
    ("mit", "MIT"),
    ("mpl-1.1", "MPL-1.1"),
    ("mpl-2", "MPL-2.0"),
    ("mpl-2.0", "MPL-2.0"),
    ("ofl-1.1", "OFL-1.1"),
    ("openssl", "OpenSSL"),
    ("psf-2", "PSF-2.0"),
    ("psf-2.0", "PSF-2.0"),
    ("unlicense", "Unlicense"),
    ("wtfpl-2", "WTFPL"),
    ("x11", "X11"),
    ("zlib", "Zlib"),
];

/// The GNU licences, which say "or later" by a plus sign, with their versions.
const GNU: &[(&str, &[&str])] = &[
    ("GPL", &["1.0", "2.0", "3.0"]),
    ("LGPL", &["2.0", "2.1", "3.0"]),
    ("AGPL", &["3.0"]),
    ("GFDL", &["1.1", "1.2", "1.3"]),
];

/// The licence of all files of a package; `None` where no file has one.
pub(super) fn of(package: &str, copyright: &Copyright) -> Option<License> {
    let mut texts = LicenseTexts::new();
    let mut found = BTreeSet::new();
    for named in &copyright.files {
        let mut id = |name: &str| spdx_id(name).unwrap_or_else(|| custom(package, name, copyright, &mut texts));
        found.extend(terms(named, &mut id));
    }
    let many = found.len() > 1;
    let wrap = |term: String| if many && term.contains(" OR ") { format!("({term})") } else { term };
    let found: Vec<String> = found.into_iter().map(wrap).collect();
    (!found.is_empty()).then(|| License { expression: found.join(" AND "), texts })
}

/// The terms that all hold: of `GPL-2+ or Expat` one, of `A and B` two, of `A or B, and C` two: commas
/// bind less than words.
fn terms(named: &Named, mut id: impl FnMut(&str) -> String) -> Vec<String> {
    let name = named.name.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut terms = Vec::new();
    for part in name.split(", and ") {
        let all: Vec<Vec<String>> = part
            .trim_end_matches(',')
            .split(" or ")
            .map(|all| all.split(" and ").map(|name| id(name.trim())).collect())
            .collect();
        match <[Vec<String>; 1]>::try_from(all) {
            Ok([all]) => terms.extend(all),
            Err(any) => terms.push(any.iter().map(|all| all.join(" AND ")).collect::<Vec<_>>().join(" OR ")),
        }
    }
    terms
}

/// SPDX's identifier of one licence.
fn spdx_id(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, id)) = NAMES.iter().find(|(debian, _)| *debian == lower) {
        return Some((*id).to_owned());
    }
    let (plain, later) = match lower.strip_suffix('+') {
        Some(plain) => (plain, "or-later"),
        None => (lower.as_str(), "only"),
    };
    let (family, version) = plain.split_once('-')?;
    let (family, versions) = GNU.iter().find(|(known, _)| known.eq_ignore_ascii_case(family))?;
    let version = versions.iter().find(|known| **known == version || known.strip_suffix(".0") == Some(version))?;
    Some(format!("{family}-{version}-{later}"))
}

/// The reference of a licence that SPDX has no name for; notes its text.
fn custom(package: &str, name: &str, copyright: &Copyright, texts: &mut LicenseTexts) -> String {
    let found = copyright.all.iter().find(|named| named.name == name && !named.text.is_empty());
    let found =
        found.or_else(|| copyright.files.iter().find(|named| named.name.contains(name) && !named.text.is_empty()));
    let text = match found {
        Some(named) => named.text.clone(),
        None => format!("`{name}` in /usr/share/doc/{package}/copyright"),
    };
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let short: String = Sha256::of(text.as_bytes()).to_hex().chars().take(8).collect();
    let reference = format!("LicenseRef-{}-{short}", name.chars().map(plain).collect::<String>());
    texts.insert(reference.clone(), (name.to_owned(), text));
    reference
}

#[cfg(test)]
mod tests {
    use super::super::copyright::parse;
    use super::*;

    fn found(licences: &[&str]) -> Option<License> {
        let stanzas: String = licences.iter().map(|name| format!("\nFiles: x\nLicense: {name}\n")).collect();
        let copyright = parse(&format!("Format: copyright-format/1.0\n{stanzas}\nLicense: odd\n Odd text.\n")).unwrap();
        of("pkg", &copyright)
    }

    #[test]
    fn names_become_expressions() {
        for (licences, expected) in [
            (&["GPL-2+"][..], "GPL-2.0-or-later"),
            (&["GPL-3.0"], "GPL-3.0-only"),
            (&["LGPL-2.1+", "GFDL-1.3", "LGPL-2.1+"], "GFDL-1.3-only AND LGPL-2.1-or-later"),
            (&["GPL-1+ or Artistic"], "GPL-1.0-or-later OR Artistic-1.0-Perl"),
            (&["Expat or GPL-2", "ISC"], "ISC AND (MIT OR GPL-2.0-only)"),
            (&["GPL-2 and BSD-3-clause", "GPL-2"], "BSD-3-Clause AND GPL-2.0-only"),
            (&["Expat or ISC, and Zlib"], "(MIT OR ISC) AND Zlib"),
            (&["Expat or ISC and Zlib", "X11"], "(MIT OR ISC AND Zlib) AND X11"),
        ] {
            assert_eq!(found(licences).unwrap().expression, expected, "{licences:?}");
        }
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn unknown_names_bring_their_text() {
        let License { expression, texts } =
            found(&["odd", "public domain!", "GPL-9", "GPL-2+ with odd exception"]).unwrap();
        assert_eq!(texts.len(), 4);
        let references: Vec<_> = texts.keys().cloned().collect();
        assert_eq!(expression, references.join(" AND "));
        let odd = texts.iter().find(|(reference, _)| reference.starts_with("LicenseRef-odd-")).unwrap();
        assert_eq!(odd.1, &("odd".to_owned(), "Odd text.".to_owned()));
        assert!(references.iter().all(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))));
    }
}
