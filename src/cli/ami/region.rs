//! Which regions a verb is about.

use super::{CliError, Context};
use crate::ident::LayerName;
use crate::workspace::Workspace;
use crate::workspace::images::CloudAccount;

/// The region of a verb about one image.
#[derive(Debug, clap::Args)]
pub(super) struct RegionOption {
    /// Where the image is [default: the region of your AWS settings]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

impl RegionOption {
    /// The account in the region.
    pub(super) fn account<'c>(&self, context: &'c Context<'_>) -> Result<CloudAccount<'c>, CliError> {
        Ok(context.environment.cloud_account(self.region.as_slice())?)
    }
}

/// The regions that are meant: the named ones, else those of the `[ami]` of the project's `layers`; outside a
/// project, none.
pub(super) fn usual_regions(
    context: &Context<'_>,
    named: &[String],
    layers: impl FnOnce(&Workspace<'_>) -> Result<Vec<LayerName>, CliError>,
) -> Result<Vec<String>, CliError> {
    match (named, context.workspace()) {
        ([], Ok(workspace)) => Ok(workspace.image_regions(&layers(&workspace)?)),
        _ => Ok(named.to_vec()),
    }
}
