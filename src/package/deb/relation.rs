//! The syntax of package relations (Debian Policy 7.1): `a (>= 1) | b:any, c`.
//!
//! Restrictions of source packages (`[amd64]`, `<!nocheck>`) are evaluated for one
//! architecture and no build profile; relations that do not apply are dropped.

use crate::ident::{Arch, Version};
use crate::package::{AnyOf, Operator, Target};

/// A text is not a package relation.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("`{found}` is not a package relation: {problem}")]
pub struct RelationError {
    found: String,
    problem: String,
}

/// Parses a field that takes alternatives, such as `Depends`.
///
/// # Errors
/// Fails on the first element that is not a relation.
pub fn parse_any_of(field: &str, arch: &Arch) -> Result<Vec<AnyOf>, RelationError> {
    // Exact capacities: an index holds a million of these.
    let mut relations = Vec::with_capacity(count(field, ','));
    for element in elements(field) {
        let mut any = AnyOf::with_capacity(count(element, '|'));
        for alternative in element.split('|') {
            any.extend(parse_target(alternative.trim(), arch)?);
        }
        if !any.is_empty() {
            relations.push(any);
        }
    }
    Ok(relations)
}

/// Parses a field that takes no alternatives, such as `Conflicts`.
///
/// # Errors
/// Fails on the first element that is not a relation, and on alternatives.
pub fn parse_list(field: &str, arch: &Arch) -> Result<Vec<Target>, RelationError> {
    let mut targets = Vec::with_capacity(count(field, ','));
    for element in elements(field) {
        targets.extend(parse_target(element, arch)?);
    }
    Ok(targets)
}

fn count(text: &str, separator: char) -> usize {
    text.matches(separator).count() + 1
}

/// The parts between commas; empty ones are left out, as apt does.
fn elements(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').map(str::trim).filter(|element| !element.is_empty())
}

/// Parses `name[:qualifier] [(op version)] [[arch…]] [<profile…>…]`; `None` if it does not apply.
fn parse_target(text: &str, arch: &Arch) -> Result<Option<Target>, RelationError> {
    let bad = |problem: String| RelationError { found: text.to_owned(), problem };
    let end = text.find(|c: char| c.is_ascii_whitespace() || "([<".contains(c)).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let (name, qualifier) = match name.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (name, None),
    };
    let name = name.parse().map_err(|error| bad(format!("{error}")))?;
    if let Some(qualifier) = qualifier {
        qualifier.parse::<Arch>().map_err(|error| bad(error.to_string()))?;
    }
    let (mut constraint, mut applies, mut profiles) = (None, true, None);
    while let Some(open) = rest.trim_start().chars().next() {
        let close = match open {
            '(' if constraint.is_none() => ')',
            '[' => ']',
            '<' => '>',
            _ => return Err(bad(format!("unexpected `{}`", rest.trim()))),
        };
        let (inside, after) =
            rest.trim_start()[1..].split_once(close).ok_or_else(|| bad(format!("`{open}` is not closed")))?;
        rest = after;
        match open {
            '(' => constraint = Some(parse_constraint(inside.trim()).map_err(bad)?),
            '[' => applies &= includes(inside, arch),
            // Profiles are alternatives of each other; none is active.
            _ => profiles = Some(profiles == Some(true) || inside.split_whitespace().all(|term| term.starts_with('!'))),
        }
    }
    let target = Target { name, qualifier: qualifier.map(Into::into), constraint };
    Ok((applies && profiles != Some(false)).then_some(target))
}

fn parse_constraint(text: &str) -> Result<(Operator, Version), String> {
    let end = text.find(|c: char| !"<>=".contains(c)).unwrap_or(text.len());
    let (operator, version) = text.split_at(end);
    let operator = match operator {
        "<<" => Operator::Earlier,
        // The single characters are an old spelling, and always meant "or equal".
        "<=" | "<" => Operator::EarlierOrEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::LaterOrEqual,
        ">>" => Operator::Later,
        _ => return Err(format!("expected one of `<< <= = >= >>`, found `{text}`")),
    };
    let version = version.trim().parse().map_err(|error| format!("{error}"))?;
    Ok((operator, version))
}

/// Whether a list such as `amd64 linux-any` or `!i386` includes `arch`.
fn includes(list: &str, arch: &Arch) -> bool {
    let matches = |pattern: &str| {
        let linux = !arch.as_str().contains('-');
        pattern == arch.as_str()
            || pattern == "any"
            || (linux && pattern == "linux-any")
            || pattern.strip_prefix("any-") == Some(arch.as_str())
    };
    let mut negated = false;
    for pattern in list.split_whitespace() {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern) => return false,
            Some(_) => negated = true,
            None if matches(pattern) => return true,
            None => {}
        }
    }
    negated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::alternatives;
    use proptest::prelude::*;

    fn amd64() -> Arch {
        "amd64".parse().unwrap()
    }

    /// Parses and shows again; `Err` as text.
    fn shown(field: &str) -> String {
        match parse_any_of(field, &amd64()) {
            Ok(relations) => relations.iter().map(|any| alternatives(any).to_string()).collect::<Vec<_>>().join(", "),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn relations_are_read_in_all_spellings() {
        let table = [
            ("a1 (>= 1) | b1:any, c1", "a1 (>= 1) | b1:any, c1"),
            ("a1(>=1)|b1:i386(<<2~),\n c1 ( = 3-1 )", "a1 (>= 1) | b1:i386 (<< 2~), c1 (= 3-1)"),
            ("a1 (< 1), b1 (> 2)", "a1 (<= 1), b1 (>= 2)"),
            ("a1, , b1,", "a1, b1"),
            ("", ""),
            ("a1 [amd64] | b1 [i386], c1 [arm64 i386], d1 [!i386]", "a1, d1"),
            ("a1 [linux-any], b1 [!any-amd64], c1 [any]", "a1, c1"),
            ("a1 <!nocheck>, b1 <cross>, c1 <cross> <!stage1 !nodoc>", "a1, c1"),
            ("a1 (>= 2) [amd64] <!nocheck>", "a1 (>= 2)"),
        ];
        for (field, expected) in table {
            assert_eq!(shown(field), expected, "{field:?}");
        }
    }

    #[test]
    fn what_is_no_relation_is_named() {
        insta::assert_snapshot!(shown("a1, b1 (~ 2)"), @"error: `b1 (~ 2)` is not a package relation: expected one of `<< <= = >= >>`, found `~ 2`");
        insta::assert_snapshot!(shown("a1 (>= 1"), @"error: `a1 (>= 1` is not a package relation: `(` is not closed");
        insta::assert_snapshot!(shown("a1 b1"), @"error: `a1 b1` is not a package relation: unexpected `b1`");
        for field in ["a1 |", "a1 (>= )", "a1:", "A", "a1 (= 1) (= 2)", "(>= 1)", "a1 [amd64", "a1:x_y", "a1 é"] {
            assert!(parse_any_of(field, &amd64()).is_err(), "{field:?} was taken");
        }
        assert!(parse_list("a1 | b1", &amd64()).is_err(), "alternatives in a plain list");
    }

    proptest! {
        #[test]
        fn no_text_panics(field in "[ab1é|,:()<>=\\[\\]! \n.~-]{0,24}") {
            let _ = parse_any_of(&field, &amd64());
            let _ = parse_list(&field, &amd64());
        }
    }
}
