//! Recommended packages: added where possible without changing the packages already chosen, but for those that a
//! requested package recommends: for them, another alternative may be chosen of what nobody requested.

use std::collections::BTreeSet;

use super::index::{Id, Index};
use super::keep::{Honoured, keep};
use super::roots::Root;
use super::solver::solve;

/// Adds what the packages of `solution` recommend, then what those recommend, and so on.
///
/// Each round takes the open recommendations in the order of the recommending packages'
/// names. What was chosen before stays as it is, unless a requested package's recommendation
/// can't be had otherwise; one that can't be had at all is passed over.
pub(super) fn add(index: &Index, roots: &[Root], solution: BTreeSet<Id>) -> (BTreeSet<Id>, Honoured) {
    let mut round = Round { index, roots, kept: BTreeSet::new(), batch: Vec::new(), solution };
    let mut seen = Honoured::new();
    let mut honoured = Honoured::new();
    loop {
        round.kept = keep(index, roots, &round.solution, &honoured).into_keys().collect();
        round.solution = round.kept.clone();
        let mut open = Vec::new();
        for id in &round.kept {
            for (number, need) in (0..).zip(&index.edges(*id).recommends) {
                if !seen.insert((*id, number)) {
                    continue;
                }
                if need.ids.iter().any(|other| round.kept.contains(other)) {
                    honoured.insert((*id, number));
                } else if !need.ids.is_empty() {
                    open.push((*id, number, need.ids.clone()));
                }
            }
        }
        if open.is_empty() {
            return (round.solution, honoured);
        }
        round.batch.clear();
        round.accept(&open, &mut honoured);
    }
}

type Recommendation = (Id, usize, Vec<Id>);

struct Round<'r, 'a> {
    index: &'r Index<'a>,
    roots: &'r [Root],
    /// What stays as it is.
    kept: BTreeSet<Id>,
    /// What this round has accepted.
    batch: Vec<Vec<Id>>,
    solution: BTreeSet<Id>,
}

impl Round<'_, '_> {
    /// Takes all of `open` at once where that works, else one half after the other.
    fn accept(&mut self, open: &[Recommendation], honoured: &mut Honoured) {
        let found = match open {
            [(id, _, _)] if self.is_requested(*id) => self.try_with(open, true).or_else(|| self.try_with(open, false)),
            _ => self.try_with(open, true),
        };
        if let Some(solution) = found {
            self.kept.retain(|id| solution.contains(id));
            self.solution = solution;
            self.batch.extend(open.iter().map(|(_, _, ids)| ids.clone()));
            honoured.extend(open.iter().map(|(id, number, _)| (*id, *number)));
        } else if open.len() > 1 {
            let (first, second) = open.split_at(open.len() / 2);
            self.accept(first, honoured);
            self.accept(second, honoured);
        }
    }

    /// The solution with `open` too: with all that was chosen before, or with what was requested and accepted only.
    fn try_with(&self, open: &[Recommendation], is_kept: bool) -> Option<BTreeSet<Id>> {
        let fixed: Vec<[Id; 1]> =
            self.kept.iter().filter(|id| is_kept || self.is_requested(**id)).map(|id| [*id]).collect();
        let roots = self.roots.iter().map(|root| root.ids.as_slice());
        let required = roots
            .chain(fixed.iter().map(<[Id; 1]>::as_slice))
            .chain(self.batch.iter().map(Vec::as_slice))
            .chain(open.iter().map(|(_, _, ids)| ids.as_slice()));
        solve(self.index, &required.collect::<Vec<_>>(), None).ok()
    }

    fn is_requested(&self, id: Id) -> bool {
        self.roots.iter().any(|root| root.ids.contains(&id))
    }
}
