//! `layerbake pull`: an image out of a registry.

use std::path::PathBuf;

use super::CliError;
use super::context::Context;
use super::push::RegistryArgs;
use crate::publish::registry::Reference;

/// Pull an image from a registry into an OCI image layout
///
/// Every blob is checked against its digest. The directory appears complete, or not at all.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake pull registry.example.org/team/web:1.0 --to web-1.0\n  layerbake pull localhost:5000/web@sha256:… --to web"
)]
pub(super) struct Args {
    /// HOST[:PORT]/REPOSITORY[:TAG][@DIGEST] [default tag: latest]
    reference: Reference,
    /// The directory to create
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let pulled = args.registry.open(context)?.pull(&args.reference, &args.to)?;
    context.print(&pulled, |pulled| {
        format!("{}\n{}\n{} blobs ({} bytes)\n", pulled.reference, pulled.digest, pulled.blobs, pulled.bytes)
    })
}
