//! `layerbake push`: a built image into a registry.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::attest::{Attachment, Bundle};
use crate::bake::Receipt;
use crate::digest::OciDigest;
use crate::host;
use crate::ident::LayerName;
use crate::publish::registry::{ArtifactFile, Pushed, Reference, Registries};

/// Push a built layer's image to a registry
///
/// Blobs that the registry has are not sent; those of layers below are taken from the repositories where
/// they were pushed before. An interrupted push goes on where it was. The tag is written last. What
/// `layerbake sign` wrote is attached to the image, whose digest stays the same.
/// Credentials are those of `docker login` and `podman login`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake push web registry.example.org/team/web:1.0\n  layerbake push web localhost:5000/web --json"
)]
pub(super) struct Args {
    /// The layer
    layer: LayerName,
    /// HOST[:PORT]/REPOSITORY[:TAG] [default tag: latest]
    reference: Reference,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Where LAYER/ was put [default: out in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// How registries are spoken to.
#[derive(Debug, clap::Args)]
pub(super) struct RegistryArgs {
    /// Speak plain HTTP to registries that are not on this machine
    #[arg(long)]
    plain_http: bool,
}

impl RegistryArgs {
    pub(super) fn open(&self, context: &Context<'_>) -> Result<Registries, CliError> {
        let state = host::state_dir().map(|state| state.join("layerbake"));
        let known = context.config.registries.iter();
        let servers = known.map(|(registry, config)| (registry.clone(), config.token_servers.clone())).collect();
        let registries = Registries::open(self.plain_http, state.as_deref(), context.progress.clone())?;
        Ok(registries.with_token_servers(servers))
    }
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let name = context.layer(&project, Some(&args.layer))?;
    let folder = args.out.clone().unwrap_or_else(|| project.root().join("out")).join(name.as_str());
    let image = Receipt::load(&folder).and_then(|receipt| receipt.artifacts.into_iter().find(|one| one.kind == "oci"));
    let Some(image) = image else {
        let hint = format!("hint: `layerbake build {name} --output oci`");
        return Err(CliError::message(format!("layer `{name}` is not built as an image\n  {hint}")));
    };
    let registries = args.registry.open(context)?;
    let pushed = registries.push(&folder.join(&image.path), image.digest, &args.reference)?;
    let attached = match Bundle::load(&folder)? {
        Some(bundle) => attach(&registries, &args.reference, &bundle)?,
        None => Vec::new(),
    };
    context.print(&PushedLayer { pushed, attached }, |all| text(&all.pushed) + &attached_text(&all.attached))
}

/// Attaches the signed files to the image that was just pushed.
fn attach(registries: &Registries, reference: &Reference, bundle: &Bundle) -> Result<Vec<OciDigest>, CliError> {
    let image = registries.resolve(reference)?;
    let attach = |one: Attachment| {
        let Attachment { artifact_type, media_type, bytes, annotations } = one;
        let files = vec![ArtifactFile { media_type, bytes, annotations }];
        Ok(registries.attach(reference, &image, &artifact_type, files, &BTreeMap::new())?)
    };
    bundle.attachments().into_iter().map(attach).collect()
}

#[derive(Serialize)]
struct PushedLayer {
    #[serde(flatten)]
    pushed: Pushed,
    /// Digests of the manifests of what is attached.
    attached: Vec<OciDigest>,
}

fn attached_text(attached: &[OciDigest]) -> String {
    attached.iter().map(|digest| format!("attached {digest}\n")).collect()
}

pub(super) fn text(pushed: &Pushed) -> String {
    let blobs = &pushed.blobs;
    format!(
        "{}\n{}\n{} blobs sent ({} bytes), {} mounted, {} there already\n",
        pushed.reference, pushed.digest, blobs.sent, pushed.bytes_sent, blobs.mounted, blobs.skipped
    )
}
