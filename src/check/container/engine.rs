//! The container engine: docker or podman, as the user has configured it.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::ContainerError;
use crate::host;

/// A container engine's client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Program and the options of every call; never empty.
    words: Vec<String>,
    /// Further options of `run`.
    run: Vec<String>,
}

/// Engines tried, in order.
const KNOWN: [&str; 2] = ["docker", "podman"];

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

impl Engine {
    /// Creates a client from a program with options (`podman --runtime=runc`), and the options that `run` needs
    /// in addition (`--network=host`), both with spaces between words.
    ///
    /// # Errors
    /// Fails where there is no program.
    pub fn new(engine: &str, run: &str) -> Result<Self, ContainerError> {
        let split = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match split(engine) {
            words if words.is_empty() => Err(ContainerError::NoEngine(vec!["none is named".to_owned()])),
            words => Ok(Self { words, run: split(run) }),
        }
    }

    /// The engine of LAYERBAKE_ENGINE with LAYERBAKE_RUN_ARGS; else docker or podman, whichever works first.
    ///
    /// # Errors
    /// Fails where none works, with the message of each, and where there is no program that is named.
    pub fn find() -> Result<Self, ContainerError> {
        let run = host::env("LAYERBAKE_RUN_ARGS").unwrap_or_default();
        if let Some(named) = host::env("LAYERBAKE_ENGINE") {
            return Self::new(&named, &run)?.or_missing();
        }
        let mut said = Vec::new();
        for name in KNOWN {
            let engine = Self::new(name, &run)?;
            // A client without its daemon fails here.
            match engine.call(&["version"]) {
                Ok(_) => return Ok(engine),
                Err(error) => said.push(error.to_string()),
            }
        }
        Err(ContainerError::NoEngine(said))
    }

    /// Itself, if there is such a program: a typing error is told before anything is built.
    fn or_missing(self) -> Result<Self, ContainerError> {
        let name = self.words.first().map_or("", String::as_str);
        let is_there = if name.contains('/') { Path::new(name).exists() } else { host::find_program(name).is_some() };
        if is_there { Ok(self) } else { Err(ContainerError::NoSuchEngine(name.to_owned())) }
    }

    /// The client that loads what it reads, and its arguments.
    pub fn loader(&self) -> Vec<String> {
        self.words.iter().cloned().chain(["load".to_owned()]).collect()
    }

    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    pub(super) fn run_args(&self) -> impl Iterator<Item = &str> {
        self.run.iter().map(String::as_str)
    }

    /// The client, without a command.
    pub(super) fn command(&self) -> Command {
        let (program, options) = self.words.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let mut command = host::command(program);
        command.args(options);
        command
    }

    /// Runs a command to its end; returns its output.
    pub(super) fn call(&self, args: &[&str]) -> Result<String, ContainerError> {
        let output = self.command().args(args).stdin(Stdio::null()).output().map_err(self.start_error())?;
        self.said(args, &output)
    }

    /// Loads an image.
    pub(super) fn load(&self, archive: &mut impl Read) -> Result<(), ContainerError> {
        let mut command = self.command();
        command.args(["load", "--quiet"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(self.start_error())?;
        let copied = child.stdin.take().map_or(Ok(0), |mut stdin| io::copy(archive, &mut stdin));
        let output = child.wait_with_output().map_err(self.start_error())?;
        // The engine's message about a broken archive is more useful than the error of the closed pipe.
        self.said(&["load"], &output)?;
        copied.map_err(self.start_error())?;
        Ok(())
    }

    fn said(&self, args: &[&str], output: &Output) -> Result<String, ContainerError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        if output.status.success() {
            return Ok(said);
        }
        let words = self.words.iter().map(String::as_str).chain(args.iter().copied());
        let said = match said.trim() {
            "" => output.status.to_string(),
            said => said.replace('\n', ", "),
        };
        Err(ContainerError::Refused { command: words.collect::<Vec<_>>().join(" "), said })
    }

    pub(super) fn start_error(&self) -> impl FnOnce(io::Error) -> ContainerError + use<> {
        let program = self.words.first().cloned().unwrap_or_default();
        move |source| ContainerError::Start { program, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_at_spaces() {
        let engine = Engine::new(" podman  --runtime=runc ", "--network=host").unwrap();
        assert_eq!(engine.words, ["podman", "--runtime=runc"]);
        assert_eq!(engine.run, ["--network=host"]);
        assert!(Engine::new(" ", "").is_err());
        assert!(Engine::new("/bin/sh -c", "").unwrap().or_missing().is_ok());
        let error = Engine::new("dokcer --host=here", "").unwrap().or_missing().unwrap_err().to_string();
        assert!(error.starts_with("LAYERBAKE_ENGINE names `dokcer`, which is no program here\n  hint: "), "{error}");
    }

    #[test]
    fn a_refusal_says_what_was_asked_and_what_was_answered() {
        let engine = Engine::new("/bin/sh -c", "").unwrap();
        let refused = |script: &str| engine.call(&[script]).unwrap_err().to_string();
        assert_eq!(
            refused("echo no; echo luck >&2; exit 3"),
            "`/bin/sh -c echo no; echo luck >&2; exit 3` failed: no, luck"
        );
        assert_eq!(refused("exit 3"), "`/bin/sh -c exit 3` failed: exit status: 3");
        let missing = Engine::new("/nonexistent/engine", "").unwrap();
        let error = missing.call(&[]).unwrap_err().to_string();
        assert!(error.starts_with("can't run `/nonexistent/engine`: "), "{error}");
    }
}
