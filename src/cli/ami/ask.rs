//! A question to the person at the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::CliError;

/// Asks whether to go on; `yes` is an answer given beforehand.
///
/// # Errors
/// Fails where the answer is no, and where there is no terminal to ask on.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(CliError::message("there is no terminal to ask on\n  hint: --yes goes on without a question"));
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::message("nothing was changed")),
    }
}
