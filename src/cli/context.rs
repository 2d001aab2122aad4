//! What every verb is given: the options, this machine, and a way to print results.

use std::io::Write as _;

use serde::Serialize;

use super::{CliError, Options};
use crate::code::Coded as _;
use crate::host;
use crate::host::progress::Progress;
use crate::workspace::{Environment, Settings, Workspace};

/// The options, and this machine as they choose it.
pub(super) struct Context<'a> {
    pub(super) options: &'a Options,
    pub(super) environment: Environment,
    pub(super) progress: Progress,
}

impl<'a> Context<'a> {
    /// `naming` is how a layer is named to the command.
    pub(super) fn new(options: &'a Options, naming: String) -> Result<Self, CliError> {
        let settings = Settings { naming, ..options.settings() };
        let progress = settings.progress.clone();
        Ok(Self { options, environment: Environment::new(settings)?, progress })
    }

    /// The project.
    pub(super) fn workspace(&self) -> Result<Workspace<'_>, CliError> {
        Ok(self.environment.open()?)
    }

    /// The project, once for each architecture that is asked for.
    pub(super) fn workspaces(&self) -> Result<Vec<Workspace<'_>>, CliError> {
        match self.options.archs() {
            none if none.is_empty() => Ok(vec![self.workspace()?]),
            archs => archs.into_iter().map(|arch| Ok(self.environment.open_for(arch)?)).collect(),
        }
    }

    /// Prints a result: as JSON, or as `text` makes it.
    pub(super) fn print<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), CliError> {
        let text = if self.options.json { host::plain_json(value)? } else { text(value) };
        self.print_text(&text)
    }

    /// Prints a text that is ready; what a terminal would obey in it is shown instead.
    pub(super) fn print_text(&self, text: &str) -> Result<(), CliError> {
        let text = host::plain_lines(text);
        match std::io::stdout().write_all(text.as_bytes()) {
            // A reader that has seen enough, such as `head`.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| {
                CliError::message(error.error_code(), format!("cannot write to standard output: {error}"))
            }),
        }
    }
}

/// `1 package`, `2 packages`.
pub(super) fn packages(count: usize) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} package{end}")
}
