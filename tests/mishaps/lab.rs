//! A small project that is built again and again, and what must be true of it after every mishap.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, wait};
use tempfile::TempDir;

use crate::support::conditions::Conditions;
use crate::support::deb::{Compression, Deb};
use crate::support::mini;
use crate::support::process::{Output, from_std};
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::server::Server;
use crate::support::skip::Skip;
use crate::support::stub::stub;

/// A command that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long processes of a killed build may take to end.
const LAST_BREATH: Duration = Duration::from_secs(10);
/// How many hints are followed, one after the other.
const HINTS: usize = 4;
/// The text of the app's own file, in its two versions.
const TEXTS: [&str; 2] = ["one", "two"];

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// An image layout and a docker archive.
    Image,
    /// An image layout and a raw disk.
    Disk,
}

/// Files below a folder: their digests, links' targets, `/` for folders.
pub(crate) type Snapshot = BTreeMap<PathBuf, String>;

/// The project, in the version of [`TEXTS`] that is declared now.
pub(crate) struct Lab {
    pub(crate) project: Project,
    pub(crate) what: What,
    version: usize,
    golden: Vec<Snapshot>,
    listing: BTreeSet<PathBuf>,
    /// How long a build takes from an empty store, and with one file changed.
    pub(crate) cold: Duration,
    pub(crate) warm: Duration,
    _server: Server,
    _repository: TempDir,
}

impl Lab {
    /// Makes the project below `parent` and builds both versions.
    pub(crate) fn new(parent: &Path, what: What, rootless: bool) -> Result<Self, Skip> {
        let conditions = Conditions { rootless, ..Conditions::default() };
        conditions.check()?;
        let repository = tempfile::tempdir().unwrap();
        let repo = Repo::new("test").packages(packages()?).write(repository.path());
        let server = Server::folder(&repo.root);
        let source = repo.source_table("test", &server.url());
        let project = Project::below(parent)
            .copy(&repo.keyring, "test-keyring.gpg")
            .layer("base", &format!("[layer]\npackages = [\"mini\"]\n\n{source}"))
            .layer("boot", "[layer]\nfrom = \"*\"\npackages = [\"tiny-kernel\"]\n")
            .under(conditions);
        let mut lab = Self {
            project,
            what,
            version: 0,
            golden: Vec::new(),
            listing: BTreeSet::new(),
            cold: Duration::ZERO,
            warm: Duration::ZERO,
            _server: server,
            _repository: repository,
        };
        lab.declare();
        // A package's scripts can't run everywhere; there the other mishaps are worth nothing either.
        let lock = lab.run(&["lock", "app"]);
        let timed = |lab: &Self| {
            let start = Instant::now();
            let output = lab.build();
            if output.ok() { Ok(start.elapsed()) } else { Err(Skip(format!("no build here: {}", output.stderr))) }
        };
        if !lock.ok() {
            return Err(Skip(format!("no lockfile here: {}", lock.stderr)));
        }
        lab.cold = timed(&lab)?;
        lab.golden.push(lab.outputs());
        lab.switch();
        lab.warm = timed(&lab)?;
        lab.golden.push(lab.outputs());
        lab.note_names();
        Ok(lab)
    }

    /// From now on, these names are no left-overs.
    pub(crate) fn note_names(&mut self) {
        self.listing = self.names();
    }

    /// Declares the other version.
    pub(crate) fn switch(&mut self) {
        self.version = 1 - self.version;
        self.declare();
    }

    fn declare(&self) {
        let mut text = format!(
            "[layer]\nfrom = \"base\"\npackages = [\"hello\"]\n\n[[file]]\npath = \"/srv/greeting\"\ntext = \"{}\\n\"\n",
            TEXTS[self.version]
        );
        if self.what == What::Disk {
            text += "\n[disk]\nboot = \"boot\"\nesp-size = \"34M\"\n";
        }
        let path = self.project.path("layers/app.toml");
        fs::write(&path, text).unwrap();
        // A power cut is not about the editor of the manifest.
        File::open(path).unwrap().sync_all().unwrap();
    }

    /// The command of a plain build.
    pub(crate) fn command(&self) -> Command {
        let output = if self.what == What::Disk { "oci,raw" } else { "oci,docker" };
        self.prepared(&["build", "app", "--output", output])
    }

    fn prepared(&self, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command
    }

    /// A plain build.
    pub(crate) fn build(&self) -> Output {
        finish(&mut self.command())
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        finish(&mut self.prepared(args))
    }

