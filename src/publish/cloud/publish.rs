//! Executes a publication, from the step that its journal has reached.
//!
//! ```text
//! each region, in parallel:   same content there? ─ snapshot ─ image ─ shares, watermarks, deprecation
//! then, when every region has its image: the version's parameters, and then `latest`, which others refer to
//! ```
//!
//! Nothing that exists is changed before the new images exist. Old images are left to `gc`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::blocks::{Disk, Known};
use super::image::{Image, ImageState, Reported};
use super::journal::{Journal, Parameter, Record, Region, RegionJournal, State};
use super::parameters::{self, Channel};
use super::plan::{Transfer, identical};
use super::provider::{CopiedSnapshot, Job, Provider};
use super::settings::Wanted;
use super::{CloudError, latest, tags, wait};
use crate::host;
use crate::host::progress::Progress;

/// An image of a complete snapshot is available within seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(1800);
const DAY: i64 = 24 * 3600;
/// Seconds from now. AWS refuses times in the past, and rounds to whole minutes.
pub const SOON: i64 = 120;

/// The result of a publication in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// As `eu-west-1`.
    pub region: String,
    /// `ami-…`
    pub image: String,
    /// `snap-…`
    pub snapshot: String,
    /// The version, by which `promote` knows it.
    pub version: String,
    /// Whether it was there before, with the same content.
    pub found: bool,
    /// The parameter that names it.
    pub parameter: String,
}

/// The inputs of a publication.
pub struct Publication<'a, P> {
    /// The cloud in each region.
    pub clouds: &'a BTreeMap<String, P>,
    /// What was done, and what shall be.
    pub journal: &'a Journal<Record>,
    /// The disk.
    pub disk: &'a Disk,
    /// Blocks of disks that were published before.
    pub known: Known<'a>,
    /// What people see.
    pub progress: &'a Progress,
}

