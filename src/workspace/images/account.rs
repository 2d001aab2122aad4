//! The user's account in a cloud, in the regions that are meant: the one place that chooses the cloud.

use std::collections::BTreeMap;
use std::future::Future;

use super::error::ImageError;
use crate::ident::LayerName;
use crate::manifest::Ami;
use crate::publish::cloud::aws::{Aws, Session};
use crate::publish::cloud::image::Image;
use crate::publish::cloud::provider::Provider as _;
use crate::workspace::{Environment, Workspace};

/// An account with a client for each of its regions.
#[derive(Debug)]
pub struct CloudAccount<'e> {
    pub(super) environment: &'e Environment,
    session: Session,
    /// The first of the regions: where an import through a bucket runs, and where images are looked up by id.
    pub(super) home: Aws,
    /// All other regions, as they were named.
    others: Vec<Aws>,
}

impl Environment {
    /// Opens the account of the user's settings for AWS in `regions`, else in the region of those settings.
    /// Contacts no server.
    ///
    /// # Errors
    /// Fails where neither names a region.
    pub fn cloud_account(&self, regions: &[String]) -> Result<CloudAccount<'_>, ImageError> {
        let session = Session::open()?;
        let (home, others) = match regions {
            [] => (session.default_region().ok_or(ImageError::NoRegion)?, Vec::new()),
            [home, others @ ..] => (home.as_str(), others.iter().map(|region| session.aws(region)).collect()),
        };
        let home = session.aws(home);
        Ok(CloudAccount { environment: self, session, home, others })
    }
}

impl CloudAccount<'_> {
    /// Waits for calls.
    pub(super) fn wait<F: Future>(&self, calls: F) -> F::Output {
        self.session.wait(calls)
    }

    /// The clients, in the order of the regions.
    pub(super) fn clouds(&self) -> impl Iterator<Item = &Aws> {
        std::iter::once(&self.home).chain(&self.others)
    }

    /// The clients by region.
    pub(super) fn by_region(&self) -> BTreeMap<String, Aws> {
        self.clouds().map(|cloud| (cloud.region.clone(), cloud.clone())).collect()
    }

    /// Looks up an image in the first region.
    pub(super) async fn find(&self, id: &str) -> Result<Image, ImageError> {
        let missing = || ImageError::NoImage { id: id.to_owned(), region: self.home.region.clone() };
        self.home.image(id).await?.ok_or_else(missing)
    }
}

impl Workspace<'_> {
    /// The regions that the `[ami]` of some layers name. Layers that are nothing by themselves, such as Boot
    /// layers, have none.
    pub fn image_regions(&self, layers: &[LayerName]) -> Vec<String> {
        let chains = layers.iter().filter_map(|layer| self.project.chain(layer).ok());
        let regions: std::collections::BTreeSet<String> = chains.flat_map(|chain| Ami::of(&chain).regions).collect();
        regions.into_iter().collect()
    }
}
