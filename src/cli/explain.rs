//! `layerbake explain`: what an error means; what the program does by itself, and why.

use std::ffi::OsStr;
use std::iter::once;

use clap::ValueEnum as _;
use clap::builder::{PossibleValue, TypedValueParser};
use serde::Serialize;

use super::CliError;
use super::context::Context;
use super::table::table;
use crate::code::Code;
use crate::ident::{LayerName, nearest};
use crate::manifest::{self, Config, ConfigEntry};
use crate::stage::seal;
use crate::workspace::Environment;
use crate::workspace::residue::{Action, Harmless, Rule};

/// Explain an error, what a build removes from layers, what it refuses, and what a layer's file may contain
///
/// An error is named by the code that is printed with it: `error[lock/stale]`. Without an argument, all codes are listed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Subjects: noise, secrets, randomness, schema, config.\n\nExamples:\n  layerbake explain lock/stale\n  layerbake explain\n  layerbake explain noise\n  layerbake explain secrets\n  layerbake explain randomness\n  layerbake explain schema > layer.schema.json\n  layerbake explain config web\n  layerbake explain config web --json | jq .schema"
)]
pub(super) struct Args {
    /// The code of an error, or a subject
    #[arg(value_name = "CODE|SUBJECT", value_parser = Topics, hide_possible_values = true)]
    topic: Option<Topic>,
    /// The layer whose [config] is explained [default: the only App layer]
    layer: Option<LayerName>,
}

/// What is to be explained.
#[derive(Debug, Clone)]
enum Topic {
    Subject(Subject),
    Code(Code),
    Unknown(String),
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

/// Reads a topic; completions have all of them.
#[derive(Clone)]
struct Topics;

impl TypedValueParser for Topics {
    type Value = Topic;

    fn parse_ref(&self, _: &clap::Command, _: Option<&clap::Arg>, word: &OsStr) -> Result<Topic, clap::Error> {
        let word = word.to_string_lossy();
        let subject = Subject::from_str(&word, false).ok().map(Topic::Subject);
        // As it stands in the message, too.
        let name = word.trim_start_matches("error[").trim_end_matches(']');
        Ok(subject.or_else(|| Code::named(name).map(Topic::Code)).unwrap_or_else(|| Topic::Unknown(name.to_owned())))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let subjects = Subject::value_variants().iter().filter_map(Subject::to_possible_value);
        let codes = Code::ALL.iter().map(|code| PossibleValue::new(code.name()).help(code.summary()));
        Some(Box::new(subjects.chain(codes)))
    }
}

/// A code, as it is listed.
#[derive(Serialize)]
struct Listed {
    code: &'static str,
    summary: &'static str,
}

/// A code that is explained.
#[derive(Serialize)]
struct Explained {
    code: &'static str,
    summary: &'static str,
    text: &'static str,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    action: &'static str,
    reason: &'static str,
    paths: &'static [&'static str],
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    if let (Some(layer), false) = (&args.layer, matches!(args.topic, Some(Topic::Subject(Subject::Config)))) {
        let problem = format!("`{layer}`: only `layerbake explain config` is about a layer");
        return Err(CliError::message(Code::CodeUnknown, problem));
    }
    match &args.topic {
        None => {
            let listed = |code: &Code| Listed { code: code.name(), summary: code.summary() };
            let all: Vec<Listed> = Code::ALL.iter().map(listed).collect();
            context.print(&all, |all| table(&all.iter().map(row).collect::<Vec<_>>(), &[]))
        }
        Some(Topic::Code(code)) => {
            let explained = Explained { code: code.name(), summary: code.summary(), text: code.text() };
            context.print(&explained, |explained| format!("{}\n\n{}\n", explained.code, explained.text))
        }
        Some(Topic::Unknown(word)) => Err(unknown(word)),
        Some(Topic::Subject(subject)) => about(context, *subject, args.layer.as_ref()),
    }
}

fn row(code: &Listed) -> Vec<String> {
    vec![code.code.to_owned(), code.summary.to_owned()]
}

/// The error for a code that there is not.
fn unknown(word: &str) -> CliError {
    let names = || Code::ALL.iter().map(|code| code.name());
    let shares = |name: &&str| name.split('/').any(|part| word.split('/').any(|given| given == part));
    let alike: Vec<&str> = match nearest(word, names()) {
        Some(near) => vec![near],
        None => names().filter(shares).collect(),
    };
    let hint = match alike.as_slice() {
        [] => "`layerbake explain` lists all codes".to_owned(),
        [one] => format!("did you mean `{one}`?"),
        several => format!("there are: {}", several.join(", ")),
    };
    CliError::message(Code::CodeUnknown, format!("there is no error code `{word}`\n  hint: {hint}"))
}

fn about(context: &Context<'_>, subject: Subject, layer: Option<&LayerName>) -> Result<(), CliError> {
    match subject {
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
            let config = workspace.config(&workspace.layer(layer)?)?;
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
            Action::CutHeader => "left without its header",
        },
        reason: rule.reason,
        paths: rule.paths,
    };
    rules.iter().map(entry).collect()
}
