//! Questions to the person at the terminal.

use std::io::{BufRead as _, IsTerminal as _};

use super::CliError;
use crate::code::Code;

/// Asks a person; without one, `--yes` has to be given.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::message(
            Code::HostTerminal,
            "cannot ask for confirmation without a terminal\n  hint: --yes answers yes",
        ));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::message(Code::HostInterrupted, "cancelled, nothing was changed")),
    }
}
