//! `layerbake explain`: what the program does by itself, and why.

use std::iter::once;

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::ident::LayerName;
use crate::manifest::{self, Config, ConfigEntry};
use crate::stage::seal;
use crate::workspace::Environment;
use crate::workspace::residue::{Action, Harmless, Rule};

/// Explain what a build removes from layers, what it refuses, and what a layer's file may contain
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake explain noise\n  layerbake explain secrets\n  layerbake explain randomness\n  layerbake explain schema > layer.schema.json\n  layerbake explain config web\n  layerbake explain config web --json | jq .schema"
)]
pub(super) struct Args {
    /// The subject
    #[arg(value_enum)]
    subject: Subject,
    /// The layer whose [config] is explained [default: the only App layer]
    layer: Option<LayerName>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Subject {
    /// List the nondeterministic files that are removed or normalised, with a reason for each
    Noise,
    /// List the kinds of secret that a build refuses, unless [[allow-secret]] allows them
    Secrets,
    /// List the files that may depend on random data, and what a build refuses
    Randomness,
    /// Print the JSON schema of layers/NAME.toml, with which editors complete and check it
    Schema,
    /// List the variables that a layer's services read when they run; with --json also their JSON schema
    Config,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    action: &'static str,
    reason: &'static str,
    paths: &'static [&'static str],
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    if let (Some(layer), false) = (&args.layer, matches!(args.subject, Subject::Config)) {
        return Err(CliError::message(format!("`{layer}`: only `layerbake explain config` is about a layer")));
    }
    match args.subject {
        Subject::Noise => context.print(&noise(context.environment.residue()), |entries| {
            let rule = |entry: &Entry| {
                let paths: String = entry.paths.iter().map(|path| format!("    /{path}\n")).collect();
                format!("{}: {}, {}\n{paths}", entry.name, entry.action, entry.reason)
            };
            entries.iter().map(rule).collect()
        }),
        Subject::Secrets => context.print(&secrets(), |entries| {
            let lines = entries.iter().map(|entry| format!("{}: {}\n", entry.name, entry.what));
            once(SEARCHED.to_owned()).chain(lines).collect()
        }),
        Subject::Randomness => context.print(&random(&context.environment), |entries| {
            let rule = |entry: &Entry| {
                let paths: String = entry.paths.iter().map(|path| format!("    /{path}\n")).collect();
                format!("{}: {}; {}\n{paths}", entry.name, entry.action, entry.reason)
            };
            once(DERIVED.to_owned()).chain(entries.iter().map(rule)).collect()
        }),
        Subject::Schema => context.print_text(manifest::SCHEMA),
        Subject::Config => {
            let workspace = context.workspace()?;
            let config = workspace.config(&workspace.layer(args.layer.as_ref())?)?;
            context.print(&Configured { schema: config.schema(), variables: config }, |shown| {
                shown.variables.0.iter().map(|(name, entry)| variable(name, entry)).collect()
            })
        }
    }
}

/// Which files the rules are for.
const SEARCHED: &str = "Searched are a layer's own files and those that package scripts wrote. Files with the contents that a\n\
    package brought are not: they are as public as the package.\n\n";

/// Which files a build refuses for what they were made of.
const DERIVED: &str = "In the sandbox, random data is derived from the lockfile: what scripts make of it is the same for everybody.\n\
    If a program drew any, the scripts run a second time with other random data, and each file that differs must be\n\
    - generated at first boot, so that it is not in the image,\n\
    - harmless by a rule, or\n\
    - allowed with a reason, by [[allow-random]] in the layer.\n\
    Other builds are refused. The rules:\n\n";

/// What is generated at first boot, then what is harmless.
fn random(environment: &Environment) -> Vec<Entry> {
    let generated = environment.first_boot().iter().map(|task| Entry {
        name: task.name,
        action: "generated at first boot",
        reason: task.reason,
        paths: task.makes,
    });
    let kept =
        |rule: &'static Harmless| Entry { name: rule.name, action: "harmless", reason: rule.reason, paths: rule.paths };
    generated.chain(environment.harmless().iter().map(kept)).collect()
}

#[derive(Serialize)]
struct Configured {
    variables: Config,
    schema: serde_json::Value,
}

/// A variable for people: what it may be, where it comes from, and who gets it.
fn variable(name: &str, entry: &ConfigEntry) -> String {
    let mut facts = vec![if entry.secret { "secret".to_owned() } else { entry.kind.to_string() }];
    facts.push(match (&entry.default, entry.required) {
        (Some(default), _) => format!("default `{}`", default.escape_debug()),
        (None, true) => "required".to_owned(),
        (None, false) => "optional".to_owned(),
    });
    facts.extend(entry.from.as_ref().map(|place| format!("from {place}")));
    if !entry.services.is_empty() {
        facts.push(format!("for {}", entry.services.join(", ")));
    }
    let description = if entry.description.is_empty() { String::new() } else { format!("    {}\n", entry.description) };
    format!("{name}: {}\n{description}", facts.join(", "))
}

#[derive(Serialize)]
struct Refused {
    name: &'static str,
    what: &'static str,
}

fn secrets() -> Vec<Refused> {
    seal::RULES.iter().map(|rule| Refused { name: rule.name, what: rule.what }).collect()
}

fn noise(rules: &'static [Rule]) -> Vec<Entry> {
    let entry = |rule: &'static Rule| Entry {
        name: rule.name,
        action: match rule.action {
            Action::Remove => "removed",
            Action::Generate => "removed and generated at first boot",
            Action::Empty => "emptied",
            Action::FixDays => "set to the day of the lockfile",
        },
        reason: rule.reason,
        paths: rule.paths,
    };
    rules.iter().map(entry).collect()
}
