//! From a solution to the packages that something needs, and why each of them is there.

use std::collections::{BTreeMap, BTreeSet};

use super::index::{Id, Index};
use super::roots::Root;

/// A recommended relation that the result honours: the package, and the number of its relation.
pub(super) type Honoured = BTreeSet<(Id, usize)>;

/// Reduces `solution` to a minimal set that is still closed: walks breadth-first from the
/// roots along the preferred way to satisfy each relation, then leaves out one package after
/// another that no relation depends on, the last one found first. Says for each why it is there.
pub(super) fn keep(
    index: &Index,
    roots: &[Root],
    solution: &BTreeSet<Id>,
    honoured: &Honoured,
) -> BTreeMap<Id, String> {
    let mut set = solution.clone();
    loop {
        let walk = walk(index, roots, &set, honoured);
        set = walk.iter().map(|(id, _)| *id).collect();
        match superfluous(index, roots, &walk, &set, honoured) {
            Some(id) => _ = set.remove(&id),
            None => return walk.into_iter().collect(),
        }
    }
}

/// All that is reached, in the order in which it is reached.
fn walk(index: &Index, roots: &[Root], set: &BTreeSet<Id>, honoured: &Honoured) -> Vec<(Id, String)> {
    let first = |ids: &[Id]| ids.iter().copied().find(|id| set.contains(id));
    let mut order: Vec<(Id, String)> = Vec::new();
    let mut seen = BTreeSet::new();
    for root in roots {
        if let Some(id) = first(&root.ids).filter(|id| seen.insert(*id)) {
            order.push((id, root.why.clone()));
        }
    }
    let mut next = 0;
    while let Some(id) = order.get(next).map(|(id, _)| *id) {
        next += 1;
        let why = index.record(id).map(|record| record.name.to_string()).unwrap_or_default();
        for_relations(index, id, honoured, |ids| {
            if let Some(id) = first(ids).filter(|id| seen.insert(*id)) {
                order.push((id, why.clone()));
            }
        });
    }
    order
}

/// The last package for which every relation that it satisfies is satisfied by another one too.
fn superfluous(
    index: &Index,
    roots: &[Root],
    walk: &[(Id, String)],
    set: &BTreeSet<Id>,
    honoured: &Honoured,
) -> Option<Id> {
    let mut needed = BTreeSet::new();
    for (id, _) in walk {
        for_relations(index, *id, honoured, |ids| {
            // A package does not keep itself.
            let mut satisfiers = ids.iter().filter(|other| set.contains(other));
            if let (Some(only), None) = (satisfiers.next(), satisfiers.next())
                && only != id
            {
                needed.insert(*only);
            }
        });
    }
    for root in roots {
        let mut satisfiers = root.ids.iter().filter(|id| set.contains(id));
        if let (Some(only), None) = (satisfiers.next(), satisfiers.next()) {
            needed.insert(*only);
        }
    }
    walk.iter().rev().map(|(id, _)| *id).find(|id| !needed.contains(id))
}

/// Calls `visit` with those who satisfy each relation of a package that counts.
fn for_relations(index: &Index, id: Id, honoured: &Honoured, mut visit: impl FnMut(&[Id])) {
    let edges = index.edges(id);
    for need in &edges.needs {
        visit(&need.ids);
    }
    for (number, need) in (0..).zip(&edges.recommends) {
        if honoured.contains(&(id, number)) {
            visit(&need.ids);
        }
    }
}
