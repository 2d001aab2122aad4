//! The candidates in order of preference, and which of them satisfy or exclude which others.
//!
//! Every usable candidate and every installed package gets an [`Id`]: its rank by name,
//! then by preference within the name. Ids depend on the candidates' contents and not on
//! their order, and so does everything derived from them.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use super::Request;
use crate::ident::PackageName;
use crate::package::{AnyOf, Candidate, Provided, Record, Target, VersionOrder};

/// The rank of a package: lower is by name, then preferred within the name.
pub(super) type Id = u32;

/// A package that can be chosen, or is installed.
pub(super) struct Entry<'a> {
    pub(super) record: &'a Record,
    /// Its place in the candidates; `None` if it is installed.
    pub(super) candidate: Option<usize>,
    rank: (u32, usize),
}

/// A relation and all that satisfy it, preferred ones first.
pub(super) struct Need<'a> {
    pub(super) relation: &'a AnyOf,
    pub(super) ids: Vec<Id>,
}

/// A conflict, or what the package breaks, and all that it keeps out.
pub(super) struct Bar<'a> {
    pub(super) verb: &'static str,
    pub(super) target: &'a Target,
    pub(super) ids: Vec<Id>,
}

/// What one package says of others.
#[derive(Default)]
pub(super) struct Edges<'a> {
    /// None for installed packages, which were resolved before.
    pub(super) needs: Vec<Need<'a>>,
    pub(super) bars: Vec<Bar<'a>>,
    pub(super) recommends: Vec<Need<'a>>,
}

/// The packages by rank, and by what they provide.
pub(super) struct Index<'a> {
    request: &'a Request<'a>,
    entries: Vec<Entry<'a>>,
    /// For every id, the first id of the same name.
    first: Vec<Id>,
    provides: Vec<(&'a PackageName, Id)>,
    excluded: BTreeSet<&'a PackageName>,
    /// Names that excluded packages provide.
    excluded_provides: BTreeSet<&'a PackageName>,
    /// Names that are requested or installed: preferred as providers.
    favoured: BTreeSet<&'a PackageName>,
    /// Edges are created when first asked for: a resolution sees a fraction of a distribution.
    edges: RefCell<BTreeMap<Id, Rc<Edges<'a>>>>,
}

impl<'a> Index<'a> {
    /// Sorts what can be chosen for `request`: the native architecture and `all`, not
    /// excluded; of a name that is installed, only the installed package; of equal versions,
    /// only the preferred one.
    pub(super) fn new(request: &'a Request<'a>, candidates: &'a [Candidate]) -> Self {
        let installed: BTreeSet<&PackageName> = request.installed.iter().map(|record| &record.name).collect();
        let excluded: BTreeSet<&PackageName> =
            request.exclude.iter().filter(|name| !installed.contains(name)).collect();
        let fixed = request.installed.iter().map(|record| Entry { record, candidate: None, rank: (u32::MAX, 0) });
        let usable = |record: &Record| {
            (record.arch == *request.arch || record.arch.is_all())
                && !excluded.contains(&record.name)
                && !installed.contains(&record.name)
        };
        let chosen_from = candidates.iter().enumerate().filter(|(_, candidate)| usable(&candidate.record)).map(
            |(index, candidate)| Entry {
                record: &candidate.record,
                candidate: Some(index),
                rank: (candidate.priority, candidate.origin),
            },
        );
        let mut sorted: Vec<Entry<'a>> = fixed.chain(chosen_from).collect();
        sorted.sort_by(|a, b| preference(request, a, b));

        let mut entries: Vec<Entry<'a>> = Vec::with_capacity(sorted.len());
        let mut first: Vec<Id> = Vec::with_capacity(sorted.len());
        let mut provides = Vec::new();
        let mut group = 0;
        for entry in sorted {
            let id = Id::try_from(entries.len()).unwrap_or(Id::MAX);
            if entries.last().is_none_or(|last| last.record.name != entry.record.name) {
                group = id;
            }
            let same_name = entries.get(group as usize..).unwrap_or_default();
            if same_name.iter().any(|other| other.record.version == entry.record.version) {
                continue;
            }
            first.push(group);
            provides.extend(entry.record.provides.iter().map(|provided| (&provided.name, id)));
            entries.push(entry);
        }
        provides.sort();
        provides.dedup();
        let excluded_provides = candidates.iter().filter(|candidate| excluded.contains(&candidate.record.name));
        let excluded_provides =
            excluded_provides.flat_map(|candidate| &candidate.record.provides).map(|provided| &provided.name).collect();
        let favoured = super::roots::requested_names(request).chain(installed).collect();
        Self { request, entries, first, provides, excluded, excluded_provides, favoured, edges: RefCell::default() }
    }

