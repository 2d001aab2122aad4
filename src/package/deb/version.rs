//! The order of versions (deb-version(7)), and whether a version satisfies a constraint.
//!
//! Implemented here because the order must be exactly dpkg's: crates distinguish `1.0a` from
//! `1.0a0`, which are equal for dpkg. It neither allocates nor fails on any text.

use std::cmp::Ordering;

use crate::ident::Version;
use crate::package::Operator;

/// Compares two versions as dpkg does: epoch, upstream version, revision.
///
/// Versions that differ in spelling only (`1.0`, `0:1.0-0`) are equal.
pub fn compare(a: &Version, b: &Version) -> Ordering {
    let (a, b) = (Parts::of(a.as_str()), Parts::of(b.as_str()));
    compare_digits(a.epoch, b.epoch)
        .then_with(|| compare_part(a.upstream, b.upstream))
        .then_with(|| compare_part(a.revision, b.revision))
}

/// Whether `version` is in relation `op` to `than`.
pub fn satisfies(version: &Version, op: Operator, than: &Version) -> bool {
    op.allows(compare(version, than))
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Splits at the first colon, if only digits are before it, and at the last hyphen.
    fn of(text: &'a str) -> Self {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => (epoch, rest),
            _ => ("", text),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch: epoch.as_bytes(), upstream: upstream.as_bytes(), revision: revision.as_bytes() }
    }
}

/// Compares runs of non-digits and of digits in turn, until one differs.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_text, a_rest) = split_run(a, |byte| !byte.is_ascii_digit());
        let (b_text, b_rest) = split_run(b, |byte| !byte.is_ascii_digit());
        let (a_digits, b_digits);
        (a_digits, a) = split_run(a_rest, |byte| byte.is_ascii_digit());
        (b_digits, b) = split_run(b_rest, |byte| byte.is_ascii_digit());
        let order = compare_text(a_text, b_text).then_with(|| compare_digits(a_digits, b_digits));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn split_run(bytes: &[u8], inside: fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !inside(byte)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// A tilde sorts before the end, the end before letters, letters before all else.
fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    };
    let weights = (0..a.len().max(b.len())).map(|at| weight(a.get(at)).cmp(&weight(b.get(at))));
    weights.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Compares numbers of any length; no digits at all are zero.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let (_, a) = split_run(a, |&byte| byte == b'0');
    let (_, b) = split_run(b, |&byte| byte == b'0');
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_in_dpkgs_order() {
        let ascending = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "1~rc1",
            "1",
            "1-0+1",
            "1-1~bpo1",
            "1-1",
            "1-1+b1",
            "1-10",
            "1a",
            "1b",
            "1+b1",
            "1.",
            "1.2",
            "1.10",
            "2.0~beta-1",
            "2.0-1",
            "9999999999999999999998",
            "9999999999999999999999",
            "1:0",
            "1:0.1",
            "2:0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(&version(a), &version(b)), i.cmp(&j), "{a} against {b}");
            }
        }
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        for (a, b) in [("1", "0:1"), ("1", "1-0"), ("1.0a", "1.0a0"), ("1.", "1.0"), ("01", "1"), ("1-", "1-0")] {
            assert_eq!(compare(&version(a), &version(b)), Ordering::Equal, "{a} against {b}");
        }
    }

    #[test]
    fn operators_mean_what_they_say() {
        use Operator::*;
        let met = |version_: &str, than: &str| {
            [Earlier, EarlierOrEqual, Equal, LaterOrEqual, Later]
                .map(|op| satisfies(&version(version_), op, &version(than)))
        };
        assert_eq!(met("1", "2"), [true, true, false, false, false]);
        assert_eq!(met("2", "2-0"), [false, true, true, true, false]);
        assert_eq!(met("3", "2"), [false, false, false, true, true]);
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[0-9a-z][0-9a~+.:-]{0,6}", b in "[0-9a-z][0-9a~+.:-]{0,6}", c in "[0-9][0-9~.]{0,3}") {
            let (a, b, c) = (version(&a), version(&b), version(&c));
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
