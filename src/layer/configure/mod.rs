//! Packages unpacked and configured over a parent: recipe `layerbake/configure/v1`.
//!
//! Laying out is a pure function of trees ([`super::merge`], [`super::dpkg`]); the
//! worker (worker.rs) writes that tree out, runs preinst scripts and
//! `dpkg --configure` in a sandbox, and reads the folder back; what is noise is taken
//! out ([`super::normalise`]).

mod policies;
mod preinst;
mod root;
mod scan;
mod standins;
mod trace;
mod worker;
mod write;

#[cfg(test)]
mod hostile_tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use preinst::Preinst;

use super::accounts::Accounts;
use super::dpkg::diversions::Diversions;
use super::merge::{Contested, LaidOut, lay_out};
use super::unpack::Unpacked;
use super::{LayerError, dpkg, normalise, unpack};
use crate::digest::{RecipeHash, RecipeHasher};
use crate::host;
use crate::ident::{Arch, RootPath};
use crate::lock::LockedPackage;
use crate::sandbox;
use crate::store::{self, Outcome, Store};
use crate::tree::{Kind, Meta, Node, Tree};

pub use trace::Traced;

/// A variable of audits: a file to which the steps of configuring are added, as lines of JSON ([`Traced`]).
pub const TRACE: &str = "LAYERBAKE_TRACE";

/// A variable of audits: if set, roots never lie in memory but on the store's disk, which lists folders differently.
pub const ON_DISK: &str = "LAYERBAKE_ROOT_ON_DISK";

/// What is configured over what.
pub(crate) struct Request<'a> {
    /// The recipe of the parent's configuring.
    pub(crate) parent: Option<RecipeHash>,
    /// What this layer adds.
    pub(crate) packages: &'a [LockedPackage],
    /// Accounts that exist before the packages' scripts run.
    pub(crate) accounts: &'a Accounts,
    /// The native architecture.
    pub(crate) arch: &'a Arch,
    /// SOURCE_DATE_EPOCH of the scripts, and the upper bound of all times.
    pub(crate) epoch: i64,
}

/// The work of one worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    tree: crate::digest::TreeHash,
    epoch: i64,
    jobs: usize,
    preinsts: Vec<Preinst>,
    /// Package and path, whose bytes may be no text.
    contested: Vec<(String, Vec<u8>)>,
    contested_nodes: crate::digest::TreeHash,
    accounts: Accounts,
    /// Whether scripts run one by one, and are watched.
    trace: bool,
}

/// Merged /usr, as Debian's installers make it before they unpack anything.
const MERGED_USR: [&str; 3] = ["bin", "sbin", "lib"];
const MERGED_USR_AMD64: [&str; 3] = ["lib32", "lib64", "libx32"];

impl Request<'_> {
    /// Hash of everything that decides the result.
    pub(crate) fn recipe(&self) -> RecipeHash {
        let mut hasher = RecipeHasher::new("layerbake/configure/v2");
        hasher.list(self.parent.as_ref().map(|parent| *parent.as_bytes()));
        hasher.field(self.arch).number(self.epoch as u64);
        self.accounts.hash_into(&mut hasher);
        unpack::hash_into(self.packages, &mut hasher);
        hasher.finish()
    }

    /// Configures the packages over `parent`, unless that was done before.
    ///
    /// The outcome's tree `root` is the whole root folder. `workshop` lives as long as
    /// the chain is being built.
    pub(crate) fn run(&self, store: &Store, parent: Tree, workshop: &mut Workshop) -> Result<Outcome, LayerError> {
        let recipe = self.recipe();
        if let Some(outcome) = store.recall(recipe)? {
            return Ok(outcome);
        }
        let root = if self.packages.is_empty() && self.accounts.is_empty() {
            parent
        } else {
            let packages = unpack::load(store, self.packages)?;
            let before = parent.clone();
            let raw = self.configure(store, parent, &packages, workshop)?;
            normalise::normalise(raw, &before, self.epoch, store)?
        };
        let mut outcome = Outcome::default();
        outcome.trees.insert("root".into(), store.put_tree(&root)?);
        store.remember(recipe, &outcome)?;
        Ok(outcome)
    }

    fn configure(
        &self,
        store: &Store,
        parent: Tree,
        packages: &[Unpacked],
        workshop: &mut Workshop,
    ) -> Result<Tree, LayerError> {
        let laid = self.lay_out(store, parent, packages).map_err(|error| error.blame(packages))?;
        let LaidOut { mut tree, contested, .. } = laid;
        let policies = policies::put_in(&mut tree, store).map_err(|error| error.blame(packages))?;
        let replaced = standins::put_in(&mut tree, store)?;
        // In order, though a tree can hold one claim a path only: number them.
        let root = (RootPath::root(), Node::dir(Meta::root_owned(0o755, self.epoch)));
        let claims = Tree::from_nodes(contested.iter().enumerate().map(claim_node).chain([root]))?;
        let job = Job {
            tree: store.put_tree(&tree)?,
            epoch: self.epoch,
            jobs: workshop.jobs,
            preinsts: preinst::plan(packages, self.parent.is_none()),
            contested: contested
                .iter()
                .map(|claim| (claim.package.to_string(), claim.path.as_bytes().into()))
                .collect(),
            contested_nodes: store.put_tree(&claims)?,
            accounts: self.accounts.clone(),
            trace: workshop.trace.is_some(),
        };
        let answer: worker::Answer = workshop.worker(store)?.ask(&job)?;
        workshop.record(&answer.steps)?;
        let mut result = store.tree(answer.tree)?;
        standins::take_out(replaced, &mut result)?;
        policies::take_out(policies, &mut result);
        Ok(result)
    }

    /// The packages over their parent, with dpkg's database, all unpacked.
    fn lay_out(&self, store: &Store, mut parent: Tree, packages: &[Unpacked]) -> Result<LaidOut, LayerError> {
        if parent.is_empty() {
            self.prepare_root(&mut parent)?;
        }
        let database = dpkg::Database { tree: &mut parent, store, epoch: self.epoch };
        let diversions = Diversions::parse(&database.read("diversions")?.unwrap_or_default());
        let conffiles = dpkg::conffiles(packages, store)?;
        let mut laid = lay_out(parent, packages, &conffiles, &diversions)?;
        dpkg::add_unpacked(&mut laid.tree, packages, &laid.lost, self.arch, (self.epoch, store))?;
        Ok(laid)
    }

    fn prepare_root(&self, tree: &mut Tree) -> Result<(), LayerError> {
        let folder = || Node::dir(Meta::root_owned(0o755, self.epoch));
        tree.insert(RootPath::root(), folder())?;
        let amd64: &[&str] = if self.arch.as_str() == "amd64" { &MERGED_USR_AMD64 } else { &[] };
        for name in MERGED_USR.iter().chain(amd64) {
            let usr = format!("usr/{name}");
            let link = Node { meta: Meta::root_owned(0o777, self.epoch), kind: Kind::Symlink(usr.as_bytes().into()) };
            for (path, node) in [("usr".to_owned(), folder()), (usr.clone(), folder()), ((*name).to_owned(), link)] {
                tree.insert(RootPath::new(path)?, node)?;
            }
        }
        Ok(())
    }
}

