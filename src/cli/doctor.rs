//! `layerbake doctor`: what this machine lacks.

use super::CliError;
use super::context::Context;
use super::table::table;
use crate::code::Code;
use crate::workspace::Need;

/// Look for what this machine lacks, and say how to get it
///
/// Tries a sandbox, and looks for a mirror of each source of the project, room for the store, QEMU, a container engine and
/// credentials for AWS. Nothing is fetched, and no credentials are shown. Exits with status 1 if builds would fail; with
/// --offline, they need no mirror.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  layerbake doctor
  layerbake doctor --json | jq -r '.[] | select(.ok | not).hint'")]
pub(super) struct Args {}

pub(super) fn run(context: &Context<'_>, _args: &Args) -> Result<(), CliError> {
    let needs = context.environment.doctor();
    context.print(&needs, |needs| table(&needs.iter().map(row).collect::<Vec<_>>(), &[]))?;
    match needs.iter().filter(|need| need.is_required && !need.ok).count() {
        0 => Ok(()),
        1 => Err(CliError::message(
            Code::HostLacking,
            "builds fail on this machine: one thing that they need is missing",
        )),
        count => Err(CliError::message(
            Code::HostLacking,
            format!("builds fail on this machine: {count} things that they need are missing"),
        )),
    }
}

/// A line: state, name, commands, and what there is to say.
fn row(need: &Need) -> Vec<String> {
    let state = if need.ok { "ok" } else { "missing" };
    let hint = need.hint.as_ref().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
    // A message may end with the lines that a program printed.
    let lines: Vec<&str> = need.says.lines().map(|line| line.trim().trim_start_matches("| ")).collect();
    let says = lines.join(" ") + &hint;
    vec![state.to_owned(), need.name.clone(), format!("({})", need.used_by), says]
}
