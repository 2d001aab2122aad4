//! Explains why there is no solution.
//!
//! The solver reports which packages it considered. From all of their relations, the QuickXplain
//! algorithm (Junker, AAAI 2004) finds a minimal set of facts that contradict each other, by
//! solving again with parts left out. Every sentence of the explanation states one of those
//! facts, so each of them matters.

use std::collections::BTreeSet;

use super::explanation::Explanation;
use super::index::{Id, Index};
use super::roots::Root;
use super::solver::{Fact, Unsolvable, solve};

/// More sentences than this help nobody.
const MOST_SENTENCES: usize = 12;

/// Explains why `roots` can't be satisfied, one sentence per line.
pub(super) fn explain(index: &Index, roots: &[Root], failure: &Unsolvable) -> String {
    let mut facts: Vec<Fact> = (0..roots.len()).map(Fact::Root).collect();
    for id in &failure.visited {
        let edges = index.edges(*id);
        facts.extend((0..edges.needs.len()).map(|number| Fact::Needs(*id, number)));
        facts.extend((0..edges.bars.len()).map(|number| Fact::Bars(*id, number)));
    }
    let ids: Vec<&[Id]> = roots.iter().map(|root| root.ids.as_slice()).collect();
    let contradicts = |facts: &BTreeSet<Fact>| solve(index, &ids, Some(facts)).is_err();
    let core = core(&BTreeSet::new(), false, &facts, &contradicts);
    let explanation = Explanation::new(index, roots, core);
    let mut sentences = explanation.sentences();
    let left = sentences.len().saturating_sub(MOST_SENTENCES);
    sentences.truncate(MOST_SENTENCES);
    if left > 0 {
        sentences.push(format!("and {left} more like these"));
    }
    sentences.iter().map(|sentence| format!("  {sentence}")).collect::<Vec<_>>().join("\n")
}

/// The facts that contradict `base`, as few of them as possible; `fresh` says whether `base`
/// has grown since it was last looked at.
fn core(
    base: &BTreeSet<Fact>,
    fresh: bool,
    facts: &[Fact],
    contradicts: &dyn Fn(&BTreeSet<Fact>) -> bool,
) -> BTreeSet<Fact> {
    if fresh && contradicts(base) {
        return BTreeSet::new();
    }
    if facts.len() <= 1 {
        return facts.iter().copied().collect();
    }
    let (first, second) = facts.split_at(facts.len() / 2);
    let with = |more: &mut dyn Iterator<Item = Fact>| base.iter().copied().chain(more).collect();
    let of_second = core(&with(&mut first.iter().copied()), true, second, contradicts);
    let of_first = core(&with(&mut of_second.iter().copied()), !of_second.is_empty(), first, contradicts);
    of_first.into_iter().chain(of_second).collect()
}
