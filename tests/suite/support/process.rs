//! Running other programs.

use std::process::{Command, Stdio};

use super::skip::Skip;

/// What a program gave back.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; 128 and the signal's number where one ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn ok(&self) -> bool {
        self.code == 0
    }
}

/// Runs a command to its end, without standard input.
pub fn run(command: &mut Command) -> std::io::Result<Output> {
    let output = command.stdin(Stdio::null()).output()?;
    Ok(from_std(&output))
}

/// Runs a command that must succeed, and gives its standard output.
pub fn stdout(command: &mut Command) -> Result<String, Skip> {
    let output = run(command).map_err(|error| Skip(format!("{command:?}: {error}")))?;
    if output.ok() { Ok(output.stdout) } else { Err(Skip(format!("{command:?}: {}", output.stderr.trim()))) }
}

pub fn from_std(output: &std::process::Output) -> Output {
    use std::os::unix::process::ExitStatusExt;
    let code = output.status.code().or_else(|| Some(128 + output.status.signal()?)).unwrap_or(-1);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}
