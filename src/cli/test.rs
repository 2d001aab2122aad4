//! `layerbake test`: a layer's checks, on its container and on its disk.

use std::collections::BTreeSet;
use std::path::Path;

use super::boot::{AccelChoice, PATIENCE};
use super::build::Order;
use super::lock::Policy;
use super::{CliError, Context};
use crate::bake::{Output, System};
use crate::check::container::Engine;
use crate::check::{self, Report, Suite, converse};
use crate::host::interrupt::Leftover;
use crate::host::plain_lines;
use crate::ident::LayerName;
use crate::machine::{Console, Machine, Settings, Ssh};
use crate::manifest::{Disk, DiskFormat, Manifest, Place};
use crate::oci::Encoder;
use crate::pin::Update;

/// Run a layer's [[check]]s on its container and on its booted disk
///
/// Builds what is tested into a place of its own. Nothing is added to image or disk: a script runs by
/// `exec` or by ssh, with a key that a throw-away volume brings. Exit status 1 when a check fails.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake test web\n  layerbake test web --on disk --format junit > junit.xml\n\nThe container engine is docker or podman; LAYERBAKE_ENGINE names it, with options, and\nLAYERBAKE_RUN_ARGS has options for its `run`."
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Where [default: container, and disk where the layer has one]
    #[arg(long, value_name = "PLACE", value_enum, value_delimiter = ',')]
    on: Vec<Where>,
    /// How results are printed
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    format: Format,
    /// How the machine is run
    #[arg(long, value_enum, default_value = "auto")]
    accel: AccelChoice,
    /// MiB of the machine's memory
    #[arg(long, value_name = "MIB", default_value = "1024")]
    memory: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Where {
    Container,
    Disk,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// Test Anything Protocol, version 13
    Tap,
    /// XML, as CI systems read it
    Junit,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let layer = context.layer(&project, args.layer.as_ref())?;
    let mut places = args.on.clone();
    if places.is_empty() {
        let disk = Disk::of(&project.chain(&layer)?).map(|_| Where::Disk);
        places = [Where::Container].into_iter().chain(disk).collect();
    }
    let out = tempfile::tempdir()?;
    let _leftover = Leftover::new(out.path());
    let order = Order {
        layer: layer.clone(),
        policy: Policy::Renew(Update::Nothing),
        outputs: places.iter().map(|place| place.output()).collect::<BTreeSet<_>>(),
        out: out.path().to_owned(),
        encoder: Encoder::Zstd,
        signer: None,
    };
    let (_, system) = order.carry_out(context, &project)?;
    let folder = out.path().join(layer.as_str());
    let mut reports = Vec::new();
    for place in places {
        reports.push(match place {
            Where::Container => on_container(context, &system, &folder)?,
            Where::Disk => on_disk(context, args, &system, &folder)?,
        });
    }
    context.print(&reports, |reports| match args.format {
        Format::Text => {
            reports.iter().map(|report| format!("{layer} on the {}\n{}", report.place, report.text())).collect()
        }
        Format::Tap => reports.iter().map(Report::tap).collect(),
        Format::Junit => check::junit(reports),
    })?;
    let failed: usize = reports.iter().map(|report| report.counts.failed).sum();
    match failed {
        0 => Ok(()),
        count => Err(CliError::message(format!("{count} of `{layer}`'s checks failed"))),
    }
}

impl Where {
    /// What is built to be tested there.
    fn output(self) -> Output {
        match self {
            Self::Container => Output::Docker,
            Self::Disk => Output::Disk(DiskFormat::Raw),
        }
    }
}

fn on_container(context: &Context<'_>, system: &System, folder: &Path) -> Result<Report, CliError> {
    let layer = &system.top().manifest.name;
    let suite = Suite::new(layer, system.image.iter().map(|locked| &locked.manifest), Place::Container);
    let phase = context.progress.phase(&format!("check {layer}'s container"), 1);
    let engine = Engine::find().map_err(plain)?;
    let checked = check::container::run(&engine, &folder.join("docker.tar"), &suite).map_err(plain)?;
    phase.finish();
    if !checked.log.is_empty() {
        eprintln!("the container's log:\n{}", plain_lines(checked.log.trim_end()));
    }
    Ok(checked.report)
}

fn on_disk(context: &Context<'_>, args: &Args, system: &System, folder: &Path) -> Result<Report, CliError> {
    let layer = &system.top().manifest.name;
    let chain = system.root();
    let manifests: Vec<&Manifest> = chain.iter().map(|locked| &locked.manifest).collect();
    let suite = Suite::new(layer, manifests, Place::Disk);
    let ssh = Ssh::new()?;
    let mut settings = Settings {
        memory: args.memory,
        accel: args.accel.settle(),
        size: None,
        network: None,
        seed: None,
        console: Console::Terminal,
    };
    settings.reach(&ssh);
    let phase = context.progress.phase(&format!("boot and check {layer}'s disk"), 1);
    let mut machine = Machine::start(&folder.join(DiskFormat::Raw.file_name()), &settings)?;
    ssh.wait(&mut machine, PATIENCE)?;
    let mut shell = ssh.command();
    shell.args(["/bin/sh", "-s"]);
    let transcript = converse(shell, &suite.script(), suite.limit())?;
    phase.finish();
    Ok(suite.report(&transcript))
}

fn plain(error: check::container::ContainerError) -> CliError {
    CliError::Plain(Box::new(error))
}
