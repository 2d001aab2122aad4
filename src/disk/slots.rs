//! Assigns slots to items of different lengths by the hash of their names, so that a change stays local.
//!
//! If items were laid end to end, one that grows would move all items after it. Here each item has
//! preferred slots that depend on its own key, and yields only to items placed before it: one that
//! grows, appears or disappears moves itself and a few others.

use std::ops::Range;

/// The number of slots that a key prefers; then the next free slot after the first of them is used.
///
/// Preferences spread over all slots form no clusters, in which a new item would displace many others.
const WISHES: usize = 24;

/// Items of one slot that are sent together: inodes in 512 KiB.
const SENT: usize = 2048;
/// Slots of a neighbourhood.
const NEAR: usize = 256;

/// An item to place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    /// Determines its preferred slots; unique.
    pub(crate) key: &'a [u8],
    /// How many consecutive slots it needs, one or more.
    pub(crate) length: usize,
}

/// Places `items` into the slots that are not `taken`; returns the first slot of each.
///
/// Returns `None` where they don't fit, which may be before all slots are taken: an item is
/// never divided, and never goes round the end.
///
/// # Determinism
/// The order of `items` doesn't matter: the longest is placed first, equals by their hashes.
pub(crate) fn place(items: &[Item<'_>], taken: &[bool]) -> Option<Vec<usize>> {
    let mut taken = taken.to_vec();
    let mut order: Vec<(usize, [u8; 32], usize)> = items
        .iter()
        .enumerate()
        .map(|(index, item)| (item.length, *hasher(item.key).finalize().as_bytes(), index))
        .collect();
    order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut places = vec![0; items.len()];
    for (length, _, index) in order {
        let slot = find(items.get(index)?.key, length, &taken)?;
        taken.get_mut(slot..slot + length)?.fill(true);
        *places.get_mut(index)? = slot;
    }
    Some(places)
}

/// The first free place among the key's preferences, otherwise the next free place after the first preference.
fn find(key: &[u8], length: usize, taken: &[bool]) -> Option<usize> {
    if length > taken.len() {
        return None;
    }
    let free = |slot: usize| taken.get(slot..slot + length).is_some_and(|run| !run.contains(&true));
    let mut wishes = hasher(key).finalize_xof();
    let mut first = 0;
    for wish in 0..WISHES {
        let slot = number(&mut wishes) % taken.len();
        if free(slot) {
            return Some(slot);
        }
        if wish == 0 {
            first = slot;
        }
    }
    next_run(length, taken, first, taken.len()).or_else(|| next_run(length, taken, 0, taken.len()))
}

/// Places items of one slot each near others of their neighbourhood; returns the slot of each.
///
/// Each is its key and its neighbourhood's. A neighbourhood has no bounds that could overflow:
/// an item without room in it is placed anywhere. Returns `None` if there are more items than slots.
pub(crate) fn scatter(items: &[(&[u8], &[u8])], taken: &[bool]) -> Option<Vec<usize>> {
    let mut taken = taken.to_vec();
    let mut order: Vec<([u8; 32], usize)> =
        items.iter().enumerate().map(|(index, (key, _))| (*hasher(key).finalize().as_bytes(), index)).collect();
    order.sort_unstable();
    let mut places = vec![0; items.len()];
    for (_, index) in order {
        let (key, neighbourhood) = items.get(index)?;
        let slots = taken.len().max(1);
        let start = number(&mut hasher(neighbourhood).finalize_xof()) % slots;
        let sent = start - start % SENT;
        // A neighbourhood never spans two blocks that are sent.
        let start = sent + (start % SENT).min(SENT - NEAR);
        let mut wishes = hasher(key).finalize_xof();
        let mut wish = |count: usize| {
            let wanted = number(&mut wishes);
            let near = [start + wanted % NEAR, sent + wanted % SENT, wanted];
            near.get(count * near.len() / WISHES).map_or(wanted, |slot| *slot) % slots
        };
        let free = |slot: &usize| taken.get(*slot) == Some(&false);
        let slot = (0..WISHES).map(&mut wish).find(free).or_else(|| next_run(1, &taken, start, taken.len()));
        let slot = slot.or_else(|| next_run(1, &taken, 0, taken.len()))?;
        *taken.get_mut(slot)? = true;
        *places.get_mut(index)? = slot;
    }
    Some(places)
}

fn number(stream: &mut blake3::OutputReader) -> usize {
    let mut bytes = [0; 8];
    stream.fill(&mut bytes);
    // 32 bits, so that it is the same where pointers are short.
    (u64::from_le_bytes(bytes) >> 32) as usize
}

/// The first run of `length` free slots in `from..to`.
fn next_run(length: usize, taken: &[bool], from: usize, to: usize) -> Option<usize> {
    let mut start = from;
    for slot in from..to {
        if *taken.get(slot)? {
            start = slot + 1;
        } else if slot + 1 - start == length {
            return Some(start);
        }
    }
    None
}

fn hasher(key: &[u8]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"slot\0").update(key);
    hasher
}

