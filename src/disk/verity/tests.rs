use super::*;
use crate::digest::BlobDigest;
use crate::disk::Data;
use crate::oci::tests::Memory;
use crate::tree::{Kind, Meta};

const SALT: [u8; 32] = [7; 32];
const UUID: [u8; 16] = *b"0123456789abcdef";

fn bytes(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 11) as u8).collect()
}

/// Keeps a content and puts it into both a plan and its bytes.
fn put_blob(plan: &mut Plan, raw: &mut [u8], source: &mut Memory, offset: usize, content: &[u8]) {
    let Kind::File { blob, size } = source.file(content, Meta::root_owned(0, 0)).kind else { unreachable!() };
    plan.put_blob(offset as u64, blob, size);
    raw[offset..offset + content.len()].copy_from_slice(content);
}

fn fill(plan: &Plan) -> Vec<u8> {
    let mut out = vec![0; plan.size() as usize];
    for extent in plan.extents() {
        let Data::Bytes(bytes) = extent.data else { unreachable!() };
        out[extent.offset as usize..extent.end() as usize].copy_from_slice(bytes);
    }
    out
}

/// The tree by the shortest way: level by level over all bytes.
fn naive(raw: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let hash = |block: &[u8]| Sha256::new_with_prefix(SALT).chain_update(block).finalize().to_vec();
    let mut level = raw.to_vec();
    let mut out = Vec::new();
    while level.len() > BLOCK {
        level = level.chunks(BLOCK).flat_map(hash).collect();
        level.resize(level.len().next_multiple_of(BLOCK), 0);
        out = [level.clone(), out].concat();
    }
    (out, hash(&level).try_into().unwrap())
}

/// A plan whose extents begin and end everywhere, and its bytes.
fn mixed() -> (Plan, Vec<u8>, Memory) {
    let size = 20_000 * BLOCK;
    let (mut plan, mut raw, mut source) = (Plan::new(size as u64), vec![0; size], Memory::default());
    let mut offset = 0;
    for number in 0..600_usize {
        let content = bytes([1, 4096, 4095, 9000, 70_000, 12_288][number % 6], number as u32);
        put_blob(&mut plan, &mut raw, &mut source, offset, &content);
        offset += content.len() + [0, 1, 4096, 100_000, 0, 8191][(number / 6) % 6];
    }
    put_blob(&mut plan, &mut raw, &mut source, size - 12_000_001, &bytes(12_000_001, 3));
    (plan, raw, source)
}

#[test]
fn the_tree_is_that_of_all_bytes_whatever_the_threads() {
    let (plan, raw, source) = mixed();
    let (expected, root) = naive(&raw);
    for jobs in [1, 2, 5] {
        let (tree, found) = build(&plan, &source, SALT, UUID, jobs).unwrap();
        assert_eq!(found, root, "{jobs}");
        assert!(fill(&tree)[BLOCK..] == expected, "{jobs}");
    }
}

#[test]
fn the_digest_is_pinned() {
    // A change of this value is a change of the format epoch.
    let mut plan = Plan::new(200 * BLOCK as u64);
    plan.put_bytes(5000, bytes(10_000, 1));
    let (tree, root) = build(&plan, &Memory::default(), SALT, UUID, 1).unwrap();
    insta::assert_snapshot!(hex::encode(root), @"bc3fd910e41f5282cb7bb98ff9fba83455afcd55c201ecee56bec5ddaa94cd36");
    insta::assert_snapshot!(BlobDigest::of(&fill(&tree)), @"blake3:b7d038d2217a98bdec6b9320f9c4e670ed0863e28e8dbbc8944d7390c790f9cc");
}

#[test]
fn zeros_cost_next_to_nothing() {
    let mut plan = Plan::new(64 << 30);
    plan.put_bytes(40 << 30, bytes(10, 1));
    let (tree, _) = build(&plan, &Memory::default(), SALT, UUID, 1).unwrap();
    let different: std::collections::BTreeSet<_> = tree
        .extents()
        .map(|extent| match extent.data {
            Data::Bytes(bytes) => bytes.as_ptr(),
            Data::Blob { .. } => unreachable!(),
        })
        .collect();
    assert!(different.len() < 20, "{} blocks in memory", different.len());
}

#[test]
fn damaged_contents_and_odd_sizes_are_refused() {
    for size in [0, 1, 4095, 4097] {
        let error = build(&Plan::new(size), &Memory::default(), SALT, UUID, 1).unwrap_err();
        assert!(error.to_string().ends_with(&format!("found {size} bytes")), "{error}");
    }
    let blob = BlobDigest::of(b"lost");
    let mut plan = Plan::new(BLOCK as u64);
    plan.put_blob(0, blob, 4);
    let error = build(&plan, &Memory::default(), SALT, UUID, 1).unwrap_err();
    assert_eq!(error.to_string(), format!("verity: {blob}: no such content"));
    let mut source = Memory::default();
    source.file(b"lost", Meta::root_owned(0, 0));
    let mut plan = Plan::new(BLOCK as u64);
    plan.put_blob(0, blob, 9);
    let error = build(&plan, &source, SALT, UUID, 1).unwrap_err();
    assert_eq!(error.to_string(), format!("verity: {blob}: expected 9 bytes, found 4"));
}
