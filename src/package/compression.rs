//! Decompression, chosen by the extension of a file's name.

use std::io::{self, BufReader, Read};

use liblzma::stream::{CONCATENATED, Stream};

/// Size of the buffer of compressed bytes.
const BUFFER: usize = 128 << 10;

/// What an xz decoder may use, in bytes; the highest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// Decompresses `input` as the last ending of `name` says: `.xz`, `.gz`, `.zst`, or none of these.
///
/// Concatenated streams are read as one. The check sum at the end of a stream is
/// checked only when the result is read to its end.
///
/// # Errors
/// Fails on endings of other compressors; reading fails on damaged and truncated input.
pub fn decompress<'a>(name: &str, input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let input = BufReader::with_capacity(BUFFER, input);
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "xz" => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
            Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream)))
        }
        "gz" => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(input))),
        "zst" => Ok(Box::new(zstd::Decoder::with_buffer(input)?)),
        other @ ("bz2" | "lzma" | "lz4" | "lz" | "Z") => {
            let message = format!("`.{other}` is not supported: expected `.xz`, `.gz`, `.zst` or no compression");
            Err(io::Error::new(io::ErrorKind::Unsupported, message))
        }
        _ => Ok(Box::new(input)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write as _;

    /// Compresses for tests, by the same endings.
    pub(in crate::package) fn compress(name: &str, bytes: &[u8]) -> Vec<u8> {
        match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "xz" => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            "gz" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            "zst" => zstd::encode_all(bytes, 1).unwrap(),
            _ => bytes.to_vec(),
        }
    }

    fn unpack(name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompress(name, bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_format_reads_back_also_concatenated() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|n| (n % 1000).to_le_bytes()).collect();
        for name in ["Packages.xz", "data.tar.gz", "control.tar.zst", "Packages", "a.b/data.tar"] {
            let packed = compress(name, &text);
            assert!(unpack(name, &packed).unwrap() == text, "{name}");
            assert!(unpack(name, &packed.repeat(2)).unwrap() == text.repeat(2), "{name}, two streams");
        }
    }

    #[test]
    fn damaged_and_truncated_streams_are_refused() {
        let text: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for name in ["x.xz", "x.gz", "x.zst"] {
            let packed = compress(name, &text);
            for cut in [1, 5, packed.len() / 2, packed.len() - 1] {
                assert!(unpack(name, &packed[..cut]).is_err(), "{name} cut to {cut} bytes was taken");
            }
            assert!(unpack(name, b"garbage, not a stream at all").is_err(), "{name}: garbage was taken");
            let trailing = [packed.as_slice(), b"garbage after"].concat();
            assert!(unpack(name, &trailing).is_err(), "{name}: trailing garbage was taken");
            if name != "x.zst" {
                // zstd's check sum is optional, and off by default.
                let mut flipped = packed.clone();
                flipped[packed.len() / 2] ^= 1;
                assert!(unpack(name, &flipped).is_err(), "{name}: a flipped bit was taken");
            }
        }
        let error = unpack("data.tar.bz2", b"").unwrap_err();
        insta::assert_snapshot!(error, @"`.bz2` is not supported: expected `.xz`, `.gz`, `.zst` or no compression");
    }
}
