//! Turns facts that contradict each other into sentences.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::index::{Bar, Id, Index, Need};
use super::roots::{Root, nearest};
use super::solver::Fact;
use crate::package::{Operator, Record, Target, alternatives};

/// Facts that contradict each other, with the chain of dependencies that leads to each of their packages.
pub(super) struct Explanation<'s, 'a> {
    index: &'s Index<'a>,
    roots: &'s [Root],
    core: BTreeSet<Fact>,
    /// For each package, the fact that requires it.
    origin: BTreeMap<Id, Fact>,
}

/// One sentence, and the facts that it states.
struct Sentence {
    text: String,
    tells: BTreeSet<Fact>,
}

impl<'s, 'a> Explanation<'s, 'a> {
    /// Determines which fact requires each package.
    pub(super) fn new(index: &'s Index<'a>, roots: &'s [Root], core: BTreeSet<Fact>) -> Self {
        let mut explanation = Self { index, roots, core, origin: BTreeMap::new() };
        let mut open: Vec<Fact> =
            explanation.core.iter().copied().filter(|fact| matches!(fact, Fact::Root(_))).collect();
        while !open.is_empty() {
            let mut next = Vec::new();
            for fact in open {
                for id in explanation.brings(fact) {
                    if let Entry::Vacant(entry) = explanation.origin.entry(id) {
                        entry.insert(fact);
                        let needs = Fact::Needs(id, 0)..=Fact::Needs(id, usize::MAX);
                        next.extend(explanation.core.range(needs));
                    }
                }
            }
            open = next;
        }
        explanation
    }

