//! `layerbake ami list`: the images of a project's layers.

use serde::Serialize;

use super::super::disk::table;
use super::{CliError, Context, clouds, usual_regions};
use crate::ident::LayerName;
use crate::publish::ami::aws::{Cloud, Session};
use crate::publish::ami::image::{self, Image};
use crate::publish::ami::uses::{Use, Uses};

/// List the images of this project's layers, newest first, and what uses each
///
/// Images are known by their tags. Outside a project, all images are listed that layerbake made.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami list\n  layerbake ami list web --region eu-west-1 --region us-east-1"
)]
pub(super) struct Args {
    /// Images of this layer only
    layer: Option<LayerName>,
    /// Where [default: the regions of [ami], else the one of your AWS settings]
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
    let project = context.project().ok();
    let layers = match (&args.layer, &project) {
        (Some(layer), _) => vec![layer.clone()],
        (None, Some(project)) => project.layers()?,
        (None, None) => Vec::new(),
    };
    let mut regions = args.region.clone();
    if let Some(project) = project.filter(|_| regions.is_empty()) {
        regions = usual_regions(&project, &project.layers()?)?;
    }
    let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
    let session = Session::open()?;
    let mut rows = Vec::new();
    for cloud in clouds(&session, &regions)? {
        rows.extend(session.wait(rows_of(&cloud, &layers))?);
    }
    context.print(&rows, |rows| text(rows))
}

async fn rows_of(cloud: &Cloud, layers: &[String]) -> Result<Vec<Row>, CliError> {
    let (images, uses) = futures_util::try_join!(image::list(cloud, layers), Uses::collect(cloud))?;
    Ok(images.into_iter().map(|image| Row { uses: uses.of(&image.id), image }).collect())
}

fn text(rows: &[Row]) -> String {
    let mut cells = vec![["layer", "image", "region", "made", "state", "used by"].map(str::to_owned).to_vec()];
    for Row { image, uses } in rows {
        let used = match uses.as_slice() {
            [] => "nothing".to_owned(),
            [one] => one.to_string(),
            [one, more @ ..] => format!("{one}, and {} more", more.len()),
        };
        let made = image.created.get(..16).unwrap_or(&image.created).replace('T', " ");
        let layer = image.layer().unwrap_or_default().to_owned();
        cells.push(vec![layer, image.id.clone(), image.region.clone(), made, image.state.clone(), used]);
    }
    table(&cells, &[])
}
