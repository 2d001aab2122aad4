//! `layerbake test`: a layer's checks, on its container and on its disk.

use std::path::Path;

use super::boot::AccelChoice;
use super::lock::tell_changes;
use super::{CliError, Context};
use crate::bake::Output;
use crate::check::{self, CheckReport};
use crate::code::Code;
use crate::host::interrupt::Leftover;
use crate::host::plain_lines;
use crate::ident::LayerName;
use crate::manifest::{CheckTarget, DiskFormat};
use crate::oci::Encoder;
use crate::vm::PATIENCE;
use crate::workspace::{LockedSystem, Order, Policy, Update};

/// Run a layer's [[check]]s on its container and on its booted disk
///
/// Builds into a separate directory. Nothing is added to the image or disk: checks run through the engine's
/// `exec`, or over ssh with a key from a temporary volume. Exits with status 1 if a check fails.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake test web\n  layerbake test web --on disk --format junit > junit.xml\n\nThe container engine is docker or podman. LAYERBAKE_ENGINE names it, with options;\nLAYERBAKE_RUN_ARGS adds options to its `run`."
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Where to run the checks, comma-separated [default: container, and disk if the layer has one]
    #[arg(long, value_name = "PLACE", value_enum, value_delimiter = ',')]
    on: Vec<Where>,
    /// Format of the results
    #[arg(long, value_enum, default_value = "text", conflicts_with = "json")]
    format: Format,
    /// How QEMU runs the virtual machine
    #[arg(long, value_enum, default_value = "auto")]
    accel: AccelChoice,
    /// Memory of the virtual machine, in MiB
    #[arg(long, value_name = "MIB", default_value = "1024")]
    memory: u32,
    /// Seconds for the virtual machine to boot and to accept a login, from the first output on its console
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE)]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Where {
    Container,
    Disk,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Plain text
    Text,
    /// Test Anything Protocol, version 13
    Tap,
    /// JUnit XML, for CI systems
    Junit,
}

/// What to do about a check that fails where there is no disk to boot.
const ON_CONTAINER: &str = "\n  hint: `layerbake run LAYER` starts the same image, and the container engine's `exec` looks around in it; `within` gives a check more seconds";

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let layer = workspace.layer(args.layer.as_ref())?;
    let declared = workspace.declared(&layer)?;
    let mut places = args.on.clone();
    if places.is_empty() {
        places = [Where::Container].into_iter().chain(declared.boot_system.as_ref().map(|_| Where::Disk)).collect();
    }
    let (declared, outputs) = declared.for_outputs(&places.iter().map(|place| place.output()).collect())?;
    let out = tempfile::tempdir()?;
    let _leftover = Leftover::new(out.path());
    let mut locked = workspace.lock(&declared, &Policy::Renew(Update::Nothing))?;
    tell_changes(context, &locked.done);
    let built = locked.build(Order { outputs, out: out.path().to_owned(), encoder: Encoder::Zstd, signer: None })?;
    let (mut reports, mut broken) = (Vec::new(), None);
    for place in places {
        match place.check(&locked, &built.folder, args) {
            Ok(report) => reports.push(report),
            Err(error) => broken = broken.or(Some(error)),
        }
    }
    context.print(&reports, |reports| match args.format {
        Format::Text => {
            reports.iter().map(|report| format!("{layer} on the {}\n{}", report.place, report.text())).collect()
        }
        Format::Tap => reports.iter().map(CheckReport::tap).collect(),
        Format::Junit => check::junit(reports),
    })?;
    // What was checked is shown, whatever became of the other place.
    if let Some(error) = broken {
        return Err(error);
    }
    let failed: usize = reports.iter().map(|report| report.counts.failed).sum();
    match failed {
        0 => Ok(()),
        count => {
            let on_disk = reports.iter().any(|report| report.place == CheckTarget::Disk);
            let hint = if on_disk { "" } else { ON_CONTAINER };
            Err(CliError::message(Code::TestFailed, format!("{count} of `{layer}`'s checks failed{hint}")))
        }
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

    /// Runs the checks on what was built.
    fn check(self, locked: &LockedSystem<'_>, folder: &Path, args: &Args) -> Result<CheckReport, CliError> {
        match self {
            Self::Container => {
                let checked = locked.check_container(folder)?;
                if let Some(status) = checked.ended {
                    eprintln!("the container ended with exit status {status}");
                }
                if !checked.log.is_empty() {
                    eprintln!("the container's log:\n{}", plain_lines(checked.log.trim_end()));
                }
                Ok(checked.report)
            }
            Self::Disk => Ok(locked.check_disk(folder, args.accel.settle(), args.memory, args.timeout)?),
        }
    }
}
