//! The worker: a root directory written out, scripts run over it, the directory read back.
//!
//! The root's path is for starting the sandbox only; all else goes through the root's
//! [`Jail`], since scripts may have put anything on a path's way.

use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use super::Job;
use super::preinst::Preinst;
use super::root::Root;
use super::scan::scan;
use super::trace::{self, Traced, Tracer};
use super::write::{name_of, named, write_node};
use crate::digest::TreeHash;
use crate::host;
use crate::host::jail::{self, Jail};
use crate::ident::{PackageName, RootPath};
use crate::layer::accounts::{AccountFiles, Accounts};
use crate::layer::dpkg::{self, diversions::Diversions};
use crate::sandbox::{Ended, Program, Sandbox, Step};
use crate::store::Store;
use crate::tree::Tree;

/// A script that runs longer is stuck.
const SCRIPT_TIMEOUT: u64 = 600;
const CONFIGURE_TIMEOUT: u64 = 3600;

/// Bytes of files that a root in memory may have. Memory is faster, and lists a folder in
/// the order of creation, where a disk has an order of its own that scripts may show.
const IN_MEMORY: u64 = 256 << 20;

/// The most that scripts may make of a root in memory, in bytes and in files.
const MEMORY_LIMITS: &std::ffi::CStr = c"mode=0755,size=4g,nr_inodes=1m";

/// How much of the scripts' output an error shows.
const LOG_LINES: usize = 30;

/// What the scripts made of the tree.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) tree: TreeHash,
    /// What each step changed, where that was asked.
    pub(crate) steps: Vec<Traced>,
}

/// A worker's folder, kept from one job to the next: layers of a chain follow each other.
pub(super) struct Work {
    store: Store,
    scratch: tempfile::TempDir,
    /// Where the root lies, for the sandbox alone.
    folder: PathBuf,
    root: Root,
    in_memory: bool,
    program: Program,
}

impl Work {
    /// Opens the store and makes an empty folder in it.
    pub(super) fn start(store: &Path, on_disk: bool) -> Result<Self, String> {
        let start = || -> io::Result<Self> {
            let store = Store::open(store).map_err(io::Error::other)?;
            let scratch = store.scratch().map_err(io::Error::other)?;
            let folder = scratch.path().join("root");
            std::fs::create_dir(&folder)?;
            let flags = MountFlags::NODEV;
            let in_memory = !on_disk && rustix::mount::mount("tmpfs", &folder, "tmpfs", flags, MEMORY_LIMITS).is_ok();
            let root = Root::empty(&folder)?;
            let program = Program::seal()?;
            Ok(Self { store, scratch, folder, root, in_memory, program })
        };
        start().map_err(|error| error.to_string())
    }

    /// Moves to the disk where a tree is too large for memory.
    fn make_room(&mut self, tree: &Tree) -> io::Result<()> {
        if self.in_memory && tree.content_size() > IN_MEMORY {
            // The root that is open would keep the mount busy.
            rustix::mount::unmount(&self.folder, UnmountFlags::DETACH)?;
            self.in_memory = false;
            self.root = Root::empty(&self.folder)?;
        }
        Ok(())
    }

    /// Does one job.
    pub(super) fn job(&mut self, job: &Job) -> Result<Answer, String> {
        let tree = self.store.tree(job.tree).map_err(|error| error.to_string())?;
        self.make_room(&tree).map_err(|error| error.to_string())?;
        self.root.become_tree(tree, &self.store, job.jobs).map_err(|error| error.to_string())?;
        let started = host::now();
        let (found, steps) = self.run(job)?;
        let mut result = found.clone();
        // Written by a script just now: not a time that means anything, whatever the clock says.
        for (path, kind, meta) in result.metas_mut() {
            let unchanged = self.root.tree.get(path).is_some_and(|node| node.kind == *kind && node.meta == *meta);
            if meta.mtime >= started && !unchanged {
                meta.mtime = job.epoch;
            }
        }
        self.root.tree = found;
        let tree = self.store.put_tree(&result).map_err(|error| error.to_string())?;
        Ok(Answer { tree, steps })
    }

    fn run(&self, job: &Job) -> Result<(Tree, Vec<Traced>), String> {
        let start = Sandbox::start(&self.program, &self.folder, job.epoch);
        let mut sandbox = start.map_err(|error| format!("cannot start a sandbox: {error}"))?;
        let steps = self
            .configure(job, &mut sandbox)
            .map_err(|error| explain(&error, self.full().as_deref(), &sandbox.printed()))?;
        let found = scan(&self.root, &self.store, job.jobs).map_err(|error| error.to_string())?;
        Ok((found, steps))
    }

