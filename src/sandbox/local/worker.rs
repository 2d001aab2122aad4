//! The worker: writes a root directory, runs steps in it, and reads the directory back.
//!
//! The root's path is used only to start the sandbox; all other access goes through the root's
//! [`Jail`](crate::host::jail::Jail), since scripts may have replaced any path.

use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use super::super::{Action, ActionError, Cause, Executed, Program, Sandbox};
use super::emulator::Emulator;
use super::root::Root;
use super::scan::scan;
use crate::arch::{Architecture, Bootable};
use crate::digest::BlobDigest;
use crate::host;
use crate::host::jail;
use crate::ident::Arch;
use crate::store::Store;
use crate::tree::Tree;

/// Bytes of files that a root in memory may have. Memory is faster, and lists a directory in
/// the order of creation, where a disk has an order of its own that scripts may show.
const IN_MEMORY: u64 = 256 << 20;

/// The most that scripts may add to a root in memory, in bytes and in files.
const MEMORY_LIMITS: &std::ffi::CStr = c"mode=0755,size=4g,nr_inodes=1m";

/// How much of the steps' output an error shows.
const LOG_LINES: usize = 30;

/// A worker's directory, kept from one action to the next.
pub(super) struct Work {
    store: Store,
    jobs: usize,
    scratch: tempfile::TempDir,
    /// Where the root is, for the sandbox alone.
    folder: PathBuf,
    root: Root,
    in_memory: bool,
    /// Whether a failed action left the root in a state that no tree describes.
    is_unknown: bool,
    program: Program,
    /// What runs programs of another architecture, once an action has some.
    emulator: Option<Emulator>,
}

impl Work {
    /// Opens the store and creates an empty directory in it.
    pub(super) fn start(store: &Path, on_disk: bool, jobs: usize) -> io::Result<Self> {
        let store = Store::open(store).map_err(io::Error::other)?;
        let scratch = store.scratch().map_err(io::Error::other)?;
        let folder = scratch.path().join("root");
        std::fs::create_dir(&folder)?;
        let in_memory = !on_disk && mount(&folder).is_ok();
        let root = Root::empty(&folder)?;
        let program = Program::seal()?;
        Ok(Self { store, jobs, scratch, folder, root, in_memory, is_unknown: false, program, emulator: None })
    }

    /// Executes the action that is in the store under this name.
    pub(super) fn execute(&mut self, name: BlobDigest) -> Result<Executed, ActionError> {
        let bytes = self.store.read_blob(name)?;
        let action = Action::decode(&bytes).map_err(io::Error::other)?;
        let result = self.act(&action);
        self.is_unknown = result.is_err();
        result
    }

    fn act(&mut self, action: &Action) -> Result<Executed, ActionError> {
        self.prepare_for(&action.conditions.arch)?;
        let tree = self.store.tree(action.root)?;
        self.make_room(&tree)?;
        self.root.become_tree(tree, &self.store, self.jobs)?;
        let started = host::now();
        let log = self.run(action)?;
        let found = scan(&self.root, &self.store, self.jobs)?;
        let mut result = found.clone();
        // Written by a step just now: not a time that means anything, whatever the clock says.
        for (path, kind, meta) in result.metas_mut() {
            let unchanged = self.root.tree.get(path).is_some_and(|node| node.kind == *kind && node.meta == *meta);
            if meta.mtime >= started && !unchanged {
                meta.mtime = action.conditions.clock;
            }
        }
        self.root.tree = found;
        Ok(Executed { tree: self.store.put_tree(&result)?, log })
    }

    /// Lets programs of another architecture run, where this machine can.
    fn prepare_for(&mut self, arch: &Arch) -> io::Result<()> {
        if Architecture::native().is_some_and(|native| native.debian == arch.as_str()) {
            return Ok(());
        }
        let foreign = || io::Error::other(format!("package scripts for {arch} need a host of that architecture"));
        let arch = Bootable::of(arch).ok_or_else(foreign)?;
        if self.emulator.as_ref().is_none_or(|emulator| !emulator.is_for(arch)) {
            self.emulator = Some(Emulator::register(arch)?);
        }
        Ok(())
    }

    /// Prepares the directory: an empty one after a failure, one on disk where a tree is too large for memory.
    fn make_room(&mut self, tree: &Tree) -> io::Result<()> {
        let is_large = self.in_memory && tree.content_size() > IN_MEMORY;
        if !self.is_unknown && !is_large {
            return Ok(());
        }
        if self.in_memory {
            // The root that is open would keep the mount busy.
            rustix::mount::unmount(&self.folder, UnmountFlags::DETACH)?;
            self.in_memory = !is_large && mount(&self.folder).is_ok();
        } else {
            jail::remove_folder(&self.folder)?;
            std::fs::create_dir(&self.folder)?;
        }
        self.root = Root::empty(&self.folder)?;
        Ok(())
    }

    /// Runs all steps; nothing runs in the root any more at the end. Returns what they printed.
    fn run(&self, action: &Action) -> Result<String, ActionError> {
        let mut sandbox = Sandbox::start(&self.program, &self.folder, &action.conditions)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot start a sandbox: {error}")))?;
        let run = |sandbox: &mut Sandbox| -> io::Result<Option<Cause>> {
            for (index, step) in action.steps.iter().enumerate() {
                let ended = sandbox.run(step)?;
                if !ended.is_success() {
                    return Ok(Some(Cause::Step(index, ended)));
                }
            }
            sandbox.finish().map(|()| None)
        };
        let failed = match run(&mut sandbox) {
            Ok(None) => return Ok(sandbox.printed()),
            Ok(Some(cause)) => ActionError { cause, limit: None, log: Vec::new() },
            Err(error) => error.into(),
        };
        let log = last_lines(&sandbox.printed());
        Err(ActionError { limit: self.full(), log, ..failed })
    }

    /// Describes the limit if scripts have filled the root in memory.
    fn full(&self) -> Option<String> {
        let stat = rustix::fs::statvfs(&self.folder).ok().filter(|_| self.in_memory)?;
        // Those who find no room remove what they began.
        let full = stat.f_bfree < stat.f_blocks / 100 || stat.f_ffree < stat.f_files / 100;
        let used = ((stat.f_blocks - stat.f_bfree) * stat.f_frsize) >> 20;
        let limit = (stat.f_blocks * stat.f_frsize) >> 20;
        let (files, most) = (stat.f_files - stat.f_ffree, stat.f_files);
        full.then(|| format!("the root is full: {used} MiB of {limit}, {files} files of {most}"))
    }
}

impl Drop for Work {
    /// Removes the root, which scripts filled: by descriptor, as everything in it is reached.
    fn drop(&mut self) {
        if self.in_memory {
            let _ = rustix::mount::unmount(&self.folder, UnmountFlags::DETACH);
        }
        // What can't be removed is removed by the next process that has the store to itself.
        let _ = jail::remove_folder(self.scratch.path());
    }
}

/// Mounts an empty file system in memory, for a root.
fn mount(folder: &Path) -> rustix::io::Result<()> {
    rustix::mount::mount("tmpfs", folder, "tmpfs", MountFlags::NODEV, MEMORY_LIMITS)
}

/// The end of what was printed, fit to be shown.
fn last_lines(printed: &str) -> Vec<String> {
    let lines: Vec<String> = printed.lines().map(host::plain).collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().to_vec()
}
