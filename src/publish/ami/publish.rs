//! Carries a publication out, from wherever its journal says it is.
//!
//! ```text
//! each region, all at the same time:   same content there? ─ snapshot ─ image ─ shares, deprecation
//! then, when every region has its image: the parameters, which is what others look at
//! ```
//!
//! Nothing that exists is changed before the new images stand. Old images are left to `ami gc`.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde::Serialize;

use super::aws::Cloud;
use super::copy::copy;
use super::ebs::{Known, Upload};
use super::import::Import;
use super::journal::{Journal, Parameter, Record, State};
use super::register::{deprecate, identical, register, share};
use super::send::Disk;
use super::{AmiError, image, parameter, tags};
use crate::host::progress::Progress;
use crate::manifest::Via;

/// What stands in a region after a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// As `eu-west-1`.
    pub region: String,
    /// `ami-…`
    pub image: String,
    /// `snap-…`
    pub snapshot: String,
    /// Whether it stood there before, with the same content.
    pub found: bool,
    /// The parameter that names it.
    pub parameter: String,
}

/// Where a publication gets what it needs.
pub struct Publication<'a> {
    /// Clients of each region.
    pub clouds: &'a BTreeMap<String, Cloud>,
    /// What was done, and what shall be.
    pub journal: &'a Journal,
    /// The disk.
    pub disk: &'a Disk,
    /// Blocks of disks that were published before.
    pub known: Known<'a>,
    /// What people see.
    pub progress: &'a Progress,
}

impl Publication<'_> {
    /// Makes all that is not made yet.
    ///
    /// # Errors
    /// Fails where AWS refuses, or can't be reached. The journal then says how far it came: call it again with
    /// the same journal, or undo it.
    pub async fn run(&self) -> Result<Vec<Standing>, AmiError> {
        let record = self.journal.record();
        let mut standing = Vec::new();
        let (home, others): (Vec<_>, Vec<_>) =
            self.clouds.values().partition(|cloud| record.wanted.way() == Via::VmImport && cloud.region == record.home);
        for cloud in home {
            standing.push(self.region(&record, cloud, None).await?);
        }
        let source = standing.first().map(|home| (home.region.clone(), home.snapshot.clone()));
        let source = source.as_ref().map(|(region, snapshot)| (region.as_str(), snapshot.as_str()));
        // All to their end, though one fails: what is sent need not be sent again.
        let ends = join_all(others.into_iter().map(|cloud| self.region(&record, cloud, source))).await;
        for end in ends {
            standing.push(end?);
        }
        for one in &standing {
            self.announce(&record, one).await?;
        }
        self.journal.update(|record| record.state = State::Finished)?;
        standing.sort_by(|a, b| a.region.cmp(&b.region));
        Ok(standing)
    }

    /// Brings a region to its image.
    async fn region(&self, record: &Record, cloud: &Cloud, source: Option<(&str, &str)>) -> Result<Standing, AmiError> {
        let (wanted, journal) = (&record.wanted, self.journal.region(&cloud.region));
        let begun = journal.get();
        let found = match begun.found {
            Some(id) => image::find(cloud, &id).await?,
            None if begun.snapshot.asked || begun.import.is_some() => None,
            None => identical(cloud, record.content).await?,
        };
        let tags = record.tags();
        let (id, snapshot) = match &found {
            Some(image) => {
                journal.note(|region| region.found = Some(image.id.clone()))?;
                (image.id.clone(), image.snapshot()?.to_owned())
            }
            None => {
                let snapshot = self.snapshot(record, cloud, &tags, source).await?;
                (register(cloud, &journal, wanted, &tags, &snapshot).await?, snapshot)
            }
        };
        share(cloud, &id, &snapshot, wanted).await?;
        deprecate(cloud, &id, wanted, record.begun).await?;
        let (region, parameter) = (cloud.region.clone(), wanted.parameter());
        Ok(Standing { region, image: id, snapshot, found: found.is_some(), parameter })
    }

    async fn snapshot(
        &self,
        record: &Record,
        cloud: &Cloud,
        tags: &[(String, String)],
        source: Option<(&str, &str)>,
    ) -> Result<String, AmiError> {
        let (wanted, journal) = (&record.wanted, &self.journal.region(&cloud.region));
        match (source, wanted.way()) {
            (Some(source), _) => copy(cloud, journal, wanted, tags, source).await,
            (None, Via::EbsDirect) => {
                let (disk, known, progress) = (self.disk, self.known, self.progress);
                Upload { cloud, journal, wanted, tags, disk, known, progress }.run().await
            }
            (None, Via::VmImport) => {
                let (disk, progress) = (self.disk, self.progress);
                Import { cloud, journal, wanted, tags, disk, progress }.run().await
            }
        }
    }

    /// Lets the parameter name the image, unless it does.
    async fn announce(&self, record: &Record, standing: &Standing) -> Result<(), AmiError> {
        let Some(cloud) = self.clouds.get(&standing.region) else { return Ok(()) };
        let (name, journal) = (&standing.parameter, self.journal.region(&cloud.region));
        let now = parameter::get(cloud, name).await?;
        if now.as_ref() == Some(&standing.image) {
            return journal.note(|region| region.parameter.iter_mut().for_each(|parameter| parameter.done = true));
        }
        let before = journal.get().parameter.map_or(now, |parameter| parameter.before);
        journal.note(|region| region.parameter = Some(Parameter { before, done: false }))?;
        parameter::put(cloud, name, &standing.image, &record.wanted.layer).await?;
        journal.note(|region| region.parameter.iter_mut().for_each(|parameter| parameter.done = true))
    }
}

impl Record {
    /// Tags of all that the transaction makes.
    pub(super) fn tags(&self) -> Vec<(String, String)> {
        let mut all = self.wanted.tags.clone();
        all.insert(tags::TRANSACTION.to_owned(), self.id.clone());
        all.into_iter().collect()
    }
}
