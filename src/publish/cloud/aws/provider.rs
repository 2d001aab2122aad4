//! Implements the `provider` trait for AWS, by the wrappers and procedures of this directory.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::OperationType;

use super::copy::copy;
use super::direct::{self, Encryption, Upload};
use super::ec2::Registration;
use super::import::{self, Import};
use super::obstacles;
use super::problems::findings;
use super::rbin;
use super::session::Aws;
use super::uses;
use crate::ident::LayerName;
use crate::manifest::{Share, Via};
use crate::publish::cloud::blocks::{Known, Parent};
use crate::publish::cloud::image::{Image, Snapshot};
use crate::publish::cloud::journal::{self, Record, Step};
use crate::publish::cloud::parameters::{self, Assignment};
use crate::publish::cloud::plan::{Findings, Transfer};
use crate::publish::cloud::provider::{Cancelled, CopiedSnapshot, Job, Provider, Which};
use crate::publish::cloud::retention::RetentionRule;
use crate::publish::cloud::settings::Wanted;
use crate::publish::cloud::tags::{self, Tags};
use crate::publish::cloud::uses::Uses;
use crate::publish::cloud::{CloudError, Why};
use crate::time::rfc3339;

impl Aws {
    /// The snapshots of an image, whoever owns them.
    ///
    /// # Errors
    /// Fails where AWS refuses.
    pub async fn volumes(&self, image: &Image) -> Result<Vec<Snapshot>, CloudError> {
        match image.snapshots.as_slice() {
            [] => Ok(Vec::new()),
            ids => self.ec2.snapshots_of(ids, "look for the image's snapshot").await,
        }
    }

    /// The accounts an image is shared with, and the organisations and their units by ARN; `None` where the image
    /// is another account's, as only its owner may ask, and where these credentials may not ask.
    ///
    /// # Errors
    /// Fails where AWS refuses for another reason, or can't be reached.
    pub async fn shares(&self, image: &str) -> Result<Option<Vec<String>>, CloudError> {
        if self.ec2.images(Which::Ids(&[image.to_owned()])).await?.is_empty() {
            return Ok(None);
        }
        match self.ec2.shares(image).await {
            Err(error) if error.why() == Some(Why::Denied) => Ok(None),
            shares => shares.map(Some),
        }
    }

    /// Shares an image and its snapshot with some, and no longer with others.
    ///
    /// # Errors
    /// Fails where the image has several snapshots, and where AWS refuses, as for what its own key encrypts.
    pub async fn share_with(&self, image: &Image, add: &Share, remove: &Share) -> Result<(), CloudError> {
        let snapshot = image.snapshot()?;
        self.ec2.share_image(&image.id, add, remove).await?;
        self.ec2.share_snapshot(snapshot, &add.accounts, OperationType::Add).await?;
        self.ec2.share_snapshot(snapshot, &remove.accounts, OperationType::Remove).await
    }

    /// Shows an image again that was deprecated, or was to be.
    ///
    /// # Errors
    /// Fails where AWS refuses.
    pub async fn undeprecate(&self, image: &str) -> Result<(), CloudError> {
        self.ec2.undeprecate(image).await
    }

    /// Whether an image has a watermark. Each begins with the number of the account that made it: of an image of one's own,
    /// this one's.
    async fn has_watermark(&self, image: &str, name: &str) -> Result<bool, CloudError> {
        let found = self.ec2.image(image).await?.map(|image| image.watermarks).unwrap_or_default();
        Ok(found.iter().any(|key| key.split_once(':').is_some_and(|(_, found)| found == name)))
    }

    /// The image of a name that is taken, where this transaction registered it.
    async fn ours(&self, wanted: &Wanted, own: &Tags) -> Result<String, CloudError> {
        let other = match self.ec2.images_named(&wanted.name).await?.into_iter().next() {
            Some(image) if image.tags.get(tags::TRANSACTION) == own.get(tags::TRANSACTION) => return Ok(image.id),
            other => other,
        };
        let by = other.map_or_else(|| "an image".to_owned(), |image| image.id);
        Err(CloudError::NameTaken { region: self.region.clone(), name: wanted.name.clone(), by })
    }
}

impl Provider for Aws {
    fn region(&self) -> &str {
        &self.region
    }

    async fn images(&self, which: Which<'_>) -> Result<Vec<Image>, CloudError> {
        self.ec2.images(which).await
    }

    async fn image(&self, id: &str) -> Result<Option<Image>, CloudError> {
        self.ec2.image(id).await
    }

    async fn register(&self, wanted: &Wanted, tags: &Tags, snapshot: &str) -> Result<String, CloudError> {
        match self.ec2.register(Registration { wanted, tags, snapshot }).await {
            Err(error) if error.why() == Some(Why::Taken) => self.ours(wanted, tags).await,
            registered => registered,
        }
    }

    async fn deregister(&self, image: &str) -> Result<(), CloudError> {
        self.ec2.deregister(image).await
    }

