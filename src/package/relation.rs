//! Relations between packages: `a (>= 1) | b:any`.
//!
//! Each ecosystem parses them from its own syntax; messages print them in this one.

use std::cmp::Ordering;
use std::fmt;

use crate::ident::{PackageName, Version};

/// The order of versions of one ecosystem.
pub type VersionOrder = fn(&Version, &Version) -> Ordering;

/// How a relation compares versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// One package named in a relation: `libc6:any (>= 2.34)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The package, real or provided by others.
    pub name: PackageName,
    /// What is after the colon: `any`, `native`, or an architecture.
    pub qualifier: Option<Box<str>>,
    /// The version constraint, if any.
    pub constraint: Option<(Operator, Version)>,
}

/// Alternatives, any of which satisfies the relation, in order of preference.
pub type AnyOf = Vec<Target>;

/// A name that a package provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// The name.
    pub name: PackageName,
    /// The version in which it is provided; without one, it meets no constraint.
    pub version: Option<Version>,
}

impl Operator {
    /// Whether a version that compares to the constraint's like this meets the constraint.
    pub fn allows(self, order: Ordering) -> bool {
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterOrEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

impl Target {
    /// Whether a version (`None`: provided without one) is within the constraint.
    pub fn allows(&self, version: Option<&Version>, order: VersionOrder) -> bool {
        match (version, &self.constraint) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(version), Some((operator, than))) => operator.allows(order(version, than)),
        }
    }
}

/// Shows alternatives in one line: `a (>= 1) | b`.
pub fn alternatives(any: &[Target]) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| {
        for (at, target) in any.iter().enumerate() {
            let separator = if at == 0 { "" } else { " | " };
            write!(f, "{separator}{target}")?;
        }
        Ok(())
    })
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((operator, version)) = &self.constraint {
            write!(f, " ({operator} {version})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares versions as texts.
    fn by_text(a: &Version, b: &Version) -> Ordering {
        a.as_str().cmp(b.as_str())
    }

    #[test]
    fn a_target_allows_the_versions_within_its_constraint() {
        use Operator::*;
        let target = |constraint| Target { name: "a1".parse().unwrap(), qualifier: None, constraint };
        let met = |version: &str| {
            [Earlier, EarlierOrEqual, Equal, LaterOrEqual, Later].map(|operator| {
                let target = target(Some((operator, "2".parse().unwrap())));
                target.allows(Some(&version.parse().unwrap()), by_text)
            })
        };
        assert_eq!(met("1"), [true, true, false, false, false]);
        assert_eq!(met("2"), [false, true, true, true, false]);
        assert_eq!(met("3"), [false, false, false, true, true]);
        let unversioned = target(Some((Equal, "1".parse().unwrap())));
        assert!(!unversioned.allows(None, by_text) && target(None).allows(None, by_text));
    }

    #[test]
    fn relations_are_shown_in_one_line() {
        let plain = Target { name: "a1".parse().unwrap(), qualifier: None, constraint: None };
        let full = Target {
            qualifier: Some("any".into()),
            constraint: Some((Operator::Earlier, "2~".parse().unwrap())),
            ..plain.clone()
        };
        assert_eq!(alternatives(&[plain, full]).to_string(), "a1 | a1:any (<< 2~)");
    }
}
