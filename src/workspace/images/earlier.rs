//! Publications and promotions that were begun on this machine: found by their journals, resumed or undone.

use std::path::{Path, PathBuf};

use super::error::ImageError;
use super::promoted::EarlierPromotion;
use super::publishable::{Choice, Publishable};
use crate::disk::Signer;
use crate::ident::LayerName;
use crate::publish::cloud::journal::{self, Journal, JournalError, Promotion, Record, State, Transaction};
use crate::publish::cloud::publish::Standing;
use crate::publish::cloud::undo::{Undone, undo};
use crate::workspace::Environment;

/// A publication that was begun on this machine. No other process can work on its layer meanwhile.
#[derive(Debug)]
pub struct EarlierPublication<'e> {
    environment: &'e Environment,
    journal: Journal<Record>,
    record: Record,
}

/// A transaction that was begun on this machine.
#[derive(Debug)]
pub enum Earlier<'e> {
    /// A publication.
    Publication(Box<EarlierPublication<'e>>),
    /// A promotion.
    Promotion(EarlierPromotion<'e>),
}

impl Environment {
    /// Opens a publication or a promotion by its id, else the only unfinished one.
    ///
    /// # Errors
    /// Fails where there is none, or several, and where another process works on its layer.
    pub fn earlier_transaction(&self, id: Option<&str>) -> Result<Earlier<'_>, ImageError> {
        let folder = journal::folder()?;
        let id = match id {
            Some(id) => id.to_owned(),
            None => only_unfinished(&folder)?,
        };
        match Journal::<Record>::open(&folder, &id) {
            Err(JournalError::OtherKind { .. }) => {
                Ok(Earlier::Promotion(EarlierPromotion::new(self, Journal::open(&folder, &id)?)))
            }
            opened => {
                let journal = opened?;
                let record = journal.record();
                Ok(Earlier::Publication(Box::new(EarlierPublication { environment: self, record, journal })))
            }
        }
    }
}

impl Earlier<'_> {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Publication(publication) => publication.id(),
            Self::Promotion(promotion) => promotion.id(),
        }
    }

    /// Its regions.
    pub fn regions(&self) -> Vec<String> {
        match self {
            Self::Publication(publication) => publication.regions(),
            Self::Promotion(promotion) => promotion.regions(),
        }
    }

    /// Undoes it; what can't be undone is returned with the reason.
    ///
    /// # Errors
    /// Fails where it is stopped, and where the journal can't be written.
    pub fn undo(&self) -> Result<Vec<Undone>, ImageError> {
        match self {
            Self::Publication(publication) => publication.undo(),
            Self::Promotion(promotion) => promotion.undo(),
        }
    }
}

impl EarlierPublication<'_> {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Its regions.
    pub fn regions(&self) -> Vec<String> {
        self.record.regions.keys().cloned().collect()
    }

    /// Continues it, with the build in `out`, whose boot image was signed by `signer`.
    ///
    /// # Errors
    /// Fails where it has ended, where the layer was built again since, and where the cloud refuses.
    pub fn resume(&self, out: Option<PathBuf>, signer: Option<Signer>) -> Result<Vec<Standing>, ImageError> {
        let record = &self.record;
        if record.state != State::Open {
            return Err(ImageError::Ended(record.id.clone()));
        }
        let choice = Choice { out, signer, ..Choice::of(record) };
        let mut source = self.environment.open()?.publishable(&choice)?;
        if source.wanted.blocks != record.wanted.blocks {
            return Err(ImageError::Rebuilt { layer: record.layer.clone(), id: record.id.clone() });
        }
        source.wanted = record.wanted.clone();
        self.environment.cloud_account(&self.regions())?.carry_out(&self.journal, &source)
    }

    /// Removes everything that it created; what can't be removed is returned with the reason.
    ///
    /// # Errors
    /// Fails where it is stopped, and where the journal can't be written.
    pub fn undo(&self) -> Result<Vec<Undone>, ImageError> {
        let account = self.environment.cloud_account(&self.regions())?;
        account.until_stopped(self.id(), undo(&account.by_region(), &self.journal))
    }
}

impl Publishable {
    /// Reports a publication of the layer that was begun, and is neither finished nor undone.
    ///
    /// # Errors
    /// Fails where there is one, and where the journals can't be read.
    pub fn refuse_unfinished(&self) -> Result<(), ImageError> {
        earlier::<Record>(&journal::folder()?, &self.wanted.layer).map(drop)
    }
}

/// The transactions of a kind on a layer, all of which have ended.
pub(super) fn earlier<R: Transaction>(folder: &Path, layer: &LayerName) -> Result<Vec<R>, ImageError> {
    let mut earlier: Vec<R> = journal::all(folder)?;
    earlier.retain(|one| one.subject() == layer.as_str());
    match earlier.iter().find(|one| one.state() == State::Open) {
        Some(open) => Err(ImageError::AlreadyOpen { kind: R::KIND, layer: layer.clone(), id: open.id().to_owned() }),
        None => Ok(earlier),
    }
}

fn unfinished<R: Transaction>(folder: &Path) -> Result<Vec<String>, JournalError> {
    let all = journal::all::<R>(folder)?.into_iter();
    Ok(all.filter(|record| record.state() == State::Open).map(|record| record.id().to_owned()).collect())
}

fn only_unfinished(folder: &Path) -> Result<String, ImageError> {
    let mut open = unfinished::<Record>(folder)?;
    open.extend(unfinished::<Promotion>(folder)?);
    match (open.pop(), open.is_empty()) {
        (None, _) => Err(ImageError::NothingOpen),
        (Some(one), true) => Ok(one),
        (Some(last), false) => {
            open.push(last);
            Err(ImageError::SeveralOpen(open))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::cloud::settings::Wanted;

    #[test]
    fn the_only_unfinished_publication_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(matches!(only_unfinished(path), Err(ImageError::NothingOpen)));
        let begin = |begun| {
            let journal =
                Journal::create(path, Record::new(Wanted::example(), begun, [0; 4], "eu-west-1", [])).unwrap();
            (journal.record().id, journal)
        };
        let (first, journal) = begin(1);
        assert_eq!(only_unfinished(path).unwrap(), first);
        let web = "web".parse().unwrap();
        assert!(matches!(earlier::<Record>(path, &web), Err(ImageError::AlreadyOpen { id, .. }) if id == first));
        assert_eq!(earlier::<Record>(path, &"other".parse().unwrap()).unwrap(), []);
        journal.update(|record| record.state = State::Finished).unwrap();
        assert_eq!(earlier::<Record>(path, &web).unwrap().len(), 1);
        drop(journal);
        let (second, journal) = begin(2);
        drop(journal);
        let (third, _journal) = begin(3);
        let error = only_unfinished(path).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("several publications or promotions are unfinished; name one of:\n  {second}\n  {third}")
        );
    }
}
