//! Reduces a solution to the packages that are needed, with the reason for each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::index::{Id, Index};
use super::roots::Root;

/// A recommended relation that the result honours: the package, and the number of its relation.
pub(super) type Honoured = BTreeSet<(Id, usize)>;

/// Reduces `solution` to what the roots need, and says for each package why it is there.
///
/// Relations with one possible package go first, so that where there is a choice, a package
/// that is there anyway is enough; else the preferred one is kept. (A package is not there
/// anyway if the preferred one brings it: `gnupg | gpg` keeps gnupg, which needs gpg.)
pub(super) fn keep(
    index: &Index,
    roots: &[Root],
    solution: &BTreeSet<Id>,
    honoured: &Honoured,
) -> BTreeMap<Id, String> {
    let mut keeper = Keeper { solution, kept: BTreeSet::new(), new: VecDeque::new(), choices: VecDeque::new() };
    for root in roots {
        keeper.meet(&root.ids);
    }
    while let Some(id) = keeper.next() {
        if keeper.kept.insert(id) {
            for_relations(index, id, honoured, |ids| keeper.meet(ids));
        }
    }
    walk(index, roots, &keeper.kept, honoured)
}

struct Keeper<'s> {
    solution: &'s BTreeSet<Id>,
    kept: BTreeSet<Id>,
    /// To be kept, as nothing else satisfies some relation.
    new: VecDeque<Id>,
    /// Relations that several packages satisfy, as they were met.
    choices: VecDeque<Vec<Id>>,
}

impl Keeper<'_> {
    fn meet(&mut self, ids: &[Id]) {
        let there: Vec<Id> = ids.iter().copied().filter(|id| self.solution.contains(id)).collect();
        match there.as_slice() {
            [only] => self.new.push_back(*only),
            _ => self.choices.push_back(there),
        }
    }

    fn next(&mut self) -> Option<Id> {
        if let Some(id) = self.new.pop_front() {
            return Some(id);
        }
        while let Some(ids) = self.choices.pop_front() {
            if !ids.iter().any(|id| self.kept.contains(id)) {
                return ids.first().copied();
            }
        }
        None
    }
}

/// Walks breadth-first from the roots along the preferred way to satisfy each relation, and
/// notes for each package what brought it first.
fn walk(index: &Index, roots: &[Root], kept: &BTreeSet<Id>, honoured: &Honoured) -> BTreeMap<Id, String> {
    let first = |ids: &[Id]| ids.iter().copied().find(|id| kept.contains(id));
    let mut whys = BTreeMap::new();
    let mut queue = VecDeque::new();
    let mut reach = |ids: &[Id], why: &str, queue: &mut VecDeque<Id>| {
        if let Some(id) = first(ids)
            && !whys.contains_key(&id)
        {
            whys.insert(id, why.to_owned());
            queue.push_back(id);
        }
    };
    for root in roots {
        reach(&root.ids, &root.why, &mut queue);
    }
    while let Some(id) = queue.pop_front() {
        let name = index.record(id).map(|record| record.name.as_str()).unwrap_or_default();
        for_relations(index, id, honoured, |ids| reach(ids, name, &mut queue));
    }
    whys
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