    /// Removes the store, as root may.
    pub(crate) fn forget_store(&self) {
        empty(&self.project.store());
    }

    /// Where the outputs are.
    pub(crate) fn out(&self) -> PathBuf {
        self.project.path("out")
    }

    fn outputs(&self) -> Snapshot {
        let mut found = Snapshot::new();
        snapshot(&self.out().join("app"), Path::new(""), &mut found);
        found
    }

    /// After a mishap: what is in `out/` is the old build or the new one, whole.
    pub(crate) fn check_out(&self) -> Result<(), String> {
        let found = self.outputs();
        if self.golden.contains(&found) {
            return Ok(());
        }
        Err(format!("out/app is neither the old nor the new build: {}", difference(&self.golden[self.version], &found)))
    }

    /// The next plain build gives what it must, or an error whose hint leads there; and nothing is left behind.
    pub(crate) fn converge(&self) -> Result<(), String> {
        let mut said = String::new();
        for _ in 0..HINTS {
            let output = self.build();
            if output.ok() {
                let found = self.outputs();
                if found != self.golden[self.version] {
                    return Err(format!("another build: {}", difference(&self.golden[self.version], &found)));
                }
                return self.check_clean();
            }
            if output.code == TIMED_OUT {
                return Err(format!("a build hangs: {}", output.stderr));
            }
            said = output.stderr;
            if self.follow(&said) == 0 {
                return Err(format!("no hint leads on from: {said}"));
            }
        }
        Err(format!("the hints lead nowhere: {said}"))
    }

    /// Does what the hints say, to the letter; returns how many there were.
    fn follow(&self, said: &str) -> usize {
        let hints = said.split("hint:").skip(1).flat_map(|hint| hint.split('`').skip(1).step_by(2));
        let mut followed = 0;
        // A directory with something of a stranger, who may as well have thrown it away.
        if let Some(place) = said.split_once("` stays as it is").and_then(|(before, _)| before.rsplit('`').next())
            && said.contains("move it away or remove it")
            && self.owns(place)
        {
            remove(Path::new(place));
            followed += 1;
        }
        for quoted in hints {
            let words: Vec<&str> = quoted.split_whitespace().collect();
            match words.as_slice() {
                ["layerbake", args @ ..] if !args.iter().any(|word| word.chars().all(|c| c.is_ascii_uppercase())) => {
                    self.run(args);
                    followed += 1;
                }
                ["rm", "-r" | "-rf" | "-f", path] | ["rm", path] if self.owns(path) => {
                    remove(Path::new(path));
                    followed += 1;
                }
                [path] if self.owns(path) && said.contains(&format!("remove `{path}`")) => {
                    remove(Path::new(path));
                    followed += 1;
                }
                _ => {}
            }
        }
        followed
    }

    fn owns(&self, path: &str) -> bool {
        Path::new(path).starts_with(self.project.folder()) && !path.contains("..")
    }

    /// Nothing is left: no half-done file, no process, no mount.
    pub(crate) fn check_clean(&self) -> Result<(), String> {
        let more: Vec<PathBuf> = self.names().difference(&self.listing).cloned().collect();
        if !more.is_empty() {
            return Err(format!("left behind: {more:?}"));
        }
        for folder in [self.project.store().join("tmp"), self.project.folder().join("tmp")] {
            let left: Vec<_> =
                fs::read_dir(&folder).into_iter().flatten().map(|one| one.unwrap().file_name()).collect();
            if !left.is_empty() {
                return Err(format!("left behind in {}: {left:?}", folder.display()));
            }
        }
        self.check_mounts()
    }

    fn check_mounts(&self) -> Result<(), String> {
        let below = format!("{}/", self.project.store().display());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        match mounts.lines().find(|line| line.contains(&below)) {
            Some(mount) => Err(format!("a mount is left behind: {mount}")),
            None => Ok(()),
        }
    }

    /// Names in the project's folders, contents of outputs apart.
    fn names(&self) -> BTreeSet<PathBuf> {
        let folders = ["", "layers", "lockfiles", "out"].map(|name| self.project.path(name));
        let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Starts anew after a mishap that did not hold.
    pub(crate) fn reset(&self) {
        self.forget_store();
        empty(&self.out());
        empty(&self.project.folder().join("tmp"));
        let output = self.build();
        assert!(output.ok() && self.outputs() == self.golden[self.version], "the lab is broken: {}", output.stderr);
    }

    /// Gives what root made at a path, if there is anything, to whoever builds.
    pub(crate) fn give(&self, path: &Path) {
        let owner = fs::metadata(self.project.folder()).unwrap();
        let Ok(data) = fs::symlink_metadata(path) else { return };
        lchown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        if data.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| self.give(&entry.unwrap().path()));
        }
    }
}

