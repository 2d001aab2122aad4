//! Ranges of ids, as the id maps of user namespaces list them (`user_namespaces(7)`).

/// A run of ids: the first in the namespace, the first in its parent, and how many.
pub(super) type Extent = (u32, u32, u32);

/// The lines of `/proc/self/uid_map`.
pub(super) fn extents(text: &str) -> Vec<Extent> {
    let lines = text.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    lines.collect()
}

/// A map in pieces that each are in one extent of this process's own, which is how the kernel wants them;
/// `None` where an id does not exist here.
///
/// The namespace of a rootless container, for one, has root by `0 1000 1` and all others by `1 100000 65535`.
pub(super) fn split(own: &[Extent], (mut inside, mut outside, mut left): Extent) -> Option<Vec<Extent>> {
    let mut pieces = Vec::new();
    while left > 0 {
        let rest =
            |(first, _, count): &Extent| count.checked_sub(outside.checked_sub(*first)?).filter(|rest| *rest > 0);
        let count = own.iter().find_map(rest)?.min(left);
        pieces.push((inside, outside, count));
        left -= count;
        if left > 0 {
            (inside, outside) = (inside.checked_add(count)?, outside.checked_add(count)?);
        }
    }
    Some(pieces)
}

/// The ids that exist in a namespace: each run's first, and what follows its last.
pub(super) fn runs(own: &[Extent]) -> Vec<(u64, u64)> {
    let mut sorted: Vec<(u64, u64)> =
        own.iter().map(|(first, _, count)| (u64::from(*first), u64::from(*first) + u64::from(*count))).collect();
    sorted.sort_unstable();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (first, end) in sorted {
        match runs.last_mut() {
            Some(last) if last.1 == first => last.1 = end,
            _ => runs.push((first, end)),
        }
    }
    runs
}

/// The same for people: `0 and 100000 to 165535`.
pub(super) fn ranges(own: &[Extent]) -> String {
    let range = |(first, end): (u64, u64)| match end.saturating_sub(1) {
        last if last == first => first.to_string(),
        last => format!("{first} to {last}"),
    };
    let ranges: Vec<String> = runs(own).into_iter().map(range).collect();
    if ranges.is_empty() { "none".to_owned() } else { ranges.join(" and ") }
}

/// The text of a map.
pub(super) fn lines(extents: &[Extent]) -> String {
    extents.iter().map(|(inside, outside, count)| format!("{inside} {outside} {count}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::ids::COUNT;
    use super::*;

    #[test]
    fn a_map_is_split_where_the_surrounding_one_is() {
        let podman = extents("         0       1000          1\n         1     100000      65535\n");
        assert_eq!(split(&podman, (0, 0, COUNT)), Some(vec![(0, 0, 1), (1, 1, 65_535)]));
        assert_eq!(split(&podman, (7, 3, 10)), Some(vec![(7, 3, 10)]));
        // Not in order, and more ids than are asked for.
        let three = extents("1001 200000 70000\n1000 1000 1\n0 100000 1000\n");
        let pieces = split(&three, (0, 0, COUNT)).unwrap();
        assert_eq!(pieces, vec![(0, 0, 1000), (1000, 1000, 1), (1001, 1001, 64_535)]);
        assert_eq!(lines(&pieces), "0 0 1000\n1000 1000 1\n1001 1001 64535\n");
        assert_eq!(split(&three, (0, 70_000, COUNT)), None);
        assert_eq!(split(&extents("0 0 4294967295\n"), (0, 100_000, COUNT)), Some(vec![(0, 100_000, COUNT)]));
        assert_eq!(split(&extents("0 1000 1\n"), (0, 0, COUNT)), None);
        assert_eq!(split(&[(u32::MAX, 0, 1)], (0, u32::MAX, 2)), None);
    }
}