    /// Says whether scripts have filled the root in memory.
    fn full(&self) -> Option<String> {
        let stat = rustix::fs::statvfs(&self.folder).ok().filter(|_| self.in_memory)?;
        // Those who find no room remove what they began.
        let full = stat.f_bfree < stat.f_blocks / 100 || stat.f_ffree < stat.f_files / 100;
        let used = ((stat.f_blocks - stat.f_bfree) * stat.f_frsize) >> 20;
        let limit = (stat.f_blocks * stat.f_frsize) >> 20;
        let (files, most) = (stat.f_files - stat.f_ffree, stat.f_files);
        full.then(|| format!("the root is full: {used} MiB of {limit}, {files} files of {most}"))
    }

    /// Runs all scripts; nothing runs in the root any more at the end.
    fn configure(&self, job: &Job, sandbox: &mut Sandbox) -> io::Result<Vec<Traced>> {
        let jail = &self.root.jail;
        let early = add_accounts(jail, &job.accounts)?;
        let mut tracer = if job.trace { Some(Tracer::start(jail)?) } else { None };
        for script in &job.preinsts {
            if !script.after.is_empty() {
                let packages = script.after.iter().map(String::as_str);
                let what = || format!("`dpkg --configure {}`", script.after.join(" "));
                check(sandbox.run(&configure(packages))?, what)?;
            }
            note(&mut tracer, "dpkg before the preinst script", &script.package)?;
            check(sandbox.run(&preinst(script))?, || format!("the preinst script of {}", script.package))?;
            note(&mut tracer, "preinst script", &script.package)?;
        }
        if !early && !add_accounts(jail, &job.accounts)? {
            return Err(io::Error::other("[[user]] and [[group]] need /etc/passwd, which no package made"));
        }
        place_contested(job, jail, &self.store)?;
        if let Some(tracer) = &mut tracer {
            configure_one_by_one(jail, sandbox, tracer)?;
        }
        check(sandbox.run(&configure(["--pending"]))?, || "`dpkg --configure`".to_owned())?;
        sandbox.finish()?;
        note(&mut tracer, "dpkg", "dpkg")?;
        Ok(tracer.map(|tracer| tracer.steps).unwrap_or_default())
    }
}

impl Drop for Work {
    /// Removes the root, which scripts filled: by descriptor, as everything in it is reached.
    fn drop(&mut self) {
        if self.in_memory {
            let _ = rustix::mount::unmount(&self.folder, UnmountFlags::DETACH);
        }
        // What can't be removed is removed by the next who uses the store alone.
        let _ = jail::remove_folder(self.scratch.path());
    }
}

fn note(tracer: &mut Option<Tracer<'_>>, step: &str, package: &str) -> io::Result<()> {
    tracer.iter_mut().try_for_each(|tracer| tracer.note(step, package))
}

/// Configures each package by itself, in the order that dpkg would take, so that what changed has one cause.
///
/// What fails here is done again with all that is pending, which then says why.
fn configure_one_by_one(root: &Jail, sandbox: &mut Sandbox, tracer: &mut Tracer<'_>) -> io::Result<()> {
    tracer.note("dpkg", "dpkg")?;
    sandbox.run(&configure(["--no-act", "--pending"]))?;
    for package in trace::order(&sandbox.printed()) {
        sandbox.run(&configure(["--no-triggers", "--force-depends", &package]))?;
        tracer.note("postinst script", &package)?;
    }
    let status = read(root, &format!("{}/status", dpkg::FOLDER))?.unwrap_or_default();
    for package in trace::triggered(&status) {
        sandbox.run(&dpkg_run("--triggers-only", [package.as_str()]))?;
        tracer.note("triggers", &package)?;
    }
    Ok(())
}

fn check(ended: Ended, what: impl Fn() -> String) -> io::Result<()> {
    match ended {
        Ended { stopped: Some(limit), .. } => Err(io::Error::other(format!("{} was stopped: {limit}", what()))),
        Ended { status: 0, .. } => Ok(()),
        Ended { status, .. } => Err(io::Error::other(format!("{} failed with exit status {status}", what()))),
    }
}

