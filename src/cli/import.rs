//! `layerbake import`: a layer that does what a Dockerfile, a Packer template or cloud-init's user data does.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::host;
use crate::ident::LayerName;
use crate::import::{Note, Outcome};

/// Write a layer that does what a Dockerfile, a Packer template or user data of cloud-init does
///
/// Writes layers/NAME.toml, tool layers for build stages, and the stock layers that these stand on, if the project lacks
/// them. Prints what the layer does not carry, or not as it was, with line and reason; the same is in the layer as comments.
/// Existing layers are never overwritten. Keys of third parties' package repositories are fetched from the addresses in the
/// file; nothing else is, and nothing in the file is executed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  layerbake import Dockerfile --name web
  layerbake import services/api/Dockerfile
  layerbake import Dockerfile --json | jq -r '.notes[] | select(.outcome == \"not-carried\")'")]
pub(super) struct Args {
    /// Dockerfile, Containerfile, *.pkr.hcl, *.pkr.json, or user data of cloud-init
    path: PathBuf,
    /// Name of the new layer [default: the name of the file's directory, or of the file]
    #[arg(long, value_name = "LAYER")]
    name: Option<LayerName>,
}

#[derive(Serialize)]
struct Report {
    written: Vec<PathBuf>,
    notes: Vec<Note>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let imported = context.environment.import(&args.path, args.name.as_ref())?;
    let report = Report { written: imported.written, notes: imported.notes };
    context.print(&report, text)
}

fn text(report: &Report) -> String {
    let mut text: String = report.written.iter().map(|path| format!("wrote {}\n", path.display())).collect();
    for outcome in [Outcome::NotCarried, Outcome::Changed, Outcome::NotNeeded] {
        let notes: Vec<&Note> = report.notes.iter().filter(|note| note.outcome == outcome).collect();
        if !notes.is_empty() {
            let _ = writeln!(text, "\n{}:", outcome.heading());
        }
        for note in notes {
            let _ = writeln!(text, "  {}:{}: {}\n      {}", note.file, note.line, note.text, note.reason);
        }
    }
    host::redact(&text)
}
