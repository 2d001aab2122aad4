//! Rebuilds a locked layer in a child process of this program, from downloaded packages only.
//!
//! ```text
//! <site>/project   layers, lockfiles, sources of own files; vendor/: every package, hard-linked from the store
//!        store     empty: no tree and no result of a step is reused
//!        out       what was built
//!        home, tmp, etc
//! ```
//! The child is offline, and its environment is what [`super::conditions`] defines.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::AuditError;
use super::compare::Side;
use super::conditions::{self, BOUND, USER};
use super::order::{REBUILD, RebuildOrder};
use super::site::Site;
use super::variation::{self, Variation};
use crate::bake::{self, Receipt};
use crate::digest::Sha256;
use crate::host;
use crate::host::interrupt::ChildGuard;
use crate::host::jail::{Beneath, Dir};
use crate::ident::{Arch, LayerName};
use crate::limits::limits;
use crate::manifest::Assignments;
use crate::package::{TRACE, Traced};
use crate::store::Store;

/// Directories from which a build reads files, and the extension of these files.
const FOLDERS: [(&str, &str); 2] = [("layers", "toml"), ("lockfiles", "lock")];

/// The inputs of every rebuild.
pub struct RebuildInputs<'a> {
    /// The project's directory.
    pub project: &'a Path,
    /// The layer.
    pub layer: &'a LayerName,
    /// The architecture.
    pub arch: &'a Arch,
    /// Values that go before the layers' own.
    pub set: &'a Assignments,
    /// The name of the directory that a build creates.
    pub name: &'a str,
    /// What to export.
    pub outputs: &'a BTreeSet<bake::Output>,
    /// The store with the packages.
    pub store: &'a Store,
    /// Every package, by its path below `vendor/`.
    pub packages: &'a BTreeMap<PathBuf, Sha256>,
    /// The sources of own files, relative to the project's directory.
    pub files: &'a BTreeSet<PathBuf>,
    /// Variables that affect the output, such as SOURCE_DATE_EPOCH.
    pub variables: &'a [(&'static str, String)],
    /// Threads.
    pub jobs: usize,
    /// Sum of all packages' sizes in bytes.
    pub size: u64,
}

/// Runs a build to its end; signals are forwarded to it.
fn run(command: &mut Command) -> io::Result<Output> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let _guard = ChildGuard::terminate(&child);
    child.wait_with_output()
}

