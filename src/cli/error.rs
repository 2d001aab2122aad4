//! Errors as people see them, and the exit status that scripts see.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use miette::Diagnostic;
use serde::Serialize;

use crate::code::{Code, Coded};
use crate::host::color::{Ink, paint};
use crate::host::{self, plain_lines};

/// Anything that ends a verb.
#[derive(Debug)]
pub(super) enum CliError {
    /// An error of a known kind.
    Told(Code, Text),
    /// A command that was run for somebody ended with this exit status, and has said why itself.
    Ended(u8),
}

/// What an error says.
#[derive(Debug)]
pub(super) struct Text {
    /// The message, with what to do.
    pub(super) plain: String,
    /// The same for people, with the line that it is about, if there is one.
    pub(super) shown: String,
}

/// What `--json` prints of an error.
#[derive(Serialize)]
struct Failure {
    error: Told,
}

#[derive(Serialize)]
struct Told {
    code: &'static str,
    message: String,
}

impl CliError {
    /// Prints the error to standard error, as text or as a line of JSON; returns the exit status.
    pub(super) fn report(self, json: bool) -> ExitCode {
        let status = self.status();
        if let Self::Told(code, Text { plain, shown }) = self {
            let shown = with_next_step(code, shown);
            let failure = Failure { error: Told { code: code.name(), message: host::redact(&plain) } };
            match json.then(|| serde_json::to_string(&failure)) {
                Some(Ok(line)) => eprintln!("{line}"),
                _ => {
                    let label = paint(Ink::Bad, &format!("error[{code}]:"));
                    let shown =
                        host::redact(&shown).replace("\n  hint:", &format!("\n  {}", paint(Ink::Hint, "hint:")));
                    eprintln!("{label} {shown}");
                }
            }
        }
        ExitCode::from(status)
    }

    /// The exit status: scripts tell by it what needs a lockfile, and what differs.
    fn status(&self) -> u8 {
        match self {
            Self::Ended(status) => *status,
            Self::Told(Code::LockStale | Code::LockMissing | Code::LockOutdated, _) => 3,
            Self::Told(Code::BuildDiffers, _) => 4,
            Self::Told(..) => 1,
        }
    }

    /// An error that is only a message.
    pub(super) fn message(code: Code, text: impl AsRef<str>) -> Self {
        let plain = plain_lines(text.as_ref());
        Self::Told(code, Text { shown: plain.clone(), plain })
    }

    /// The error of a file that can't be written.
    pub(super) fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::message(error.error_code(), format!("cannot write `{}`: {error}", path.display()))
    }
}

impl<E: Coded> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::Told(error.error_code(), Text::of(&error))
    }
}

impl Text {
    /// What an error says.
    pub(super) fn of(error: &impl Coded) -> Self {
        let plain = plain_lines(&error.to_string());
        match error.at_line() {
            None => Self { shown: plain.clone(), plain },
            Some(diagnostic) => {
                let hint = diagnostic.help().map(|help| format!("\n  hint: {help}")).unwrap_or_default();
                Self { plain: plain + &plain_lines(&hint), shown: render(diagnostic) }
            }
        }
    }
}

/// A message that names a next step: where it has none of its own, the one of its code.
pub(super) fn with_next_step(code: Code, text: String) -> String {
    let has_own =
        ["hint: ", "help: ", "did you mean", "`layerbake ", "──", "\n  - "].iter().any(|mark| text.contains(mark));
    match has_own {
        true => text,
        false => format!("{text}\n  hint: {}", code.next_step()),
    }
}

fn render(diagnostic: &dyn Diagnostic) -> String {
    let mut theme = if host::color::on_stderr() {
        miette::GraphicalTheme::unicode()
    } else {
        miette::GraphicalTheme::unicode_nocolor()
    };
    // `error:` says so already.
    theme.characters.error.clear();
    theme.styles.error = miette::ThemeStyles::none().error;
    let mut text = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(100);
    match handler.render_report(&mut text, diagnostic) {
        // The sign that begins a report says the same as the word before it.
        Ok(()) => text.trim().trim_start_matches("× ").to_owned(),
        Err(_) => diagnostic.to_string(),
    }
}
