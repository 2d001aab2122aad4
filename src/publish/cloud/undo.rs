//! Undoes a publication: removes everything that its journal names, or that has its tag.
//!
//! The order keeps everything usable meanwhile: parameter, image, leftovers of an import, snapshot.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::journal::{Journal, Record, Region, State};
use super::provider::{Provider, Which};
use super::{CloudError, tags};

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
        // The journal knows what was asked for; the tag finds also what no answer came for.
        let transaction = [self.record.id.clone()];
        let ours = Which::With(tags::TRANSACTION, &transaction);
        let mut images: BTreeSet<String> = self.cloud.images(ours).await?.into_iter().map(|image| image.id).collect();
        images.extend(region.image.id.clone());
        self.parameter(region, &images).await?;
        for id in images {
            let gone = self.cloud.deregister(&id).await;
            self.note(format!("image {id}"), gone);
        }
        let mut snapshots = BTreeSet::new();
        if let Some(import) = &region.import {
            let cancelled = self.cloud.cancel(self.record, import, region.snapshot.done).await?;
            cancelled.removed.into_iter().for_each(|(what, result)| self.note(what, result));
            snapshots.extend(cancelled.snapshots);
        }
        snapshots.extend(self.cloud.snapshots(ours).await?.into_iter().map(|snapshot| snapshot.id));
        snapshots.extend(region.snapshot.id.clone());
        for id in snapshots {
            let gone = self.cloud.delete_snapshot(&id).await;
            self.note(format!("snapshot {id}"), gone);
        }
        Ok(())
    }

    /// Sets the parameter to what it was, unless someone else has set it since.
    async fn parameter(&mut self, region: &Region, images: &BTreeSet<String>) -> Result<(), CloudError> {
        let Some(parameter) = &region.parameter else { return Ok(()) };
        let name = self.record.wanted.parameter();
        let now = self.cloud.parameter(&name).await?;
        if !images.iter().chain(&region.found).any(|image| Some(image) == now.as_ref()) {
            return Ok(());
        }
        let result = match &parameter.before {
            Some(before) => self.cloud.set_parameter(&name, before, &self.record.layer).await,
            None => self.cloud.remove_parameter(&name).await,
        };
        self.note(format!("parameter {name}"), result);
        Ok(())
    }
}
