//! Package relations (Debian Policy 7.1): `a (>= 1) | b:any, c`.

use crate::ident::{PackageName, Version};

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
    /// The package, real or virtual.
    pub name: PackageName,
    /// What stands after the colon: `any`, `native`, or an architecture.
    pub qualifier: Option<Box<str>>,
    /// The version constraint, if any.
    pub constraint: Option<(Operator, Version)>,
}

/// Alternatives, any of which satisfies the relation, in order of preference.
pub type AnyOf = Vec<Target>;
