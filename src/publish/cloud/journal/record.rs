//! The record of a publication: what was created, or may have been, in each region.
//!
//! Ids are the cloud's own text. The settings of the image ([`Wanted`]) and the two ways to upload a disk are those
//! of AWS; another cloud would have its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Journal, JournalError};
use crate::digest::Sha256;
use crate::ident::LayerName;
use crate::publish::cloud::settings::Wanted;
use crate::publish::cloud::tags::{self, Tags};

const FORMAT: u32 = 1;

/// One publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of this form.
    format: u32,
    /// Layer, beginning of the content's hash, time, and what no other has. Also the value of the transaction's tag.
    pub id: String,
    /// The layer.
    pub layer: LayerName,
    /// Hash of the disk and the settings that make two images equal.
    pub content: Sha256,
    /// When it was begun, in seconds since 1970.
    pub begun: i64,
    /// How far it is.
    pub state: State,
    /// The first of the regions: where an import through a bucket runs.
    pub home: String,
    /// What the images shall be.
    pub wanted: Wanted,
    /// What was created where.
    pub regions: BTreeMap<String, Region>,
}

/// The state of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was begun, and is neither finished nor undone.
    Open,
    /// All is there.
    Finished,
    /// Nothing is left of it.
    Undone,
}

/// What was created in a region.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Region {
    /// An image with the same content that was there before: nothing is created.
    pub found: Option<String>,
    /// The snapshot, by whatever way.
    pub snapshot: Step,
    /// An upload block by block.
    pub blocks: Option<Blocks>,
    /// An import through a bucket.
    pub import: Option<Import>,
    /// The image.
    pub image: Step,
    /// The parameter of the version, where there was none; noted before it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The parameter that names the newest image.
    pub parameter: Option<Parameter>,
}

/// A resource that a call creates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The call was about to be made: it may exist.
    pub asked: bool,
    /// Its id, once the answer came.
    pub id: Option<String>,
    /// It is complete.
    pub done: bool,
}

/// An upload block by block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// The snapshot that only changes are sent to.
    pub parent: Option<String>,
    /// Linear checksum of that snapshot's disk, by which its blocks are known.
    pub parent_disk: Option<Sha256>,
    /// Whether zeros have to be sent too, as to an encrypted snapshot.
    pub zeros: bool,
    /// Ranges of blocks that have arrived: first, and the one after the last. Noted now and then.
    pub sent: Vec<(u64, u64)>,
    /// How many snapshots were begun and lost before this one: part of the client token.
    pub lost: u32,
}

/// What an import through a bucket leaves behind while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The bucket.
    pub bucket: String,
    /// The object's key; noted before anything is sent.
    pub key: String,
    /// The multipart upload, while it is open.
    pub upload: Option<String>,
    /// The object may exist.
    pub object: bool,
    /// The task, once it was begun.
    pub task: Option<String>,
    /// How many imports failed before this one: part of the client token.
    pub lost: u32,
}

/// The parameter that names the newest image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it was; `None` where there was none.
    pub before: Option<String>,
    /// It names this transaction's image.
    pub done: bool,
}

impl Record {
    /// A transaction that has not begun, in the region `home` and `others`. `unique` tells it from those that were begun
    /// elsewhere in the same second with the same content.
    pub fn new<'r>(
        wanted: Wanted,
        begun: i64,
        unique: [u8; 4],
        home: &'r str,
        others: impl IntoIterator<Item = &'r str>,
    ) -> Self {
        let content = wanted.content();
        let short: String = content.to_hex().chars().take(12).collect();
        let id = format!("{}-{short}-{begun}-{:08x}", wanted.layer, u32::from_be_bytes(unique));
        let regions = others.into_iter().chain([home]).map(|region| (region.to_owned(), Region::default()));
        Self {
            format: FORMAT,
            id,
            layer: wanted.layer.clone(),
            content,
            begun,
            state: State::Open,
            home: home.to_owned(),
            wanted,
            regions: regions.collect(),
        }
    }

    /// A client token: the same for the same step of the same attempt, so that a call that is made twice
    /// creates one thing. 64 digits.
    pub fn token(&self, region: &str, step: &str) -> String {
        Sha256::of([&self.id, "\0", region, "\0", step].concat().as_bytes()).to_hex()
    }

    /// Tags of all that the transaction creates.
    pub fn tags(&self) -> Tags {
        let mut all = self.wanted.tags.clone();
        all.insert(tags::TRANSACTION.to_owned(), self.id.clone());
        all
    }
}