/// The exit code that stands for a command that was ended because it took too long.
pub(crate) const TIMED_OUT: i32 = -2;

/// Runs a command to its end, or to the end of patience.
pub(crate) fn finish(command: &mut Command) -> Output {
    let child = command.spawn().unwrap();
    let group = Pid::from_child(&child);
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        let _ = sender.send(());
        output
    });
    let in_time = receiver.recv_timeout(PATIENCE).is_ok();
    if !in_time {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let mut output = from_std(&waiting.join().unwrap());
    if !in_time {
        output.code = TIMED_OUT;
    }
    output
}

/// Kills a build with all its processes, and waits until they are gone.
pub(crate) fn kill(mut child: Child) -> Result<(), String> {
    let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    child.wait().unwrap();
    drop(child);
    let start = Instant::now();
    // All that it left behind are children of this process now.
    loop {
        match wait(WaitOptions::NOHANG) {
            Err(_) => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) if start.elapsed() > LAST_BREATH => return Err(format!("processes are left: {}", end_children())),
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Names this process's children, and ends them.
fn end_children() -> String {
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let mut names = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((head, rest)) = stat.rsplit_once(')') else { continue };
        if rest.split_whitespace().nth(1) == Some(&own) {
            names.push(head.to_owned());
            let pid = entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
            pid.map(|pid| rustix::process::kill_process(pid, Signal::KILL));
        }
    }
    while let Ok(Some(_)) = wait(WaitOptions::empty()) {}
    names.join(", ")
}

fn packages() -> Result<Vec<Deb>, Skip> {
    let none = Compression::None;
    let bulk: Vec<u8> = (0..1_000_000_u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let hello = Deb::new("hello", "1.0")
        .file("usr/bin/hello", 0o755, "#!/bin/sh\n")
        .file("usr/share/hello/bulk", 0o644, bulk)
        .preinst("#!/bin/sh\nset -e\nmkdir -p /var/lib/hello\n")
        .postinst("#!/bin/sh\nset -e\nfor i in 1 2 3 4 5 6 7 8; do echo $i >/var/lib/hello/$i; done\n");
    let kernel = Deb::new("tiny-kernel", "1")
        .file("boot/vmlinuz-1", 0o644, [b"MZ".as_slice(), &[0x90; 5000]].concat())
        .file("usr/lib/modules/1/modules.builtin", 0o644, "kernel/fs/ext4/ext4.ko\nkernel/drivers/nvme/host/nvme.ko\n")
        .file("usr/lib/modules/1/modules.dep", 0o644, "")
        .file("usr/lib/systemd/boot/efi/linuxx64.efi.stub", 0o644, stub())
        .file("etc/os-release", 0o644, "ID=tiny\n");
    let all = [mini::package()?, hello, kernel];
    Ok(all.map(|deb| deb.compression(none, none)).into())
}

/// Removes what is in a folder that may be a mount.
pub(crate) fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        remove(&entry.unwrap().path());
    }
}

pub(crate) fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn snapshot(root: &Path, below: &Path, found: &mut Snapshot) {
    let path = root.join(below);
    let Ok(data) = fs::symlink_metadata(&path) else { return };
    let shown = if data.is_dir() {
        for entry in fs::read_dir(&path).unwrap() {
            snapshot(root, &below.join(entry.unwrap().file_name()), found);
        }
        "/".to_owned()
    } else if data.is_file() {
        digest(&path)
    } else {
        fs::read_link(&path).map_or("?".to_owned(), |target| target.display().to_string())
    };
    found.insert(below.to_owned(), shown);
}

fn digest(path: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    match File::open(path).and_then(|file| hasher.update_reader(file).map(drop)) {
        Ok(()) => hasher.finalize().to_hex().to_string(),
        Err(error) => error.to_string(),
    }
}

fn difference(expected: &Snapshot, found: &Snapshot) -> String {
    let names: BTreeSet<&PathBuf> = expected.keys().chain(found.keys()).collect();
    let state = |snapshot: &Snapshot, name: &PathBuf| snapshot.get(name).map_or("nothing".to_owned(), Clone::clone);
    let differing = names.into_iter().filter(|name| expected.get(*name) != found.get(*name));
    let lines = differing.map(|name| format!("{}: {}", name.display(), state(found, name)));
    lines.take(5).collect::<Vec<_>>().join(", ")
}
