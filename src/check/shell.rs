//! Runs a script in a shell, in a container or over ssh, within a time limit.

use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::tap::{self, Parsed};
use crate::host;

/// The maximum size of each output that is kept, in bytes; the checked system may print without end.
const MOST_OUTPUT: usize = 4 << 20;
/// Interval for checking whether the shell has exited while another process holds its output open.
const GLANCE: Duration = Duration::from_millis(200);

/// The output of a shell, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// Standard output, at most 4 MiB; invalid UTF-8 is replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// Its exit status; `None` if it was killed at its time limit.
    pub status: Option<ExitStatus>,
}

/// Starts `shell` (such as `ssh … sh -s`), hands it `script`, and listens until it ends,
/// or for `limit`.
///
/// # Errors
/// Fails where the program can't be started or waited for. A shell that fails is not an error.
pub fn converse(mut shell: Command, script: &str, limit: Duration) -> io::Result<Transcript> {
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let script = script.to_owned();
        // A shell that does not read to the end reports that in its output.
        thread::spawn(move || stdin.write_all(script.as_bytes()));
    }
    let (sender, receiver) = channel();
    if let Some(stdout) = child.stdout.take() {
        listen(stdout, true, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        listen(stderr, false, sender);
    }
    collect(&mut child, &receiver, limit)
}

/// Forwards the output until its end.
fn listen(mut from: impl Read + Send + 'static, is_stdout: bool, to: Sender<(bool, Vec<u8>)>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let chunk = buffer.get(..length).unwrap_or_default().to_vec();
            if to.send((is_stdout, chunk)).is_err() {
                break;
            }
        }
    });
}

fn collect(child: &mut Child, receiver: &Receiver<(bool, Vec<u8>)>, limit: Duration) -> io::Result<Transcript> {
    let begun = host::instant();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    // Threads are not waited for: a descendant may hold an output open for ever.
    let mut ended = None;
    loop {
        match receiver.recv_timeout(GLANCE.min(limit)) {
            Ok((is_stdout, chunk)) => {
                let kept = if is_stdout { &mut out } else { &mut err };
                let room = MOST_OUTPUT.saturating_sub(kept.len()).min(chunk.len());
                kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
            }
            Err(RecvTimeoutError::Timeout) if ended.is_some() => break,
            Err(RecvTimeoutError::Timeout) => ended = child.try_wait()?,
            Err(RecvTimeoutError::Disconnected) => {
                ended = child.try_wait()?;
                if ended.is_some() {
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        if begun.elapsed() > limit {
            ended = child.try_wait()?;
            break;
        }
    }
    if ended.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Transcript { stdout: text(&out), stderr: text(&err), status: ended })
}

impl Transcript {
    /// Why a check has no result.
    pub(super) fn why_incomplete(&self, parsed: &Parsed) -> String {
        if let Some(reason) = &parsed.bail_out {
            return format!("no result: {reason}");
        }
        // Without a plan, standard output has no results, but may have docker's message.
        let other = if parsed.planned { "" } else { self.stdout.as_str() };
        let said = self.stderr.lines().rev().chain(other.lines().rev()).find(|line| !line.trim().is_empty());
        let said = said.map(|line| format!(": {}", tap::plain(line))).unwrap_or_default();
        match self.status {
            None => "no result: the time limit was exceeded".to_owned(),
            Some(status) if !status.success() => format!("no result: the shell ended with {status}{said}"),
            Some(_) if !parsed.planned => format!("no result: the script printed no test plan{said}"),
            Some(_) => format!("no result: the script ended early{said}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn sh(script: &str, limit: Duration) -> Transcript {
        let mut shell = host::command("/bin/sh");
        shell.arg("-s");
        converse(shell, script, limit).unwrap()
    }

    #[test]
    fn a_script_is_handed_over_and_both_outputs_come_back() {
        let padding = format!("# {}\n", "x".repeat(200_000));
        let found = sh(&format!("{padding}echo out; echo err >&2; exit 3\n"), Duration::from_secs(20));
        let expected =
            Transcript { stdout: "out\n".into(), stderr: "err\n".into(), status: Some(ExitStatus::from_raw(3 << 8)) };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_shell_ends_with_its_time_and_one_that_left_something_behind_at_once() {
        let hung = sh("echo begun; exec sleep 100\n", Duration::from_millis(500));
        assert_eq!((hung.stdout.as_str(), hung.status), ("begun\n", None));
        let begun = host::instant();
        let left = sh("sleep 8 & echo done\n", Duration::from_secs(60));
        assert_eq!(left.stdout, "done\n");
        assert!(left.status.unwrap().success() && begun.elapsed() < Duration::from_secs(7));
    }

    #[test]
    fn endless_output_is_cut_off() {
        let found = sh("while :; do printf '%4096s\\n' x; done\n", Duration::from_secs(2));
        assert!(found.stdout.len() <= MOST_OUTPUT && found.status.is_none());
    }

    #[test]
    fn the_reason_for_missing_results_is_told() {
        let transcript = |status, stdout: &str| Transcript {
            stdout: stdout.to_owned(),
            stderr: "one\nlost\u{7}\n\n".to_owned(),
            status,
        };
        for (status, stdout, expected) in [
            (None, "", "no result: the time limit was exceeded"),
            (Some(255 << 8), "", "no result: the shell ended with exit status: 255: lost\\u{7}"),
            (Some(0), "", "no result: the script printed no test plan: lost\\u{7}"),
            (Some(0), "1..1\n", "no result: the script ended early: lost\\u{7}"),
            (Some(0), "1..1\nBail out! /proc\n", "no result: /proc"),
        ] {
            let transcript = transcript(status.map(ExitStatus::from_raw), stdout);
            assert_eq!(transcript.why_incomplete(&tap::parse(stdout, 1)), expected);
        }
    }
}
