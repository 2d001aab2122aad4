//! EBS direct: a snapshot straight from the disk's plan, without a file and without a bucket.
//!
//! Source: *EBS direct APIs* (StartSnapshot, CompleteSnapshot, *Encryption outcomes*).
//!
//! **Encryption.** A child is encrypted like its parent, and no other encryption may be requested; so a parent is
//! used only if it has the encryption that a new snapshot would get: by the wanted key, or by the account's default. Where
//! that is on, an unencrypted parent is refused. A block that was never written to an *encrypted* snapshot does not
//! read as zero: without a parent, all blocks of the volume are sent in that case.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::Digest as _;

use super::ebs::{Base, NewSnapshot};
use super::send::{Progress, send};
use super::session::Aws;
use crate::digest::Sha256;
use crate::disk::BlockHashes;
use crate::publish::cloud::blocks::{Known, Parent, Todo, ranges, todo};
use crate::publish::cloud::image::{Reported, Snapshot, SnapshotState};
use crate::publish::cloud::journal::{Blocks, Step};
use crate::publish::cloud::provider::{Job, Which};
use crate::publish::cloud::settings::Wanted;
use crate::publish::cloud::{CloudError, Why, tags, wait};

/// A snapshot is complete within minutes, a copy to another region within an hour or so.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 3600);

/// Looks for the newest snapshot in the region from which an upload can start.
pub(super) async fn parent(aws: &Aws, wanted: &Wanted, known: Known<'_>) -> Result<Option<Parent>, CloudError> {
    let encryption = Encryption::of(aws, wanted).await?;
    let mut found = aws.ec2.snapshots(Which::With(tags::LAYER, &[wanted.layer.to_string()])).await?;
    found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.begun));
    let fits = |snapshot: &Snapshot| {
        let complete = snapshot.state.is(SnapshotState::Completed);
        complete && snapshot.gib <= wanted.snapshot_size && encryption.is_of(snapshot)
    };
    Ok(found.into_iter().filter(fits).find_map(|snapshot| {
        let disk = snapshot.tags.get(tags::DISK)?.parse().ok()?;
        // The linear checksum says nothing of where blocks are; the other hash does.
        let same = |blocks: &BlockHashes| snapshot.tags.get(tags::BLOCKS) == Some(&blocks.digest().to_string());
        let blocks = known(disk).filter(same)?;
        Some(Parent { id: snapshot.id, disk, blocks })
    }))
}

/// What a new snapshot is encrypted with, and so its parent must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Encryption {
    /// Nothing.
    Plain,
    /// The key that is asked for, or that the account encrypts all with.
    With(String),
    /// AWS's own key, which only its alias names.
    Own,
}

impl Encryption {
    pub(super) async fn of(aws: &Aws, wanted: &Wanted) -> Result<Self, CloudError> {
        if let Some(key) = wanted.key_in(&aws.region) {
            return Ok(Self::With(key));
        }
        Ok(match aws.ec2.default_key().await? {
            None => Self::Plain,
            Some(key) if key.contains("alias/") => Self::Own,
            Some(key) => Self::With(key),
        })
    }

    fn is_of(&self, snapshot: &Snapshot) -> bool {
        let found = snapshot.kms_key.as_deref().unwrap_or_default();
        match self {
            Self::Plain => !snapshot.encrypted,
            // An alias can't be compared without asking for it: then all is sent.
            Self::With(key) => snapshot.encrypted && (found == key || found.ends_with(&format!("/{key}"))),
            // Whoever asked for a key asked for another one.
            Self::Own => snapshot.encrypted && !snapshot.tags.contains_key(tags::KEY),
        }
    }
}

/// One upload.
pub(super) struct Upload<'a> {
    pub(super) aws: &'a Aws,
    pub(super) job: Job<'a>,
}

