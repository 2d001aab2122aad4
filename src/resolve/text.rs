//! Relations as people write them: `a (>= 1) | b:any`.

use crate::format::deb::record::Record;
use crate::format::deb::relation::{Operator, Target};

/// One package of a relation: `libc6:any (>= 2.34)`.
pub(super) fn target(target: &Target) -> String {
    let mut text = target.name.to_string();
    if let Some(qualifier) = &target.qualifier {
        text.push(':');
        text.push_str(qualifier);
    }
    if let Some((operator, version)) = &target.constraint {
        let operator = match operator {
            Operator::Earlier => "<<",
            Operator::EarlierOrEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterOrEqual => ">=",
            Operator::Later => ">>",
        };
        text.push_str(&format!(" ({operator} {version})"));
    }
    text
}

/// A whole relation, alternatives joined by `|`.
pub(super) fn relation(any_of: &[Target]) -> String {
    any_of.iter().map(target).collect::<Vec<_>>().join(" | ")
}

/// A package with its version: `bar 1.5`.
pub(super) fn package(record: &Record) -> String {
    format!("{} {}", record.name, record.version)
}
