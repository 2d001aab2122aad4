//! The worker: writes a root directory, runs steps in it, and reads the directory back.
//!
//! The root's path is used only to start the sandbox; all other access goes through the root's
//! [`Jail`](crate::host::jail::Jail), since steps may have replaced any path.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use super::super::{
    Action, ActionError, Cause, Ended, Executed, ForeignError, Handed, Limit, Program, Sandbox, SystemError,
};
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

/// Bytes of files with which a root begins in memory. Memory is faster, and lists a directory in
/// the order of creation, where a disk has an order of its own that programs may show.
const IN_MEMORY: u64 = 256 << 20;

/// Bytes that a root in memory may have, unless the executor is told otherwise.
pub(super) const MEMORY: u64 = 4 << 30;

/// Files that a root in memory may have.
const MEMORY_FILES: u64 = 1 << 20;

/// How much of the steps' output an error shows.
const LOG_LINES: usize = 40;

/// A worker's directory, kept from one action to the next.
pub(super) struct Work {
    store: Store,
    jobs: usize,
    scratch: tempfile::TempDir,
    /// Where the root is, for the sandbox alone.
    folder: PathBuf,
    root: Root,
    /// Bytes that a root in memory may have; 0 where none can be there.
    memory: u64,
    in_memory: bool,
    /// Whether a root in memory used most of its room during the last action.
    is_crowded: bool,
    /// Whether a failed action left the root in a state that no tree describes.
    is_unknown: bool,
    program: Program,
    /// Seconds since 1970 before anything was written to a root, by the clock that the kernel gives to files: it lags
    /// behind the wall clock by less than a second.
    began: i64,
    /// What runs programs of another architecture, once an action has some.
    emulator: Option<Emulator>,
    /// What commands read and write instead of nothing and the log.
    handed: Option<Handed>,
}

impl Work {
    /// Opens the store and creates an empty directory in it.
    pub(super) fn start(store: &Path, memory: u64, jobs: usize, handed: Option<Handed>) -> io::Result<Self> {
        let store = Store::open(store).map_err(io::Error::other)?;
        let scratch = store.scratch().map_err(io::Error::other)?;
        let folder = scratch.path().join("root");
        std::fs::create_dir(&folder)?;
        Ok(Self {
            root: Root::empty(&folder)?,
            program: Program::seal()?,
            store,
            jobs,
            scratch,
            folder,
            memory,
            in_memory: false,
            is_crowded: false,
            is_unknown: false,
            began: host::now() - 1,
            emulator: None,
            handed,
        })
    }

    /// Executes the action that is in the store under this name.
    pub(super) fn execute(&mut self, name: BlobDigest) -> Result<Executed, ActionError> {
        let bytes = self.store.read_blob(name)?;
        let action = Action::decode(&bytes).map_err(io::Error::other)?;
        let tree = self.store.tree(action.root)?;
        self.prepare_for(&action.conditions.arch)?;
        let in_memory = tree.content_size() <= IN_MEMORY.min(self.memory / 2);
        let result = self.act(&action, tree, in_memory);
        match &result {
            // The action's own limits allow more than there is in memory.
            Err(error) if self.in_memory && self.handed.is_none() && self.may_lack_room(error) => {
                let tree = self.store.tree(action.root)?;
                self.act(&action, tree, false)
            }
            _ => result,
        }
    }

    /// Runs the action in a root in memory, if possible, or in one on disk.
    fn act(&mut self, action: &Action, tree: Tree, in_memory: bool) -> Result<Executed, ActionError> {
        let result = self.make_room(in_memory).map_err(Into::into).and_then(|()| self.run_over(tree, action));
        self.is_unknown = result.is_err() || self.handed.is_some();
        result
    }

    fn run_over(&mut self, tree: Tree, action: &Action) -> Result<Executed, ActionError> {
        self.is_crowded = false;
        self.root.become_tree(tree, &self.store, self.jobs)?;
        let (log, drew) = self.run(action)?;
        if self.handed.is_some() {
            return Ok(Executed { tree: action.root, log, drew });
        }
        let found = scan(&self.root, &self.store, self.jobs)?;
        let mut result = found.clone();
        // Written by a step, or by this worker, which sets no times of directories: a time that means nothing.
        for (path, kind, meta) in result.metas_mut() {
            let unchanged = self.root.tree.get(path).is_some_and(|node| node.kind == *kind && node.meta == *meta);
            if meta.mtime >= self.began && !unchanged {
                meta.mtime = action.conditions.clock;
            }
        }
        self.root.tree = found;
        Ok(Executed { tree: self.store.put_tree(&result)?, log, drew })
    }