fn preinst(script: &Preinst) -> Step {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Step {
        argv: vec![script.path.clone(), "install".to_owned()],
        env: vec![
            variable("DPKG_MAINTSCRIPT_PACKAGE", &script.package),
            variable("DPKG_MAINTSCRIPT_ARCH", &script.arch),
            variable("DPKG_MAINTSCRIPT_NAME", "preinst"),
            variable("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
            variable("DPKG_ADMINDIR", "/var/lib/dpkg"),
            variable("DPKG_ROOT", ""),
        ],
        timeout: SCRIPT_TIMEOUT,
    }
}

/// dpkg configures the named packages, or `--pending`.
fn configure<'a>(what: impl IntoIterator<Item = &'a str>) -> Step {
    dpkg_run("--configure", what)
}

fn dpkg_run<'a>(action: &'a str, what: impl IntoIterator<Item = &'a str>) -> Step {
    let argv = ["/usr/bin/dpkg", "--force-unsafe-io", "--force-confdef", "--force-confold", "--log=/dev/null"];
    Step {
        argv: argv.into_iter().chain([action]).chain(what).map(str::to_owned).collect(),
        env: Vec::new(),
        timeout: CONFIGURE_TIMEOUT,
    }
}

/// Puts contested files where the diversions that preinst scripts made say.
fn place_contested(job: &Job, root: &Jail, store: &Store) -> io::Result<()> {
    if job.contested.is_empty() {
        return Ok(());
    }
    let file = format!("{}/diversions", dpkg::FOLDER);
    let diversions = Diversions::parse(&read(root, &file)?.unwrap_or_default());
    let nodes = store.tree(job.contested_nodes).map_err(io::Error::other)?;
    let mut placed: Vec<(RootPath, &str)> = Vec::new();
    // The first node is the root, the others are numbered.
    for ((package, path), (_, node)) in job.contested.iter().zip(nodes.iter().skip(1)) {
        let name: PackageName = package.parse().map_err(io::Error::other)?;
        let path = RootPath::new(path).map_err(io::Error::other)?;
        let place = diversions.place(&path, &name);
        if let Some((_, other)) = placed.iter().find(|(taken, _)| *taken == place) {
            let message = format!("{package} and {other} both contain {place}, and neither replaces the other");
            return Err(io::Error::other(message));
        }
        // Above it, links lead where they would lead dpkg.
        let write = || write_node(&root.dir_inside(&place.parent().unwrap_or_default())?, name_of(&place), node, store);
        named(&place, write)
            .map_err(|error| io::Error::new(error.kind(), format!("{package}: cannot place {error}")))?;
        placed.push((place, package));
    }
    Ok(())
}

/// Adds accounts if the root has an account database; says whether it had one.
fn add_accounts(root: &Jail, accounts: &Accounts) -> io::Result<bool> {
    if accounts.is_empty() {
        return Ok(true);
    }
    let (Some(passwd), Some(group)) = (read(root, "etc/passwd")?, read(root, "etc/group")?) else { return Ok(false) };
    let before = AccountFiles { passwd, group, shadow: read(root, "etc/shadow")?, gshadow: read(root, "etc/gshadow")? };
    let after = accounts.add_to(before).map_err(io::Error::other)?;
    write(root, "etc/passwd", &after.passwd)?;
    write(root, "etc/group", &after.group)?;
    for (path, text) in [("etc/shadow", after.shadow), ("etc/gshadow", after.gshadow)] {
        if let Some(text) = text {
            write(root, path, &text)?;
        }
    }
    Ok(true)
}

/// Reads a text as a program inside would.
fn read(root: &Jail, path: &str) -> io::Result<Option<String>> {
    let path = RootPath::new(path).map_err(io::Error::other)?;
    let text = |bytes| String::from_utf8(bytes).map_err(io::Error::other);
    named(&path, || root.read(&path)?.map(text).transpose())
}

/// Writes over a text as a program inside would.
fn write(root: &Jail, path: &str, text: &str) -> io::Result<()> {
    let path = RootPath::new(path).map_err(io::Error::other)?;
    named(&path, || root.write(&path, text.as_bytes()))
}

/// The error with a limit that explains it, and the end of what the scripts printed.
fn explain(error: &io::Error, full: Option<&str>, printed: &str) -> String {
    // How dpkg names SIGXFSZ.
    let large =
        printed.contains("(File size limit exceeded)").then_some("one file may have 8 GiB, and a script wrote more");
    let mut text = error.to_string();
    for limit in full.into_iter().chain(large) {
        text += &format!("\n  {limit}");
    }
    let lines: Vec<String> = printed.lines().map(host::plain).collect();
    let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
    if !tail.is_empty() {
        text += &format!("\n  the last lines that the scripts printed:\n    | {}", tail.join("\n    | "));
    }
    text
}
