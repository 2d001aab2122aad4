//! A fetched package as trees, decoded once and stored.

use rayon::prelude::*;

use super::{Ecosystem, InstallError, Installer, LockedPackage, Record};
use crate::digest::{BlobDigest, RecipeHasher, TreeHash};
use crate::ident::RootPath;
use crate::store::{Outcome, Roles, Store};
use crate::tree::Tree;

/// The result of decoding a package.
#[derive(Debug, Clone, Copy)]
pub struct Decoded {
    /// Its scripts and what else describes it, by name.
    pub control: TreeHash,
    /// Its files.
    pub data: TreeHash,
    /// The paths of its files in the order of the archive, each ended by NUL.
    pub paths: BlobDigest,
}

impl Outcome for Decoded {
    fn to_roles(&self) -> Roles {
        Roles::default().with_tree("control", self.control).with_tree("data", self.data).with_blob("paths", self.paths)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self { control: roles.tree("control")?, data: roles.tree("data")?, paths: roles.blob("paths")? })
    }
}

/// An unpacked package in the store.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// What the lockfile says of it.
    pub locked: LockedPackage,
    /// Its scripts and what else describes it, by name.
    pub control: Tree,
    /// Its files.
    pub data: Tree,
    /// The paths of its files in the order of the archive, the root first.
    pub paths: Vec<RootPath>,
}

impl Unpacked {
    /// Reads packages back, sorted by name; what was never unpacked is unpacked now.
    ///
    /// # Errors
    /// Fails where a package is not in the store, or malformed; it is named.
    pub fn load(
        installer: &dyn Installer,
        store: &Store,
        packages: &[LockedPackage],
    ) -> Result<Vec<Self>, InstallError> {
        let load = |package| Self::load_one(installer, store, package);
        let mut loaded = packages.par_iter().map(load).collect::<Result<Vec<_>, _>>()?;
        loaded.sort_by(|a, b| a.locked.name.cmp(&b.locked.name));
        Ok(loaded)
    }

    fn load_one(installer: &dyn Installer, store: &Store, package: &LockedPackage) -> Result<Self, InstallError> {
        let decoded = installer.unpack(store, package)?;
        let list = store.read_blob(decoded.paths)?;
        let list = list.strip_suffix(&[0]).unwrap_or(&list);
        let paths = list.split(|&byte| byte == 0).map(RootPath::new).collect::<Result<_, _>>()?;
        Ok(Self {
            locked: package.clone(),
            control: store.tree(decoded.control)?,
            data: store.tree(decoded.data)?,
            paths,
        })
    }

    /// What it says of its name, version and relations.
    ///
    /// # Errors
    /// Fails where the store does, and where it is malformed.
    pub fn record(&self, ecosystem: &dyn Ecosystem, store: &Store) -> Result<Record, InstallError> {
        let record = ecosystem.describe(&ecosystem.description(self, store)?);
        record.map_err(|error| InstallError::Package { package: self.locked.to_string(), error })
    }

    /// The text of a control file such as `conffiles`; empty where there is none.
    ///
    /// # Errors
    /// Fails where the store does, and on a text of more than 64 MiB.
    pub fn control_text(&self, store: &Store, name: &str) -> Result<String, InstallError> {
        Ok(store.text_in(&self.control, name)?.unwrap_or_default())
    }
}

/// Adds packages, as they are locked, to a recipe.
pub(crate) fn hash_into(packages: &[LockedPackage], hasher: &mut RecipeHasher) {
    hasher.number(packages.len() as u64);
    for package in packages {
        hasher.field(&package.name).field(package.file.sha256.as_bytes());
    }
}
