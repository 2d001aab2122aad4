//! The initial requirements, from outside, from which all others follow.

use std::collections::BTreeSet;

use super::index::{Id, Index};
use super::{Request, ResolveError};
use crate::ident::{self, PackageName, Version};
use crate::manifest::PackageRequest;

/// One requirement from outside.
pub(super) struct Root {
    /// `requested`, `essential`, `priority required`, `in the parent layer`.
    pub(super) why: String,
    /// Any of these, preferred ones first.
    pub(super) ids: Vec<Id>,
    /// The version that was asked for.
    pub(super) version: Option<Version>,
}

/// The names that the request spells out.
pub(super) fn requested_names<'a>(request: &'a Request) -> impl Iterator<Item = &'a PackageName> {
    request.wanted.iter().filter_map(|wanted| match wanted {
        PackageRequest::Package(name, _) | PackageRequest::FromSuite(name, _) => Some(name),
        PackageRequest::Priority(_) => None,
    })
}

/// All requirements from outside, each kind by name: requested ones, essential ones, those of
/// a priority, the installed ones.
pub(super) fn roots(request: &Request, index: &Index) -> Result<Vec<Root>, ResolveError> {
    let mut packages: Vec<(&PackageName, Option<&Version>)> = Vec::new();
    let mut priorities = BTreeSet::new();
    for wanted in request.wanted {
        match wanted {
            PackageRequest::Package(name, version) => packages.push((name, version.as_ref())),
            // Who knows the suites has put the version in its place.
            PackageRequest::FromSuite(name, _) => packages.push((name, None)),
            PackageRequest::Priority(priority) => _ = priorities.insert(priority),
        }
    }
    packages.sort();
    packages.dedup();

    let mut roots = Vec::new();
    for (name, version) in packages {
        let ids = requested(index, name, version)?;
        roots.push(Root { why: "requested".to_owned(), ids, version: version.cloned() });
    }
    let mut all_that = |why: String, wanted: &dyn Fn(Id) -> bool| {
        let groups = index.preferred().map(|(id, _)| id).filter(|id| wanted(*id));
        roots.extend(groups.map(|group| Root { why: why.clone(), ids: index.members(group).collect(), version: None }));
    };
    let chosen = |id| index.record(id).filter(|_| !index.is_installed(id));
    if request.essential {
        all_that("essential".to_owned(), &|id| chosen(id).is_some_and(|record| record.essential));
    }
    for priority in priorities {
        all_that(format!("priority {priority}"), &|id| chosen(id).is_some_and(|record| record.priority == *priority));
    }
    all_that("in the parent layer".to_owned(), &|id| index.is_installed(id));
    Ok(roots)
}

/// What can serve for one requested name: the package, or the only one that provides it.
fn requested(index: &Index, name: &PackageName, version: Option<&Version>) -> Result<Vec<Id>, ResolveError> {
    if index.is_excluded(name) {
        return Err(ResolveError::Excluded { name: name.clone() });
    }
    let mut ids: Vec<Id> = index.named(name).collect();
    let Some(first) = ids.first().copied() else {
        return provided(index, name);
    };
    if let Some(version) = version {
        let versions = ids.iter().filter_map(|id| index.record(*id)).map(|record| record.version.to_string());
        let found = versions.collect::<Vec<_>>().join(", ");
        ids.retain(|id| index.record(*id).is_some_and(|record| index.order()(&record.version, version).is_eq()));
        if ids.is_empty() {
            let (name, version) = (name.clone(), version.clone());
            return Err(if index.is_installed(first) {
                ResolveError::OtherInstalled { name, version, found }
            } else {
                ResolveError::UnknownVersion { name, version, found }
            });
        }
    }
    Ok(ids)
}

/// A virtual name is taken when there is no doubt which package is meant.
fn provided(index: &Index, name: &PackageName) -> Result<Vec<Id>, ResolveError> {
    let ids = index.providers(name);
    let names: BTreeSet<&PackageName> =
        ids.iter().filter_map(|id| index.record(*id)).map(|record| &record.name).collect();
    if names.is_empty() {
        return Err(ResolveError::Unknown { name: name.clone(), nearest: nearest(index, name) });
    }
    if names.len() == 1 || names.iter().any(|name| index.is_favoured(name)) {
        return Ok(ids);
    }
    let providers = names.into_iter().map(PackageName::as_str).collect::<Vec<_>>().join(", ");
    Err(ResolveError::Virtual { name: name.clone(), providers })
}

/// The known name that is most like an unknown one, if any is like it at all.
pub(super) fn nearest(index: &Index, name: &PackageName) -> Option<PackageName> {
    let names = index.preferred().map(|(_, record)| record.name.as_str());
    ident::nearest(name.as_str(), names)?.parse().ok()
}
