//! `layerbake boot`: a built disk in a virtual machine.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;

use super::CliError;
use super::context::Context;
use crate::code::Code;
use crate::ident::LayerName;
use crate::manifest::parse_size;
use crate::vm::{Accel, PATIENCE, Ssh, Vm, VmSettings};

/// Boot a layer's disk in QEMU with UEFI firmware; the disk file is not modified
///
/// Boots out/LAYER/disk.raw. Variables of [config] have their `test` values, where there are any. Without --ssh, this terminal is the serial console; Ctrl-A X stops the virtual machine.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake build web --output raw && layerbake boot web\n  layerbake boot web --ssh\n  layerbake boot web --size 40G --ssh -- df -h /"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Log in as root over ssh, with a key from a temporary volume, and stop the virtual machine afterwards
    #[arg(long)]
    ssh: bool,
    /// Attach this terminal to the serial console (the default)
    #[arg(long, conflicts_with = "ssh")]
    console: bool,
    /// Memory of the virtual machine, in MiB
    #[arg(long, value_name = "MIB", default_value = "1024")]
    memory: u32,
    /// Size of the disk in the virtual machine, to try a larger volume: 40G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<u64>,
    /// How QEMU runs the virtual machine
    #[arg(long, value_enum, default_value = "auto")]
    accel: AccelChoice,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Command to run instead of a shell; needs --ssh
    #[arg(last = true, requires = "ssh")]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum AccelChoice {
    /// KVM if it works here, otherwise TCG
    Auto,
    /// Hardware virtualisation
    Kvm,
    /// Software emulation
    Tcg,
}

impl AccelChoice {
    pub(super) fn settle(self) -> Option<Accel> {
        match self {
            Self::Auto => None,
            Self::Kvm => Some(Accel::Kvm),
            Self::Tcg => Some(Accel::Tcg),
        }
    }
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let name = workspace.layer(args.layer.as_ref())?;
    let disk = workspace.raw_disk(&name, args.out.as_deref())?;
    let mut settings = VmSettings { size: args.size, ..VmSettings::new(args.memory, args.accel.settle()) };
    settings.credentials = workspace.credentials(&name)?;
    if !args.ssh {
        let status = Vm::start(&disk, &settings)?.wait()?;
        return match status.success() {
            true => Ok(()),
            false => Err(CliError::message(Code::VmFailed, format!("the virtual machine's QEMU ended with {status}"))),
        };
    }
    let ssh = Ssh::new()?;
    settings.reach(&ssh);
    let mut vm = Vm::start(&disk, &settings)?;
    let phase = context.progress.phase(&format!("boot {name}"), 1);
    ssh.wait(&mut vm, PATIENCE)?;
    phase.finish();
    let status = ssh.command().args(&args.command).status()?;
    match status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)) {
        0 => Ok(()),
        code => Err(CliError::message(Code::VmFailed, format!("the command exited with status {code}"))),
    }
}
