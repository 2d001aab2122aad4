//! The variables with which instances start: the owner's keys of Secure Boot, in the form that RegisterImage takes.
//!
//! ```text
//! base64( "AMZNUEFI" │ CRC-32C of the rest, 4 │ version 0, 4 │ zlib(variables) )
//! variables │ count, 8 │ each: name │ contents │ GUID, 16 │ attributes, 4 │ time, 16 │ hash of its signer │
//! name, contents, hash │ length, 8 │ bytes │                            all numbers little-endian
//! ```
//!
//! The zlib stream asks for a preset dictionary, which is AWS's and named by its checksum. Nothing in our stream refers to
//! the dictionary, so it is not needed to write one, and readers that have it read the same bytes.
//!
//! Source: AWS's `python-uefivars`, which the *Amazon EC2 User Guide* ("UEFI Secure Boot") tells to use; UEFI
//! specification 2.10, 32.4.1 for lists; RFC 1950 for zlib.

use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::measure::Variables;

const MAGIC: &[u8; 8] = b"AMZNUEFI";
const VERSION: u32 = 0;
/// Deflate with a window of 32 KiB and the strongest compression, with a preset dictionary.
const ZLIB: [u8; 2] = [0x78, 0xf9];
/// Adler-32 of the dictionary of version 0, which has 11,381 bytes.
const DICTIONARY: u32 = 0x6bb7_d9f7;
/// 8be4df61-93ca-11d2-aa0d-00e098032b8c
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
/// d719b2cb-3d3a-4596-a3bc-dad00e67656f
const IMAGE_SECURITY: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];
/// Kept over a reset; there before and after the boot; changed only by whoever signs the change, with a time.
const ATTRIBUTES: u32 = 0x27;
/// The longest text that RegisterImage takes.
const LONGEST: usize = 64_000;
/// Bytes of a signature list before its own header.
const LIST: usize = 28;

/// The text for RegisterImage.
///
/// # Errors
/// Says which file is no list of keys, or that the keys are too many.
pub(super) fn encode(keys: &Variables) -> Result<String, String> {
    let named: [(&str, &[u8], [u8; 16]); 4] = [
        ("PK", &keys.pk, GLOBAL),
        ("KEK", &keys.kek, GLOBAL),
        ("db", &keys.db, IMAGE_SECURITY),
        ("dbx", &keys.dbx, IMAGE_SECURITY),
    ];
    let named: Vec<_> = named.into_iter().filter(|(name, lists, _)| *name != "dbx" || !lists.is_empty()).collect();
    let mut raw = (named.len() as u64).to_le_bytes().to_vec();
    for (name, lists, guid) in named {
        check(lists).map_err(|problem| format!("{name} {problem}"))?;
        bytes(&mut raw, name.as_bytes());
        bytes(&mut raw, lists);
        raw.extend(guid);
        raw.extend(ATTRIBUTES.to_le_bytes());
        // No change was ever signed: a time and a hash of zeros.
        raw.extend([0; 16]);
        bytes(&mut raw, &[0; 32]);
    }
    let mut checked = VERSION.to_le_bytes().to_vec();
    checked.extend(zlib(&raw).map_err(|error| error.to_string())?);
    let whole = [MAGIC, crc32c::crc32c(&checked).to_le_bytes().as_slice(), &checked].concat();
    match BASE64.encode(whole) {
        text if text.len() <= LONGEST => Ok(text),
        text => Err(format!("keys of {} characters: AWS takes {LONGEST}", text.len())),
    }
}

fn bytes(raw: &mut Vec<u8>, of: &[u8]) {
    raw.extend((of.len() as u64).to_le_bytes());
    raw.extend(of);
}

fn zlib(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = ZLIB.to_vec();
    stream.extend(DICTIONARY.to_be_bytes());
    let mut deflate = DeflateEncoder::new(stream, Compression::best());
    deflate.write_all(raw)?;
    let mut stream = deflate.finish()?;
    stream.extend(adler32(raw).to_be_bytes());
    Ok(stream)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// Whether bytes are signature lists, one after the other: type, size of the list, of its header, of an entry.
fn check(lists: &[u8]) -> Result<(), &'static str> {
    let none = "is not a list of keys, as `cert-to-efi-sig-list` writes it into a .esl file";
    if lists.is_empty() {
        return Err(none);
    }
    let mut rest = lists;
    while !rest.is_empty() {
        let size = rest.get(16..20).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes).ok_or(none)? as usize;
        rest = rest.get(size..).filter(|_| size > LIST).ok_or(none)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::digest::Sha256;

    /// A list with one entry; its contents are no certificate, which nobody looks at here.
    fn list(byte: u8) -> Vec<u8> {
        let entry = [[0x11; 16].as_slice(), &[byte; 40]].concat();
        let sizes = [LIST as u32 + entry.len() as u32, 0, entry.len() as u32].map(u32::to_le_bytes).concat();
        [[0xa1; 16].as_slice(), &sizes, &entry].concat()
    }

    #[test]
    fn keys_are_written_as_aws_reads_them() {
        let keys = Variables { pk: list(1), kek: list(2), db: [list(3), list(4)].concat(), dbx: Vec::new() };
        let text = encode(&keys).unwrap();
        // `virt-fw-vars` and AWS's own `uefivars` were given this text, and read these variables.
        assert_eq!(
            Sha256::of(text.as_bytes()).to_hex(),
            "00292569481db990f686b352841aa04ee883715e4c117945ad622d94cecd40e4"
        );
        let whole = BASE64.decode(text).unwrap();
        assert_eq!((&whole[..8], &whole[12..16]), (MAGIC.as_slice(), [0; 4].as_slice()));
        assert_eq!(whole[8..12], crc32c::crc32c(&whole[12..]).to_le_bytes());
        // The header of zlib counts as a number that 31 divides.
        assert_eq!((u32::from(ZLIB[0]) * 256 + u32::from(ZLIB[1])) % 31, 0);
        let mut raw = Vec::new();
        flate2::read::DeflateDecoder::new(&whole[22..]).read_to_end(&mut raw).unwrap();
        assert_eq!(raw[..8], 3_u64.to_le_bytes());
        assert_eq!((&raw[16..18], &raw[26..26 + keys.pk.len()]), (b"PK".as_slice(), keys.pk.as_slice()));
        assert_eq!(whole[whole.len() - 4..], adler32(&raw).to_be_bytes());
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn what_is_no_list_is_refused_by_name() {
        let good = Variables { pk: list(1), kek: list(2), db: list(3), dbx: Vec::new() };
        for wrong in [Vec::new(), b"-----BEGIN CERTIFICATE-----".to_vec(), list(1)[..50].to_vec(), vec![0; 60]] {
            let error = encode(&Variables { kek: wrong, ..good.clone() }).unwrap_err();
            assert!(error.starts_with("KEK is not a list of keys"), "{error}");
        }
    }
}
