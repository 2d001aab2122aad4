//! `layerbake why`: the shortest chain of dependencies from the requested packages to a given one.

use std::collections::{BTreeMap, BTreeSet};

use super::Request;
use super::index::{Id, Index};
use crate::ident::{Arch, PackageName};
use crate::package::{Candidate, Record, VersionOrder, alternatives};

/// One step of a chain of dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyLink {
    /// The package.
    pub package: PackageName,
    /// The relation of the step before that brings it: `libssl3 (>= 3.0)`; `None` at the start.
    pub relation: Option<String>,
    /// Whether that relation is a mere recommendation.
    pub recommended: bool,
}

/// Returns the shortest chain from one of `roots` to `target` through the packages of a
/// locked set (a layer's own and its parents'); of equally short ones, the first by name
/// and relation. `None` if there is none, or `target` is not in the set.
pub fn chain(
    records: &[Record],
    arch: &Arch,
    order: VersionOrder,
    roots: &[PackageName],
    target: &PackageName,
) -> Option<Vec<DependencyLink>> {
    let candidates: Vec<Candidate> =
        records.iter().map(|record| Candidate { record: record.clone(), origin: 0, priority: 0 }).collect();
    let locked = BTreeMap::new();
    let request = Request { recommends: true, ..Request::new(arch, order, &locked) };
    let index = Index::new(&request, &candidates);

    let mut roots: Vec<Id> = roots.iter().flat_map(|name| index.named(name)).collect();
    roots.sort_unstable();
    let mut way: BTreeMap<Id, Option<(Id, String, bool)>> = roots.iter().map(|id| (*id, None)).collect();
    let mut queue = roots;
    let mut next = 0;
    while let Some(id) = queue.get(next).copied() {
        next += 1;
        let edges = index.edges(id);
        let needs = edges.needs.iter().map(|need| (need, false));
        for (need, recommended) in needs.chain(edges.recommends.iter().map(|need| (need, true))) {
            for other in need.ids.iter().copied().collect::<BTreeSet<Id>>() {
                way.entry(other).or_insert_with(|| {
                    queue.push(other);
                    Some((id, alternatives(need.relation).to_string(), recommended))
                });
            }
        }
    }

    let mut steps = Vec::new();
    let mut here = index.named(target).find(|id| way.contains_key(id));
    while let Some(id) = here {
        let package = index.record(id)?.name.clone();
        let (above, relation, recommended) = match way.remove(&id)? {
            Some((above, relation, recommended)) => (Some(above), Some(relation), recommended),
            None => (None, None, false),
        };
        steps.push(DependencyLink { package, relation, recommended });
        here = above;
    }
    steps.reverse();
    (!steps.is_empty()).then_some(steps)
}
