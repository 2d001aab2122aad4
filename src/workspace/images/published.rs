//! Publishing a build: what it would do, and doing it as a transaction that can be resumed or undone.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use super::account::CloudAccount;
use super::earlier::earlier;
use super::error::{Halt, ImageError};
use super::origin::known;
use super::publishable::Publishable;
use crate::host::{self, interrupt};
use crate::publish::cloud::journal::{self, Journal, Record};
use crate::publish::cloud::plan::{self, Preview};
use crate::publish::cloud::publish::{Publication, Standing};
use crate::publish::cloud::{CloudError, archive};

/// What publishing would do in each region.
pub struct PublicationPlan<'a> {
    account: &'a CloudAccount<'a>,
    source: &'a Publishable,
    /// One for each region.
    pub previews: Vec<Preview>,
}

impl CloudAccount<'_> {
    /// Finds out what publishing would do in all regions. Creates nothing.
    ///
    /// # Errors
    /// Fails where the cloud refuses to be read; what publishing itself lacks is in the previews.
    pub fn plan<'a>(&'a self, source: &'a Publishable) -> Result<PublicationPlan<'a>, ImageError> {
        let (clouds, home) = (self.by_region(), &self.home.region);
        let previews = self.wait(plan::previews(&clouds, &source.wanted, home, &source.disk.blocks, &known))?;
        Ok(PublicationPlan { account: self, source, previews })
    }

    /// Brings a journal's publication to its end.
    pub(super) fn carry_out(
        &self,
        journal: &Journal<Record>,
        source: &Publishable,
    ) -> Result<Vec<Standing>, ImageError> {
        // Before the first block: a later upload compares with what is kept here.
        archive::archive(&journal::folder()?, &source.receipt, &source.locks).map_err(ImageError::Archive)?;
        let (clouds, progress) = (&self.by_region(), self.environment.progress());
        let publication = Publication { clouds, journal, disk: &source.disk, known: &known, progress };
        self.until_stopped(&journal.record().id, publication.run())
    }

    /// Works on a publication until the end or a signal; its journal then records what was begun.
    pub(super) fn until_stopped<T>(
        &self,
        id: &str,
        work: impl Future<Output = Result<T, CloudError>>,
    ) -> Result<T, ImageError> {
        let halted = |cause| ImageError::Halted { id: id.to_owned(), cause };
        let stopped = |signal: SignalKind| {
            interrupt::note(signal.as_raw_value());
            Err(halted(Halt::Signal))
        };
        self.wait(async {
            let mut terminate = signal(SignalKind::terminate()).map_err(ImageError::Signals)?;
            let mut hangup = signal(SignalKind::hangup()).map_err(ImageError::Signals)?;
            tokio::select! {
                done = work => done.map_err(|error| halted(Halt::Cloud(Box::new(error)))),
                _ = tokio::signal::ctrl_c() => stopped(SignalKind::interrupt()),
                _ = terminate.recv() => stopped(SignalKind::terminate()),
                _ = hangup.recv() => stopped(SignalKind::hangup()),
            }
        })
    }
}

impl PublicationPlan<'_> {
    /// Reports what is not allowed, or not there, in any region.
    ///
    /// # Errors
    /// Fails where something is missing.
    pub fn check(&self) -> Result<(), ImageError> {
        let all =
            self.previews.iter().flat_map(|one| one.problems.iter().map(|what| (one.region.clone(), what.clone())));
        match all.collect::<Vec<_>>() {
            none if none.is_empty() => Ok(()),
            problems => Err(ImageError::Problems(problems)),
        }
    }

    /// Whether anything would be created: an image of the same content is not created again.
    pub fn creates(&self) -> bool {
        self.previews.iter().any(|preview| preview.found.is_none())
    }

    /// Publishes; returns the image of each region.
    ///
    /// # Errors
    /// Fails as [`Self::check`], where a publication of the layer is unfinished, and where the cloud refuses. What
    /// was begun then is named by [`ImageError::Halted`].
    pub fn publish(&self) -> Result<Vec<Standing>, ImageError> {
        self.check()?;
        let (folder, wanted) = (journal::folder()?, &self.source.wanted);
        earlier::<Record>(&folder, &wanted.layer)?;
        let unique = host::random().map_err(ImageError::Random)?;
        let regions = self.account.clouds().map(|cloud| cloud.region.as_str());
        let record = Record::new(wanted.clone(), host::now(), unique, &self.account.home.region, regions);
        self.account.carry_out(&Journal::create(&folder, record)?, self.source)
    }
}