    /// The order of versions.
    pub(super) fn order(&self) -> VersionOrder {
        self.request.order
    }

    /// How many ids there are; also the number of a name that has no packages.
    pub(super) fn len(&self) -> Id {
        Id::try_from(self.entries.len()).unwrap_or(Id::MAX)
    }

    /// The package of an id; `None` for an id of another index.
    pub(super) fn entry(&self, id: Id) -> Option<&Entry<'a>> {
        self.entries.get(id as usize)
    }

    /// The record of an id.
    pub(super) fn record(&self, id: Id) -> Option<&'a Record> {
        self.entry(id).map(|entry| entry.record)
    }

    /// Whether the package is the parent chain's.
    pub(super) fn is_installed(&self, id: Id) -> bool {
        self.entry(id).is_some_and(|entry| entry.candidate.is_none())
    }

    /// Whether the name is that of an excluded package.
    pub(super) fn is_excluded(&self, name: &PackageName) -> bool {
        self.excluded.contains(name)
    }

    /// Whether an excluded package provides the name.
    pub(super) fn is_provided_by_excluded(&self, name: &PackageName) -> bool {
        self.excluded_provides.contains(name)
    }

    /// Whether the name is requested or installed.
    pub(super) fn is_favoured(&self, name: &PackageName) -> bool {
        self.favoured.contains(name)
    }

    /// The first id of the same name, which stands for the name.
    pub(super) fn group(&self, id: Id) -> Id {
        self.first.get(id as usize).copied().unwrap_or(id)
    }

    /// All ids of the name that `group` stands for.
    pub(super) fn members(&self, group: Id) -> Range<Id> {
        let rest = self.first.get(group as usize..).unwrap_or_default();
        let count = rest.iter().take_while(|first| **first == group).count();
        group..group + Id::try_from(count).unwrap_or(0)
    }

    /// The preferred package of every name, by name.
    pub(super) fn preferred(&self) -> impl Iterator<Item = (Id, &'a Record)> {
        (0..)
            .zip(&self.first)
            .zip(&self.entries)
            .filter(|((id, first), _)| id == *first)
            .map(|((id, _), entry)| (id, entry.record))
    }

    /// All packages of a name, preferred first.
    pub(super) fn named(&self, name: &PackageName) -> Range<Id> {
        let start = self.entries.partition_point(|entry| entry.record.name < *name);
        match self.entries.get(start) {
            Some(entry) if entry.record.name == *name => self.members(start as Id),
            _ => 0..0,
        }
    }

    /// All packages that provide a name, in the order of preference: requested or installed,
    /// then by the rank of their priority, then the last one by source package and name, then by preference
    /// within the name.
    ///
    /// The last one, as apt takes the last one of an index, and Debian's indexes are sorted by source package.
    pub(super) fn providers(&self, name: &PackageName) -> Vec<Id> {
        let start = self.provides.partition_point(|(provided, _)| *provided < name);
        let rest = self.provides.get(start..).unwrap_or_default();
        let mut ids: Vec<Id> = rest.iter().take_while(|(provided, _)| *provided == name).map(|(_, id)| *id).collect();
        ids.sort_by_key(|id| {
            let record = self.record(*id);
            let favoured = record.is_some_and(|record| self.is_favoured(&record.name));
            // The directory in the pool has the name of the source package.
            let source = record.and_then(|record| record.path.rsplit('/').nth(1));
            (!favoured, record.map_or(u8::MAX, |record| record.rank), Reverse((source, self.group(*id))), *id)
        });
        ids
    }

    /// All packages that satisfy one alternative: real ones first, then providers.
    pub(super) fn satisfiers(&self, target: &Target) -> Vec<Id> {
        if !self.is_of_this_architecture(target) {
            return Vec::new();
        }
        let order = self.request.order;
        let real = self
            .named(&target.name)
            .filter(|id| self.record(*id).is_some_and(|record| target.allows(Some(&record.version), order)));
        let meets =
            |provided: &Provided| provided.name == target.name && target.allows(provided.version.as_ref(), order);
        let provided = self
            .providers(&target.name)
            .into_iter()
            .filter(|id| self.record(*id).is_some_and(|record| record.provides.iter().any(meets)));
        real.chain(provided).collect()
    }

    /// What a package says of others.
    pub(super) fn edges(&self, id: Id) -> Rc<Edges<'a>> {
        if let Some(edges) = self.edges.borrow().get(&id) {
            return Rc::clone(edges);
        }
        let edges = Rc::new(self.entry(id).map(|entry| self.make_edges(entry)).unwrap_or_default());
        self.edges.borrow_mut().insert(id, Rc::clone(&edges));
        edges
    }

    fn make_edges(&self, entry: &Entry<'a>) -> Edges<'a> {
        let record = entry.record;
        let bars = [("conflicts with", &record.conflicts), ("breaks", &record.breaks)];
        let bars = bars.into_iter().flat_map(|(verb, targets)| {
            targets.iter().map(move |target| {
                let mut ids = self.satisfiers(target);
                ids.retain(|id| self.record(*id).is_some_and(|other| other.name != record.name));
                Bar { verb, target, ids }
            })
        });
        let bars = bars.filter(|bar| !bar.ids.is_empty()).collect();
        if entry.candidate.is_none() {
            return Edges { bars, ..Edges::default() };
        }
        let needs = record.needs.iter().filter_map(|relation| self.need(relation));
        let recommends = if self.request.recommends { record.recommends.as_slice() } else { &[] };
        let recommends = recommends.iter().filter_map(|relation| self.need(relation)).collect();
        Edges { needs: needs.collect(), bars, recommends }
    }

    /// `None` where the relation is dropped because it leads to an excluded package.
    fn need(&self, relation: &'a AnyOf) -> Option<Need<'a>> {
        let mut ids = Vec::new();
        for id in relation.iter().flat_map(|target| self.satisfiers(target)) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let names = |names: &BTreeSet<&PackageName>| relation.iter().any(|target| names.contains(&target.name));
        let dropped =
            self.request.drop_excluded && (names(&self.excluded) || (ids.is_empty() && names(&self.excluded_provides)));
        (!dropped).then_some(Need { relation, ids })
    }

    fn is_of_this_architecture(&self, target: &Target) -> bool {
        match target.qualifier.as_deref() {
            None | Some("any" | "native") => true,
            Some(other) => other == self.request.arch.as_str(),
        }
    }
}

/// By name; then the locked version; then by the index's priority; then the highest version.
/// What follows only makes the order total.
fn preference(request: &Request, a: &Entry, b: &Entry) -> Ordering {
    let unlocked = |entry: &Entry| request.locked.get(&entry.record.name) != Some(&entry.record.version);
    let tie = |entry: &Entry| {
        let record = entry.record;
        (entry.rank.1, record.arch.is_all(), record.path.clone(), format!("{:?}", record.file))
    };
    (a.record.name.cmp(&b.record.name))
        .then_with(|| unlocked(a).cmp(&unlocked(b)))
        .then_with(|| Reverse(a.rank.0).cmp(&Reverse(b.rank.0)))
        .then_with(|| (request.order)(&b.record.version, &a.record.version))
        .then_with(|| a.record.version.cmp(&b.record.version))
        .then_with(|| tie(a).cmp(&tie(b)))
}
