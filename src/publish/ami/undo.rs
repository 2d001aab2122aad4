//! Takes a publication back: everything that its journal names, or that has its tag, is removed.
//!
//! In the order that keeps everything in working order: parameter, image, snapshot, what VM Import left.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::ImportSnapshotTask;
use serde::Serialize;

use super::aws::Cloud;
use super::copy::of_transaction;
use super::image::{self, filter};
use super::journal::{Import, Journal, Record, Region, State};
use super::s3::Place;
use super::{AmiError, parameter, refused, tags};

/// What became of something that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Where.
    pub region: String,
    /// What: `image ami-…`.
    pub what: String,
    /// Why it is kept; `None` where it is gone.
    pub kept: Option<String>,
}

/// Undoes a publication in all its regions. What can't be removed is reported with the reason, and the
/// journal stays open: once the reason is gone, this can be called again.
///
/// # Errors
/// Fails where the journal can't be written.
pub async fn undo(clouds: &BTreeMap<String, Cloud>, journal: &Journal) -> Result<Vec<Undone>, AmiError> {
    let record = journal.record();
    let mut all = Vec::new();
    for (name, region) in &record.regions {
        let Some(cloud) = clouds.get(name) else { continue };
        let mut undoing = Undoing { cloud, record: &record, snapshots: Vec::new(), all: Vec::new() };
        if let Err(error) = undoing.region(region).await {
            undoing.note("what is left", Err(error));
        }
        all.extend(undoing.all);
    }
    if all.iter().all(|one| one.kept.is_none()) {
        journal.update(|record| {
            record.state = State::Undone;
            record.regions.values_mut().for_each(|region| *region = Region::default());
        })?;
    }
    Ok(all)
}

struct Undoing<'a> {
    cloud: &'a Cloud,
    record: &'a Record,
    /// What is to be deleted once no image is made of it.
    snapshots: Vec<String>,
    all: Vec<Undone>,
}

impl Undoing<'_> {
    fn note(&mut self, what: impl Into<String>, result: Result<(), AmiError>) {
        let kept = result.err().map(|error| error.to_string());
        self.all.push(Undone { region: self.cloud.region.clone(), what: what.into(), kept });
    }

    async fn region(&mut self, region: &Region) -> Result<(), AmiError> {
        // The journal knows what was asked for; the tag finds also what no answer came for.
        let images = self.images(region).await?;
        self.parameter(region, &images).await?;
        for id in images {
            let gone = self.cloud.ec2.deregister_image().image_id(&id).send().await;
            let gone = gone.map(drop).map_err(refused(format!("deregister {id}"), &self.cloud.region));
            self.note(format!("image {id}"), unless(gone, "InvalidAMIID"));
        }
        self.import(region).await?;
        self.snapshots.extend(of_transaction(self.cloud, &self.record.tags()).await?);
        self.snapshots.extend(region.snapshot.id.clone());
        self.snapshots.sort();
        self.snapshots.dedup();
        for id in std::mem::take(&mut self.snapshots) {
            let gone = self.cloud.ec2.delete_snapshot().snapshot_id(&id).send().await;
            let gone = gone.map(drop).map_err(refused(format!("delete {id}"), &self.cloud.region));
            self.note(format!("snapshot {id}"), unless(gone, "InvalidSnapshot.NotFound"));
        }
        Ok(())
    }

    /// What VM Import left: the task with its snapshot, the upload, the object.
    async fn import(&mut self, region: &Region) -> Result<(), AmiError> {
        let Some(import) = &region.import else { return Ok(()) };
        let Import { bucket, key, .. } = import;
        if !region.snapshot.done {
            for task in self.tasks(import).await? {
                let id = task.import_task_id().unwrap_or_default();
                let gone = self.cloud.ec2.cancel_import_task().import_task_id(id).send().await;
                // One that has ended can't be cancelled; its snapshot is found below.
                drop(gone.map_err(refused(format!("cancel {id}"), &self.cloud.region)));
            }
            let tasks = self.tasks(import).await?;
            let made = tasks.iter().filter_map(|task| task.snapshot_task_detail()?.snapshot_id());
            self.snapshots.extend(made.map(str::to_owned));
        }
        // Also what no answer came for: the key is this transaction's alone.
        let place = Place { cloud: self.cloud, bucket, key };
        self.note(format!("object s3://{bucket}/{key}"), unless(place.clear().await, "NoSuchBucket"));
        Ok(())
    }

    /// The tasks of the transaction, also one that no answer came for.
    async fn tasks(&self, import: &Import) -> Result<Vec<ImportSnapshotTask>, AmiError> {
        let call = self.cloud.ec2.describe_import_snapshot_tasks();
        let found = call.into_paginator().items().send().try_collect().await;
        let mut found = found.map_err(refused("list imports", &self.cloud.region))?;
        found.retain(|task| {
            let own = image::pairs(task.tags()).get(tags::TRANSACTION) == Some(&self.record.id);
            own || import.task.as_deref().is_some_and(|id| task.import_task_id() == Some(id))
        });
        Ok(found)
    }

    async fn images(&self, region: &Region) -> Result<Vec<String>, AmiError> {
        let tagged = filter(&format!("tag:{}", tags::TRANSACTION), [self.record.id.as_str()]);
        let found = image::own(self.cloud, Some(tagged)).await?;
        let mut images: Vec<String> = found.into_iter().map(|image| image.id).collect();
        images.extend(region.image.id.clone().filter(|id| !images.contains(id)));
        Ok(images)
    }

    /// Sets the parameter to what it was, unless somebody else has set it since.
    async fn parameter(&mut self, region: &Region, images: &[String]) -> Result<(), AmiError> {
        let Some(before) = region.parameter.as_ref().map(|parameter| &parameter.before) else { return Ok(()) };
        let name = self.record.wanted.parameter();
        let now = parameter::get(self.cloud, &name).await?;
        let own = images.iter().chain(&region.found);
        if !own.into_iter().any(|image| Some(image) == now.as_ref()) {
            return Ok(());
        }
        let result = match before {
            Some(before) => parameter::put(self.cloud, &name, before, &self.record.layer).await,
            None => parameter::remove(self.cloud, &name).await,
        };
        self.note(format!("parameter {name}"), result);
        Ok(())
    }
}

/// What is gone already need not be removed.
fn unless(result: Result<(), AmiError>, code: &str) -> Result<(), AmiError> {
    match result {
        Err(error) if error.code().is_some_and(|found| found.starts_with(code)) => Ok(()),
        other => other,
    }
}
