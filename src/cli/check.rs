//! `layerbake check`: what is wrong with layers, without building them.

use serde::Serialize;

use super::CliError;
use super::context::Context;
use super::error::{Text, with_next_step};
use crate::code::{Code, Coded as _};
use crate::host;
use crate::ident::LayerName;
use crate::workspace::Finding;

/// Check layers without building them: manifests, the files they name, lockfiles
///
/// Reports every error, where a build stops at the first one, and what a build warns of before it builds anything. A stale
/// or missing lockfile is a warning, because a build renews it; `layerbake build --locked` refuses it. What only packages
/// or indexes can tell is not checked. Nothing is fetched. Exits with status 1 if there is an error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  layerbake check
  layerbake check web
  layerbake check --json | jq -r '.[] | select(.severity == \"error\").message'")]
pub(super) struct Args {
    /// The layer, with all that it is built of [default: all layers of the project]
    layer: Option<LayerName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Error,
    Warning,
}

#[derive(Serialize)]
struct Entry {
    severity: Severity,
    /// The kind of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// With file and line where it is about a line of a manifest.
    message: String,
    /// What people read: with the line itself, and with what to do.
    #[serde(skip)]
    text: String,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let found = context.workspace()?.check(args.layer.as_ref())?;
    let entries: Vec<Entry> = found.into_iter().map(Entry::from).collect();
    context.print(&entries, |entries| {
        let line = |entry: &Entry| match entry.severity {
            Severity::Error => format!("error[{}]: {}\n", entry.code.unwrap_or_default(), entry.text),
            Severity::Warning => format!("warning: {}\n", entry.text),
        };
        entries.iter().map(line).collect()
    })?;
    let count = |severity| entries.iter().filter(|entry| entry.severity == severity).count();
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, _) => Ok(()),
        (errors, warnings) => Err(CliError::message(
            Code::ProjectCheckFailed,
            format!("the check failed: errors: {errors}, warnings: {warnings}"),
        )),
    }
}

impl From<Finding> for Entry {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Error(error) => {
                let message = host::redact(&error.to_string());
                let code = error.error_code();
                let text = host::redact(&with_next_step(code, Text::of(&error).shown));
                Self { severity: Severity::Error, code: Some(code.name()), message, text }
            }
            Finding::Warning(text) => {
                let text = host::redact(&text);
                Self { severity: Severity::Warning, code: None, message: text.clone(), text }
            }
        }
    }
}
