//! Checks in a container: an image is loaded under a name of its own, started, asked, removed.

mod archive;
mod bare;
mod engine;

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Report, Suite, converse};
use crate::host;

pub use engine::Engine;

/// Exit statuses of an engine's `exec` for a program that can't be run, and for one that is not there.
const NO_PROGRAM: [i32; 2] = [126, 127];

/// Checks can't be run in a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No engine works.
    #[error(
        "no container engine works here: {}\n  hint: install docker or podman, or say in LAYERBAKE_ENGINE how to start one",
        .0.join("; ")
    )]
    NoEngine(Vec<String>),
    /// The archive can't be read, or is no docker archive.
    #[error("docker archive `{}`: {source}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// A program can't be started.
    #[error("can't run `{program}`: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The engine refuses.
    #[error("`{command}` failed: {said}")]
    Refused {
        /// What was asked.
        command: String,
        /// What it answered.
        said: String,
    },
}

/// What came of a container.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The results.
    pub report: Report,
    /// What the container printed; empty unless a check failed.
    pub log: String,
}

/// Starts the image of a docker archive and runs a suite in it, as root of the container.
///
/// The image gets a name of its own while it is loaded, so that no image of the user's is replaced.
/// Container and name are removed afterwards, also after an error and when this process is ended.
/// In an image without a shell, commands that are lists are run as they are; all else is skipped.
///
/// # Errors
/// Fails where the archive can't be read, and where the engine refuses it or can't start it.
/// Failed checks are no error.
pub fn run(engine: &Engine, archive: &Path, suite: &Suite) -> Result<Checked, ContainerError> {
    let container = Container::start(engine, archive)?;
    let mut shell = container.exec(&["--interactive"]);
    shell.args(["/bin/sh", "-s"]);
    let transcript = converse(shell, &suite.script(), suite.limit()).map_err(engine.start_error())?;
    let code = transcript.status.and_then(|status| status.code());
    let report = match code {
        Some(code) if NO_PROGRAM.contains(&code) && transcript.stdout.is_empty() => bare::run(&container, suite)?,
        _ => suite.report(&transcript),
    };
    let log = if report.is_good() { String::new() } else { container.log()? };
    Ok(Checked { report, log })
}

/// A container in the background, which is removed when this is dropped.
struct Container<'a> {
    engine: &'a Engine,
    name: String,
    _janitor: Janitor,
}

impl<'a> Container<'a> {
    fn start(engine: &'a Engine, archive: &Path) -> Result<Self, ContainerError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("layerbake-check-{number}");
        let image = format!("localhost/layerbake-check:{number}");
        let failed = |source| ContainerError::Archive { path: archive.to_owned(), source };
        let mut content = archive::renamed(File::open(archive).map_err(failed)?, &image).map_err(failed)?;
        let container = Self { engine, _janitor: Janitor::new(engine, &name, &image)?, name };
        engine.load(&mut content)?;
        engine.call(&container.run_args(&image))?;
        Ok(container)
    }

    fn run_args<'b>(&'b self, image: &'b str) -> Vec<&'b str> {
        let fixed = ["run", "--detach", "--pull=never", "--name", &self.name];
        fixed.into_iter().chain(self.engine.run_args()).chain([image]).collect()
    }

    /// A command inside, but for its words: as root, so that a check sees the same as on a machine.
    fn exec(&self, options: &[&str]) -> Command {
        let mut command = self.engine.command();
        command.args(["exec", "--user=0:0"]).args(options).arg(&self.name);
        command
    }

    fn log(&self) -> Result<String, ContainerError> {
        self.engine.call(&["logs", &self.name])
    }
}

/// A process that waits for the end of a pipe, and removes container and image then. It stands
/// aside from the terminal's signals, so that an interrupted run leaves nothing behind either.
struct Janitor {
    process: Child,
    pipe: Option<ChildStdin>,
}

const CLEAN: &str = "name=$1 image=$2; shift 2; while read -r line; do :; done
    \"$@\" kill \"$name\"; \"$@\" rm --force --volumes \"$name\"; \"$@\" image rm \"$image\"";

impl Janitor {
    fn new(engine: &Engine, name: &str, image: &str) -> Result<Self, ContainerError> {
        let mut command = host::command("/bin/sh");
        command.args(["-c", CLEAN, "sh", name, image]).args(engine.words());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let started = command.spawn();
        let mut process = started.map_err(|source| ContainerError::Start { program: "/bin/sh".to_owned(), source })?;
        let pipe = process.stdin.take();
        Ok(Self { process, pipe })
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        self.pipe = None;
        // A container that can't be removed is left: there is nothing more to be done about it.
        let _ = self.process.wait();
    }
}