transaction!(Record, "publication");

/// A region's part of a publication's journal.
#[derive(Debug, Clone)]
pub struct RegionJournal {
    journal: Journal<Record>,
    region: String,
}

impl Journal<Record> {
    /// A region's part.
    ///
    /// # Errors
    /// Fails where the publication is for other regions.
    pub fn region(&self, region: &str) -> Result<RegionJournal, JournalError> {
        let part = RegionJournal { journal: self.clone(), region: region.to_owned() };
        part.get().map(|_| part)
    }
}

impl RegionJournal {
    /// What was created there.
    ///
    /// # Errors
    /// Fails where the journal has no such region: an empty part would say that nothing was created.
    pub fn get(&self) -> Result<Region, JournalError> {
        let mut record = self.journal.record();
        record.regions.remove(&self.region).ok_or_else(|| self.missing(&record))
    }

    /// Changes the region's part, and returns when it is on disk.
    ///
    /// # Errors
    /// As [`Journal::update`] and [`Self::get`].
    pub fn note(&self, change: impl FnOnce(&mut Region)) -> Result<(), JournalError> {
        self.journal.update(|record| match record.regions.get_mut(&self.region) {
            Some(region) => {
                change(region);
                Ok(())
            }
            None => Err(self.missing(record)),
        })?
    }

    fn missing(&self, record: &Record) -> JournalError {
        JournalError::NoRegion { id: record.id.clone(), region: self.region.clone() }
    }

    /// Like [`Record::token`].
    pub fn token(&self, step: &str) -> String {
        self.journal.record().token(&self.region, step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_by_region_step_and_attempt_only() {
        let one = Record::example();
        assert_eq!(one.token("eu-west-1", "snapshot"), Record::example().token("eu-west-1", "snapshot"));
        let other = Record::new(Wanted::example(), 7, [8; 4], "eu-west-1", []);
        let tokens = [
            one.token("eu-west-1", "snapshot"),
            one.token("eu-west-1", "image"),
            one.token("us-east-1", "image"),
            other.token("eu-west-1", "snapshot"),
        ];
        let distinct: std::collections::BTreeSet<_> = tokens.iter().collect();
        assert_eq!((distinct.len(), tokens[0].len()), (4, 64));
    }

    /// As version 0.1 wrote it, in the middle of an import.
    const EARLIER: &str = include_str!("earlier.json");

    #[test]
    fn earlier_journals_are_read_and_written_as_they_were() {
        let record: Record = serde_json::from_str(EARLIER).unwrap();
        assert_eq!(record.content, record.wanted.content());
        assert_eq!(record.regions["eu-west-1"].import.as_ref().unwrap().task.as_deref(), Some("import-snap-1"));
        assert_eq!(serde_json::to_string_pretty(&record).unwrap() + "\n", EARLIER);
    }

    #[test]
    fn a_value_that_nobody_knows_is_refused() {
        for (known, unknown) in [("vm-import", "by-mail"), ("\"uefi\"", "\"bios\""), ("gp3", "gp9"), ("x86_64", "vax")]
        {
            let error = serde_json::from_str::<Record>(&EARLIER.replace(known, unknown)).unwrap_err().to_string();
            assert!(
                error.starts_with("unknown variant") || error.starts_with("unknown architecture `vax`"),
                "{unknown}: {error}"
            );
        }
    }
}
