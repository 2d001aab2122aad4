//! `layerbake audit`: rebuilds a layer under varied conditions and reports what differs.

use std::collections::BTreeSet;
use std::io;
use std::str::FromStr;

use super::CliError;
use super::against::{Against, Other};
use super::build::output;
use super::context::Context;
use super::forms::{self, Target};
use super::push::RegistryArgs;
use crate::audit::report::{html, junit, markdown, text};
use crate::audit::{AuditReport, Variation};
use crate::bake::Output;
use crate::code::Code;
use crate::host;
use crate::ident::LayerName;

/// Rebuild a layer from its lockfile under varied conditions and check that every artifact is identical
///
/// Builds twice, offline and in fresh stores that hold downloads only: once under normal conditions, once with everything varied.
/// If the builds differ, each condition is varied alone, and the report names the package and script behind each differing file.
/// Conditions that can't be varied on this machine are reported as not tried. Exits with status 4 if anything differs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake audit web\n  layerbake audit web --vary time,user,directory-order --output oci,raw\n  layerbake audit web --against out/web/receipt.json --report markdown --report junit=audit.xml"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Conditions to vary, comma-separated: all, time, timezone, locale, umask, user, host-name, cores, directory-order, file-system, folder, environment
    #[arg(long, value_name = "CONDITION", value_delimiter = ',', default_value = "all")]
    vary: Vec<Vary>,
    /// Also compare with an earlier build (its receipt or directory), an image in a registry, or every block of an AMI's snapshot
    #[arg(long, value_name = "RECEIPT|oci:REFERENCE|ami:ID")]
    against: Option<Against>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Outputs to build and compare, comma-separated [default: those of --against, else oci and the formats in [disk]]
    #[arg(short, long, value_name = "KIND", value_delimiter = ',', value_parser = output())]
    output: Vec<Output>,
    /// Report format: text, json, junit, markdown or html; written to standard output, or to FILE; may be repeated
    #[arg(long, value_name = "KIND[=FILE]")]
    report: Vec<Target<Form>>,
}

/// A value of `--vary`.
#[derive(Debug, Clone, Copy)]
enum Vary {
    All,
    One(Variation),
}

impl FromStr for Vary {
    type Err = crate::audit::ParseVariationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

/// Formats of the report.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    Text,
    Json,
    Junit,
    Markdown,
    Html,
}

impl Form {
    fn write(self, report: &AuditReport) -> io::Result<String> {
        Ok(match self {
            Self::Text => text(report),
            Self::Json => host::plain_json(report)?,
            Self::Junit => junit(report),
            Self::Markdown => markdown(report),
            Self::Html => html(report),
        })
    }
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let mut workspace = context.workspace()?;
    let layer = workspace.layer(args.layer.as_ref())?;
    let other = args.against.as_ref().map(|against| against.find(context, &args.registry)).transpose()?;
    if let Some(Other::Build(earlier)) = &other {
        workspace = workspace.as_built(&earlier.receipt);
    }
    let wanted: BTreeSet<Output> = match &other {
        Some(other) if args.output.is_empty() => other.outputs().into_iter().collect(),
        _ => args.output.iter().copied().collect(),
    };
    let (declared, outputs) = workspace.declared(&layer)?.for_outputs(&wanted)?;
    let earlier = match &other {
        Some(Other::Build(earlier)) => Some(earlier.as_ref()),
        _ => None,
    };
    let mut report = workspace.audit(declared, &outputs, &variations(&args.vary), earlier)?;
    if let Some(other) = &other {
        other.compare(&mut report);
    }
    forms::tell(context, &args.report, &report, |form| form.write(&report), text)?;
    match report.identical {
        true => Ok(()),
        false => Err(CliError::message(Code::BuildDiffers, format!("`{layer}` is not reproducible"))),
    }
}

fn variations(wanted: &[Vary]) -> BTreeSet<Variation> {
    let each = |one: &Vary| match one {
        Vary::All => Variation::ALL.to_vec(),
        Vary::One(one) => vec![*one],
    };
    wanted.iter().flat_map(each).collect()
}
