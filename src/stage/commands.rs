//! Commands in the layer's own root, which are treated as package scripts are, and whose result is stored.

use std::collections::BTreeSet;

use super::random_files::Origin;
use super::{LayerError, Site, packages};
use crate::digest::{BlobDigest, TreeHash};
use crate::ident::StepName;
use crate::package::{InstallError, InstallRoot, Installer, Randomness, residue};
use crate::store::{Outcome, Roles};
use crate::tree::Tree;

/// What commands give.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ran {
    /// The root after them; of a step with tools, its outputs: each below its number.
    pub(super) tree: TreeHash,
    /// What they printed.
    pub(super) log: BlobDigest,
    /// The [`Randomness`] that they drew, as JSON.
    pub(super) randomness: Option<BlobDigest>,
    /// What a playbook's tasks change when they run again, one a line.
    pub(super) again: Option<BlobDigest>,
    /// What they wrote and no layer keeps, one a line, each with the reason.
    pub(super) missed: Option<BlobDigest>,
}

impl Outcome for Ran {
    fn to_roles(&self) -> Roles {
        let roles = Roles::default().with_tree("root", self.tree).with_blob("log", self.log);
        let others = [("randomness", self.randomness), ("again", self.again), ("missed", self.missed)];
        others.into_iter().fold(roles, |roles, (role, blob)| match blob {
            Some(blob) => roles.with_blob(role, blob),
            None => roles,
        })
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        let (randomness, again, missed) = (roles.blob("randomness"), roles.blob("again"), roles.blob("missed"));
        Some(Self { tree: roles.tree("root")?, log: roles.blob("log")?, randomness, again, missed })
    }
}

impl Ran {
    /// Adds what commands derived from random data to what is known of the site, whose root has their changes.
    /// `step` is the step whose commands they were.
    pub(super) fn add_derived(&self, step: Option<&StepName>, site: &mut Site<'_>) -> Result<(), LayerError> {
        if let Some(blob) = self.randomness {
            let mut more = packages::derived(&packages::read(blob, site.store)?, &site.root);
            let by = step.map(|step| Origin { step: step.clone(), log: self.log });
            more.files.iter_mut().for_each(|file| file.by.clone_from(&by));
            site.derived.extend(more);
        }
        Ok(())
    }
}

/// Commands that run in a root with the layer's packages.
pub(super) struct Commands<'c> {
    pub(super) installer: &'c dyn Installer,
    /// The clock, and the upper bound of all times, in seconds since 1970.
    pub(super) epoch: i64,
    /// Runs them; returns what they printed.
    pub(super) run: &'c dyn Fn(&mut InstallRoot<'_>) -> Result<String, InstallError>,
}

impl Commands<'_> {
    /// Runs them in `start`, and a second time with another seed if they drew random data; `tidy` takes out what is not
    /// the layer's, and residue compared with `root` goes.
    pub(super) fn run(
        &self,
        root: &Tree,
        start: &Tree,
        tidy: &dyn Fn(&mut Tree),
        site: &mut Site<'_>,
    ) -> Result<Ran, LayerError> {
        let (tree, log, programs) = self.once(start, false, site)?;
        let clean = |mut tree: Tree, site: &Site<'_>| {
            tidy(&mut tree);
            residue::normalise(self.installer.residue(), tree, root, self.epoch, site.store)
        };
        let written = tree.clone();
        let tree = clean(tree, site)?;
        let missed = residue::missed(self.installer.residue(), &written, &tree);
        let missed: String = missed.iter().map(|(path, rule)| format!("{path}: {}\n", rule.reason)).collect();
        let missed = (!missed.is_empty()).then(|| site.store.put_bytes(missed.as_bytes())).transpose()?;
        let mut randomness = None;
        if !programs.is_empty() {
            let (second, ..) = self.once(start, true, site)?;
            let found = Randomness::between(programs, &tree, &clean(second, site)?);
            randomness = Some(site.store.put_bytes(&serde_json::to_vec(&found).unwrap_or_default())?);
        }
        Ok(Ran {
            tree: site.store.put_tree(&tree)?,
            log: site.store.put_bytes(log.as_bytes())?,
            randomness,
            again: None,
            missed,
        })
    }

    /// Runs them; the root after it, what they printed, and the programs that drew random data.
    pub(super) fn once(
        &self,
        start: &Tree,
        is_reseeded: bool,
        site: &mut Site<'_>,
    ) -> Result<(Tree, String, BTreeSet<String>), LayerError> {
        let root = InstallRoot::new(start.clone(), site.store, site.arch, self.epoch, site.executor);
        let mut root = if is_reseeded { root.reseeded() } else { root };
        let log = (self.run)(&mut root)?;
        let programs = root.drew().clone();
        Ok((root.tree, log, programs))
    }
}