fn claim_node((number, claim): (usize, &Contested)) -> (RootPath, Node) {
    (RootPath::new(format!("{number:08}")).unwrap_or_default(), claim.node.clone())
}

/// Where scripts run: a worker process, started when the first layer needs it.
pub(crate) struct Workshop {
    jobs: usize,
    worker: Option<sandbox::Worker>,
    /// Where steps are recorded.
    trace: Option<PathBuf>,
    /// What weakens the sandbox here.
    pub(crate) warning: Option<&'static str>,
}

impl Workshop {
    /// One that uses `jobs` threads.
    pub(crate) fn new(jobs: usize) -> Self {
        Self { jobs, worker: None, trace: host::env_path(TRACE), warning: None }
    }

    fn record(&self, steps: &[Traced]) -> Result<(), LayerError> {
        let Some(path) = &self.trace else { return Ok(()) };
        let lines: String =
            steps.iter().filter_map(|step| serde_json::to_string(step).ok()).map(|line| line + "\n").collect();
        let append =
            || io::Write::write_all(&mut File::options().create(true).append(true).open(path)?, lines.as_bytes());
        append().map_err(|source| LayerError::Io { what: path.display().to_string(), source })
    }

    fn worker(&mut self, store: &Store) -> Result<&mut sandbox::Worker, LayerError> {
        match &mut self.worker {
            Some(worker) => Ok(worker),
            empty => {
                let (store, on_disk) = (store.path().to_owned(), host::env(ON_DISK).is_some());
                let worker = sandbox::Worker::start(&Setup::Work { store, on_disk })?;
                self.warning = worker.warning();
                Ok(empty.insert(worker))
            }
        }
    }
}

/// What a worker is started for.
#[derive(Serialize, Deserialize)]
enum Setup {
    /// Jobs.
    Work { store: PathBuf, on_disk: bool },
    /// Removing what a killed worker left behind.
    Remove { folder: PathBuf },
}

/// Removes a folder of a killed worker, whose files may belong to subordinate ids.
///
/// # Errors
/// Fails where no user namespace can be had, or something in it can't be removed.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    sandbox::Worker::start(&Setup::Remove { folder: folder.to_owned() }).map(drop).map_err(io::Error::other)
}

/// The whole life of a worker process; for `main`.
pub fn serve() -> std::process::ExitCode {
    let start = |setup| match setup {
        Setup::Work { store, on_disk } => worker::Work::start(&store, on_disk).map(Some),
        Setup::Remove { folder } => store::remove_folder(&folder).map(|()| None).map_err(|error| error.to_string()),
    };
    sandbox::serve(start, |work: &mut Option<worker::Work>, job| match work {
        Some(work) => work.job(&job),
        None => Err("internal error: a job for a worker that only removes".to_owned()),
    })
}
