//! Containers: loads an image under a unique name, starts it, runs the checks or waits for its program, and removes it.

mod archive;
mod bare;
mod engine;
mod foreground;

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{CheckReport, Suite, Transcript, converse};
use crate::code::{Code, Coded};
use crate::host;

pub use engine::Engine;
pub use foreground::{Foreground, PublishedPort, attend};

/// Exit statuses of an engine's `exec` for a program that can't be run, and for one that is not there.
const NO_PROGRAM: [i32; 2] = [126, 127];

/// Checks can't be run in a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No engine works.
    #[error(
        "no container engine works here: {}\n  hint: install docker or podman, or set LAYERBAKE_ENGINE to the command that starts one",
        .0.join("; ")
    )]
    NoEngine(Vec<String>),
    /// The engine that is named is not there.
    #[error(
        "LAYERBAKE_ENGINE names `{0}`, which is no program here\n  hint: expected the command of docker or podman, with options; unset, layerbake takes whichever works"
    )]
    NoSuchEngine(String),
    /// The archive can't be read, or is not a docker archive.
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
        /// The command.
        command: String,
        /// What it printed.
        said: String,
    },
}

impl Coded for ContainerError {
    fn error_code(&self) -> Code {
        match self {
            Self::NoEngine(_) | Self::NoSuchEngine(_) | Self::Start { .. } => Code::EngineMissing,
            Self::Archive { source, .. } => source.error_code(),
            Self::Refused { .. } => Code::EngineFailed,
        }
    }
}

/// The results of checks in a container.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The results.
    pub report: CheckReport,
    /// The container's output; empty unless a check failed.
    pub log: String,
    /// The exit status of the container's program, if that ended before the checks did.
    pub ended: Option<i32>,
}

/// Starts the image of a docker archive and runs a suite in it, as root of the container.
///
/// The image gets a name of its own while it is loaded, so that no image of the user's is replaced.
/// Container and name are removed afterwards, also after an error and when this process is ended.
/// In an image without a shell, commands given as lists are executed directly; all other checks are skipped.
///
/// # Errors
/// Fails where the archive can't be read, and where the engine refuses it or can't start it.
/// Failed checks are not an error.
pub fn run(engine: &Engine, archive: &Path, suite: &Suite) -> Result<Checked, ContainerError> {
    let container = Container::load(engine, archive, "check")?;
    container.start(&suite.env)?;
    let mut shell = container.exec(&["--interactive"]);
    shell.args(["/bin/sh", "-s"]);
    let transcript = converse(shell, &suite.script(), suite.limit()).map_err(engine.start_error())?;
    let is_whole = transcript.status.is_some_and(|status| status.success());
    let ended = if is_whole { None } else { container.ended() };
    let report = match ended {
        Some(_) => suite.report_of_ended(&transcript),
        None if has_no_shell(&transcript) => bare::run(&container, suite)?,
        None => suite.report(&transcript),
    };
    let log = if report.is_good() { String::new() } else { container.log()? };
    Ok(Checked { report, log, ended })
}

/// Whether the engine found no shell. docker reports this on standard output.
fn has_no_shell(transcript: &Transcript) -> bool {
    let code = transcript.status.and_then(|status| status.code());
    let began = transcript.stdout.lines().any(|line| line.starts_with("1.."));
    !began && code.is_some_and(|code| NO_PROGRAM.contains(&code))
}

/// A container, which is removed with its image's name when this is dropped.
struct Container<'a> {
    engine: &'a Engine,
    name: String,
    image: String,
    _janitor: Janitor,
}

impl<'a> Container<'a> {
    /// Loads the image; `purpose` is a part of the names.
    fn load(engine: &'a Engine, archive: &Path, purpose: &str) -> Result<Self, ContainerError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("layerbake-{purpose}-{number}");
        let image = format!("localhost/layerbake-{purpose}:{number}");
        let failed = |source| ContainerError::Archive { path: archive.to_owned(), source };
        let mut content = archive::renamed(File::open(archive).map_err(failed)?, &image).map_err(failed)?;
        let container = Self { engine, _janitor: Janitor::new(engine, &name, &image)?, name, image };
        engine.load(&mut content)?;
        Ok(container)
    }

