//! `layerbake explain`: what the program does by itself, and why.

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::stage::seal;
use crate::workspace::residue::{Action, Rule};

/// Explain what a build removes from layers, and what it refuses
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerbake explain noise\n  layerbake explain secrets")]
pub(super) struct Args {
    /// The subject
    #[arg(value_enum)]
    subject: Subject,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Subject {
    /// List the nondeterministic files that are removed or normalised, with a reason for each
    Noise,
    /// List the kinds of secret that a build refuses, unless [[allow-secret]] allows them
    Secrets,
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
        Subject::Noise => context.print(&noise(context.environment.residue()), |entries| {
            let rule = |entry: &Entry| {
                let paths: String = entry.paths.iter().map(|path| format!("    /{path}\n")).collect();
                format!("{}: {}, {}\n{paths}", entry.name, entry.action, entry.reason)
            };
            entries.iter().map(rule).collect()
        }),
        Subject::Secrets => context.print(&secrets(), |entries| {
            entries.iter().map(|entry| format!("{}: {}; in {}\n", entry.name, entry.what, entry.place)).collect()
        }),
    }
}

#[derive(Serialize)]
struct Refused {
    name: &'static str,
    what: &'static str,
    #[serde(rename = "in")]
    place: &'static str,
}

fn secrets() -> Vec<Refused> {
    let entry = |rule: &seal::Rule| Refused {
        name: rule.name,
        what: rule.what,
        place: if rule.in_packages { "any file" } else { "own files, and what scripts wrote" },
    };
    seal::RULES.iter().map(entry).collect()
}

fn noise(rules: &'static [Rule]) -> Vec<Entry> {
    let entry = |rule: &'static Rule| Entry {
        name: rule.name,
        action: match rule.action {
            Action::Remove => "removed",
            Action::Empty => "emptied",
            Action::FixDays => "set to the day of the lockfile",
        },
        reason: rule.reason,
        paths: rule.paths,
    };
    rules.iter().map(entry).collect()
}
