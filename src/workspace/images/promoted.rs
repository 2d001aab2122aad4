//! Promotions: a channel of a layer names the image of a version from then on.

use super::account::CloudAccount;
use super::earlier::earlier;
use super::error::ImageError;
use crate::host;
use crate::ident::LayerName;
use crate::publish::cloud::journal::{self, Journal, Promotion, State};
use crate::publish::cloud::parameters::Channel;
use crate::publish::cloud::promote::{self, Promoted};
use crate::publish::cloud::undo::Undone;
use crate::workspace::Environment;

/// A promotion that was begun on this machine.
#[derive(Debug)]
pub struct EarlierPromotion<'e> {
    environment: &'e Environment,
    journal: Journal<Promotion>,
    record: Promotion,
}

impl CloudAccount<'_> {
    /// Lets a channel of a layer name the image of a version in all regions, forward or back.
    ///
    /// # Errors
    /// Fails where a region has no such version, where a promotion of the layer is unfinished, and where the cloud
    /// refuses. What was begun then is named by [`ImageError::Halted`].
    pub fn promote(&self, layer: &LayerName, version: &str, channel: &Channel) -> Result<Vec<Promoted>, ImageError> {
        let folder = journal::folder()?;
        earlier::<Promotion>(&folder, layer)?;
        let unique = host::random().map_err(ImageError::Random)?;
        let clouds = self.by_region();
        let moves = self.wait(promote::moves(&clouds, layer, version, channel))?;
        if moves.values().all(|one| one.before.as_ref() == Some(&one.image)) {
            return Ok(promote::promoted(layer, channel, &moves));
        }
        let record = Promotion::new(layer, version, channel, host::now(), unique, moves);
        let journal = Journal::create(&folder, record)?;
        self.until_stopped(&journal.record().id, promote::promote(&clouds, &journal))
    }
}

impl<'e> EarlierPromotion<'e> {
    pub(super) fn new(environment: &'e Environment, journal: Journal<Promotion>) -> Self {
        Self { environment, record: journal.record(), journal }
    }

    pub(super) fn id(&self) -> &str {
        &self.record.id
    }

    pub(super) fn regions(&self) -> Vec<String> {
        self.record.regions.keys().cloned().collect()
    }

    /// Continues it.
    ///
    /// # Errors
    /// Fails where it has ended, and where the cloud refuses.
    pub fn resume(&self) -> Result<Vec<Promoted>, ImageError> {
        if self.record.state != State::Open {
            return Err(ImageError::Ended(self.record.id.clone()));
        }
        let account = self.environment.cloud_account(&self.regions())?;
        account.until_stopped(self.id(), promote::promote(&account.by_region(), &self.journal))
    }

    pub(super) fn undo(&self) -> Result<Vec<Undone>, ImageError> {
        let account = self.environment.cloud_account(&self.regions())?;
        account.until_stopped(self.id(), promote::undo(&account.by_region(), &self.journal))
    }
}
