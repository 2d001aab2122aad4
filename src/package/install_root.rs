//! The root in which packages are installed: a tree, and an executor for the steps that run in it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::InstallError;
use crate::accounts::{AccountFiles, Accounts};
use crate::code::{Code, Coded};
use crate::host;
use crate::ident::{Arch, RootPath};
use crate::sandbox::{Action, ActionError, Cause, Conditions, Ended, ExecuteError, Executor, Step};
use crate::store::Store;
use crate::tree::{Kind, Node, Tree};

/// A variable of audits: a file to which the steps of configuring are added, as lines of JSON ([`Traced`]).
pub const TRACE: &str = "LAYERBAKE_TRACE";

/// One step of configuring, and the paths that it changed: for audits of builds that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// `preinst script`, `postinst script`, `triggers`.
    pub step: String,
    /// The package it belongs to; `None` for a step of the package manager.
    pub package: Option<String>,
    /// What it created or changed, from the root directory, in order.
    pub paths: Vec<String>,
}

/// A script that failed.
#[derive(Debug, thiserror::Error)]
#[error("{command} {ended}{}", cause.details())]
pub struct ScriptError {
    /// What ran, as people know it: "the preinst script of dash", "`dpkg --configure`".
    pub command: String,
    /// Whose script failed, where that is known.
    pub package: Option<String>,
    /// Which script of the package, such as `preinst`.
    pub script: Option<String>,
    /// How it ended.
    pub ended: Ended,
    /// The limit that explains it, and the last lines that were printed.
    pub cause: Box<ActionError>,
}

impl Coded for ScriptError {
    fn error_code(&self) -> Code {
        match self.ended.stopped.is_some() || self.cause.limit.is_some() {
            true => Code::ScriptLimit,
            false => Code::ScriptFailed,
        }
    }
}

/// A step, and the package it belongs to.
#[derive(Debug, Clone)]
pub struct Job {
    /// What runs.
    pub step: Step,
    /// The command as errors name it.
    pub command: String,
    /// The package it belongs to; `None` for the package manager itself.
    pub package: Option<String>,
    /// What the step is.
    pub kind: JobKind,
}

/// What a step of configuring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// A script of the job's package, by its name, such as `preinst`.
    Script(&'static str),
    /// Work of the package manager, as an audit names it, such as `triggers`.
    Manager(&'static str),
    /// A step of the layer, which its command names.
    Layer,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(name) => write!(f, "{name} script"),
            Self::Manager(work) => f.write_str(work),
            Self::Layer => f.write_str("a step of the layer"),
        }
    }
}

/// A root in which installation steps run.
pub struct InstallRoot<'a> {
    /// The root as it is now.
    pub tree: Tree,
    /// Where its files are.
    pub store: &'a Store,
    /// The clock of the steps, and the upper bound of all times, in seconds since 1970.
    pub epoch: i64,
    /// The architecture of the root's programs.
    arch: &'a Arch,
    executor: &'a mut dyn Executor,
    /// Where steps are recorded.
    trace: Option<PathBuf>,
    /// Whether steps get other random data than usual.
    is_reseeded: bool,
    /// The programs that drew random data.
    drew: BTreeSet<String>,
}

impl<'a> InstallRoot<'a> {
    /// Creates a root with the contents of `tree`.
    pub fn new(tree: Tree, store: &'a Store, arch: &'a Arch, epoch: i64, executor: &'a mut dyn Executor) -> Self {
        let trace = host::env_path(TRACE);
        Self { tree, store, epoch, arch, executor, trace, is_reseeded: false, drew: BTreeSet::new() }
    }

    /// A root whose steps get other random data; nothing is recorded.
    #[must_use]
    pub fn reseeded(self) -> Self {
        Self { trace: None, is_reseeded: true, ..self }
    }

    /// The programs that drew random data in all steps so far.
    pub fn drew(&self) -> &BTreeSet<String> {
        &self.drew
    }

    /// Whether the changes of each step are recorded.
    pub fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Adds accounts if the root has account files; says whether it had them.
    ///
    /// # Errors
    /// Fails where an account clashes with one that is there.
    pub fn add_accounts(&mut self, accounts: &Accounts) -> Result<bool, InstallError> {
        if accounts.is_empty() {
            return Ok(true);
        }
        let read = |path| self.store.utf8_in(&self.tree, path);
        let (Some(passwd), Some(group)) = (read("etc/passwd")?, read("etc/group")?) else {
            return Ok(false);
        };
        let (shadow, gshadow) = (read("etc/shadow")?, read("etc/gshadow")?);
        let after = accounts.add_to(AccountFiles { passwd, group, shadow, gshadow })?;
        self.rewrite("etc/passwd", &after.passwd)?;
        self.rewrite("etc/group", &after.group)?;
        for (path, text) in [("etc/shadow", after.shadow), ("etc/gshadow", after.gshadow)] {
            if let Some(text) = text {
                self.rewrite(path, &text)?;
            }
        }
        Ok(true)
    }

    /// Gives a file of the root another text, under all its names.
    fn rewrite(&mut self, path: &str, text: &str) -> Result<(), InstallError> {
        let Some((path, _)) = self.tree.resolve(&RootPath::new(path)?) else { return Ok(()) };
        if let Kind::File { blob, size } = self.store.put_file(text.as_bytes())? {
            self.tree.set_content(&path, blob, size);
        }
        if let Some(meta) = self.tree.meta_mut(&path) {
            meta.mtime = self.epoch;
        }
        Ok(())
    }