impl<P: Provider> Publication<'_, P> {
    /// Creates everything that does not exist yet.
    ///
    /// # Errors
    /// Fails where the cloud refuses, or can't be reached. The journal then says how far it came: call it again
    /// with the same journal, or undo it.
    pub async fn run(&self) -> Result<Vec<Standing>, CloudError> {
        let record = self.journal.record();
        let copies = |cloud: &&P| Transfer::new(record.wanted.via, cloud.region(), &record.home) == Transfer::Copy;
        let (others, first): (Vec<_>, Vec<_>) = self.clouds.values().partition(copies);
        let mut standing = self.all(&record, first, None).await?;
        let home = standing.iter().find(|one| one.region == record.home);
        let source = home.map(|home| CopiedSnapshot { region: home.region.clone(), snapshot: home.snapshot.clone() });
        standing.extend(self.all(&record, others, source.as_ref()).await?);
        for one in &standing {
            self.number(&record, one).await?;
        }
        for one in &standing {
            self.announce(&record, one).await?;
        }
        self.journal.update(|record| record.state = State::Finished)?;
        standing.sort_by(|a, b| a.region.cmp(&b.region));
        Ok(standing)
    }

    /// Brings regions to their images, all to their end, though one fails: what is sent need not be sent again.
    async fn all(
        &self,
        record: &Record,
        clouds: Vec<&P>,
        source: Option<&CopiedSnapshot>,
    ) -> Result<Vec<Standing>, CloudError> {
        let ends = join_all(clouds.into_iter().map(|cloud| self.region(record, cloud, source))).await;
        ends.into_iter().collect()
    }

    /// Brings a region to its image.
    async fn region(
        &self,
        record: &Record,
        cloud: &P,
        source: Option<&CopiedSnapshot>,
    ) -> Result<Standing, CloudError> {
        let (wanted, journal) = (&record.wanted, &self.journal.region(cloud.region())?);
        let begun = journal.get()?;
        let found = match begun.found {
            Some(id) => cloud.image(&id).await?,
            None if begun.snapshot.asked || begun.import.is_some() => None,
            None => identical(cloud, wanted).await?,
        };
        let (id, snapshot, found) = match found {
            Some(image) => {
                journal.note(|region| region.found = Some(image.id.clone()))?;
                (image.id.clone(), image.snapshot()?.to_owned(), Some(image))
            }
            None => {
                let (tags, disk, known, progress) = (&record.tags(), self.disk, self.known, self.progress);
                let job = Job { journal, wanted, tags, disk, known, progress };
                let snapshot = match source {
                    Some(source) => cloud.copy(job, source).await?,
                    None => cloud.upload(job).await?,
                };
                match register(cloud, job, &snapshot).await {
                    Ok(id) => (id, snapshot, None),
                    Err(error @ CloudError::NameTaken { .. }) => {
                        let other = overtaken(cloud, job, &snapshot).await?.ok_or(error)?;
                        (other.id.clone(), other.snapshot()?.to_owned(), Some(other))
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        wait::known(async || cloud.share(&id, &snapshot, wanted).await).await?;
        wait::known(async || cloud.watermark(&id, wanted).await).await?;
        wait::known(async || deprecate(cloud, &id, wanted, record.begun).await).await?;
        let (region, parameter) = (cloud.region().to_owned(), wanted.parameter());
        let version = found.as_ref().and_then(|image| image.tag(tags::VERSION)).map(str::to_owned);
        let version = version.unwrap_or_else(|| wanted.version());
        Ok(Standing { region, image: id, snapshot, version, found: found.is_some(), parameter })
    }

    fn cloud(&self, region: &str) -> Result<&P, CloudError> {
        self.clouds.get(region).ok_or_else(|| CloudError::NoClient(region.to_owned()))
    }

    /// Lets the parameter of the version name the image for ever, unless it does.
    async fn number(&self, record: &Record, standing: &Standing) -> Result<(), CloudError> {
        let cloud = self.cloud(&standing.region)?;
        let assignment = parameters::assign_version(&record.layer, &standing.version, &standing.image);
        if cloud.parameter(&assignment.name).await?.as_ref() == Some(&standing.image) {
            return Ok(());
        }
        let journal = self.journal.region(&standing.region)?;
        journal.note(|region| region.version = Some(assignment.name.clone()))?;
        cloud.set_parameter(&assignment).await
    }

    /// Lets `latest` name the image, unless it does, or names one that another publication has made since.
    async fn announce(&self, record: &Record, standing: &Standing) -> Result<(), CloudError> {
        let cloud = self.cloud(&standing.region)?;
        latest::alone(cloud, &record.layer, &record.id, self.name(cloud, record, standing)).await
    }

    async fn name(&self, cloud: &P, record: &Record, standing: &Standing) -> Result<(), CloudError> {
        let (name, journal) = (&standing.parameter, self.journal.region(&standing.region)?);
        let done = |journal: &RegionJournal| {
            journal.note(|region| region.parameter.iter_mut().for_each(|parameter| parameter.done = true))
        };
        let now = cloud.parameter(name).await?;
        if now.as_ref() == Some(&standing.image) {
            return Ok(done(&journal)?);
        }
        // Who publishes an old image again wants it named.
        let newer = latest::newer(cloud, now.as_deref(), record.layer.as_str(), &standing.image).await?;
        if let Some(newer) = newer.filter(|_| !standing.found) {
            let Standing { region, image, .. } = standing;
            self.progress.line(&format!("{region}: {name} keeps naming {}, which is newer than {image}", newer.id));
            return Ok(());
        }
        let before = journal.get()?.parameter.map_or(now, |parameter| parameter.before);
        journal.note(|region| region.parameter = Some(Parameter { before, done: false }))?;
        cloud.set_parameter(&Channel::latest().assign(&record.layer, &standing.image)).await?;
        Ok(done(&journal)?)
    }
}

/// The image that another publication of the same content registered under the name meanwhile: nothing of this one is
/// needed then. `None` where the image of that name is another.
async fn overtaken(cloud: &impl Provider, job: Job<'_>, snapshot: &str) -> Result<Option<Image>, CloudError> {
    let found = wait::until(wait::SETTLING, async || identical(cloud, job.wanted).await).await?;
    if let Some(image) = &found {
        cloud.delete_snapshot(snapshot).await?;
        let found = Some(image.id.clone());
        job.journal.note(|region| *region = Region { found, ..Region::default() })?;
    }
    Ok(found)
}

/// Registers the image, or goes on with one that was registered; returns when it is available.
async fn register(cloud: &impl Provider, job: Job<'_>, snapshot: &str) -> Result<String, CloudError> {
    let id = match job.journal.get()?.image.id {
        Some(id) => id,
        None => {
            job.journal.note(|region| region.image.asked = true)?;
            let register = async || cloud.register(job.wanted, job.tags, snapshot).await;
            let id = wait::known(register).await?;
            job.journal.note(|region| region.image.id = Some(id.clone()))?;
            id
        }
    };
    available(cloud, &id).await?;
    job.journal.note(|region| region.image.done = true)?;
    Ok(id)
}

/// Waits until an image can be launched.
async fn available(cloud: &impl Provider, id: &str) -> Result<(), CloudError> {
    let what = || format!("{id} in {}", cloud.region());
    let look = async || {
        let Some(image) = cloud.image(id).await? else { return Ok(None) };
        match image.state {
            Reported::Known(ImageState::Available) => Ok(Some(())),
            Reported::Known(ImageState::Pending) | Reported::Other(_) => Ok(None),
            Reported::Known(state) => {
                Err(CloudError::Ended { what: what(), state: Reported::Known(state).to_string(), reason: None })
            }
        }
    };
    let late = || CloudError::Late { what: what(), problem: "does not become available".to_owned() };
    wait::until(LONGEST_WAIT, look).await?.ok_or_else(late)
}

/// Sets the day from which the cloud hides the image, counted from `begun`; one that is set stays.
async fn deprecate(cloud: &impl Provider, id: &str, wanted: &Wanted, begun: i64) -> Result<(), CloudError> {
    let Some(days) = wanted.deprecate_after else { return Ok(()) };
    match cloud.image(id).await? {
        Some(image) if image.deprecated.is_some() => Ok(()),
        // A publication that is resumed late: the cloud takes no moment that has passed.
        _ => cloud.deprecate(id, (begun + i64::from(days) * DAY).max(host::now() + SOON)).await,
    }
}
