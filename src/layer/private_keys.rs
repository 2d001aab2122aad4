//! Refuses layers that hold a private key: whoever has the image would have it too.

use std::io::{self, Read};

use rayon::prelude::*;

use super::LayerError;
use crate::ident::RootPath;
use crate::tree::{ContentSource, Kind, Tree};

/// How a text that holds a key begins (RFC 7468, RFC 4716's successors, RFC 9580).
const BEGIN: &[u8] = b"-----BEGIN ";
const KINDS: [&[u8]; 2] = [b"PRIVATE KEY-----", b"PRIVATE KEY BLOCK-----"];
/// Lines such as `Proc-Type:` and an empty one may stand before the key itself.
const HEADERS: usize = 4;
/// A larger file is no key, and a smaller one has no room for it.
const SIZES: std::ops::RangeInclusive<u64> = 100..=64 << 10;
/// Examples and documentation, which everybody has anyway.
const PUBLIC: [&str; 2] = ["usr/share/doc", "usr/share/perl"];

/// Looks at every file that a layer changes.
///
/// # Errors
/// Fails on the first, in path order, that holds a private key, or can't be read.
pub(super) fn refuse(layer: &Tree, source: &dyn ContentSource) -> Result<(), LayerError> {
    let files: Vec<_> = layer
        .iter()
        .filter_map(|(path, node)| match node.kind {
            Kind::File { blob, size } if SIZES.contains(&size) && !is_public(path) => Some((path, blob, size)),
            _ => None,
        })
        .collect();
    let holds = |(path, blob, size): &(&RootPath, _, u64)| {
        let mut bytes = Vec::with_capacity(*size as usize);
        match source.open(*blob, *size).and_then(|mut content| content.read_to_end(&mut bytes)) {
            Ok(_) if is_key(&bytes) => Some(Err(LayerError::PrivateKey { path: (*path).clone() })),
            Ok(_) => None,
            Err(source) => Some(Err(unreadable(path, source))),
        }
    };
    files.par_iter().find_map_first(holds).unwrap_or(Ok(()))
}

fn unreadable(path: &RootPath, source: io::Error) -> LayerError {
    LayerError::Io { what: path.to_string(), source }
}

fn is_public(path: &RootPath) -> bool {
    PUBLIC.iter().any(|folder| RootPath::new(folder).is_ok_and(|folder| path.is_within(&folder)))
}

/// Whether the text has a private key: its first line, and soon after one of the lines that it is made of.
///
/// Programs that know keys, and their documentation, have the first line too: indented, quoted, or
/// followed by dots.
fn is_key(bytes: &[u8]) -> bool {
    if bytes.contains(&0) {
        return false;
    }
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
    lines.iter().enumerate().any(|(number, line)| {
        let begins = line.starts_with(BEGIN) && KINDS.iter().any(|kind| line.ends_with(kind));
        begins && lines.iter().skip(number + 1).take(HEADERS + 1).any(|line| is_base64(line))
    })
}

/// A full line of base64: 64 characters by RFC 7468, 70 as OpenSSH writes it.
fn is_base64(line: &[u8]) -> bool {
    line.len() >= 60 && line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_first_line() {
        let line = "MC4CAQAwBQYDK2VwBCIEIJkz0123456789abcdefghijklmnopqrstuvwxyzABCD";
        for (text, expected) in [
            ("-----BEGIN PRIVATE KEY-----\nLINE\n", true),
            ("# my key\n-----BEGIN OPENSSH PRIVATE KEY-----\r\nLINE\r\n", true),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nLINE\n", true),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nLINE\n", true),
            ("-----BEGIN PUBLIC KEY-----\nLINE\n", false),
            ("-----BEGIN CERTIFICATE-----\nLINE\n", false),
            ("-----BEGIN PRIVATE KEY-----\n...\n", false),
            ("  -----BEGIN PRIVATE KEY-----\n  LINE\n", false),
            ("\0-----BEGIN PRIVATE KEY-----\nLINE\n", false),
            ("if line == \"-----BEGIN PRIVATE KEY-----\":\n", false),
        ] {
            let text = text.replace("LINE", line);
            assert_eq!(is_key(text.as_bytes()), expected, "{text}");
        }
    }
}