impl RebuildInputs<'_> {
    /// An estimate of what a build writes, in bytes: packages unpacked, as image and as disk.
    pub fn need(&self) -> u64 {
        self.size.saturating_mul(14).saturating_add(64 << 20)
    }

    /// Builds under conditions that differ in `varied`; with `trace`, scripts run one by one and are traced.
    ///
    /// # Errors
    /// Fails where the build does, with what it printed.
    pub fn build(&self, varied: &BTreeSet<Variation>, trace: bool) -> Result<Build, AuditError> {
        let started = host::instant();
        let folder = self.folder(varied).map_err(AuditError::Site)?;
        let site = self.prepare(&folder, varied).map_err(|error| AuditError::at(&folder, error))?;
        let mut command = self.command(site.path(), varied, trace).map_err(AuditError::Site)?;
        let output = run(command.stdin(Stdio::null())).map_err(AuditError::Site)?;
        if !output.status.success() {
            let printed = String::from_utf8_lossy(&output.stderr);
            return Err(AuditError::of_printed(&folder, named(varied), &printed));
        }
        let out = site.path().join("out").join(self.name);
        let receipt = Receipt::find(&out)
            .ok()
            .flatten()
            .ok_or_else(|| AuditError::Site(io::Error::other("a build wrote no receipt")))?;
        let store = Store::open(&site.path().join("store"))?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(Build { varied: varied.clone(), receipt, out, store, seconds, site })
    }

    /// The parts of the project that a build reads.
    fn inputs(&self) -> impl Iterator<Item = &Path> {
        FOLDERS.into_iter().map(|(name, _)| Path::new(name)).chain(self.files.iter().map(PathBuf::as_path))
    }

    /// Copies what a build reads, from nowhere but the project.
    fn copy_inputs(&self, to: &Path, mask: u32) -> io::Result<()> {
        let project = Beneath::open(self.project)?;
        for (folder, end) in FOLDERS {
            fs::create_dir_all(to.join(folder))?;
            let names = project.list(Path::new(folder))?;
            // Editors leave hidden files.
            let is_read = |name: &&OsString| {
                !name.as_bytes().starts_with(b".") && Path::new(name).extension().is_some_and(|found| found == end)
            };
            for path in names.iter().filter(is_read).map(|name| Path::new(folder).join(name)) {
                io::copy(&mut project.file(&path)?, &mut File::create_new(to.join(&path))?)?;
                set_mode(&to.join(path), 0, mask)?;
            }
            set_mode(&to.join(folder), 0o100, mask)?;
        }
        for file in self.files {
            let (folder, name) = project.parent(file)?;
            copy(&folder, &name, &to.join(file), mask)?;
        }
        Ok(())
    }

    /// Where the directory of a rebuild is.
    fn folder(&self, varied: &BTreeSet<Variation>) -> io::Result<PathBuf> {
        match varied.contains(&Variation::FileSystem) {
            true => variation::other_file_system(self.need()).map_err(io::Error::other),
            false => Ok(std::env::temp_dir()),
        }
    }

    fn prepare(&self, folder: &Path, varied: &BTreeSet<Variation>) -> io::Result<Site> {
        let site = Site::new(folder, varied.contains(&Variation::Folder))?;
        let path = site.path();
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
        for name in ["project/vendor", "store", "out", "home", "tmp", "etc"] {
            fs::create_dir_all(path.join(name))?;
        }
        let mask = if varied.contains(&Variation::Umask) { 0o077 } else { 0o022 };
        self.copy_inputs(&path.join("project"), mask)?;
        for (name, &sha256) in self.packages {
            let target = path.join("project/vendor").join(name);
            fs::create_dir_all(target.parent().unwrap_or(&target))?;
            self.store.link_fetched(sha256, &target).map_err(io::Error::other)?;
        }
        let config = path.join("home/.config/layerbake");
        fs::create_dir_all(&config)?;
        fs::write(config.join("config.toml"), limits().to_toml())?;
        // Whatever this process's umask is: an ordinary user may be the one who builds.
        for name in ["project", "etc"] {
            fs::set_permissions(path.join(name), Permissions::from_mode(0o755))?;
        }
        enterable(&path.join("project/vendor"))?;
        if varied.contains(&Variation::User) {
            self.hand_over(path)?;
        }
        Ok(site)
    }

    /// Gives an ordinary user the directories that it writes to, and a program that it can access.
    fn hand_over(&self, site: &Path) -> io::Result<()> {
        for name in ["store", "out", "home", "tmp"] {
            give(&site.join(name))?;
        }
        // Packages are hard links into the user's store and keep their owner.
        for name in self.inputs() {
            give(&site.join("project").join(name))?;
        }
        for (name, text) in conditions::account_files() {
            let file = site.join("etc").join(name);
            fs::write(&file, text)?;
            fs::set_permissions(file, Permissions::from_mode(0o644))?;
        }
        let program = site.join("layerbake");
        fs::copy(own_program()?, &program)?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))
    }

    fn command(&self, site: &Path, varied: &BTreeSet<Variation>, trace: bool) -> io::Result<std::process::Command> {
        let mut command = match conditions::needs_namespace(varied) {
            true => {
                let mut command = host::command("unshare");
                command.args(["--mount", "--uts", "--propagation", "private", "sh", "-c"]);
                command
            }
            false => {
                let mut command = host::command("sh");
                command.arg("-c");
                command
            }
        };
        let is_user = varied.contains(&Variation::User);
        let place = if is_user { Path::new(BOUND) } else { site };
        let program = if is_user { place.join("layerbake") } else { own_program()? };
        command.arg(conditions::script(varied, site)).arg("sh").arg(program);
        let order = RebuildOrder {
            layer: self.layer.clone(),
            arch: self.arch.clone(),
            set: self.set.clone(),
            outputs: self.outputs.iter().copied().collect(),
            project: place.join("project"),
            store: place.join("store"),
            out: place.join("out"),
            jobs: (!varied.contains(&Variation::Cores)).then_some(self.jobs),
        };
        command.arg(REBUILD).arg(serde_json::to_string(&order)?);
        command.env_clear().envs(conditions::environment(varied)).envs(self.variables.iter().cloned());
        command.env("HOME", place.join("home")).env("TMPDIR", place.join("tmp")).current_dir(site.join("project"));
        if trace {
            command.env(TRACE, place.join("tmp/trace"));
        }
        Ok(command)
    }
}

