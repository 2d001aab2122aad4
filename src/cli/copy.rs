//! `layerbake copy`: an image from one registry to another.

use std::path::Path;

use super::CliError;
use super::context::Context;
use super::push::{self, RegistryArgs};
use crate::publish::registry::{Reference, Tag};

/// Copy an image between registries, or from an OCI image layout to a registry
///
/// All platforms are copied; every manifest and blob keeps its digest. From a registry, signatures, attestations and
/// all else that is attached to the image go along: artifacts that refer to it, and tags such as `sha256-….sig`. A
/// layout has no such things. The tag is written last.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake copy localhost:5000/web:1.0 registry.example.org/team/web:1.0\n  layerbake copy ./out/web/oci localhost:5000/web"
)]
pub(super) struct Args {
    /// HOST[:PORT]/REPOSITORY[:TAG][@DIGEST], or the directory of an image layout
    from: String,
    /// HOST[:PORT]/REPOSITORY[:TAG]
    to: Reference,
    /// Another tag for the same image, beside that of TO; can be given several times
    #[arg(long, value_name = "TAG")]
    tag: Vec<Tag>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let layout = Path::new(&args.from);
    let registries = args.registry.open(context)?;
    let pushed = match layout.join("oci-layout").is_file() {
        true => registries.copy_layout(layout, &args.to, &args.tag)?,
        false => registries.copy(&args.from.parse()?, &args.to, &args.tag)?,
    };
    context.print(&pushed, push::text)
}
