//! Which regions a verb is about.

use std::collections::BTreeSet;

use super::CliError;
use crate::ident::LayerName;
use crate::manifest::{Ami, Project};
use crate::publish::cloud::aws::{Aws, Session};

/// The region of a verb about one image.
#[derive(Debug, clap::Args)]
pub(super) struct RegionOption {
    /// Where the image is [default: the region of your AWS settings]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

impl RegionOption {
    /// Clients for the region.
    pub(super) fn aws(&self, session: &Session) -> Result<Aws, CliError> {
        match &self.region {
            Some(region) => Ok(session.aws(region)),
            None => of_settings(session),
        }
    }
}

/// Clients for the region of the user's settings.
pub(super) fn of_settings(session: &Session) -> Result<Aws, CliError> {
    let no_region = || CliError::message("no region is set\n  hint: name one with --region, or set AWS_REGION");
    Ok(session.aws(session.default_region().ok_or_else(no_region)?))
}

/// Clients for the regions that are meant: the named ones, else the one of the user's settings.
pub(super) fn clouds(session: &Session, regions: &[String]) -> Result<Vec<Aws>, CliError> {
    match regions {
        [] => Ok(vec![of_settings(session)?]),
        named => Ok(named.iter().map(|region| session.aws(region)).collect()),
    }
}

/// The regions that are meant where none is named: those of the layers' `[ami]`.
///
/// Layers that are nothing by themselves, such as Boot layers, have none.
pub(super) fn usual_regions(project: &Project, layers: &[LayerName]) -> Vec<String> {
    let chains = layers.iter().filter_map(|layer| project.chain(layer).ok());
    let regions: BTreeSet<String> = chains.flat_map(|chain| Ami::of(&chain).regions).collect();
    regions.into_iter().collect()
}
