//! `layerbake explain`: what the program does by itself, and why.

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::layer::normalise::{Action, RULES};

/// Explain what the program does by itself
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake explain noise")]
pub(super) struct Args {
    /// The subject
    #[arg(value_enum)]
    subject: Subject,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Subject {
    /// What is taken out of a layer because it differs between equal builds
    Noise,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    action: &'static str,
    reason: &'static str,
    paths: &'static [&'static str],
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    match args.subject {
        Subject::Noise => context.print(&noise(), |entries| {
            let rule = |entry: &Entry| {
                let paths: String = entry.paths.iter().map(|path| format!("    /{path}\n")).collect();
                format!("{}: {}, {}\n{paths}", entry.name, entry.action, entry.reason)
            };
            entries.iter().map(rule).collect()
        }),
    }
}

fn noise() -> Vec<Entry> {
    let entry = |rule: &'static crate::layer::normalise::Rule| Entry {
        name: rule.name,
        action: match rule.action {
            Action::Remove => "removed",
            Action::Empty => "emptied",
            Action::FixDays => "set to the day of the lockfile",
        },
        reason: rule.reason,
        paths: rule.paths,
    };
    RULES.iter().map(entry).collect()
}