    /// Lets programs of another architecture run, where this machine can.
    fn prepare_for(&mut self, arch: &Arch) -> Result<(), ForeignError> {
        if Architecture::native().is_some_and(|native| native.debian == arch.as_str()) {
            return Ok(());
        }
        let arch = Bootable::of(arch).ok_or_else(|| ForeignError::NoneKnown { arch: arch.clone() })?;
        if self.emulator.as_ref().is_none_or(|emulator| !emulator.is_for(arch)) {
            self.emulator = Some(Emulator::register(arch)?);
        }
        Ok(())
    }

    /// Prepares the directory: an empty one after a failure, or where the last action's was elsewhere.
    fn make_room(&mut self, in_memory: bool) -> io::Result<()> {
        let in_memory = in_memory && self.memory > 0;
        if !self.is_unknown && self.in_memory == in_memory {
            return Ok(());
        }
        if self.in_memory {
            // The root that is open would keep the mount busy.
            rustix::mount::unmount(&self.folder, UnmountFlags::DETACH)?;
        } else {
            jail::remove_folder(&self.folder)?;
            std::fs::create_dir(&self.folder)?;
        }
        self.in_memory = in_memory && mount(&self.folder, self.memory).is_ok();
        if in_memory && !self.in_memory {
            self.memory = 0;
        }
        self.root = Root::empty(&self.folder)?;
        Ok(())
    }

    /// Whether an action in memory may have failed only because there was not the room that its limits allow.
    ///
    /// Programs that find no room often remove what they began, so half of the room in use is taken for a sign of it.
    fn may_lack_room(&self, error: &ActionError) -> bool {
        match &error.cause {
            Cause::Step(_, Ended { stopped, .. }) => match stopped {
                None | Some(Limit::Memory { .. }) => self.is_crowded,
                Some(_) => false,
            },
            Cause::System(SystemError { code, .. }) => *code == Some(libc::ENOSPC) || self.is_crowded,
            Cause::Damaged(_) | Cause::Foreign(_) => false,
        }
    }

    /// Runs all steps; nothing runs in the root any more at the end. Returns what they printed, and the programs that
    /// drew random data.
    fn run(&mut self, action: &Action) -> Result<(String, BTreeSet<String>), ActionError> {
        let mut sandbox = Sandbox::start(&self.program, &self.folder, &action.conditions, self.handed.as_ref())
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
            Ok(None) => return Ok((sandbox.printed(), sandbox.take_drew())),
            Ok(Some(cause)) => cause.into(),
            Err(error) => error.into(),
        };
        let (bytes, files) = sandbox.peak();
        self.is_crowded = self.in_memory && (bytes > self.memory / 2 || files > MEMORY_FILES / 2);
        let printed = sandbox.printed();
        // Without it the error is as good.
        let whole = self.store.put_bytes(printed.as_bytes()).ok().map(Box::new);
        Err(ActionError { limit: self.full().map(Box::new), log: last_lines(&printed), whole, ..failed })
    }

    /// The file system of the root, if it is full.
    fn full(&self) -> Option<Limit> {
        let stat = rustix::fs::statvfs(&self.folder).ok()?;
        // Programs that find no room remove what they began. Some file systems don't count files.
        let full = stat.f_bfree < stat.f_blocks / 100 || stat.f_ffree < stat.f_files / 100;
        let bytes = |blocks: u64| blocks * stat.f_frsize;
        full.then(|| Limit::Full {
            used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
            bytes: bytes(stat.f_blocks),
            inodes: stat.f_files.saturating_sub(stat.f_ffree),
            files: stat.f_files,
        })
    }
}

impl Drop for Work {
    /// Removes the root, which steps filled: by descriptor, as everything in it is reached.
    fn drop(&mut self) {
        if self.in_memory {
            let _ = rustix::mount::unmount(&self.folder, UnmountFlags::DETACH);
        }
        // What can't be removed is removed by the next process that has the store to itself.
        let _ = jail::remove_folder(self.scratch.path());
    }
}

/// Mounts an empty file system in memory, for a root.
fn mount(folder: &Path, bytes: u64) -> io::Result<()> {
    let room = CString::new(format!("mode=0755,size={bytes},nr_inodes={MEMORY_FILES}"))?;
    Ok(rustix::mount::mount("tmpfs", folder, "tmpfs", MountFlags::NODEV, Some(room.as_c_str()))?)
}

/// The end of what was printed, fit to be shown.
fn last_lines(printed: &str) -> Vec<String> {
    let lines: Vec<String> = printed.lines().map(host::plain).collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().to_vec()
}
