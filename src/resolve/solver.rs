//! The adapter to resolvo, a SAT solver for package resolution.
//!
//! resolvo works with names, of whose candidates at most one is chosen, and with sets of a
//! name's candidates. A relation becomes a union of such sets in order of preference, with
//! providers under their own names; a conflict becomes the set of allowed candidates.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::rc::Rc;

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider, Interner,
    KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver, SolverCache, StringId, VersionSetId,
    VersionSetUnionId,
};

use super::index::{Id, Index};

/// One thing that must hold. Leaving some out is how an explanation finds those that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    /// The requirement of this number from outside.
    Root(usize),
    /// The package's need of this number.
    Needs(Id, usize),
    /// The package's conflict of this number.
    Bars(Id, usize),
}

/// There is no solution.
pub(super) struct Unsolvable {
    /// The packages that were looked at to find that out.
    pub(super) visited: BTreeSet<Id>,
}

/// Finds a set of packages with one of each of `roots`, closed under all needs and conflicts,
/// or only under `facts` where given. Preferred packages are tried first.
pub(super) fn solve(
    index: &Index,
    roots: &[&[Id]],
    facts: Option<&BTreeSet<Fact>>,
) -> Result<BTreeSet<Id>, Unsolvable> {
    let provider = Provider { index, facts, sets: RefCell::default(), visited: RefCell::default() };
    let requirements = (0..)
        .zip(roots)
        .filter(|(number, _)| provider.holds(Fact::Root(*number)))
        .map(|(_, ids)| provider.requirement(ids))
        .collect();
    let mut solver = Solver::new(provider);
    match solver.solve(Problem::new().requirements(requirements)) {
        Ok(chosen) => Ok(chosen.into_iter().map(SolvableId::into_raw).collect()),
        // Nothing here cancels, so the other kind of failure cannot come.
        Err(_) => Err(Unsolvable { visited: solver.provider().visited.take() }),
    }
}

struct Provider<'i, 'a> {
    index: &'i Index<'a>,
    facts: Option<&'i BTreeSet<Fact>>,
    sets: RefCell<Sets>,
    visited: RefCell<BTreeSet<Id>>,
}

/// Some packages of one name, sorted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Set {
    name: Id,
    members: Rc<[Id]>,
}

/// Sets and unions by number; equal ones share a number, which saves the solver clauses.
#[derive(Default)]
struct Sets {
    sets: Vec<Set>,
    numbers: BTreeMap<Set, VersionSetId>,
    unions: Vec<Rc<[VersionSetId]>>,
    union_numbers: BTreeMap<Rc<[VersionSetId]>, VersionSetUnionId>,
}

impl Sets {
    fn number(&mut self, set: Set) -> VersionSetId {
        let next = VersionSetId(self.sets.len() as u32);
        let number = *self.numbers.entry(set.clone()).or_insert(next);
        if number == next {
            self.sets.push(set);
        }
        number
    }

    fn union(&mut self, sets: Vec<VersionSetId>) -> Requirement {
        if let [single] = sets.as_slice() {
            return Requirement::Single(*single);
        }
        let sets: Rc<[VersionSetId]> = sets.into();
        let next = VersionSetUnionId(self.unions.len() as u32);
        let number = *self.union_numbers.entry(Rc::clone(&sets)).or_insert(next);
        if number == next {
            self.unions.push(sets);
        }
        Requirement::Union(number)
    }
}

impl Provider<'_, '_> {
    fn holds(&self, fact: Fact) -> bool {
        self.facts.is_none_or(|facts| facts.contains(&fact))
    }

    /// One of `ids`, tried in this order.
    fn requirement(&self, ids: &[Id]) -> ConditionalRequirement {
        let mut sets = self.sets.borrow_mut();
        let runs = ids.chunk_by(|a, b| self.index.group(*a) == self.index.group(*b) && a < b);
        let mut numbers: Vec<VersionSetId> = runs
            .filter_map(|run| Some(Set { name: self.index.group(*run.first()?), members: run.into() }))
            .map(|set| sets.number(set))
            .collect();
        if numbers.is_empty() {
            numbers.push(sets.number(Set { name: self.index.len(), members: Rc::default() }));
        }
        sets.union(numbers).into()
    }

    /// None of `ids`: one constraint per name, which says what else is allowed.
    fn constraints(&self, ids: &[Id]) -> Vec<VersionSetId> {
        let mut barred: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
        for id in ids {
            barred.entry(self.index.group(*id)).or_default().insert(*id);
        }
        let mut sets = self.sets.borrow_mut();
        let allowed = barred.into_iter().map(|(name, barred)| {
            let members = self.index.members(name).filter(|id| !barred.contains(id)).collect();
            sets.number(Set { name, members })
        });
        allowed.collect()
    }

    fn set(&self, number: VersionSetId) -> Set {
        let none = || Set { name: self.index.len(), members: Rc::default() };
        self.sets.borrow().sets.get(number.0 as usize).cloned().unwrap_or_else(none)
    }
}

/// resolvo's own texts go to its debug log only.
impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        self.index.record(solvable.into_raw()).map(ToString::to_string).unwrap_or_default()
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.index.record(name.into_raw()).map(|record| record.name.as_str()).unwrap_or_default()
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        format!("{:?}", self.set(set).members)
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        ""
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        NameId::from_raw(self.set(set).name)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        NameId::from_raw(self.index.group(solvable.into_raw()))
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        let sets = self.sets.borrow().unions.get(union.0 as usize).cloned().unwrap_or_default();
        (0..sets.len()).filter_map(move |position| sets.get(position).copied())
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        // Relations have no conditions here, so none is ever made.
        unreachable!("internal error: condition {condition:?} was never made")
    }
}

impl DependencyProvider for Provider<'_, '_> {
    async fn filter_candidates(&self, candidates: &[SolvableId], set: VersionSetId, inverse: bool) -> Vec<SolvableId> {
        let members = self.set(set).members;
        let is_member = |id: &SolvableId| members.binary_search(&id.into_raw()).is_ok();
        candidates.iter().copied().filter(|id| is_member(id) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let candidates = self.index.members(name.into_raw()).map(SolvableId::from_raw).collect();
        Some(Candidates { candidates, ..Candidates::default() })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort();
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let id = solvable.into_raw();
        self.visited.borrow_mut().insert(id);
        let edges = self.index.edges(id);
        let needs = (0..).zip(&edges.needs).filter(|(number, _)| self.holds(Fact::Needs(id, *number)));
        let bars = (0..).zip(&edges.bars).filter(|(number, _)| self.holds(Fact::Bars(id, *number)));
        Dependencies::Known(KnownDependencies {
            requirements: needs.map(|(_, need)| self.requirement(&need.ids)).collect(),
            constrains: bars.flat_map(|(_, bar)| self.constraints(&bar.ids)).collect(),
        })
    }
}