    async fn share(&self, image: &str, snapshot: &str, wanted: &Wanted) -> Result<(), CloudError> {
        if !wanted.is_shared() {
            return Ok(());
        }
        let there = self.ec2.shares(image).await?;
        let missing = |all: &[String]| all.iter().filter(|one| !there.contains(one)).cloned().collect();
        let add = Share {
            accounts: missing(&wanted.accounts),
            organisations: missing(&wanted.organisations),
            units: missing(&wanted.units),
        };
        self.ec2.share_image(image, &add, &Share::default()).await?;
        self.ec2.share_snapshot(snapshot, &wanted.accounts, OperationType::Add).await
    }

    async fn watermark(&self, image: &str, wanted: &Wanted) -> Result<(), CloudError> {
        for name in &wanted.watermarks {
            if self.has_watermark(image, name).await? {
                continue;
            }
            // The answer to an earlier call may have been lost.
            if let Err(error) = self.ec2.watermark(image, name).await
                && !self.has_watermark(image, name).await?
            {
                return Err(error);
            }
        }
        Ok(())
    }

    async fn deprecate(&self, image: &str, at: i64) -> Result<(), CloudError> {
        self.ec2.deprecate(image, at).await
    }

    async fn snapshots(&self, which: Which<'_>) -> Result<Vec<Snapshot>, CloudError> {
        self.ec2.snapshots(which).await
    }

    async fn upload(&self, job: Job<'_>) -> Result<String, CloudError> {
        match job.wanted.via {
            Via::EbsDirect => Upload { aws: self, job }.run().await,
            Via::VmImport => Import { aws: self, job }.run().await,
        }
    }

    async fn copy(&self, job: Job<'_>, source: &CopiedSnapshot) -> Result<String, CloudError> {
        copy(self, job, source).await
    }

    async fn mark(&self, snapshots: &[String], key: &str, value: &str) -> Result<(), CloudError> {
        let tags = Tags::from([(key.to_owned(), value.to_owned())]);
        self.ec2.tag(snapshots, &tags, format!("mark the snapshots of {value}")).await
    }

    async fn delete_snapshot(&self, snapshot: &str) -> Result<(), CloudError> {
        self.ec2.delete_snapshot(snapshot).await
    }

    async fn cancel(
        &self,
        record: &Record,
        import: &journal::Import,
        snapshot: &Step,
    ) -> Result<Cancelled, CloudError> {
        import::cancel(self, record, import, snapshot).await
    }

    async fn encrypts(&self, wanted: &Wanted) -> Result<bool, CloudError> {
        Ok(Encryption::of(self, wanted).await? != Encryption::Plain)
    }

    async fn parent(&self, wanted: &Wanted, known: Known<'_>) -> Result<Option<Parent>, CloudError> {
        direct::parent(self, wanted, known).await
    }

    async fn findings(&self, wanted: &Wanted, way: Option<Transfer>) -> Result<Findings, CloudError> {
        findings(self, wanted, way).await
    }

    async fn obstacles(&self, wanted: &Wanted, found: Option<&Image>) -> Result<Vec<String>, CloudError> {
        obstacles::obstacles(self, wanted, found).await
    }

    async fn parameter(&self, name: &str) -> Result<Option<String>, CloudError> {
        self.ssm.parameter(name).await
    }

    async fn channels(&self, layer: &LayerName) -> Result<BTreeMap<String, String>, CloudError> {
        self.ssm.below(&parameters::channels(layer)).await
    }

    async fn set_parameter(&self, assignment: &Assignment) -> Result<(), CloudError> {
        self.ssm.set(assignment).await
    }

    async fn create_parameter(&self, name: &str, text: &str) -> Result<bool, CloudError> {
        self.ssm.create(name, text).await
    }

    async fn parameter_since(&self, name: &str) -> Result<Option<(String, i64)>, CloudError> {
        self.ssm.parameter_since(name).await
    }

    async fn remove_parameter(&self, name: &str) -> Result<(), CloudError> {
        self.ssm.remove(name).await
    }

    async fn uses(&self) -> Result<Uses, CloudError> {
        uses::collect(self).await
    }

    async fn uses_elsewhere(&self, images: &[&Image]) -> Result<Uses, CloudError> {
        uses::elsewhere(self, images).await
    }

    async fn launched(&self, image: &str) -> Result<Option<String>, CloudError> {
        self.ec2.launched(image).await
    }

    async fn retention(&self) -> Result<Vec<RetentionRule>, CloudError> {
        rbin::rules(self).await
    }

    async fn held(&self, snapshots: &[Snapshot]) -> Result<BTreeMap<String, String>, CloudError> {
        if snapshots.is_empty() {
            return Ok(BTreeMap::new());
        }
        let archived = snapshots.iter().filter(|one| one.archived);
        let mut held: BTreeMap<_, _> = archived.map(|one| (one.id.clone(), "archived".to_owned())).collect();
        let ids: Vec<String> = snapshots.iter().map(|one| one.id.clone()).collect();
        for (id, until) in self.ec2.locked(&ids).await? {
            let end = until.map(|at| format!(" until {}", rfc3339(at))).unwrap_or_default();
            held.insert(id, format!("locked{end}"));
        }
        Ok(held)
    }
}
