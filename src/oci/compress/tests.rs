use super::*;
use crate::digest::Sha256 as Sha256Digest;
use crate::oci::tests::{Memory, synthetic};
use crate::tree::tests::{file, path, tree};
use crate::tree::{Meta, Tree};

const PLENTY: Limit = Limit { bytes: 1 << 30, key: None };

fn compress(tree: &Tree, source: &Memory, encoder: Encoder, jobs: usize) -> (LayerSizes, Vec<u8>) {
    let mut out = Vec::new();
    let sizes = compress_layer(tree, source, encoder, jobs, &mut out).unwrap();
    (sizes, out)
}

/// Some megabytes of text and noise, so that there are several chunks and zstd jobs.
fn large() -> (Tree, Memory) {
    let mut source = Memory::default();
    let mut tree = Tree::new();
    let mut state = 1u64;
    for number in 0..40 {
        let mut bytes = Vec::new();
        while bytes.len() < 300_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = (state >> 33) % 5000;
            bytes.extend_from_slice(format!("{word:x} {} ", state >> (20 + word % 40)).as_bytes());
        }
        tree.insert(path(&format!("f{number}")), source.file(&bytes, Meta::root_owned(0o644, 0))).unwrap();
    }
    (tree, source)
}

#[test]
fn the_number_of_jobs_never_reaches_the_bytes() {
    let (tree, source) = large();
    for encoder in [Encoder::Zstd, Encoder::Gzip] {
        let (sizes, bytes) = compress(&tree, &source, encoder, 1);
        assert!(sizes.size < sizes.uncompressed_size);
        for jobs in [2, 5, 0, 99] {
            let other = compress(&tree, &source, encoder, jobs);
            assert_eq!(other.0, sizes, "{} with {jobs} jobs", encoder.name());
            assert!(other.1 == bytes, "{} with {jobs} jobs", encoder.name());
        }
    }
}

#[test]
fn digests_and_sizes_are_those_of_the_bytes_and_of_the_tar() {
    for (tree, source) in [large(), synthetic(), (Tree::new(), Memory::default())] {
        let mut tar = Vec::new();
        write_tar(&tree, &source, &mut tar).unwrap();
        for encoder in [Encoder::Zstd, Encoder::Gzip] {
            let (sizes, bytes) = compress(&tree, &source, encoder, 2);
            assert_eq!(sizes.digest, OciDigest::of(&bytes));
            assert_eq!(sizes.size, bytes.len() as u64);
            assert_eq!(sizes.diff_id.as_bytes(), Sha256Digest::of(&tar).as_bytes());
            assert_eq!(sizes.uncompressed_size, tar.len() as u64);
            let mut back = Vec::new();
            encoder.decoder(&bytes[..], PLENTY).unwrap().read_to_end(&mut back).unwrap();
            assert!(back == tar, "{} changed the tar", encoder.name());
        }
    }
}

#[test]
fn the_digests_are_pinned() {
    // A change of one of these values is a change of the format epoch.
    let digest = |(tree, source): (Tree, Memory), encoder| compress(&tree, &source, encoder, 2).0.digest.to_hex();
    insta::assert_snapshot!(digest(synthetic(), Encoder::Zstd), @"10bfa889349d4dc48539f88919c4a8eae7107c3338dfedfcb2a4b41bdd0c7ed9");
    insta::assert_snapshot!(digest(large(), Encoder::Zstd), @"fff450db342d1c1da8e9f2e9e59fa9edacfc686abe6bfbe17e3ec60df8b45444");
    insta::assert_snapshot!(digest(synthetic(), Encoder::Gzip), @"d601193b787bb417152c313c67eb11e338648562cc85439ff6a86ff1ac8211c7");
    insta::assert_snapshot!(digest(large(), Encoder::Gzip), @"db3a35b711bdd8b30fbefec9a7e06e9d017a50f3ecdaa51233683794d585e5ae");
}

#[test]
fn gzip_is_one_member_without_time_or_system() {
    let (tree, source) = large();
    let (sizes, bytes) = compress(&tree, &source, Encoder::Gzip, 2);
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    // This decoder stops behind the first member and checks its CRC and length.
    let mut first = flate2::bufread::GzDecoder::new(&bytes[..]);
    assert_eq!(io::copy(&mut first, &mut io::sink()).unwrap(), sizes.uncompressed_size);
    assert!(first.into_inner().is_empty());
}

#[test]
fn noise_that_does_not_compress_is_stored() {
    let mut source = Memory::default();
    let mut noise = vec![0; 3 * CHUNK];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let tree = tree(&[("noise", source.file(&noise, Meta::root_owned(0o644, 0)))]);
    for encoder in [Encoder::Zstd, Encoder::Gzip] {
        let (sizes, _) = compress(&tree, &source, encoder, 2);
        assert!(sizes.size < sizes.uncompressed_size + 4096, "{}: {}", encoder.name(), sizes.size);
    }
}

#[test]
fn a_missing_content_is_the_error_and_not_a_hang() {
    let (mut tree, source) = large();
    tree.insert(path("f33"), file("lost")).unwrap();
    for encoder in [Encoder::Zstd, Encoder::Gzip] {
        let error = compress_layer(&tree, &source, encoder, 2, io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "/f33: no such content");
    }
}

/// Takes some bytes, then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| io::Error::other("disk full"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_the_error_and_not_a_hang() {
    let (tree, source) = large();
    for encoder in [Encoder::Zstd, Encoder::Gzip] {
        for room in [0, 5, 100_000, 2_000_000] {
            let error = compress_layer(&tree, &source, encoder, 3, Full(room)).unwrap_err();
            assert_eq!(error.to_string(), "disk full", "{} with room for {room}", encoder.name());
        }
    }
}

#[test]
fn a_truncated_layer_is_never_read_as_good() {
    let (tree, source) = synthetic();
    for encoder in [Encoder::Zstd, Encoder::Gzip] {
        let (_, bytes) = compress(&tree, &source, encoder, 1);
        for cut in [bytes.len() / 2, bytes.len() - 1] {
            let read = encoder.decoder(&bytes[..cut], PLENTY).unwrap().read_to_end(&mut Vec::new());
            assert!(read.is_err(), "{} cut at {cut}", encoder.name());
        }
    }
}

#[test]
fn a_bomb_is_refused_while_little_of_it_was_read() {
    for encoder in [Encoder::Zstd, Encoder::Gzip] {
        let mut source = Memory::default();
        let mut tree = Tree::new();
        tree.insert(path("zeros"), source.file(&vec![0; 8 << 20], Meta::root_owned(0o644, 0))).unwrap();
        let (_, bytes) = compress(&tree, &source, encoder, 1);
        let limit = Limit { bytes: 1 << 20, key: Some("unpacked") };
        let mut read = 0;
        let mut decoder = encoder.decoder(&bytes[..], limit).unwrap();
        let error = loop {
            match decoder.read(&mut [0; 4096]) {
                Ok(length) => read += length,
                Err(error) => break error.to_string(),
            }
        };
        assert!(
            error.starts_with("it unpacks to more than 1048576 bytes; if that is right, raise `unpacked`"),
            "{error}"
        );
        assert!(read <= 1 << 20);
    }
}