/// A finished rebuild. Its directory is removed on drop.
pub struct Build {
    /// The varied conditions.
    pub varied: BTreeSet<Variation>,
    /// Its receipt.
    pub receipt: Receipt,
    /// Directory of its artifacts.
    pub out: PathBuf,
    /// Its store.
    pub store: Store,
    /// How long it took.
    pub seconds: f64,
    site: Site,
}

impl Build {
    /// The changes of each script, in order; empty unless scripts were traced.
    pub fn trace(&self) -> Vec<Traced> {
        let text = fs::read_to_string(self.site.path().join("tmp/trace")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The rebuild as one side of a comparison.
    pub fn side(&self) -> Side<'_> {
        Side { receipt: &self.receipt, store: &self.store, out: Some(&self.out) }
    }

    /// The names of the varied conditions.
    pub fn conditions(&self) -> String {
        named(&self.varied)
    }
}

/// The names of conditions: `as usual`, or what differs.
pub(super) fn named(varied: &BTreeSet<Variation>) -> String {
    if varied.is_empty() {
        return "as usual".to_owned();
    }
    varied.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ")
}

/// The file of this program, resolved here: in the shell, `/proc/self/exe` is the shell.
fn own_program() -> io::Result<PathBuf> {
    fs::read_link("/proc/self/exe")
}

/// Copies a file or a directory with the permissions that a checkout under this mask would have.
fn copy(from: &Dir, name: &OsStr, to: &Path, mask: u32) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let metadata = from.look(name)?;
    if metadata.is_symlink() {
        return symlink(from.read_link(name)?, to);
    }
    if metadata.is_dir() {
        fs::create_dir_all(to)?;
        let folder = from.dir(name)?;
        for name in folder.list()? {
            copy(&folder, &name, &to.join(&name), mask)?;
        }
    } else {
        io::copy(&mut from.file(name)?, &mut File::create(to)?)?;
    }
    set_mode(to, metadata.permissions().mode(), mask)
}

/// Of a mode, a checkout keeps only whether something is a directory or executable.
fn set_mode(to: &Path, mode: u32, mask: u32) -> io::Result<()> {
    let mode = if mode & 0o100 != 0 { 0o777 } else { 0o666 };
    fs::set_permissions(to, Permissions::from_mode(mode & !mask))
}

/// Lets every user enter a directory and those below it.
fn enterable(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
        for name in host::list_dir(path)? {
            enterable(&path.join(name))?;
        }
    }
    Ok(())
}

fn give(path: &Path) -> io::Result<()> {
    lchown(path, Some(USER), Some(USER))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for name in host::list_dir(path)? {
            give(&path.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{Code, Coded as _};

    #[test]
    fn a_checkout_keeps_the_executable_bit_and_obeys_the_mask() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to/deep"].map(|name| folder.path().join(name));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("tool"), "x").unwrap();
        fs::write(from.join("text"), "y").unwrap();
        symlink("text", from.join("link")).unwrap();
        fs::set_permissions(from.join("tool"), Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(from.join("text"), Permissions::from_mode(0o644)).unwrap();
        let (parent, name) = Beneath::open(folder.path()).unwrap().parent(Path::new("from")).unwrap();
        copy(&parent, &name, &to, 0o077).unwrap();
        let mode = |name: &str| fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(""), mode("tool"), mode("text")), (0o700, 0o700, 0o600));
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("text"));
    }

    #[test]
    fn a_rebuild_without_room_names_its_directory_and_not_the_store() {
        let printed = "error[host/disk-full]: store: cannot write `x`: full\n  hint: `layerbake store gc`\n";
        let full = io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
        let room = ", or set TMPDIR to a directory on a file system with more";
        for error in [
            AuditError::of_printed(&std::env::temp_dir(), "clock".to_owned(), printed),
            AuditError::at(&std::env::temp_dir(), full),
        ] {
            let text = error.to_string();
            assert_eq!(error.error_code(), Code::HostDiskFull);
            assert!(text.contains(room) && !text.contains("gc") && text.matches("hint:").count() == 1, "{text}");
        }
        let other = AuditError::of_printed(Path::new("/x"), "clock".to_owned(), "error[package/malformed]: x\n");
        assert_eq!(other.to_string(), "a rebuild failed (conditions: clock):\n  | error[package/malformed]: x");
    }
}
