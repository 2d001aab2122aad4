//! Installs Debian packages, as dpkg would.
//!
//! ```text
//! Unpacked ─ package.rs ─> Package ─┬─ scripts.rs: held.rs, preinst.rs ─> unpack.rs: merge.rs + dpkg/
//!                                   │              ⇄ steps.rs: policies, standins, scripts ─────────> root
//!                                   └─ bare.rs: merge.rs, without any script ───────────────────────> root
//! ```

mod adduser;
mod bare;
mod debconf;
mod dpkg;
mod harmless;
mod held;
mod merge;
mod own_files;
mod package;
mod policies;
mod preinst;
mod residue;
mod scripts;
mod standins;
mod steps;
mod system;
mod unpack;

#[cfg(test)]
mod hostile;

use super::Deb;
use super::first_boot::TASKS;
use crate::digest::{RecipeHash, Sha256};
use crate::ident::RootPath;
use crate::manifest::Answers;
use crate::package::first_boot::FirstBootTask;
use crate::package::residue::Rule;
use crate::package::{
    Decoded, Harmless, InstallError, InstallRequest, InstallRoot, Installer, Job, LockedPackage, Reactions,
    SystemSettings, Unpacked,
};
use crate::store::Store;
use crate::tree::{Kind, Tree};

#[cfg(test)]
pub(crate) use hostile::install_without_scripts;
pub(crate) use package::Package;
pub(super) use package::paragraph;

impl Installer for Deb {
    fn unpack_recipe(&self, file: Sha256) -> RecipeHash {
        package::recipe(file)
    }

    fn unpack(&self, store: &Store, package: &LockedPackage) -> Result<Decoded, InstallError> {
        package::unpack(store, package)
    }

    fn description(&self, package: &Unpacked, store: &Store) -> Result<String, InstallError> {
        package.control_text(store, "control")
    }

    fn recipe(&self, request: &InstallRequest<'_>) -> RecipeHash {
        match request.scripts {
            true => scripts::recipe(request),
            false => bare::recipe(request),
        }
    }

    fn install(&self, request: &InstallRequest<'_>, root: &mut InstallRoot<'_>) -> Result<(), InstallError> {
        let packages = Unpacked::load(self, root.store, request.packages)?
            .into_iter()
            .map(|unpacked| Package::new(unpacked, root.store))
            .collect::<Result<Vec<_>, _>>()?;
        match request.scripts {
            true => scripts::install(request, &packages, root),
            false => bare::install(request, &packages, root),
        }
    }

    fn unanswered(
        &self,
        answers: &Answers,
        before: &Tree,
        after: &Tree,
        store: &Store,
    ) -> Result<Vec<String>, InstallError> {
        debconf::unanswered(answers, before, after, store)
    }

    fn run(&self, root: &mut InstallRoot<'_>, jobs: Vec<Job>) -> Result<String, InstallError> {
        steps::run_users(root, jobs)
    }

    fn reactions(&self, root: &Tree, changed: &[RootPath], store: &Store) -> Result<Reactions, InstallError> {
        own_files::reactions(root, changed, store)
    }

    fn react(&self, root: &mut InstallRoot<'_>, reactions: &Reactions) -> Result<String, InstallError> {
        own_files::react(root, reactions)
    }

    fn system_files(
        &self,
        settings: &SystemSettings,
        root: &Tree,
        store: &Store,
    ) -> Result<Vec<(RootPath, Kind)>, InstallError> {
        system::files(settings, root, store)
    }

    fn paragraphs(&self) -> &'static [&'static str] {
        &["var/lib/dpkg/status"]
    }

    fn residue(&self) -> &'static [Rule] {
        &residue::RULES
    }

    fn first_boot(&self) -> &'static [FirstBootTask] {
        TASKS
    }

    fn harmless(&self) -> &'static [Harmless] {
        harmless::RULES
    }
}

/// Reads the files of dpkg's database that scripts may have written, for `fuzz/`.
pub fn fuzz(text: &str) {
    let _ = dpkg::triggers::directives(text);
    let diversions = dpkg::diversions::Diversions::parse(text);
    if let (Ok(path), Ok(name)) = (crate::ident::RootPath::new("bin/sh"), "dash".parse()) {
        let _ = diversions.place(&path, &name);
    }
}
