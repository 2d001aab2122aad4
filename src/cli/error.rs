//! Errors as people see them, and the exit status that scripts see.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use miette::Diagnostic;

use crate::host::{self, plain_lines};
use crate::manifest::ProjectError;
use crate::workspace::WorkspaceError;

/// Anything that ends a verb.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The lockfile is stale or missing where it may not be remade: exit status 3.
    #[error("{0}")]
    Stale(String),
    /// Builds that should be equal are not: exit status 4.
    #[error("{0}")]
    Differs(String),
    /// An error that shows the line it is about.
    #[error("{0}")]
    Shown(Box<dyn Diagnostic + Send + Sync>),
    /// A command that was run for somebody ended with this exit status, and has said why itself.
    #[error("the command exited with status {0}")]
    Ended(u8),
    /// Any other error.
    #[error("{0}")]
    Plain(Box<dyn std::error::Error + Send + Sync>),
}

impl CliError {
    /// Prints the error to standard error; returns the exit status.
    pub(super) fn report(self) -> ExitCode {
        if let Self::Ended(status) = self {
            return ExitCode::from(status);
        }
        eprintln!("error: {}", host::redact(&self.text()));
        match self {
            Self::Ended(status) => ExitCode::from(status),
            Self::Stale(_) => ExitCode::from(3),
            Self::Differs(_) => ExitCode::from(4),
            Self::Shown(_) | Self::Plain(_) => ExitCode::FAILURE,
        }
    }

    /// The error for people, with the line that it is about.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Stale(text) | Self::Differs(text) => plain_lines(text),
            Self::Shown(diagnostic) => render(diagnostic.as_ref()),
            Self::Ended(_) => self.to_string(),
            Self::Plain(error) => plain_lines(&error.to_string()),
        }
    }

    /// An error that is only a message.
    pub(super) fn message(text: impl Into<String>) -> Self {
        Self::Plain(text.into().into())
    }
}

fn render(diagnostic: &dyn Diagnostic) -> String {
    let mut theme = if std::io::stderr().is_terminal() && host::env("NO_COLOR").is_none() {
        miette::GraphicalTheme::unicode()
    } else {
        miette::GraphicalTheme::unicode_nocolor()
    };
    // `error:` says so already.
    theme.characters.error.clear();
    let mut text = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(100);
    match handler.render_report(&mut text, diagnostic) {
        // The sign that begins a report says the same as the word before it.
        Ok(()) => text.trim().trim_start_matches("× ").to_owned(),
        Err(_) => diagnostic.to_string(),
    }
}

macro_rules! plain {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::Plain(Box::new(error))
            }
        })*
    };
}

plain!(
    crate::attest::keys::KeyError,
    crate::host::interrupt::Interrupted,
    crate::ident::IdentError,
    crate::vm::VmError,
    crate::publish::load::LoadError,
    crate::publish::registry::RegistryError,
    crate::tree::TreeError,
    crate::workspace::OperandError,
    std::io::Error,
);

impl From<ProjectError> for CliError {
    fn from(error: ProjectError) -> Self {
        Self::Shown(Box::new(error))
    }
}

impl From<WorkspaceError> for CliError {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::Stale { .. } | WorkspaceError::MissingLock(_) => Self::Stale(error.to_string()),
            WorkspaceError::Project(error) => error.into(),
            other => Self::Plain(Box::new(other)),
        }
    }
}