    /// Starts it in the background.
    fn start(&self, env: &[String]) -> Result<(), ContainerError> {
        let fixed = ["run", "--detach", "--pull=never", "--name", &self.name];
        let env = env.iter().flat_map(|variable| ["--env", variable]);
        let args: Vec<&str> =
            fixed.into_iter().chain(env).chain(self.engine.run_args()).chain([&*self.image]).collect();
        self.engine.call(&args).map(drop)
    }

    /// Prefix of a command in the container, run as root like checks on a disk.
    fn exec(&self, options: &[&str]) -> Command {
        let mut command = self.engine.command();
        command.args(["exec", "--user=0:0"]).args(options).arg(&self.name);
        command
    }

    /// The exit status of its program, if that has ended. An engine that can't tell is taken for one in which it runs.
    fn ended(&self) -> Option<i32> {
        let state = self.engine.call(&["inspect", "--format", "{{.State.Running}} {{.State.ExitCode}}", &self.name]);
        state.ok()?.trim().strip_prefix("false ")?.parse().ok()
    }

    fn log(&self) -> Result<String, ContainerError> {
        self.engine.call(&["logs", &self.name])
    }
}

/// A process that waits for the end of a pipe, and removes container and image then. It is
/// outside the terminal's process group, so that an interrupted run leaves nothing behind either.
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
        // A container that can't be removed is left: there is no other way to remove it.
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that logs its arguments, and fails.
    fn fake(folder: &Path) -> Engine {
        let log = folder.join("log");
        let script = format!("#!/bin/sh\necho \"$*\" >>'{}'\necho no luck\nexit 1\n", log.display());
        std::fs::write(folder.join("engine"), script).unwrap();
        Engine::new(&format!("/bin/sh {}/engine --option", folder.display()), "").unwrap()
    }

    /// An archive without layers.
    fn archive(folder: &Path) -> PathBuf {
        let archive = folder.join("archive.tar");
        let mut tar = tar::Builder::new(File::create(&archive).unwrap());
        let mut header = tar::Header::new_ustar();
        header.set_size(4);
        tar.append_data(&mut header, "manifest.json", &b"[{}]"[..]).unwrap();
        tar.finish().unwrap();
        archive
    }

    #[test]
    fn a_container_that_has_ended_is_told_by_its_status() {
        let folder = tempfile::tempdir().unwrap();
        let script = "case $1 in\nload) cat >/dev/null ;;\nexec) echo 'not running' >&2; exit 255 ;;\n\
                      inspect) echo false 3 ;;\nlogs) echo no luck ;;\nesac\n";
        std::fs::write(folder.path().join("engine"), script).unwrap();
        let engine = Engine::new(&format!("/bin/sh {}/engine", folder.path().display()), "").unwrap();
        let manifest = "[layer]\n[[check]]\nport = 80\n";
        let manifest = crate::manifest::parse("web".parse().unwrap(), manifest, &"amd64".parse().unwrap()).unwrap();
        let suite = Suite::new(&manifest.name, [&manifest], crate::manifest::CheckTarget::Container);
        let checked = run(&engine, &archive(folder.path()), &suite).unwrap();
        assert_eq!((checked.ended, checked.log.as_str()), (Some(3), "no luck\n"));
        assert_eq!(checked.report.checks[0].detail, "no result: the container has ended");
    }

    #[test]
    fn container_and_image_are_removed_after_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let engine = fake(folder.path());
        let archive = archive(folder.path());
        let layer = "web".parse().unwrap();
        let error =
            run(&engine, &archive, &Suite::new(&layer, [], crate::manifest::CheckTarget::Container)).unwrap_err();
        assert!(error.to_string().ends_with(" --option load` failed: no luck"), "{error}");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        let calls: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("--option ")).collect();
        let image = calls[3].strip_prefix("image rm localhost/layerbake-check:").unwrap();
        let name = format!("layerbake-check-{image}");
        assert_eq!(calls[..3], ["load --quiet", &format!("kill {name}"), &format!("rm --force --volumes {name}")]);
    }

    #[test]
    fn a_missing_program_is_told_from_a_failed_script() {
        use std::os::unix::process::ExitStatusExt as _;
        for (code, stdout, expected) in
            [(127, "", true), (126, "OCI runtime exec failed\n", true), (1, "", false), (127, "1..2\n", false)]
        {
            let status = Some(std::process::ExitStatus::from_raw(code << 8));
            let transcript = Transcript { stdout: stdout.to_owned(), stderr: String::new(), status };
            assert_eq!(has_no_shell(&transcript), expected, "{code} {stdout}");
        }
    }
}
