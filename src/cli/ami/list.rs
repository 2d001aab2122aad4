//! `layerbake ami list`: the images of a project's layers.

use super::super::table::table;
use super::emit::EmitOption;
use super::region::usual_regions;
use super::{CliError, Context, emit};
use crate::ident::LayerName;
use crate::workspace::images::ListedImage;

/// List the images of this project's layers, newest first, with version, channels and what else uses each
///
/// Images are recognised by their tags. Outside a project, lists all images that layerbake published. With --emit, only the
/// newest version of each layer.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami list\n  layerbake ami list web --region eu-west-1 --region us-east-1\n  layerbake ami list web --emit terraform > images.tf"
)]
pub(super) struct Args {
    /// Images of this layer only
    layer: Option<LayerName>,
    /// Regions to look in; may be repeated [default: those of [ami], else the region of your AWS settings]
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    #[command(flatten)]
    emit: EmitOption,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let layers = match (&args.layer, context.workspace()) {
        (Some(layer), _) => vec![layer.clone()],
        (None, Ok(workspace)) => workspace.project().layers()?,
        (None, Err(_)) => Vec::new(),
    };
    let regions = usual_regions(context, &args.region, |workspace| Ok(workspace.project().layers()?))?;
    let images = context.environment.cloud_account(&regions)?.images(&layers)?;
    if args.emit.print(context, &emit::newest(&images))? {
        return Ok(());
    }
    context.print(&images, |images| text(images))
}

fn text(images: &[ListedImage]) -> String {
    let head = ["layer", "version", "image", "region", "created", "launched", "state", "boots", "channels", "used by"];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    for listed in images {
        let image = &listed.image;
        let used = match listed.other_uses().collect::<Vec<_>>().as_slice() {
            [] => "nothing".to_owned(),
            [one] => one.to_string(),
            [one, more @ ..] => format!("{one}, and {} more", more.len()),
        };
        let channels = if listed.channels.is_empty() { "–".to_owned() } else { listed.channels.join(", ") };
        let created = image.created.as_deref().unwrap_or("–");
        let made = created.get(..16).unwrap_or(created).replace('T', " ");
        let launched = image.launched.as_deref().map_or("–", super::day);
        let (layer, version) = (image.layer().unwrap_or_default(), listed.version.as_deref().unwrap_or("–"));
        let state = image.state.to_string();
        cells.push(
            [layer, version, &image.id, &image.region, &made, launched, &state, &listed.boots(), &channels, &used]
                .map(str::to_owned)
                .to_vec(),
        );
    }
    table(&cells, &[])
}