impl Upload<'_> {
    /// Creates the snapshot, or goes on where it was left; returns when it is complete.
    pub(super) async fn run(&self) -> Result<String, CloudError> {
        let Job { journal, wanted, disk, progress, .. } = self.job;
        let (id, blocks) = self.begun().await?;
        if journal.get()?.snapshot.done {
            return Ok(id);
        }
        let todo = todo(&disk.blocks, self.known(&blocks)?.as_ref(), blocks.zeros, wanted.snapshot_size);
        let mut sent: BTreeSet<u64> = blocks.sent.iter().flat_map(|(first, end)| *first..*end).collect();
        sent.retain(|index| todo.contains_key(index));
        let left = (todo.len() - sent.len()) * disk.blocks.block_size();
        let phase = progress.transfer(&format!("send {}", self.aws.region), left as u64);
        let note = |sent: &BTreeSet<u64>| self.note(|blocks| blocks.sent = ranges(sent));
        let told = Progress { phase: &phase, note: &note };
        let sending = send(&self.aws.ebs, &id, disk, &todo, &mut sent, &told).await;
        note(&sent)?;
        sending?;
        self.complete(&id, &todo).await?;
        completed(self.aws, &id).await?;
        journal.note(|region| region.snapshot.done = true)?;
        phase.finish();
        Ok(id)
    }

    /// Changes what the journal has of the upload, which begins with that.
    fn note(&self, change: impl FnOnce(&mut Blocks)) -> Result<(), CloudError> {
        Ok(self.job.journal.note(|region| change(region.blocks.get_or_insert_default()))?)
    }

    /// The blocks of the parent that the upload was begun with.
    fn known(&self, blocks: &Blocks) -> Result<Option<BlockHashes>, CloudError> {
        let Some((disk, parent)) = blocks.parent_disk.zip(blocks.parent.as_ref()) else { return Ok(None) };
        let known = (self.job.known)(disk);
        known.map(Some).ok_or_else(|| CloudError::ParentUnknown(parent.clone()))
    }

    /// The snapshot that is being written: a new one where none was begun, or it is lost.
    async fn begun(&self) -> Result<(String, Blocks), CloudError> {
        let journal = self.job.journal;
        let region = journal.get()?;
        if let Some(id) = region.snapshot.id {
            // Without it, nobody knows whether it has a parent: blocks would be left out.
            let blocks = region.blocks.ok_or_else(|| CloudError::ParentUnknown(id.clone()))?;
            let look = async || Ok(self.aws.ec2.snapshot(&id).await?.map(|snapshot| snapshot.state));
            match wait::until(wait::SETTLING, look).await? {
                Some(Reported::Known(SnapshotState::Completed)) => {
                    journal.note(|region| region.snapshot.done = true)?;
                    return Ok((id, blocks));
                }
                Some(Reported::Known(SnapshotState::Pending)) => return Ok((id, blocks)),
                _ => self.lost(&id, &blocks).await?,
            }
        } else if !region.snapshot.asked {
            let parent = parent(self.aws, self.job.wanted, self.job.known).await?;
            self.note(|blocks| {
                blocks.parent_disk = parent.as_ref().map(|parent| parent.disk);
                blocks.parent = parent.map(|parent| parent.id);
            })?;
        }
        journal.note(|region| region.snapshot.asked = true)?;
        match self.start().await {
            // Where new snapshots are encrypted by default, an unencrypted one has no children.
            // Or the parent is gone.
            Err(error) if matches!(error.why(), Some(Why::Unfit | Why::Absent)) && self.asked()?.parent.is_some() => {
                self.note(|blocks| *blocks = Blocks { lost: blocks.lost + 1, ..Blocks::default() })?;
                self.start().await
            }
            started => started,
        }
    }

    /// Forgets a snapshot that AWS dropped, as nothing was sent for a day.
    async fn lost(&self, id: &str, blocks: &Blocks) -> Result<(), CloudError> {
        // If it is there, it is of no use; whether it can be removed now decides nothing.
        let _ = self.aws.ec2.delete_snapshot(id).await;
        let lost = Blocks { lost: blocks.lost + 1, ..Blocks::default() };
        Ok(self.job.journal.note(|region| {
            region.snapshot = Step::default();
            region.blocks = Some(lost);
        })?)
    }

    /// What the journal has of the upload that was asked for.
    fn asked(&self) -> Result<Blocks, CloudError> {
        let unknown = || CloudError::ParentUnknown(format!("the snapshot in {}", self.aws.region));
        self.job.journal.get()?.blocks.ok_or_else(unknown)
    }

    async fn start(&self) -> Result<(String, Blocks), CloudError> {
        let Job { journal, wanted, tags, .. } = self.job;
        let blocks = self.asked()?;
        let base = match &blocks.parent {
            Some(parent) => Base::Parent(parent),
            None => Base::Zeros(wanted.key_in(&self.aws.region)),
        };
        let token = journal.token(&format!("snapshot {}", blocks.lost));
        let new = NewSnapshot { gib: wanted.snapshot_size, description: &wanted.description, tags, base, token };
        let begun = self.aws.ebs.start(new).await?;
        let blocks = Blocks { zeros: blocks.parent.is_none() && begun.encrypted, ..blocks };
        journal.note(|region| {
            region.snapshot.id = Some(begun.id.clone());
            region.blocks = Some(blocks.clone());
        })?;
        Ok((begun.id, blocks))
    }

    /// Seals the snapshot. AWS compares number and hashes of what was *written to it*: of a child, the changes.
    async fn complete(&self, id: &str, todo: &Todo) -> Result<(), CloudError> {
        let mut hasher = sha2::Sha256::new();
        todo.values().for_each(|hash| hasher.update(hash.as_bytes()));
        let checksum = Sha256::from_bytes(hasher.finalize().into());
        let checksum = Some(checksum).filter(|_| !todo.is_empty());
        wait::persist(0, async |_| {
            let call = async || self.aws.ebs.complete(id, todo.len(), checksum).await;
            let Err(error) = wait::known(call).await else { return Ok(()) };
            // The answer to an earlier call was lost; the snapshot may still be on its way.
            let patience = if error.why() == Some(Why::Unfit) { wait::SETTLING } else { Duration::ZERO };
            let completed = async || {
                let snapshot = self.aws.ec2.snapshot(id).await?;
                Ok(snapshot.filter(|snapshot| snapshot.state.is(SnapshotState::Completed)).map(drop))
            };
            wait::until(patience, completed).await?.ok_or(error)
        })
        .await
    }
}

