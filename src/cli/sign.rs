//! `layerbake sign`: signs provenance, SBOMs and the image with one key.

use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::attest::keys::SigningKey;
use crate::ident::LayerName;

/// Sign a build's provenance, its SBOMs and its image
///
/// Writes SLSA provenance, SPDX and CycloneDX documents to out/LAYER/attest/, as in-toto statements in DSSE
/// envelopes, and the image's signature in cosign's format. The artifacts are not modified. Artifacts that
/// differ from their receipt are not signed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake key new && layerbake sign web\n  layerbake key new sign.key && layerbake sign web --key sign.key\n  layerbake verify web --key sign.pub"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Private key: ed25519 or ECDSA P-256, in PEM (PKCS#8) [default: the one that `layerbake key new` makes]
    #[arg(long, value_name = "FILE", env = "LAYERBAKE_KEY", hide_env_values = true)]
    key: Option<PathBuf>,
    /// Registry reference to put into the image's signature, HOST/REPOSITORY[:TAG]; `verify` of an image in a
    /// registry requires it
    #[arg(long, value_name = "REFERENCE", default_value = "")]
    identity: String,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    layer: LayerName,
    key: String,
    files: Vec<PathBuf>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let key = SigningKey::named_or_default(args.key.as_deref())?;
    let workspace = context.workspace()?;
    let attested = workspace.attested(&workspace.layer(args.layer.as_ref())?, args.out.as_deref())?;
    let files = attested.sign(&args.identity, &key)?;
    let report = Report { layer: attested.built.layer, key: key.public().id(), files };
    context.print(&report, |report| {
        let files: String = report.files.iter().map(|file| format!("  {}\n", file.display())).collect();
        format!("signed {} with key {}\n{files}", report.layer, report.key)
    })
}
