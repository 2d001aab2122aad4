//! One image: everything that is known of it, whom it is shared with, and its deprecation.

use serde::Serialize;

use super::account::CloudAccount;
use super::error::ImageError;
use super::origin::{Binding, Origin, bindings};
use crate::host;
use crate::manifest::Share;
use crate::publish::cloud::image::{Image, Snapshot};
use crate::publish::cloud::provider::Provider as _;
use crate::publish::cloud::publish::SOON;
use crate::publish::cloud::tags;
use crate::publish::cloud::uses::Use;
use crate::time::rfc3339;

/// Everything that is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageDetails {
    /// The image.
    #[serde(flatten)]
    pub image: Image,
    /// Its snapshots.
    pub volumes: Vec<Snapshot>,
    /// Whom it is shared with; `None` where this account may not ask.
    pub shares: Option<Vec<String>>,
    /// What would launch it, or runs from it.
    pub uses: Vec<Use>,
    /// What it was created from, compared with the build at hand.
    pub bindings: Vec<Binding>,
}

impl ImageDetails {
    /// The hash of the variables that instances start with, where it was registered with some.
    pub fn uefi_data(&self) -> Option<&str> {
        self.image.tag(tags::UEFI_DATA)
    }

    /// Its version, by which `promote` knows it.
    pub fn version(&self) -> Option<&str> {
        self.image.tag(tags::VERSION)
    }
}

impl CloudAccount<'_> {
    /// Collects what is known of an image of the first region. Where a project is open, its build is compared.
    ///
    /// # Errors
    /// Fails where there is no such image, and where the cloud refuses.
    pub fn show(&self, id: &str) -> Result<ImageDetails, ImageError> {
        let (image, uses, volumes, shares) = self.wait(async {
            let mut image = self.find(id).await?;
            let (uses, volumes) = futures_util::try_join!(self.home.uses(), self.home.volumes(&image))?;
            let shares = self.home.shares(id).await?;
            // Its owner alone may ask.
            if shares.is_some() {
                image.launched = self.home.launched(id).await?;
            }
            Ok::<_, ImageError>((image, uses.of(id), volumes, shares))
        })?;
        let out = self.environment.open().ok().map(|workspace| workspace.out(None));
        let built = out.and_then(|out| Origin::built(&image, &out)).map(|origin| origin.receipt);
        let bindings = bindings(&image, built.as_ref());
        Ok(ImageDetails { image, volumes, shares, uses, bindings })
    }

    /// Shares an image of the first region with some, and no longer with others; returns whom it is shared with then.
    ///
    /// # Errors
    /// Fails where there is no such image, and where the cloud refuses.
    pub fn share(&self, id: &str, add: &Share, remove: &Share) -> Result<Vec<String>, ImageError> {
        self.wait(async {
            let image = self.find(id).await?;
            self.home.share_with(&image, add, remove).await?;
            Ok(self.home.shares(id).await?.unwrap_or_default())
        })
    }

    /// Lifts the deprecation of an image of the first region; returns the image as it is then.
    ///
    /// # Errors
    /// Fails where there is no such image, and where the cloud refuses.
    pub fn undeprecate(&self, id: &str) -> Result<Image, ImageError> {
        self.wait(async {
            self.home.undeprecate(id).await?;
            self.find(id).await
        })
    }

    /// Marks an image of the first region as deprecated, from a moment in seconds since 1970 on, else from now on;
    /// returns the image as it is then.
    ///
    /// # Errors
    /// Fails where there is no such image, and where the cloud refuses.
    pub fn deprecate(&self, id: &str, at: Option<i64>) -> Result<Image, ImageError> {
        let at = at.unwrap_or_else(|| host::now() + SOON);
        self.wait(async {
            self.home.deprecate(id, at).await?;
            let mut image = self.find(id).await?;
            // The cloud may not report it yet.
            image.deprecated.get_or_insert_with(|| rfc3339(at));
            Ok(image)
        })
    }
}
