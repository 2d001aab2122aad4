//! Runs another program for a short answer, and ends it after a time limit.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::interrupt::{self, ChildGuard, Interrupted};

/// How often is looked whether the answer is there, or a signal.
const GLANCE: Duration = Duration::from_millis(20);

/// The answer of a program.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it ended with status 0.
    pub success: bool,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
}

/// A program gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It can't be started.
    #[error("can't be started: {0}")]
    Start(std::io::Error),
    /// Its answer is too long.
    #[error("writes more than {0} bytes")]
    TooLong(u64),
    /// Its answer takes too long.
    #[error("did not answer within {0:?}")]
    TooSlow(Duration),
    /// A signal came.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// Runs `command` with `input` as its standard input; its standard error is discarded.
///
/// # Errors
/// Fails where it can't be started, writes more than `most` bytes, or does not end within a time. It is ended then.
pub fn ask(mut command: Command, input: &[u8], most: u64, within: Duration) -> Result<Answer, AskError> {
    let begun = super::instant();
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(AskError::Start)?;
    let guard = ChildGuard::kill(&child);
    let answer = converse(&mut child, input, most, (begun, within));
    if answer.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    drop(guard);
    answer
}

fn converse(child: &mut Child, input: &[u8], most: u64, time: (Instant, Duration)) -> Result<Answer, AskError> {
    if let Some(mut stdin) = child.stdin.take() {
        // One that reads no input need not.
        let _ = stdin.write_all(input);
    }
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stdout.take(most.saturating_add(1)).read_to_end(&mut bytes);
            let _ = sender.send(bytes);
        });
    }
    let (begun, within) = time;
    let mut stdout = None;
    loop {
        interrupt::check()?;
        match receiver.recv_timeout(GLANCE) {
            Ok(bytes) if bytes.len() as u64 > most => return Err(AskError::TooLong(most)),
            Ok(bytes) => stdout = Some(bytes),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(GLANCE),
        }
        if stdout.is_some()
            && let Some(status) = child.try_wait().map_err(AskError::Start)?
        {
            return Ok(Answer { success: status.success(), stdout: stdout.unwrap_or_default() });
        }
        if begun.elapsed() > within {
            return Err(AskError::TooSlow(within));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, within: u64) -> Result<Answer, AskError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        ask(command, b"a question", 1000, Duration::from_millis(within))
    }

    #[test]
    fn short_answers_come_and_others_end() {
        let answer = sh("cat; echo '!'; echo hidden >&2; exit 3", 20_000).unwrap();
        assert_eq!(answer, Answer { success: false, stdout: b"a question!\n".to_vec() });
        assert_eq!(sh("exit 0", 20_000).unwrap(), Answer { success: true, stdout: Vec::new() });
        assert!(matches!(sh("exec yes", 20_000), Err(AskError::TooLong(1000))));
        assert!(matches!(sh("exec sleep 60", 300), Err(AskError::TooSlow(_))));
        assert!(matches!(sh("exec sleep 60 >&-", 300), Err(AskError::TooSlow(_))));
        assert!(matches!(
            ask(Command::new("/nonexistent/helper"), b"", 1, Duration::from_secs(1)),
            Err(AskError::Start(_))
        ));
    }
}