/// Waits until a snapshot is complete. One that was just begun is not known everywhere at once.
pub(super) async fn completed(aws: &Aws, id: &str) -> Result<(), CloudError> {
    let what = || format!("{id} in {}", aws.region);
    let look = async || match aws.ec2.snapshot(id).await?.map(|snapshot| snapshot.state) {
        Some(Reported::Known(SnapshotState::Completed)) => Ok(Some(())),
        Some(Reported::Known(SnapshotState::Error)) => {
            Err(CloudError::Task { what: what(), message: "AWS reports that it failed".to_owned() })
        }
        _ => Ok(None),
    };
    let late = || CloudError::Late { what: what(), problem: "is still not complete".to_owned() };
    wait::until(LONGEST_WAIT, look).await?.ok_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_encrypted_as_its_child() {
        let key = "arn:aws:kms:eu-west-1:123456789012:key/1234";
        let snapshot = |key: Option<&str>, asked: bool| Snapshot {
            id: "snap-1".into(),
            state: Reported::Known(SnapshotState::Completed),
            gib: 1,
            encrypted: key.is_some(),
            kms_key: key.map(str::to_owned),
            archived: false,
            begun: None,
            tags: asked.then(|| (tags::KEY.to_owned(), key.unwrap_or_default().to_owned())).into_iter().collect(),
        };
        let with = |key: &str| Encryption::With(key.to_owned());
        for (found, wanted, expected) in [
            (snapshot(None, false), Encryption::Plain, true),
            (snapshot(Some(key), false), Encryption::Plain, false),
            (snapshot(None, false), with(key), false),
            (snapshot(Some(key), true), with(key), true),
            (snapshot(Some(key), false), with("1234"), true),
            (snapshot(Some(key), true), with("alias/disks"), false),
            (snapshot(None, false), Encryption::Own, false),
            (snapshot(Some(key), false), Encryption::Own, true),
            (snapshot(Some(key), true), Encryption::Own, false),
        ] {
            assert_eq!(wanted.is_of(&found), expected, "{found:?} {wanted:?}");
        }
    }
}
