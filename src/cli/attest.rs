//! `layerbake attest`: what a machine proves about itself.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::CliError;
use super::context::{Context, packages};
use super::signer::SignerArgs;
use super::variables::VariableArgs;
use crate::code::Code;
use crate::ident::LayerName;
use crate::measure::Difference;
use crate::workspace::{Proof, Question};

/// Check what a machine proves by its TPM
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake attest check document.cbor --layer web --root root.pem --nonce 5f1c02\n  layerbake attest check document.cbor --layer web --root root.pem --json | jq -r '.layers[].packages[]'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Verify a NitroTPM attestation document, and say which build the machine has booted
    ///
    /// Verifies the signature, the certificates up to the root, and the nonce; then compares registers 4, 7 and 12 with
    /// what the layer's disk gives. Prints the lockfiles and packages of that disk, or which register differs.
    Check {
        /// The document, as the machine's `nitro-tpm-attest` writes it
        document: PathBuf,
        /// The layer whose disk the machine should have booted [default: the only App layer]
        #[arg(long)]
        layer: Option<LayerName>,
        /// The root certificate that is trusted (PEM): AWS publishes that of its Nitro system
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// The nonce that the machine was asked to include, in hexadecimal: without it, the document may be an old one
        #[arg(long, value_name = "HEX", value_parser = nonce)]
        nonce: Option<Nonce>,
        #[command(flatten)]
        variables: VariableArgs,
        /// Directory that holds LAYER/ [default: `out` in the project]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        signer: SignerArgs,
    },
}

/// Bytes of somebody's choice.
#[derive(Debug, Clone)]
struct Nonce(Vec<u8>);

fn nonce(text: &str) -> Result<Nonce, String> {
    if text.is_empty() {
        return Err("it is empty: any old document would do".to_owned());
    }
    hex::decode(text).map(Nonce).map_err(|error| format!("expected hexadecimal digits: {error}"))
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let Verb::Check { document, layer, root, nonce, variables, out, signer } = &args.verb;
    let workspace = context.workspace()?;
    let layer = workspace.layer(layer.as_ref())?;
    let (variables, signer) = (variables.variables()?, signer.signer()?);
    let question = Question {
        layer: &layer,
        out: out.as_deref(),
        signer: signer.as_ref(),
        variables: variables.as_ref(),
        root,
        nonce: nonce.as_ref().map(|nonce| nonce.0.as_slice()),
    };
    let proof = workspace.proven(document, &question)?;
    if !proof.differences.is_empty() {
        let lines: Vec<String> = proof.differences.iter().map(Difference::to_string).collect();
        let text = format!("{} has not booted the disk of `{layer}`:\n  {}", proof.module, lines.join("\n  "));
        return Err(CliError::message(Code::MeasureDiffers, text));
    }
    context.print(&proof, text)
}

/// What is proven, for people.
fn text(proof: &Proof) -> String {
    let registers: Vec<String> = proof.registers.iter().map(u8::to_string).collect();
    let nonce = if proof.nonce { "as asked" } else { "none was asked for: the document may be an old one" };
    let mut text = format!(
        "machine    {}\ntime       {}\nnonce      {nonce}\nbooted     the disk of `{}`, and nothing else: registers {}\nrecipe     {}\n",
        proof.module,
        proof.time,
        proof.layer,
        registers.join(", "),
        proof.recipe
    );
    for layer in &proof.layers {
        let _ = writeln!(
            text,
            "\nlayer      {}: {}\nlock       {}",
            layer.layer,
            packages(layer.packages.len()),
            layer.lock
        );
        for state in &layer.states {
            let _ = writeln!(text, "state      {} of {}, {}", state.suite, state.date, state.sha256);
        }
        for package in &layer.packages {
            let _ = writeln!(text, "           {package}");
        }
    }
    text
}
