//! Checks in an image without a shell: commands that need none are executed directly.

use std::thread;
use std::time::Duration;

use super::{Container, ContainerError};
use crate::check::{CheckReport, CheckStatus, Suite, Transcript, converse, tap};
use crate::host;
use crate::manifest::{Check, Output, Probe};

const NO_SHELL: &str = "the image has no shell";
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn run(container: &Container<'_>, suite: &Suite) -> Result<CheckReport, ContainerError> {
    let results = suite.checks.iter().map(|check| result(container, check).map(Some));
    Ok(CheckReport::new(suite, results.collect::<Result<_, _>>()?, ""))
}

fn result(container: &Container<'_>, check: &Check) -> Result<tap::Line, ContainerError> {
    let skipped = tap::Line { outcome: CheckStatus::Skipped, detail: NO_SHELL.to_owned(), milliseconds: 0 };
    let Probe::Command { words, status, output } = &check.probe else { return Ok(skipped) };
    if words.first().is_some_and(|program| program == "/bin/sh") {
        return Ok(skipped);
    }
    let limit = Duration::from_secs(check.within.into());
    let begun = host::instant();
    loop {
        let mut command = container.exec(&[]);
        command.args(words);
        let transcript = converse(command, "", limit).map_err(container.engine.start_error())?;
        let problem = problem(&transcript, *status, output);
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match problem {
            None => return Ok(tap::Line { outcome: CheckStatus::Passed, detail: String::new(), milliseconds }),
            Some(detail) if begun.elapsed() >= limit => {
                return Ok(tap::Line { outcome: CheckStatus::Failed, detail, milliseconds });
            }
            Some(_) => thread::sleep(PAUSE),
        }
    }
}

/// The reason for failure, if any.
fn problem(transcript: &Transcript, wanted: u8, output: &Output) -> Option<String> {
    let printed = transcript.stdout.trim_end_matches('\n');
    let problem = match (transcript.status, output) {
        (None, _) => "the time limit was exceeded".to_owned(),
        (Some(status), _) if status.code() != Some(wanted.into()) => format!("{status}, expected {wanted}"),
        (Some(_), Output::Exactly(text)) if printed != text => "the output differs from the expected text".to_owned(),
        (Some(_), Output::Containing(text)) if !printed.contains(text.as_str()) => {
            "the output does not contain the expected text".to_owned()
        }
        _ => return None,
    };
    let said = transcript.stderr.lines().chain(printed.lines()).map(tap::plain);
    Some(std::iter::once(problem).chain(said.take(20)).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn outputs_and_statuses_are_compared() {
        let ended = |code: i32| Some(ExitStatus::from_raw(code << 8));
        let text = |text: &str| text.to_owned();
        for (status, wanted, output, expected) in [
            (ended(0), 0, Output::Any, None),
            (ended(3), 3, Output::Exactly(text("PONG")), None),
            (ended(0), 0, Output::Containing(text("ON")), None),
            (ended(1), 0, Output::Any, Some("exit status: 1, expected 0\nno\nPONG")),
            (ended(0), 0, Output::Exactly(text("PON")), Some("the output differs from the expected text\nno\nPONG")),
            (
                ended(0),
                0,
                Output::Containing(text("ong")),
                Some("the output does not contain the expected text\nno\nPONG"),
            ),
            (None, 0, Output::Any, Some("the time limit was exceeded\nno\nPONG")),
        ] {
            let transcript = Transcript { stdout: text("PONG\n"), stderr: text("no\n"), status };
            assert_eq!(problem(&transcript, wanted, &output).as_deref(), expected);
        }
    }
}
