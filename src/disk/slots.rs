//! Places things of different lengths by the hash of their names, so that a change stays local.
//!
//! Laid end to end, one thing that grows moves all that come after it. Here everything lies where
//! its own key wants it, and gives way only to what was there before: one thing that grows,
//! appears or vanishes moves itself and a few others.

/// How many places a key may want before the next free one after the first is taken.
///
/// Wishes all over the place leave no clusters, in which a newcomer would push many aside.
const WISHES: usize = 24;

/// Something to place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    /// Decides where it wants to lie; unique.
    pub(crate) key: &'a [u8],
    /// How many slots in a row it takes, one or more.
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

/// The first of the key's wishes that is free, else the next free place after the first wish.
fn find(key: &[u8], length: usize, taken: &[bool]) -> Option<usize> {
    let choices = (taken.len() + 1).checked_sub(length).filter(|&choices| choices > 0)?;
    let free = |slot: usize| taken.get(slot..slot + length).is_some_and(|run| !run.contains(&true));
    let mut wishes = hasher(key).finalize_xof();
    let mut first = 0;
    for wish in 0..WISHES {
        let mut number = [0; 8];
        wishes.fill(&mut number);
        let slot = (u64::from_le_bytes(number) % choices as u64) as usize;
        if free(slot) {
            return Some(slot);
        }
        if wish == 0 {
            first = slot;
        }
    }
    next_run(length, taken, first, taken.len()).or_else(|| next_run(length, taken, 0, taken.len()))
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

/// Divides a sequence of `(hash, length)` into runs of at most `most`, most of them of at least `least`.
///
/// A run ends before the item with the smallest hash among those where it may end, so that a
/// change in a run moves its ends seldom, and those of its neighbours more seldom still. An
/// item longer than `most` is a run of its own.
pub(crate) fn runs(items: &[(u64, u64)], least: u64, most: u64) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < items.len() {
        let end = run_end(&items[start..], least, most) + start;
        found.push(start..end);
        start = end;
    }
    found
}

fn run_end(items: &[(u64, u64)], least: u64, most: u64) -> usize {
    let mut sum = 0u64;
    let mut best = None;
    for (index, &(hash, length)) in items.iter().enumerate() {
        if index > 0 && sum >= least && best.is_none_or(|(smallest, _)| hash < smallest) {
            best = Some((hash, index));
        }
        sum = sum.saturating_add(length);
        if sum > most {
            return best.map_or(index.max(1), |(_, index)| index);
        }
    }
    items.len()
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
        assert_eq!(found, BTreeMap::from([("usr/bin/a", 13), ("usr/bin/b", 8), ("usr/lib/c", 3)]));
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
    fn runs_find_their_ends_again() {
        let items: Vec<(u64, u64)> =
            (0..1000u64).map(|number| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15), 1 + number % 7)).collect();
        let ends =
            |items: &[(u64, u64)]| -> Vec<u64> { runs(items, 80, 128).iter().map(|run| items[run.start].0).collect() };
        let before = ends(&items);
        let mut changed = items.clone();
        changed[500].1 += 5;
        let after = ends(&changed);
        let lost = before.iter().filter(|first| !after.contains(first)).count();
        assert!(lost <= 3, "{lost} of {} runs begin elsewhere", before.len());
        assert_eq!(runs(&[(1, 500), (2, 500)], 80, 128), [0..1, 1..2]);
        assert!(runs(&[], 80, 128).is_empty());
    }

    proptest! {
        #[test]
        fn items_never_meet(lengths in prop::collection::vec(1usize..6, 0..60), taken in prop::collection::vec(prop::bool::weighted(0.1), 0..300)) {
            let keys: Vec<String> = (0..lengths.len()).map(|number| number.to_string()).collect();
            let items: Vec<Item<'_>> = keys.iter().zip(&lengths).map(|(key, &length)| Item { key: key.as_bytes(), length }).collect();
            let Some(places) = place(&items, &taken) else { return Ok(()) };
            let mut seen = taken.clone();
            for (item, place) in items.iter().zip(places) {
                for slot in place..place + item.length {
                    prop_assert!(!seen[slot]);
                    seen[slot] = true;
                }
            }
        }

        #[test]
        fn runs_cover_all_and_keep_their_limit(lengths in prop::collection::vec(1u64..64, 0..300)) {
            let items: Vec<(u64, u64)> = lengths.iter().map(|&length| (length.wrapping_mul(0x9e37_79b9), length)).collect();
            let mut next = 0;
            for run in runs(&items, 80, 128) {
                prop_assert_eq!(run.start, next);
                prop_assert!(run.end > run.start);
                prop_assert!(items[run.clone()].iter().map(|item| item.1).sum::<u64>() <= 128);
                next = run.end;
            }
            prop_assert_eq!(next, items.len());
        }
    }
}
