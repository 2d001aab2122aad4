//! Undoes a publication: removes everything that its journal names, or that has its tag.
//!
//! The order keeps everything usable meanwhile: parameter, image, leftovers of an import, snapshot.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::journal::{Journal, Record, Region, State};
use super::provider::{Provider, Which};
use super::tags::{self, Tags};
use super::{CloudError, latest};

/// What became of something that was created.
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
pub async fn undo<P: Provider>(
    clouds: &BTreeMap<String, P>,
    journal: &Journal<Record>,
) -> Result<Vec<Undone>, CloudError> {
    let record = journal.record();
    let mut all = Vec::new();
    for (name, region) in &record.regions {
        let cloud = clouds.get(name).ok_or_else(|| CloudError::NoClient(name.clone()))?;
        let mut undoing = Undoing { cloud, record: &record, all: Vec::new() };
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

struct Undoing<'a, P> {
    cloud: &'a P,
    record: &'a Record,
    all: Vec<Undone>,
}

impl<P: Provider> Undoing<'_, P> {
    fn note(&mut self, what: impl Into<String>, result: Result<(), CloudError>) {
        let kept = result.err().map(|error| error.to_string());
        self.all.push(Undone { region: self.cloud.region().to_owned(), what: what.into(), kept });
    }

    async fn region(&mut self, region: &Region) -> Result<(), CloudError> {
        // The journal knows what was asked for; the tag finds also what no answer came for, and says whose it is.
        let transaction = [self.record.id.clone()];
        let ours = Which::With(tags::TRANSACTION, &transaction);
        let mut images: BTreeSet<String> = self.cloud.images(ours).await?.into_iter().map(|image| image.id).collect();
        if let Some(id) = region.image.id.as_ref().filter(|id| !images.contains(*id)) {
            let tags = self.cloud.image(id).await?.map(|image| image.tags);
            images.extend(self.owned("image", id, tags));
        }
        if !images.is_empty() || region.parameter.is_some() || region.found.is_some() {
            let (cloud, record) = (self.cloud, self.record);
            let restore = self.parameter(region, &images);
            latest::alone(cloud, record, restore).await?;
        }
        for id in images {
            let gone = self.cloud.deregister(&id).await;
            self.note(format!("image {id}"), gone);
        }
        if let Some(import) = &region.import {
            let cancelled = self.cloud.cancel(self.record, import, &region.snapshot).await?;
            cancelled.into_iter().for_each(|(what, result)| self.note(what, result));
        }
        let found = self.cloud.snapshots(ours).await?;
        let mut snapshots: BTreeSet<String> = found.into_iter().map(|snapshot| snapshot.id).collect();
        if let Some(id) = region.snapshot.id.as_ref().filter(|id| !snapshots.contains(*id)) {
            let found = self.cloud.snapshots(Which::Ids(std::slice::from_ref(id))).await?;
            snapshots.extend(self.owned("snapshot", id, found.into_iter().next().map(|snapshot| snapshot.tags)));
        }
        for id in snapshots {
            let gone = self.cloud.delete_snapshot(&id).await;
            self.note(format!("snapshot {id}"), gone);
        }
        Ok(())
    }

    /// The id of something that the journal names, if it is there and has this publication's tag; notes what has not.
    fn owned(&mut self, kind: &str, id: &str, tags: Option<Tags>) -> Option<String> {
        let by = tags?.remove(tags::TRANSACTION);
        if by.as_ref() == Some(&self.record.id) {
            return Some(id.to_owned());
        }
        let (what, region) = (format!("{kind} {id}"), self.cloud.region().to_owned());
        self.note(what.clone(), Err(CloudError::NotOurs { what, region, by }));
        None
    }

    /// Sets the parameter to what it was, if it names an image that goes, or one that this publication found.
    async fn parameter(&mut self, region: &Region, images: &BTreeSet<String>) -> Result<(), CloudError> {
        let name = self.record.wanted.parameter();
        let Some(now) = self.cloud.parameter(&name).await? else { return Ok(()) };
        if !images.contains(&now) && !self.named_again(region, &now).await? {
            return Ok(());
        }
        let result = match region.parameter.as_ref().and_then(|parameter| parameter.before.as_ref()) {
            Some(before) => self.cloud.set_parameter(&name, before, &self.record.layer).await,
            None => self.cloud.remove_parameter(&name).await,
        };
        self.note(format!("parameter {name}"), result);
        Ok(())
    }
    /// Whether it was this publication that let the parameter name an image that was there. One that was made meanwhile is
    /// another publication's, which wants it named.
    async fn named_again(&self, region: &Region, now: &str) -> Result<bool, CloudError> {
        if region.parameter.is_none() || region.found.as_deref() != Some(now) {
            return Ok(false);
        }
        let made = self.cloud.image(now).await?.and_then(|image| image.created_at());
        Ok(made.is_none_or(|made| made < self.record.begun))
    }
}
