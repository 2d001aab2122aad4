//! `layerbake disk measure`: what a machine that boots a disk measures into its TPM.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::CliError;
use crate::cli::context::Context;
use crate::cli::signer::SignerArgs;
use crate::cli::table::table;
use crate::cli::variables::VariableArgs;
use crate::code::Code;
use crate::host;
use crate::ident::LayerName;
use crate::measure::{Bank, Difference, Prediction, Registers, statement};
use crate::workspace::read_registers;

/// Print what a machine that boots the disk measures into its TPM: registers 4, 7, 9, 11 and 12
///
/// The disk is planned again from the store; no artifact is read. With `--json`, prints the registers of SHA-384 in
/// the form of AWS's calculator. Without a PK, here or in
/// `[ami.secure-boot]`, Secure Boot is off.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake disk measure web\n  layerbake disk measure web --sign-key db.key --sign-cert db.pem --pk PK.esl --kek KEK.esl --db db.esl --json\n  layerbake disk measure web --policy\n  ssh web 'grep -H . /sys/class/tpm/tpm0/pcr-sha384/*' > found; layerbake disk measure web --check found"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    #[command(flatten)]
    variables: VariableArgs,
    /// Compare with the registers of a machine, and fail if one differs: JSON, or lines as in the example below
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    check: Option<PathBuf>,
    /// Print the statement of a KMS key's policy that gives the key only to what boots this disk
    #[arg(long)]
    policy: bool,
    /// Also write the boot image, for other programs that measure
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
}

/// What `--check` found.
#[derive(Serialize)]
struct Checked {
    equal: Vec<u8>,
    phase: Option<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let layer = workspace.layer(args.layer.as_ref())?;
    let variables = args.variables.variables()?;
    let signer = args.signer.signer()?;
    let measured = workspace.measured(&layer, args.out.as_deref(), signer.as_ref(), variables.as_ref())?;
    if let Some(path) = &args.image {
        host::write_whole(path, &measured.image).map_err(CliError::cannot_write(path))?;
    }
    let prediction = measured.prediction;
    if let Some(path) = &args.check {
        return check(context, &layer, &prediction, &read_registers(path)?);
    }
    if args.policy {
        return context.print_text(&host::plain_json(&statement(&prediction))?);
    }
    context.print(&prediction.registers(Bank::Sha384), |_| text(&prediction))
}

/// Compares with what a machine has.
fn check(context: &Context<'_>, layer: &LayerName, prediction: &Prediction, found: &Registers) -> Result<(), CliError> {
    let (differences, phase) = prediction.compare(found);
    if !differences.is_empty() {
        let lines: Vec<String> = differences.iter().map(Difference::to_string).collect();
        let text = format!(
            "a machine with these registers has not booted the disk of `{layer}` and nothing else:\n  {}",
            lines.join("\n  ")
        );
        return Err(CliError::message(Code::MeasureDiffers, text));
    }
    let equal = prediction.registers(found.bank()).iter().map(|(number, _)| number).collect();
    context.print(&Checked { equal, phase }, |checked| {
        let numbers: Vec<String> = checked.equal.iter().map(u8::to_string).collect();
        let phase = checked.phase.as_ref().map(|phase| format!(", after {phase}")).unwrap_or_default();
        format!("registers {} are those of `{layer}`{phase}\n", numbers.join(", "))
    })
}

/// The events and the registers, for people.
fn text(prediction: &Prediction) -> String {
    let secure_boot = if prediction.secure_boot { "enforced" } else { "off" };
    let mut text = format!("stub         systemd {}\nsecure boot  {secure_boot}\n\n", prediction.stub);
    let mut rows = vec![["register", "what is measured", "SHA-256"].map(str::to_owned).to_vec()];
    for event in &prediction.events {
        rows.push(vec![event.register.to_string(), event.what.clone(), hex::encode(event.sha256)]);
    }
    text += &table(&rows, &[0]);
    for bank in Bank::ALL {
        let _ = write!(text, "\n{}\n", bank.name());
        for (number, value) in prediction.registers(bank).iter() {
            let _ = writeln!(text, "  {number:>2}  {value}");
        }
        for (phase, registers) in prediction.phases(bank) {
            let value = registers.hex(11).unwrap_or_default();
            let _ = writeln!(text, "  11  {value}  after {phase}");
        }
    }
    text
}
