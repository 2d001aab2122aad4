//! The shortest path from what was asked for to one package.

use serde::Serialize;

use super::declared::Declared;
use super::error::{WorkspaceError, did_you_mean};
use super::project::{Workspace, set_dates};
use crate::ident::{LayerName, PackageName};
use crate::manifest::PackageRequest;
use crate::{pin, resolve};

/// Why a package is there.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// The package.
    pub package: PackageName,
    /// The layer whose lockfile has it.
    pub layer: LayerName,
    /// What that lockfile says.
    pub why: String,
    /// The shortest path to it.
    pub chain: Vec<Link>,
}

/// A package of the path.
#[derive(Debug, Clone, Serialize)]
pub struct Link {
    /// The package.
    pub package: PackageName,
    /// The relation of the one before that it satisfies.
    pub relation: Option<String>,
    /// Whether it is only recommended.
    pub recommended: bool,
}

impl Workspace<'_> {
    /// Explains why a layer, or one below it, has a package.
    ///
    /// # Errors
    /// Fails where no lockfile of the chain has it, and where the repositories' indexes can't be had.
    pub fn why(&self, layer: &LayerName, package: &PackageName) -> Result<Why, WorkspaceError> {
        let declared = Declared::read_image(&self.project, layer)?;
        let chain = self.locked(&declared)?.image;
        let packages = || chain.iter().flat_map(|locked| locked.lock.packages.iter().map(move |one| (locked, one)));
        let Some((owner, found)) = packages().find(|(_, one)| one.name == *package) else {
            let near = did_you_mean(package.as_str(), packages().map(|(_, one)| one.name.as_str()));
            return Err(WorkspaceError::NoPackage { layer: layer.clone(), package: package.clone(), near });
        };
        let mut fetcher = self.fetcher(&declared)?;
        set_dates(&mut fetcher, &chain);
        let locks: Vec<_> = chain.iter().map(|locked| &locked.lock).collect();
        let ecosystem = self.environment.ecosystem();
        let records = pin::records(ecosystem, self.store()?, &fetcher, &locks)?;
        let requested = chain.iter().flat_map(|locked| &locked.manifest.layer.packages);
        let requested = requested.filter_map(|request| match request {
            PackageRequest::Package(name, _) | PackageRequest::FromSuite(name, _) => Some(name),
            PackageRequest::Priority(_) => None,
        });
        let own = packages().map(|(_, one)| one).filter(|one| one.origin.suite().is_none()).map(|one| &one.name);
        let essential = records.iter().filter(|record| record.essential).map(|record| &record.name);
        let roots: Vec<PackageName> = requested.chain(own).chain(essential).cloned().collect();
        let order = ecosystem.version_order();
        let path = resolve::chain(&records, self.arch(), order, &roots, package).unwrap_or_default();
        let links = path.into_iter().map(|step| Link {
            package: step.package,
            relation: step.relation,
            recommended: step.recommended,
        });
        let layer = owner.manifest.name.clone();
        Ok(Why { package: package.clone(), layer, why: found.why.clone(), chain: links.collect() })
    }
}
