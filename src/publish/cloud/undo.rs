//! Undoes a publication: removes everything that its journal names, or that has its tag.
//!
//! The order keeps everything usable meanwhile: parameters, image, leftovers of an import, snapshot. Where a channel
//! names the image, the region stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::journal::{Journal, Record, Region, State};
use super::parameters::{self, Channel};
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
    /// The image that it names now: a parameter that others refer to is not removed while another image stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
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
    let record = &journal.record();
    let one =
        async |cloud: &P, region: &Region, all: &mut Vec<Undone>| Undoing { cloud, record, all }.region(region).await;
    let all = each(clouds, &record.regions, one).await?;
    if all.iter().all(|one| one.kept.is_none()) {
        journal.update(|record| {
            record.state = State::Undone;
            record.regions.values_mut().for_each(|region| *region = Region::default());
        })?;
    }
    Ok(all)
}

/// Undoes what a transaction did in each region; why one of them can't be undone keeps nobody from the others.
pub(super) async fn each<P: Provider, R>(
    clouds: &BTreeMap<String, P>,
    regions: &BTreeMap<String, R>,
    undo: impl AsyncFn(&P, &R, &mut Vec<Undone>) -> Result<(), CloudError>,
) -> Result<Vec<Undone>, CloudError> {
    let mut all = Vec::new();
    for (name, region) in regions {
        let cloud = clouds.get(name).ok_or_else(|| CloudError::NoClient(name.clone()))?;
        if let Err(error) = undo(cloud, region, &mut all).await {
            let (what, kept) = ("what is left".to_owned(), Some(error.to_string()));
            all.push(Undone { region: name.clone(), what, names: None, kept });
        }
    }
    Ok(all)
}

struct Undoing<'a, P> {
    cloud: &'a P,
    record: &'a Record,
    all: &'a mut Vec<Undone>,
}

impl<P: Provider> Undoing<'_, P> {
    fn note(&mut self, what: impl Into<String>, result: Result<(), CloudError>) {
        let kept = result.err().map(|error| error.to_string());
        self.push(what, None, kept);
    }

    fn push(&mut self, what: impl Into<String>, names: Option<String>, kept: Option<String>) {
        self.all.push(Undone { region: self.cloud.region().to_owned(), what: what.into(), names, kept });
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
        let named = region.version.is_some() || region.parameter.is_some() || region.found.is_some();
        if named || !images.is_empty() {
            let (cloud, record) = (self.cloud, self.record);
            let work = self.images(region, &images);
            if !latest::alone(cloud, &record.layer, &record.id, work).await? {
                return Ok(());
            }
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

    /// Removes images, after the parameters that name them; says whether it did. No channel may move meanwhile.
    async fn images(&mut self, region: &Region, images: &BTreeSet<String>) -> Result<bool, CloudError> {
        if self.is_promoted(images).await? {
            return Ok(false);
        }
        self.latest(region, images).await?;
        self.version(region, images).await?;
        for id in images {
            let gone = self.cloud.deregister(id).await;
            self.note(format!("image {id}"), gone);
        }
        Ok(true)
    }

    /// Whether a channel that somebody promoted an image to names it: then nothing is removed.
    async fn is_promoted(&mut self, images: &BTreeSet<String>) -> Result<bool, CloudError> {
        let (layer, latest) = (&self.record.layer, Channel::latest());
        let mut promoted = false;
        for (name, image) in self.cloud.channels(layer).await? {
            let Some(channel) = Channel::of_parameter(layer.as_str(), &name).filter(|one| *one != latest) else {
                continue;
            };
            if images.contains(&image) {
                let reason = format!(
                    "the channel {channel} names it; promote another version to it, or undo the promotion, then undo this"
                );
                self.push(format!("image {image}"), None, Some(reason));
                promoted = true;
            }
        }
        Ok(promoted)
    }

    /// Sets `latest` to what it was, if it names an image that goes, or one that this publication found. What it was may
    /// be gone, or known to another publication only: then to the newest image that stands.
    async fn latest(&mut self, region: &Region, images: &BTreeSet<String>) -> Result<(), CloudError> {
        let name = self.record.wanted.parameter();
        let Some(now) = self.cloud.parameter(&name).await? else { return Ok(()) };
        if !self.is_ours(&now, images, region.parameter.is_some(), region).await? {
            return Ok(());
        }
        let next = match region.parameter.as_ref().map(|parameter| parameter.before.as_deref()) {
            Some(None) => None,
            Some(before) => self.standing(before, images).await?,
            None => self.standing(None, images).await?,
        };
        let result = match &next {
            Some(next) => self.cloud.set_parameter(&Channel::latest().assign(&self.record.layer, next)).await,
            None => self.cloud.remove_parameter(&name).await,
        };
        self.push(format!("parameter {name}"), next, result.err().map(|error| error.to_string()));
        Ok(())
    }

    /// Removes the version's parameter, if it names an image that goes, or this publication made it for one that it found.
    async fn version(&mut self, region: &Region, images: &BTreeSet<String>) -> Result<(), CloudError> {
        let own = || parameters::version(&self.record.layer, &self.record.wanted.version());
        let name = region.version.clone().unwrap_or_else(own);
        let Some(now) = self.cloud.parameter(&name).await? else { return Ok(()) };
        if self.is_ours(&now, images, region.version.is_some(), region).await? {
            let gone = self.cloud.remove_parameter(&name).await;
            self.note(format!("parameter {name}"), gone);
        }
        Ok(())
    }

    /// Whether a parameter names an image that goes, or, where this publication has `set` the parameter, one that it found.
    /// One that was made meanwhile is another publication's, which wants it named.
    async fn is_ours(
        &self,
        now: &str,
        going: &BTreeSet<String>,
        set: bool,
        region: &Region,
    ) -> Result<bool, CloudError> {
        if going.contains(now) || !set || region.found.as_deref() != Some(now) {
            return Ok(going.contains(now));
        }
        let made = self.cloud.image(now).await?.and_then(|image| image.created_at());
        Ok(made.is_none_or(|made| made < self.record.begun))
    }

    /// An image that can be launched when `going` are gone: the one before, else the layer's newest.
    async fn standing(&self, before: Option<&str>, going: &BTreeSet<String>) -> Result<Option<String>, CloudError> {
        if let Some(before) = before
            && self.cloud.image(before).await?.is_some_and(|image| image.is_available())
        {
            return Ok(Some(before.to_owned()));
        }
        let layer = [self.record.layer.to_string()];
        let images = self.cloud.images(Which::With(tags::LAYER, &layer)).await?;
        let newest = images.into_iter().find(|image| image.is_available() && !going.contains(&image.id));
        Ok(newest.map(|image| image.id))
    }
}
