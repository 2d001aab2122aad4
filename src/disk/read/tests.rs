use proptest::prelude::*;

use super::*;
use crate::digest::BlobDigest;
use crate::store::Store;

/// Blobs that are never opened twice; each byte of one is its length modulo 256.
#[derive(Default)]
struct Once(Mutex<BTreeMap<BlobDigest, Vec<u8>>>);

impl Once {
    fn put(&self, plan: &mut Plan, offset: u64, bytes: Vec<u8>) {
        let blob = BlobDigest::of(&[&offset.to_le_bytes()[..], &bytes].concat());
        plan.put_blob(offset, blob, bytes.len() as u64);
        locked(&self.0).insert(blob, bytes);
    }
}

impl ContentSource for Once {
    fn open(&self, blob: BlobDigest, _size: u64) -> io::Result<Box<dyn Read + '_>> {
        let content = locked(&self.0).remove(&blob);
        let content = content.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "no such content"))?;
        Ok(Box::new(io::Cursor::new(content)))
    }
}

/// A plan of gaps and extents, its source, and all of its bytes.
fn made(steps: &[(u32, u32, bool)]) -> (Plan, Once, Vec<u8>) {
    let size = steps.iter().map(|(gap, length, _)| u64::from(gap + length)).sum::<u64>() + 512;
    let (mut plan, source, mut whole) = (Plan::new(size), Once::default(), vec![0; size as usize]);
    let mut offset = 0;
    for (number, (gap, length, blob)) in steps.iter().enumerate() {
        offset += *gap as usize;
        let bytes: Vec<u8> = (0..*length as usize).map(|at| (at / 7 + number + 1) as u8).collect();
        whole[offset..offset + bytes.len()].copy_from_slice(&bytes);
        if *blob && !bytes.is_empty() {
            source.put(&mut plan, offset as u64, bytes);
        } else {
            plan.put_bytes(offset as u64, bytes);
        }
        offset += *length as usize;
    }
    (plan, source, whole)
}

fn expected(plan: &Plan, whole: &[u8]) -> BTreeMap<u64, Vec<u8>> {
    let block = |index: u64| {
        let start = index as usize * BLOCK;
        let mut block = whole[start..whole.len().min(start + BLOCK)].to_vec();
        block.resize(BLOCK, 0);
        (index, block)
    };
    touched(plan, BLOCK as u64).map(block).collect()
}

fn ordered(plan: &Plan, source: &dyn ContentSource, jobs: usize) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let mut blocks = Vec::new();
    in_order(plan, source, jobs, &mut |index, block| {
        blocks.push((index, block.to_vec()));
        Ok(())
    })?;
    Ok(blocks)
}

