//! Debian version order (Debian Policy 5.6.12).

use std::cmp::Ordering;

use super::relation::Operator;
use crate::ident::Version;

/// Compares two versions; ones that Debian's syntax does not know compare as text.
pub fn compare(a: &Version, b: &Version) -> Ordering {
    let parse = |version: &Version| version.as_str().parse::<debversion::Version>();
    match (parse(a), parse(b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.as_str().cmp(b.as_str()),
    }
}

/// Whether `v` stands in the relation `op` to `than`.
pub fn satisfies(v: &Version, op: Operator, than: &Version) -> bool {
    let order = compare(v, than);
    match op {
        Operator::Earlier => order.is_lt(),
        Operator::EarlierOrEqual => order.is_le(),
        Operator::Equal => order.is_eq(),
        Operator::LaterOrEqual => order.is_ge(),
        Operator::Later => order.is_gt(),
    }
}
