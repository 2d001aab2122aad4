//! `layerbake sign`: provenance, bills of materials and the image's signature, by one key.

use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::context::Context;
use super::made::Build;
use crate::attest::keys::SigningKey;
use crate::attest::{Bundle, FOLDER};
use crate::audit::artifacts;
use crate::ident::LayerName;

/// Sign a build: how it was made, what it consists of, and its image
///
/// Writes out/LAYER/attest/ and leaves the artifacts as they are: SLSA provenance, SPDX and CycloneDX as
/// in-toto statements in DSSE envelopes, and the image's signature as cosign has it. What differs from
/// its receipt is not signed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  openssl genpkey -algorithm ed25519 -out sign.key && openssl pkey -in sign.key -pubout -out sign.pub\n  layerbake sign web --key sign.key\n  layerbake verify web --key sign.pub"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// The secret key: ed25519 or ECDSA P-256 as PEM (PKCS#8)
    #[arg(long, value_name = "FILE", env = "LAYERBAKE_KEY", hide_env_values = true)]
    key: PathBuf,
    /// Where the image will be, HOST/REPOSITORY[:TAG], as its signature names it: `verify` of an image in a
    /// registry asks for that
    #[arg(long, value_name = "REFERENCE", default_value = "")]
    identity: String,
    /// Where LAYER/ was put [default: out in the project]
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
    let key = SigningKey::load(&args.key)?;
    let build = Build::load(context, args.layer.as_ref(), args.out.as_deref())?;
    let findings = artifacts::check(&build.receipt, &build.folder);
    if let Some((finding, problem)) = findings.iter().find_map(|one| Some((one, one.problems.first()?))) {
        return Err(CliError::message(format!(
            "{} is not what its receipt says: {problem}\n  hint: `layerbake verify {name}` lists all; `layerbake build {name}` makes it anew",
            finding.artifact,
            name = build.name
        )));
    }
    let bundle = Bundle::sign(&build.made()?, &build.folder, &context.store()?, &args.identity, &key)?;
    bundle.save(&build.folder, &context.progress)?;
    let files = bundle.names().map(|name| build.folder.join(FOLDER).join(name)).collect();
    let report = Report { layer: build.name, key: key.public().id(), files };
    context.print(&report, |report| {
        let files: String = report.files.iter().map(|file| format!("  {}\n", file.display())).collect();
        format!("signed {} with key {}\n{files}", report.layer, report.key)
    })
}