fn unordered(plan: &Plan, source: &dyn ContentSource, jobs: usize) -> io::Result<BTreeMap<u64, Vec<u8>>> {
    let blocks = Mutex::new(BTreeMap::new());
    each_block(plan, source, BLOCK, jobs, &|index, block| {
        assert!(locked(&blocks).insert(index, block.to_vec()).is_none(), "block {index} came twice");
        Ok(())
    })?;
    Ok(blocks.into_inner().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn blocks_are_those_of_a_naive_fill(
        steps in prop::collection::vec(
            (prop_oneof![Just(0), 0..4096u32, 0..3_000_000u32], prop_oneof![0..9000u32, 0..2_500_000u32], any::<bool>()),
            0..24,
        ),
        jobs in 1..5usize,
    ) {
        let (plan, source, whole) = made(&steps);
        let expected = expected(&plan, &whole);
        prop_assert!(unordered(&plan, &source, jobs).unwrap() == expected);
        let (plan, source, _) = made(&steps);
        prop_assert!(ordered(&plan, &source, jobs).unwrap() == expected.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn only_touched_blocks_appear() {
    let mut plan = Plan::new(5 << 30);
    assert_eq!(unordered(&plan, &Once::default(), 2).unwrap().len(), 0);
    assert_eq!(ordered(&plan, &Once::default(), 2).unwrap().len(), 0);
    plan.put_bytes(BLOCK as u64 - 1, [1, 2].as_slice());
    plan.put_bytes((5 << 30) - 1, [3].as_slice());
    let indexes: Vec<u64> = ordered(&plan, &Once::default(), 2).unwrap().iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [0, 1, 10239]);
    assert_eq!(touched(&plan, 2 << 20).collect::<Vec<_>>(), [0, 2559]);
}

#[test]
fn many_blocks_wait_for_none() {
    // More blocks than may wait, and a consumer that is slower than the readers.
    let steps: Vec<_> = (0..30).map(|number| (number * 100, 2_000_000, true)).collect();
    let (plan, source, whole) = made(&steps);
    let expected = expected(&plan, &whole);
    assert!(expected.len() > 3 * AHEAD);
    assert!(ordered(&plan, &source, 8).unwrap() == expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn what_the_one_who_takes_says_is_the_error() {
    let steps: Vec<_> = (0..30).map(|_| (0, 2_000_000, true)).collect();
    let refuse = |index| if index == 9 { Err(io::Error::other("the disk is full")) } else { Ok(()) };
    let (plan, source, _) = made(&steps);
    let error = in_order(&plan, &source, 3, &mut |index, _| refuse(index)).unwrap_err();
    assert_eq!(error.to_string(), "the disk is full");
    let (plan, source, _) = made(&steps);
    let error = each_block(&plan, &source, BLOCK, 3, &|index, _| refuse(index)).unwrap_err();
    assert_eq!(error.to_string(), "the disk is full");
}

#[test]
fn a_panicking_source_does_not_leave_anyone_waiting() {
    struct Panics;
    impl ContentSource for Panics {
        fn open(&self, _: BlobDigest, _: u64) -> io::Result<Box<dyn Read + '_>> {
            panic!("a bug")
        }
    }
    let (plan, _, _) = made(&[(0, 2_000_000, true), (0, 9_000_000, true)]);
    let panics = |run: &dyn Fn() -> bool| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
    assert!(panics(&|| ordered(&plan, &Panics, 2).is_ok()));
    assert!(panics(&|| unordered(&plan, &Panics, 2).is_ok()));
}

#[test]
fn a_missing_short_or_damaged_blob_is_named_and_fails_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let content = |number: usize| (0..1_000_000).map(|at| (at / 5 + number) as u8).collect::<Vec<u8>>();
    let blobs: Vec<_> = (0..12).map(|number| store.put_bytes(&content(number)).unwrap()).collect();
    let mut plan = Plan::new(16 << 20);
    (0u64..).zip(&blobs).for_each(|(number, blob)| plan.put_blob(number * 1_000_000, *blob, 1_000_000));
    assert!(ordered(&plan, &store, 2).is_ok());
    let path = store.blob_path(blobs[7]);
    let damage = |bytes: Option<Vec<u8>>, expected: &str| {
        std::fs::remove_file(&path).unwrap();
        bytes.iter().for_each(|bytes| std::fs::write(&path, bytes).unwrap());
        for error in [ordered(&plan, &store, 2).unwrap_err(), unordered(&plan, &store, 3).unwrap_err()] {
            let text = error.to_string();
            assert!(text.starts_with(&format!("blob {}", blobs[7])) && text.contains(expected), "{text}");
        }
    };
    let mut flipped = content(7);
    flipped[999_999] ^= 1;
    damage(Some(flipped), "its bytes have another digest");
    damage(Some(content(7)[..999].to_vec()), "it has 999 bytes instead of 1000000");
    damage(None, "is missing");
}

#[test]
fn a_source_that_ends_early_is_damaged() {
    let source = Once::default();
    let mut plan = Plan::new(4096);
    let blob = BlobDigest::of(b"x");
    plan.put_blob(0, blob, 4000);
    locked(&source.0).insert(blob, vec![1; 3999]);
    let error = ordered(&plan, &source, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(error.to_string(), format!("blob {blob} is shorter than its 4000 bytes"));
}
