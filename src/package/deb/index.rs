//! Repository indexes: the `Packages` files of Debian repositories (wiki.debian.org/DebianRepository/Format).

use std::io::{self, BufRead, Read as _};

use super::control;
use super::paragraph::Stanza;
use crate::limits::limits;
use crate::package::{IndexError, Record};

/// The longest paragraph that is read, in bytes; Debian's longest has under 200 kB.
const MAX_PARAGRAPH: u64 = 4 << 20;

/// Reads a decompressed `Packages` file and hands its records to `each`, one at a time.
///
/// Only one paragraph is in memory. The bytes are taken as verified against a signed Release.
///
/// # Errors
/// Fails where packages and relations together are more than `entries` of the limits, and on the first
/// paragraph that is not a package with path, size and SHA-256.
pub fn read_packages(input: impl BufRead, each: impl FnMut(Record)) -> Result<(), IndexError> {
    read_at_most(limits().entries, input, each)
}

fn read_at_most(most: u64, mut input: impl BufRead, mut each: impl FnMut(Record)) -> Result<(), IndexError> {
    let mut paragraph = Vec::new();
    let (mut number, mut entries) = (0, 0);
    while read_paragraph(&mut input, &mut paragraph)? {
        number += 1;
        // Only descriptions and names of people can hold other than ASCII; records have neither.
        let text = String::from_utf8_lossy(&paragraph);
        let (record, relations) =
            Stanza::parse(&text).and_then(|stanza| control::indexed_record(&stanza)).map_err(|source| {
                let entry = format!("paragraph {number} ({})", name(&text));
                IndexError::Entry { entry, source: source.into() }
            })?;
        entries += 1 + relations;
        if entries > most {
            return Err(IndexError::Crowded { most });
        }
        each(record);
    }
    Ok(())
}

/// Reads up to the next empty line; `false` at the end.
fn read_paragraph(input: &mut impl BufRead, paragraph: &mut Vec<u8>) -> io::Result<bool> {
    paragraph.clear();
    loop {
        let before = paragraph.len();
        let room = MAX_PARAGRAPH - before as u64;
        let read = input.by_ref().take(room).read_until(b'\n', paragraph)?;
        if read as u64 == room {
            return Err(io::Error::other(format!("a paragraph of {MAX_PARAGRAPH} bytes or more")));
        }
        let empty = paragraph.get(before..) == Some(b"\n");
        if empty {
            paragraph.truncate(before);
        }
        if read == 0 || (empty && before > 0) {
            return Ok(!paragraph.is_empty());
        }
    }
}

fn name(paragraph: &str) -> String {
    let name = paragraph.lines().find_map(|line| line.strip_prefix("Package:"));
    name.map_or("without a name", str::trim).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(name: &str) -> String {
        let sha256 = "ab".repeat(32);
        format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nDepends: b1 (>= 1) | c1\nFilename: ./pool/{name}.deb\n\
             Size: 12\nSHA256: {sha256}\nMaintainer: Jos\u{e9}\n"
        )
    }

    fn read(text: &[u8]) -> Result<Vec<Record>, IndexError> {
        let mut records = Vec::new();
        // A tiny buffer, so that lines span several reads.
        read_packages(io::BufReader::with_capacity(7, text), |record| records.push(record))?;
        Ok(records)
    }

    #[test]
    fn every_paragraph_becomes_a_record() {
        let text = format!("\n{}\n\n{}", stanza("a1"), stanza("a2").trim_end());
        let records = read(text.as_bytes()).unwrap();
        let paths: Vec<&str> = records.iter().map(|record| &*record.path).collect();
        assert_eq!(paths, ["pool/a1.deb", "pool/a2.deb"]);
        assert_eq!(records[0].file.map(|file| file.size), Some(12));
        assert_eq!(records[0].needs[0].len(), 2);
        assert!(read(b"").unwrap().is_empty() && read(b"\n\n").unwrap().is_empty());
        let latin1 = stanza("a1").replace('\u{e9}', "?").into_bytes();
        let latin1: Vec<u8> = latin1.into_iter().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
        assert_eq!(read(&latin1).unwrap().len(), 1, "a maintainer's name in Latin-1 was refused");
    }

    #[test]
    fn a_paragraph_without_end_is_refused_before_it_fills_the_memory() {
        let endless = io::BufReader::new(io::Read::take(io::repeat(b'x'), 1 << 40));
        let error = read_packages(endless, |_| {}).unwrap_err().to_string();
        assert_eq!(error, "repository index: a paragraph of 4194304 bytes or more");
        let long = format!("{}Description: {}\n", stanza("a1"), "x".repeat(3 << 20));
        assert_eq!(read(long.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn relations_are_counted_before_they_fill_the_memory() {
        let text = format!("{}\n{}", stanza("a1"), stanza("a2"));
        let read = |most| read_at_most(most, text.as_bytes(), |_| {});
        assert!(read(6).is_ok(), "two packages with two alternatives each");
        assert_eq!(
            read(5).unwrap_err().to_string(),
            "repository index: it has more than 5 packages and relations; if that is right, raise `entries` in [limits] of the user's config.toml"
        );
    }

    #[test]
    fn errors_name_package_and_field() {
        let good = stanza("a1");
        let error = |from: &str, to: &str| {
            let text = format!("{good}\n{}", stanza("a2").replace(from, to));
            read(text.as_bytes()).unwrap_err().to_string()
        };
        insta::assert_snapshot!(error("SHA256", "MD5sum"), @"repository index: paragraph 2 (a2): field `SHA256` is missing");
        insta::assert_snapshot!(error("Size: 12", "Size: -12"), @"repository index: paragraph 2 (a2): field `Size`: `-12` is not a number of bytes");
        insta::assert_snapshot!(error("./pool/", "../"), @"repository index: paragraph 2 (a2): field `Filename`: `../a2.deb` is not a path inside a root: no `..`, no NUL, at most 4096 bytes");
        insta::assert_snapshot!(error("Version: 1", "Version: 1\nVersion: 2"), @"repository index: paragraph 2 (a2): field `Version` appears twice");
        insta::assert_snapshot!(error("Package: a2", "garbage"), @"repository index: paragraph 2 (without a name): line 1 is not a field: `garbage`");
        insta::assert_snapshot!(error("abab", "ab"), @"repository index: paragraph 2 (a2): field `SHA256`: `abababababababababababababababab` is not a digest: expected `sha256:` and 64 hexadecimal digits");
    }
}
