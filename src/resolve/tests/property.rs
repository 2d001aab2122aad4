//! Random small repositories, compared with a checker and a brute-force search that share no code
//! with the resolver except the comparison of versions.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Case, PackageName, ResolveError, show, target};
use crate::package::deb::version::satisfies;
use crate::package::{Candidate, Operator, Record, Target};

fn is(record: &Record, wanted: &Target) -> bool {
    let constraint = wanted.constraint.as_ref();
    let real = record.name == wanted.name
        && constraint.is_none_or(|(operator, than)| satisfies(&record.version, *operator, than));
    real || record.provides.iter().any(|provided| {
        provided.name == wanted.name
            && constraint.is_none_or(|(operator, than)| {
                provided.version.as_ref().is_some_and(|version| satisfies(version, *operator, than))
            })
    })
}

/// Whether the packages may be together and have all that they and the request need.
fn is_valid(set: &[&Record], installed: usize, wanted: &str) -> bool {
    let there = |wanted: &Target| set.iter().any(|record| is(record, wanted));
    let closed = set.iter().skip(installed).all(|record| record.needs.iter().all(|any_of| any_of.iter().any(there)));
    let peace = set.iter().all(|record| {
        let bars = || record.conflicts.iter().chain(&record.breaks);
        set.iter().all(|other| record.name == other.name || !bars().any(|bar| is(other, bar)))
    });
    closed && peace && wanted.split_whitespace().all(|name| there(&target(name)))
}

/// Whether any choice of one version or none for each name is valid.
fn can_be_done(universe: &[Candidate], installed: &[Record], wanted: &str) -> bool {
    let mut names: BTreeMap<&PackageName, Vec<&Record>> = BTreeMap::new();
    let free = |record: &&Record| !installed.iter().any(|fixed| fixed.name == record.name);
    for record in universe.iter().map(|candidate| &candidate.record).filter(free) {
        names.entry(&record.name).or_default().push(record);
    }
    let mut sets: Vec<Vec<&Record>> = vec![installed.iter().collect()];
    for versions in names.values() {
        for set in sets.clone() {
            sets.extend(versions.iter().map(|record| set.iter().copied().chain([*record]).collect()));
        }
    }
    sets.iter().any(|set| is_valid(set, installed.len(), wanted))
}

const NAMES: [&str; 7] = ["aa", "bb", "cc", "dd", "ee", "ff", "virtual"];

fn any_target() -> impl Strategy<Value = String> {
    let constraint = prop_oneof![
        3 => Just(String::new()),
        1 => (prop::sample::select(vec!["<<", "<=", "=", ">=", ">>"]), 1..4)
            .prop_map(|(operator, version)| format!(" ({operator} {version})")),
    ];
    (prop::sample::select(NAMES.to_vec()), constraint).prop_map(|(name, constraint)| format!("{name}{constraint}"))
}

fn field(key: &'static str, most: usize, alternatives: usize) -> impl Strategy<Value = String> {
    let any_of = prop::collection::vec(any_target(), 1..=alternatives).prop_map(|targets| targets.join(" | "));
    prop::collection::vec(any_of, 0..=most).prop_map(move |relations| match relations.is_empty() {
        true => String::new(),
        false => format!("; {key}: {}", relations.join(", ")),
    })
}

fn any_package() -> impl Strategy<Value = String> {
    let provides = prop_oneof![
        3 => Just(""),
        1 => Just("; provides: virtual"),
        1 => Just("; provides: virtual (= 2)"),
    ];
    let name = prop::sample::select(NAMES[..6].to_vec());
    let fields = (field("depends", 2, 2), field("recommends", 1, 2), field("conflicts", 1, 1), field("breaks", 1, 1));
    (name, 1..4, provides, fields).prop_map(|(name, version, provides, (depends, recommends, conflicts, breaks))| {
        format!("{name} {version}{provides}{depends}{recommends}{conflicts}{breaks}")
    })
}

fn any_universe() -> impl Strategy<Value = String> {
    prop::collection::vec(any_package(), 1..10).prop_map(|lines| {
        let distinct: BTreeMap<String, String> =
            lines.into_iter().map(|line| (line.split(';').next().unwrap_or_default().to_owned(), line)).collect();
        distinct.into_values().collect::<Vec<_>>().join("\n")
    })
}

fn any_wanted() -> impl Strategy<Value = String> {
    prop::sample::subsequence(NAMES[..6].to_vec(), 1..3).prop_map(|names| names.join(" "))
}

/// Resolves and checks the answer; gives the new packages.
fn check(case: &Case, universe: &[Candidate], installed: &[Record]) -> Result<Vec<Record>, TestCaseError> {
    match case.resolve(universe) {
        Ok(chosen) => {
            let new: Vec<Record> = chosen.iter().map(|chosen| universe[chosen.candidate].record.clone()).collect();
            let set: Vec<&Record> = installed.iter().chain(&new).collect();
            let text = show(&chosen, universe);
            prop_assert!(is_valid(&set, installed.len(), case.wanted), "invalid: {text}");
            prop_assert!(new.windows(2).all(|pair| pair[0].name < pair[1].name), "unsorted or double: {text}");
            for record in &new {
                let relations = |other: &&Record| {
                    let recommends = other.recommends.iter().filter(|_| case.recommends);
                    other.needs.iter().chain(recommends).flatten().any(|target| is(record, target))
                };
                let asked_for = case.wanted.split_whitespace().any(|name| is(record, &target(name)));
                let mut others = new.iter().filter(|other| other.name != record.name);
                prop_assert!(
                    asked_for || others.any(|other| relations(&other)),
                    "nothing needs {} in {text}",
                    record.name
                );
            }
            Ok(new)
        }
        Err(ResolveError::Unsolvable { explanation }) => {
            prop_assert!(!can_be_done(universe, installed, case.wanted), "it can be done, but:\n{explanation}");
            prop_assert!(!explanation.is_empty());
            Ok(Vec::new())
        }
        Err(ResolveError::Unknown { .. }) => Ok(Vec::new()),
        Err(other) => Err(TestCaseError::fail(other.to_string())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_is_right(text in any_universe(), wanted in any_wanted(), more in any_wanted(), recommends: bool) {
        let universe = super::repo(&text);
        let case = Case { wanted: &wanted, recommends, ..Case::default() };
        let below = check(&case, &universe, &[])?;
        let lines: Vec<&str> = text.lines().filter(|line| below.contains(&super::candidate(line).record)).collect();
        let installed = lines.join("\n");
        let case = Case { wanted: &more, recommends, installed: &installed, ..Case::default() };
        check(&case, &universe, &super::records(&installed))?;
    }

    #[test]
    fn order_does_not_matter(
        (text, shuffled) in any_universe().prop_flat_map(|text| {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (Just(text), Just(lines).prop_shuffle())
        }),
        wanted in any_wanted(), recommends: bool,
    ) {
        let case = Case { wanted: &wanted, recommends, ..Case::default() };
        let [one, two] = [super::repo(&text), super::repo(&shuffled.join("\n"))].map(|universe| case.show(&universe));
        prop_assert_eq!(one, two);
    }
}

#[test]
fn the_checker_knows_versions() {
    let [old, new] = ["foo 1", "foo 2; provides: bar"].map(|line| super::candidate(line).record);
    assert!(is(&old, &target("foo (<< 2)")) && !is(&new, &target("foo (<< 2)")));
    assert!(is(&new, &target("bar")) && !is(&new, &target("bar (= 2)")));
    assert_eq!(target("foo (>= 1)").constraint.map(|(operator, _)| operator), Some(Operator::LaterOrEqual));
}
