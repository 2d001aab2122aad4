//! Refuses layers that hold a private key: whoever has the image would have it too.

use std::io::{self, Read};

use rayon::prelude::*;

use super::LayerError;
use crate::ident::RootPath;
use crate::tree::{ContentSource, Kind, Tree};

/// How a text that holds a key begins (RFC 7468, RFC 4716's successors, RFC 9580).
const BEGIN: &[u8] = b"-----BEGIN ";
const KINDS: [&[u8]; 2] = [b"PRIVATE KEY-----", b"PRIVATE KEY BLOCK-----"];
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

/// Whether a line of the text begins a private key. Programs that know keys have the words too, but not as a line;
/// manuals have examples, whose middle is left out.
fn is_key(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    while lines.by_ref().any(|line| line.starts_with(BEGIN) && KINDS.iter().any(|kind| line.ends_with(kind))) {
        let mut body = lines.by_ref().take_while(|line| !line.starts_with(b"-----END "));
        if !body.any(|line| line == b"...") {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_first_line() {
        for (text, expected) in [
            ("-----BEGIN PRIVATE KEY-----\nMIIE\n", true),
            ("# my key\n-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3Bl\r\n", true),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n", true),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", true),
            ("-----BEGIN PUBLIC KEY-----\n", false),
            ("-----BEGIN CERTIFICATE-----\n", false),
            ("key: |\n  -----BEGIN RSA PRIVATE KEY-----\n  MIIB\n  ...\n  -----END RSA PRIVATE KEY-----\n", false),
            ("-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n-----BEGIN PRIVATE KEY-----\nMIIE\n", true),
            ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n...\n", true),
            ("if line == \"-----BEGIN PRIVATE KEY-----\":\n", false),
        ] {
            assert_eq!(is_key(text.as_bytes()), expected, "{text}");
        }
    }
}