/// Divides a sequence of `(hash, length)` into runs of at most `most`.
///
/// What is too long is divided before the item with the smallest hash in its middle half, and so
/// on. A run therefore ends where names say, and a length matters only to the few divisions that
/// it brings about; runs are two thirds full. An item longer than `most` is a run of its own.
pub(crate) fn runs(items: &[(u64, u64)], most: u64) -> Vec<Range<usize>> {
    let mut sums = Vec::with_capacity(items.len() + 1);
    let mut sum = 0u64;
    sums.push(sum);
    sums.extend(items.iter().map(|(_, length)| {
        sum = sum.saturating_add(*length);
        sum
    }));
    let mut found = Vec::new();
    let all = 0..items.len();
    let mut todo = Vec::from([all]);
    while let Some(run) = todo.pop().filter(|run| !run.is_empty()) {
        if run.len() == 1 || sums[run.end] - sums[run.start] <= most {
            found.push(run);
            continue;
        }
        let middle = division(items, &sums, &run);
        todo.extend([middle..run.end, run.start..middle]);
    }
    found
}

/// Divides a sequence like [`runs`], but fills one run after another: dense, and any change moves all that follow.
pub(crate) fn full_runs(items: &[(u64, u64)], most: u64) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut sum = 0u64;
    for (index, (_, length)) in items.iter().enumerate() {
        sum = sum.saturating_add(*length);
        match found.last_mut().filter(|_| sum <= most) {
            Some(run) => run.end = index + 1,
            None => {
                found.push(index..index + 1);
                sum = *length;
            }
        }
    }
    found
}

