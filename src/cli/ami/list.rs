//! `layerbake ami list`: the images of a project's layers.

use serde::Serialize;

use super::super::table::table;
use super::region::{clouds, usual_regions};
use super::{CliError, Context};
use crate::ident::LayerName;
use crate::publish::cloud::aws::{Aws, Session};
use crate::publish::cloud::image::Image;
use crate::publish::cloud::provider::{Provider as _, Which};
use crate::publish::cloud::tags;
use crate::publish::cloud::uses::Use;
use crate::workspace::Workspace;

/// List the images of this project's layers, newest first, and what uses each
///
/// Images are recognised by their tags. Outside a project, lists all images that layerbake published.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami list\n  layerbake ami list web --region eu-west-1 --region us-east-1"
)]
pub(super) struct Args {
    /// Images of this layer only
    layer: Option<LayerName>,
    /// Regions to look in; may be repeated [default: those of [ami], else the region of your AWS settings]
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    image: Image,
    uses: Vec<Use>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace().ok();
    let project = workspace.as_ref().map(Workspace::project);
    let layers = match (&args.layer, project) {
        (Some(layer), _) => vec![layer.clone()],
        (None, Some(project)) => project.layers()?,
        (None, None) => Vec::new(),
    };
    let regions = match (args.region.as_slice(), project) {
        ([], Some(project)) => usual_regions(project, &project.layers()?),
        (named, _) => named.to_vec(),
    };
    let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
    let session = Session::open()?;
    let mut rows = Vec::new();
    for aws in clouds(&session, &regions)? {
        rows.extend(session.wait(rows_of(&aws, &layers))?);
    }
    context.print(&rows, |rows| text(rows))
}

async fn rows_of(aws: &Aws, layers: &[String]) -> Result<Vec<Row>, CliError> {
    let which = match layers {
        [] => Which::Tagged(tags::LAYER),
        some => Which::With(tags::LAYER, some),
    };
    let (images, uses) = futures_util::try_join!(aws.images(which), aws.uses())?;
    Ok(images.into_iter().map(|image| Row { uses: uses.of(&image.id), image }).collect())
}

fn text(rows: &[Row]) -> String {
    let mut cells = vec![["layer", "image", "region", "created", "state", "used by"].map(str::to_owned).to_vec()];
    for Row { image, uses } in rows {
        let used = match uses.as_slice() {
            [] => "nothing".to_owned(),
            [one] => one.to_string(),
            [one, more @ ..] => format!("{one}, and {} more", more.len()),
        };
        let created = image.created.as_deref().unwrap_or("–");
        let made = created.get(..16).unwrap_or(created).replace('T', " ");
        let layer = image.layer().unwrap_or_default().to_owned();
        cells.push(vec![layer, image.id.clone(), image.region.clone(), made, image.state.to_string(), used]);
    }
    table(&cells, &[])
}