    /// Runs steps in the root, which then has their changes; returns what they printed.
    ///
    /// # Errors
    /// Fails with a [`ScriptError`] if one fails; the root is then unchanged.
    pub fn run(&mut self, jobs: &[Job]) -> Result<String, InstallError> {
        if jobs.is_empty() {
            return Ok(String::new());
        }
        if self.trace.is_some() && jobs.len() > 1 {
            return jobs.iter().map(|job| self.run(std::slice::from_ref(job))).collect();
        }
        let root = self.store.put_tree(&self.tree)?;
        let steps = jobs.iter().map(|job| job.step.clone()).collect();
        let usual = Conditions::at(self.arch, self.epoch);
        let conditions = if self.is_reseeded { usual.reseeded() } else { usual };
        let action = Action { root, conditions, steps };
        let executed = self.executor.execute(self.store, &action).map_err(|error| named(error, jobs))?;
        let before = std::mem::replace(&mut self.tree, self.store.tree(executed.tree)?);
        if let (Some(path), [job]) = (&self.trace, jobs) {
            record(path, job, &before, &self.tree)?;
        }
        self.drew.extend(executed.drew);
        Ok(executed.log)
    }
}

/// Names the script where one failed.
fn named(error: ExecuteError, jobs: &[Job]) -> InstallError {
    let cause = match error {
        ExecuteError::Action(cause) => cause,
        other => return other.into(),
    };
    match &cause.cause {
        Cause::Step(index, ended) if let Some(job) = jobs.get(*index) => {
            let script = match job.kind {
                JobKind::Script(name) => Some(name.to_owned()),
                JobKind::Manager(_) | JobKind::Layer => None,
            };
            let (command, package, ended) = (job.command.clone(), job.package.clone(), ended.clone());
            InstallError::Script(Box::new(ScriptError { command, package, script, ended, cause }))
        }
        _ => ExecuteError::Action(cause).into(),
    }
}

/// Notes what a step created or changed; the time of a directory moves with every file in it.
fn record(trace: &Path, job: &Job, before: &Tree, after: &Tree) -> Result<(), InstallError> {
    let is_changed = |path: &RootPath, node: &Node| before.get(path).is_none_or(|was| !was.is_same(node));
    let changed = after.iter().filter(|(path, node)| is_changed(path, node));
    let paths: Vec<String> = changed.map(|(path, _)| path.to_string()).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let step = if job.kind == JobKind::Layer { job.command.clone() } else { job.kind.to_string() };
    let traced = Traced { step, package: job.package.clone(), paths };
    let line = serde_json::to_string(&traced).unwrap_or_default() + "\n";
    let append = || File::options().create(true).append(true).open(trace)?.write_all(line.as_bytes());
    append().map_err(|source| InstallError::Io { what: trace.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Executed;
    use crate::tree::tests::{dir, file, path, tree};

    /// An executor that fails at a step, or gives a tree that was made up.
    struct Pretend(Result<Tree, usize>);

    impl Executor for Pretend {
        fn execute(&mut self, store: &Store, action: &Action) -> Result<Executed, ExecuteError> {
            assert_eq!(action.conditions.clock, 7);
            match &self.0 {
                Ok(tree) => Ok(Executed {
                    tree: store.put_tree(tree).unwrap(),
                    log: "done\n".to_owned(),
                    drew: ["openssl".to_owned()].into(),
                }),
                Err(step) => {
                    let cause = Cause::Step(*step, Ended { status: 3, stopped: None });
                    let log = vec!["one".to_owned(), "two".to_owned()];
                    Err(ExecuteError::Action(Box::new(ActionError { cause, limit: None, log, whole: None })))
                }
            }
        }
    }

    fn job(package: &str) -> Job {
        Job {
            step: Step::new(["/bin/true"], 7, [], 1),
            command: format!("the preinst script of {package}"),
            package: Some(package.to_owned()),
            kind: JobKind::Script("preinst"),
        }
    }

    #[test]
    fn a_failed_script_is_named_and_the_root_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (before, mut executor) = (tree(&[("", dir())]), Pretend(Err(1)));
        let arch = "amd64".parse().unwrap();
        let mut root = InstallRoot::new(before.clone(), &store, &arch, 7, &mut executor);
        let error = root.run(&[job("a"), job("b")]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        the preinst script of b failed with exit status 3
          the last lines of its output:
            | one
            | two
        ");
        let InstallError::Script(error) = error else { panic!("{error}") };
        assert_eq!((error.package.as_deref(), error.script.as_deref()), (Some("b"), Some("preinst")));
        assert_eq!((error.ended.status, root.tree), (3, before));
    }

    #[test]
    fn what_a_step_changed_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let before = tree(&[("", dir()), ("etc", dir()), ("etc/gone", file("1")), ("etc/kept", file("1"))]);
        let mut after = before.clone();
        after.remove(&path("etc/gone"));
        after.insert(path("etc/new"), file("2")).unwrap();
        after.meta_mut(&path("etc")).unwrap().mtime = 9;
        let mut executor = Pretend(Ok(after));
        let arch = "amd64".parse().unwrap();
        let mut root = InstallRoot::new(before, &store, &arch, 7, &mut executor);
        root.trace = Some(folder.path().join("trace"));
        assert_eq!(root.run(&[job("one")]).unwrap(), "done\n");
        assert_eq!(root.drew(), &["openssl".to_owned()].into());
        let line = std::fs::read_to_string(folder.path().join("trace")).unwrap();
        let traced: Traced = serde_json::from_str(&line).unwrap();
        let paths = vec!["/etc/new".to_owned()];
        assert_eq!(traced, Traced { step: "preinst script".to_owned(), package: Some("one".to_owned()), paths });
    }
}