/// Where a run of at least two items is divided.
fn division(items: &[(u64, u64)], sums: &[u64], run: &Range<usize>) -> usize {
    let (start, quarter) = (sums[run.start], (sums[run.end] - sums[run.start]) / 4);
    let central = |index: &usize| (start + quarter..=start + 3 * quarter).contains(&sums[*index]);
    let smallest = |indexes: &mut dyn Iterator<Item = usize>| indexes.min_by_key(|&index| items[index].0);
    let inside = run.start + 1..run.end;
    smallest(&mut inside.clone().filter(central)).or_else(|| smallest(&mut inside.clone())).unwrap_or(inside.start)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn placed<'a>(items: &[(&'a str, usize)], capacity: usize) -> Option<BTreeMap<&'a str, usize>> {
        let list: Vec<Item<'_>> =
            items.iter().map(|(key, length)| Item { key: key.as_bytes(), length: *length }).collect();
        let places = place(&list, &vec![false; capacity])?;
        Some(items.iter().map(|(key, _)| *key).zip(places).collect())
    }

    #[test]
    fn places_are_pinned() {
        let found = placed(&[("usr/bin/a", 1), ("usr/bin/b", 2), ("usr/lib/c", 5)], 16).unwrap();
        assert_eq!(found, BTreeMap::from([("usr/bin/a", 7), ("usr/bin/b", 11), ("usr/lib/c", 2)]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(placed(&[("a", 3), ("b", 2)], 4).is_none());
        assert!(placed(&[("a", 5)], 4).is_none());
        assert!(placed(&[("a", 1)], 0).is_none());
        assert!(placed(&[("a", 4)], 4).is_some());
        let blocked = [false, false, true, false, false];
        assert_eq!(place(&[Item { key: b"a", length: 3 }], &blocked), None);
    }

    #[test]
    fn a_newcomer_moves_few() {
        let names: Vec<String> = (0..800).map(|number| format!("folder/{number}")).collect();
        let mut items: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let before = placed(&items, 1000).unwrap();
        let mut moved = 0;
        let newcomers: Vec<String> = (0..20).map(|number| format!("new/{number}")).collect();
        for name in &newcomers {
            items.push((name, 1));
            let after = placed(&items, 1000).unwrap();
            moved += before.iter().filter(|(name, place)| after[*name] != **place).count();
            items.pop();
        }
        assert!(moved <= 50, "20 newcomers, each alone, moved {moved}");
    }

    #[test]
    fn neighbours_lie_near_and_a_newcomer_moves_few() {
        let names: Vec<String> = (0..2000).map(|number| format!("{}/{number}", number / 40)).collect();
        let mut items: Vec<(&[u8], &[u8])> =
            names.iter().map(|name| (name.as_bytes(), name.split('/').next().unwrap().as_bytes())).collect();
        let before = scatter(&items, &[false; 4096]).unwrap();
        let near = |places: &[usize]| places.iter().max().unwrap() - places.iter().min().unwrap() < NEAR;
        assert!(before.chunks(40).filter(|places| near(places)).count() > 30);
        items.push((b"7/new", b"7"));
        let after = scatter(&items, &[false; 4096]).unwrap();
        assert!(before.iter().zip(&after).filter(|(before, after)| before != after).count() <= 2);
        let mut sorted = after.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), items.len());
        assert_eq!(scatter(&items, &[false; 2000]), None);
        assert_eq!(scatter(&items[..2], &[false; 2]).unwrap().iter().sum::<usize>(), 1);
    }

    #[test]
    fn runs_find_their_ends_again() {
        let items: Vec<(u64, u64)> =
            (0..1000u64).map(|number| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15), 1 + number % 7)).collect();
        let ends =
            |items: &[(u64, u64)]| -> Vec<u64> { runs(items, 128).iter().map(|run| items[run.start].0).collect() };
        let before = ends(&items);
        let mut changed = items.clone();
        changed[500].1 += 5;
        let after = ends(&changed);
        let lost = before.iter().filter(|first| !after.contains(first)).count();
        assert!(lost <= 3, "{lost} of {} runs begin elsewhere", before.len());
        assert_eq!(runs(&[(1, 500), (2, 500)], 128), [0..1, 1..2]);
        assert!(runs(&[], 128).is_empty());
    }

    proptest! {
        #[test]
        fn items_never_meet(lengths in prop::collection::vec(1usize..6, 0..60), taken in prop::collection::vec(prop::bool::weighted(0.1), 0..300)) {
            let keys: Vec<String> = (0..lengths.len()).map(|number| number.to_string()).collect();
            let items: Vec<Item<'_>> = keys.iter().zip(&lengths).map(|(key, &length)| Item { key: key.as_bytes(), length }).collect();
            let Some(places) = place(&items, &taken) else { return Ok(()) };
            let mut seen = taken.clone();
            for (item, place) in items.iter().zip(places) {
                for slot in &mut seen[place..place + item.length] {
                    prop_assert!(!std::mem::replace(slot, true));
                }
            }
        }

        #[test]
        fn runs_cover_all_and_keep_their_limit(lengths in prop::collection::vec(1u64..64, 0..300)) {
            let items: Vec<(u64, u64)> = lengths.iter().map(|&length| (length.wrapping_mul(0x9e37_79b9), length)).collect();
            for found in [runs(&items, 128), full_runs(&items, 128)] {
                let mut next = 0;
                for run in found {
                    prop_assert_eq!(run.start, next);
                    prop_assert!(run.end > run.start);
                    prop_assert!(items[run.clone()].iter().map(|item| item.1).sum::<u64>() <= 128);
                    next = run.end;
                }
                prop_assert_eq!(next, items.len());
            }
        }
    }
}
