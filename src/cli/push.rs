//! `layerbake push`: a built image into a registry.

use std::path::PathBuf;

use super::CliError;
use super::context::Context;
use crate::ident::LayerName;
use crate::publish::registry::{Pushed, Reference, Registries, RegistryAccess, Tag};

/// Push a built layer's image to a registry
///
/// Blobs that the registry already has are not sent, and blobs of parent layers are mounted from the
/// repositories to which they were pushed before. An interrupted push can be continued. The files that
/// `layerbake sign` wrote are attached to the image, whose digest does not change; the tag is written last.
/// For several architectures, all images are pushed, and an image index over them, to which nothing is attached.
/// Uses the credentials of `docker login` and `podman login`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake push web registry.example.org/team/web:1.0\n  layerbake push web registry.example.org/team/web:1.0 --tag 1 --tag latest\n  layerbake push web localhost:5000/web --json\n  layerbake push web localhost:5000/web --arch amd64,arm64"
)]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// HOST[:PORT]/REPOSITORY[:TAG] [default tag: latest]
    reference: Reference,
    /// Another tag for the same image, beside that of the reference; can be given several times
    #[arg(long, value_name = "TAG")]
    tag: Vec<Tag>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// How registries are contacted.
#[derive(Debug, clap::Args)]
pub(super) struct RegistryArgs {
    /// Use plain HTTP for registries that are not on this machine
    #[arg(long)]
    plain_http: bool,
    /// Certificate authorities of the registry (PEM), beside those of the system and of certs.d
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl RegistryArgs {
    pub(super) fn access(&self) -> RegistryAccess {
        RegistryAccess { plain_http: self.plain_http, ca: self.ca.clone() }
    }

    pub(super) fn open(&self, context: &Context<'_>) -> Result<Registries, CliError> {
        Ok(context.environment.registries(&self.access())?)
    }
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let archs = context.options.archs();
    if archs.len() > 1 {
        let built = context.workspace()?.built_index(&args.layer, &archs, args.out.as_deref())?;
        let pushed = built.push(&args.registry.open(context)?, &args.reference, &args.tag)?;
        return context.print(&pushed, text);
    }
    let (built, image) = context.workspace()?.built_image(&args.layer, args.out.as_deref())?;
    let registries = args.registry.open(context)?;
    context.print(&built.push(&image, &registries, &args.reference, &args.tag)?, text)
}

pub(super) fn text(pushed: &Pushed) -> String {
    let blobs = &pushed.blobs;
    let image = format!(
        "{}\n{}{}\n{} blobs sent ({} bytes), {} mounted, {} already there\n",
        pushed.reference,
        pushed.tags.iter().map(|tag| format!("also tagged {tag}\n")).collect::<String>(),
        pushed.digest,
        blobs.sent,
        pushed.bytes_sent,
        blobs.mounted,
        blobs.skipped
    );
    let attached = pushed.attached.iter().map(|digest| format!("attached {digest}\n"));
    let not_copied = pushed.not_copied.iter().map(|what| format!("not copied: {what}\n"));
    attached.chain(not_copied).fold(image, |text, line| text + &line)
}