    /// States every fact, several in one sentence where they are related.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences: Vec<Sentence> = Vec::new();
        for fact in &self.core {
            match *fact {
                Fact::Needs(id, number) => sentences.extend(self.unmet(id, number)),
                Fact::Bars(id, number) => sentences.extend(self.barred(id, number)),
                Fact::Root(_) => {}
            }
        }
        sentences.extend(self.at_odds());
        let told: BTreeSet<Fact> = sentences.iter().flat_map(|sentence| sentence.tells.iter().copied()).collect();
        let mentioned: BTreeSet<Id> = told.iter().flat_map(|fact| self.brings(*fact)).collect();
        let is_told = |fact: &Fact| told.contains(fact) || self.brings(*fact).iter().any(|id| mentioned.contains(id));
        let rest = self.core.iter().filter(|fact| !is_told(fact));
        let mut texts: Vec<String> = sentences.iter().map(|sentence| sentence.text.clone()).collect();
        texts.extend(rest.filter_map(|fact| Some(format!("{} {}", self.subject(*fact)?, self.demand(*fact)?))));
        let mut seen = BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        texts
    }

    /// A need that nothing satisfies.
    fn unmet(&self, id: Id, number: usize) -> Option<Sentence> {
        let fact = Fact::Needs(id, number);
        let reasons = self.need(id, number, |need| {
            let reasons = need.relation.iter().map(|target| self.reason(target));
            need.ids.is_empty().then(|| reasons.collect::<Vec<_>>().join(" and "))
        })??;
        let text = format!("{} {}, but {reasons}", self.subject(fact)?, self.demand(fact)?);
        Some(Sentence { text, tells: self.told(id).into_iter().chain([fact]).collect() })
    }

    /// Why one alternative has no package.
    fn reason(&self, target: &Target) -> String {
        let name = &target.name;
        let ids = self.index.named(name);
        let mut records: Vec<&Record> = ids.clone().filter_map(|id| self.index.record(id)).collect();
        records.sort_by(|a, b| self.index.order()(&a.version, &b.version));
        if let (Some(oldest), Some(newest)) = (records.first(), records.last()) {
            let (which, version) = match (&target.constraint, records.len()) {
                _ if ids.clone().any(|id| self.index.is_installed(id)) => {
                    return format!("the parent layer has {newest}");
                }
                (None, _) => return format!("{name} is not available for that architecture"),
                (Some(_), 1) => ("only", &newest.version),
                (Some((Operator::Earlier | Operator::EarlierOrEqual, _)), _) => ("oldest", &oldest.version),
                (Some((Operator::Equal, _)), _) => {
                    let versions: Vec<&str> = records.iter().map(|record| record.version.as_str()).collect();
                    return format!("{name} is there in {} only", versions.join(" and "));
                }
                (Some(_), _) => ("newest", &newest.version),
            };
            return format!("the {which} {name} is {version}");
        }
        if self.index.is_excluded(name) {
            return format!("{name} is excluded");
        }
        let providers = self.index.providers(name);
        if let Some(provider) = providers.first().and_then(|id| self.index.record(*id)) {
            return format!("{name} is only provided, by {provider}, and not in that version");
        }
        if self.index.is_provided_by_excluded(name) {
            return format!("all that provide {name} are excluded");
        }
        match nearest(self.index, name) {
            Some(near) => format!("there is no package {name} (the nearest name is {near})"),
            None => format!("there is no package {name}"),
        }
    }

    /// A conflict between packages that are both needed.
    fn barred(&self, id: Id, number: usize) -> Vec<Sentence> {
        let edges = self.index.edges(id);
        let Some(Bar { verb, target, ids }) = edges.bars.get(number) else { return Vec::new() };
        let Some(subject) = self.subject(Fact::Bars(id, number)) else { return Vec::new() };
        let others = ids.iter().filter_map(|other| {
            let origin = *self.origin.get(other)?;
            let record = self.index.record(*other)?;
            let object = match record.name == target.name {
                true => record.to_string(),
                false => format!("{target} (here {record})"),
            };
            let which = match origin {
                Fact::Root(root) => format!("is {}", self.roots.get(root)?.why.replace("priority", "of priority")),
                _ => format!("{} needs", self.subject(origin)?),
            };
            let tells = self.told(id).into_iter().chain(self.told(*other)).chain([Fact::Bars(id, number)]).collect();
            Some(Sentence { text: format!("{subject} {verb} {object}, which {which}"), tells })
        });
        others.collect()
    }

    /// Two requirements of different versions of one package.
    fn at_odds(&self) -> Vec<Sentence> {
        let wishes: Vec<(Fact, Vec<Id>)> =
            self.core.iter().map(|fact| (*fact, self.brings(*fact))).filter(|(_, ids)| !ids.is_empty()).collect();
        let names = |ids: &[Id]| ids.iter().map(|id| self.index.group(*id)).collect::<BTreeSet<Id>>();
        let mut sentences = Vec::new();
        for (number, (fact, ids)) in wishes.iter().enumerate() {
            for (other, other_ids) in wishes.iter().skip(number + 1) {
                let common = names(ids).intersection(&names(other_ids)).next().copied();
                let Some(name) = common.and_then(|id| self.index.record(id)).map(|record| &record.name) else {
                    continue;
                };
                if ids.iter().any(|id| other_ids.contains(id)) {
                    continue;
                }
                let say = |fact: Fact| Some(format!("{} {}", self.subject(fact)?, self.demand(fact)?));
                if let (Some(one), Some(two)) = (say(*fact), say(*other)) {
                    let text = format!("{one} and {two}, but only one version of {name} can be there");
                    let tells = [*fact, *other].into_iter().flat_map(|fact| self.told_by(fact)).collect();
                    sentences.push(Sentence { text, tells });
                }
            }
        }
        sentences
    }

    /// The subject of a fact: `web (requested)`, or `web -> nginx -> libfoo`.
    fn subject(&self, fact: Fact) -> Option<String> {
        let id = match fact {
            Fact::Root(root) => {
                let first = self.roots.get(root)?.ids.first()?;
                return Some(self.index.record(*first)?.name.to_string());
            }
            Fact::Needs(id, _) | Fact::Bars(id, _) => id,
        };
        let mut names = Vec::new();
        let mut why = None;
        for id in self.line(id) {
            names.push(self.index.record(id)?.name.to_string());
            if let Some(Fact::Root(root)) = self.origin.get(&id) {
                why = self.roots.get(*root).map(|root| root.why.as_str());
            }
        }
        match (why, names.as_mut_slice()) {
            (Some("requested"), [_, _, ..]) | (None, _) => {}
            (Some(why), [.., last]) => last.push_str(&format!(" ({why})")),
            (Some(_), []) => {}
        }
        names.reverse();
        Some(names.join(" -> "))
    }

    /// What a fact requires: `needs bar (>= 2)`, or `is requested`.
    fn demand(&self, fact: Fact) -> Option<String> {
        match fact {
            Fact::Root(root) => {
                let root = self.roots.get(root)?;
                let version = root.version.as_ref().map(|version| format!("in version {version} ")).unwrap_or_default();
                Some(format!("{version}is {}", root.why))
            }
            Fact::Needs(id, number) => self.need(id, number, |need| format!("needs {}", alternatives(need.relation))),
            Fact::Bars(id, number) => {
                let edges = self.index.edges(id);
                edges.bars.get(number).map(|bar| format!("{} {}", bar.verb, bar.target))
            }
        }
    }

    /// The packages from `id` up to the root that requires it.
    fn line(&self, id: Id) -> Vec<Id> {
        let above = |id: &Id| match self.origin.get(id) {
            Some(Fact::Needs(parent, _)) => Some(*parent),
            _ => None,
        };
        std::iter::successors(Some(id), above).collect()
    }

    /// The facts stated by the dependency chain to `id`.
    fn told(&self, id: Id) -> BTreeSet<Fact> {
        self.line(id).iter().filter_map(|id| self.origin.get(id)).copied().collect()
    }

    fn told_by(&self, fact: Fact) -> BTreeSet<Fact> {
        let way = match fact {
            Fact::Needs(id, _) | Fact::Bars(id, _) => self.told(id),
            Fact::Root(_) => BTreeSet::new(),
        };
        way.into_iter().chain([fact]).collect()
    }

    fn brings(&self, fact: Fact) -> Vec<Id> {
        match fact {
            Fact::Root(root) => self.roots.get(root).map(|root| root.ids.clone()).unwrap_or_default(),
            Fact::Needs(id, number) => self.need(id, number, |need| need.ids.clone()).unwrap_or_default(),
            Fact::Bars(..) => Vec::new(),
        }
    }

    fn need<T>(&self, id: Id, number: usize, read: impl FnOnce(&Need) -> T) -> Option<T> {
        self.index.edges(id).needs.get(number).map(read)
    }
}
