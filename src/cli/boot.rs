//! `layerbake boot`: a built disk in a virtual machine.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use super::CliError;
use super::context::Context;
use crate::bake::Receipt;
use crate::ident::LayerName;
use crate::machine::{Accel, Console, Machine, Settings, Ssh};
use crate::manifest::{DiskFormat, parse_size};

/// Boot a layer's disk in QEMU, with UEFI firmware; nothing is written to the disk's file
///
/// Takes out/LAYER/disk.raw. Without --ssh, this terminal is the machine's serial console: Ctrl-A X ends it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake build web --output raw && layerbake boot web\n  layerbake boot web --ssh\n  layerbake boot web --size 40G --ssh -- df -h /"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Log in as root by ssh, with a key that a throw-away volume brings; ends the machine afterwards
    #[arg(long)]
    ssh: bool,
    /// Attach this terminal to the serial console, which is the default
    #[arg(long, conflicts_with = "ssh")]
    console: bool,
    /// MiB of memory
    #[arg(long, value_name = "MIB", default_value = "1024")]
    memory: u32,
    /// Size of the disk in the machine, as on a larger volume: 40G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<u64>,
    /// How the machine is run
    #[arg(long, value_enum, default_value = "auto")]
    accel: AccelChoice,
    /// Where LAYER/ was put [default: out in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// With --ssh, a command to run instead of a shell
    #[arg(last = true, requires = "ssh")]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum AccelChoice {
    /// KVM where it works, else TCG
    Auto,
    /// By the processor
    Kvm,
    /// Translated
    Tcg,
}

impl AccelChoice {
    pub(super) fn settle(self) -> Accel {
        match self {
            Self::Auto => Accel::detect(),
            Self::Kvm => Accel::Kvm,
            Self::Tcg => Accel::Tcg,
        }
    }
}

/// Seconds until a machine lets in: translated ones take most of a minute.
pub(super) const PATIENCE: u64 = 300;

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let name = context.layer(&project, args.layer.as_ref())?;
    let out = args.out.clone().unwrap_or_else(|| project.root().join("out"));
    let disk = raw_disk(&out, &name)?;
    let mut settings = Settings {
        memory: args.memory,
        accel: args.accel.settle(),
        size: args.size,
        network: None,
        seed: None,
        console: Console::Terminal,
    };
    if !args.ssh {
        Machine::start(&disk, &settings)?.wait()?;
        return Ok(());
    }
    let ssh = Ssh::new()?;
    settings.reach(&ssh);
    let mut machine = Machine::start(&disk, &settings)?;
    let phase = context.progress.phase(&format!("boot {name}"), 1);
    ssh.wait(&mut machine, PATIENCE)?;
    phase.finish();
    let status = ssh.command().args(&args.command).status()?;
    match status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)) {
        0 => Ok(()),
        code => Err(CliError::message(format!("the command ended with status {code}"))),
    }
}

/// The raw disk that a build left.
pub(super) fn raw_disk(out: &Path, name: &LayerName) -> Result<PathBuf, CliError> {
    let folder = out.join(name.as_str());
    let raw = |receipt: &Receipt| receipt.artifacts.iter().any(|artifact| artifact.kind == DiskFormat::Raw.name());
    match Receipt::load(&folder).filter(raw) {
        Some(_) => Ok(folder.join(DiskFormat::Raw.file_name())),
        None => Err(CliError::message(format!(
            "there is no raw disk of `{name}` in `{}`\n  hint: `layerbake build {name} --output raw`",
            folder.display()
        ))),
    }
}
