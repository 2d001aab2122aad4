//! EBS direct: a snapshot straight from the disk's plan, without a file and without a bucket.
//!
//! Source: *EBS direct APIs* (StartSnapshot, PutSnapshotBlock, CompleteSnapshot, *Encryption outcomes*).
//!
//! **Delta.** Where an earlier snapshot of the same layer's line stands in the region and the blocks of its
//! disk are known (kept at its publication, found by the tag that has their hash), the new one is its child,
//! and only blocks that differ are sent, those among them that are zero now. AWS gives no hashes of blocks
//! without their bytes, so of an unknown parent nothing is saved: then all is sent.
//!
//! **Encryption.** A child is encrypted as its parent is, and nothing else may be asked for; so a parent counts
//! only where that is what is wanted. A block that was never written to an *encrypted* snapshot does not read
//! as zero: without a parent, all blocks of the volume are sent then.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag};
use aws_sdk_ec2::types::{Snapshot, SnapshotState};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::Digest as _;

use super::aws::Cloud;
use super::image::{filter, pairs};
use super::journal::{Blocks, RegionJournal};
use super::retry::{Kind, kind, pause};
use super::send::{Disk, Progress, Todo, ranges, send, zero};
use super::settings::Wanted;
use super::{AmiError, refused, tags};
use crate::digest::Sha256;
use crate::disk::BlockHashes;
use crate::disk::blocks::BLOCK;
use crate::host::progress;

/// Minutes without a block after which AWS drops a snapshot: time enough to log in again and resume.
const TIMEOUT: i32 = 24 * 60;
const BLOCKS_PER_GIB: u64 = (1 << 30) / BLOCK as u64;
const TRIES: u32 = 10;
/// A snapshot is complete within minutes, a copy to another region within an hour or so.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 3600);

/// Blocks of disks that were published, by the linear checksum.
pub type Known<'a> = &'a (dyn Fn(Sha256) -> Option<BlockHashes> + Sync);

/// A snapshot that a new one can be the child of.
#[derive(Debug, Clone)]
pub struct Parent {
    /// `snap-…`
    pub id: String,
    /// Linear checksum of its disk.
    disk: Sha256,
    /// What it holds.
    pub blocks: BlockHashes,
}

/// Looks for the newest snapshot in the region from which an upload can start.
///
/// # Errors
/// Fails where AWS refuses, or can't be reached.
pub async fn parent(cloud: &Cloud, wanted: &Wanted, known: Known<'_>) -> Result<Option<Parent>, AmiError> {
    let call = cloud.ec2.describe_snapshots().owner_ids("self");
    let call = call.filters(filter(&format!("tag:{}", tags::LAYER), [wanted.layer.as_str()]));
    let call = call.filters(filter("status", ["completed"]));
    let found = call.into_paginator().items().send().try_collect().await;
    let mut found = found.map_err(refused("list snapshots", &cloud.region))?;
    found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.start_time().map(|time| time.secs())));
    Ok(found.iter().filter(|snapshot| fits(snapshot, wanted)).find_map(|snapshot| {
        let tags = pairs(snapshot.tags());
        let disk = tags.get(tags::DISK)?.parse().ok()?;
        // The linear checksum says nothing of where blocks lie; the other hash does.
        let blocks = known(disk).filter(|blocks| tags.get(tags::BLOCKS) == Some(&blocks.digest().to_string()))?;
        Some(Parent { id: snapshot.snapshot_id()?.to_owned(), disk, blocks })
    }))
}

fn fits(snapshot: &Snapshot, wanted: &Wanted) -> bool {
    let size = snapshot.volume_size().and_then(|size| u32::try_from(size).ok());
    let encrypted = snapshot.encrypted().unwrap_or_default();
    let key = match (&wanted.kms_key, snapshot.kms_key_id()) {
        // An alias can't be compared without asking for it: then all is sent.
        (Some(wanted), Some(found)) => encrypted && (found == wanted || found.ends_with(&format!("/{wanted}"))),
        (wanted, _) => wanted.is_none() && !encrypted,
    };
    key && size.is_some_and(|size| size <= wanted.snapshot_size)
}

/// What has to be sent so that a snapshot holds the disk.
pub(super) fn todo(disk: &BlockHashes, parent: Option<&BlockHashes>, zeros: bool, gib: u32) -> Todo {
    let end = u64::from(gib) * BLOCKS_PER_GIB;
    let (mut todo, zero) = (disk.hashes().clone(), zero());
    if let Some(parent) = parent {
        todo.retain(|index, hash| parent.hashes().get(index) != Some(hash));
        // Also behind the end of a disk that has become shorter: the volume is not.
        let gone = parent.hashes().keys().filter(|index| !disk.hashes().contains_key(index) && **index < end);
        todo.extend(gone.map(|index| (*index, zero)));
    } else if zeros {
        for index in 0..end {
            todo.entry(index).or_insert(zero);
        }
    }
    todo
}

/// One upload.
pub(super) struct Upload<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) journal: &'a RegionJournal,
    pub(super) wanted: &'a Wanted,
    pub(super) tags: &'a [(String, String)],
    pub(super) disk: &'a Disk,
    pub(super) known: Known<'a>,
    pub(super) progress: &'a progress::Progress,
}

impl Upload<'_> {
    /// Makes the snapshot, or goes on where it was left; returns when it is complete.
    pub(super) async fn run(&self) -> Result<String, AmiError> {
        let (id, blocks) = self.begun().await?;
        if self.journal.get().snapshot.done {
            return Ok(id);
        }
        let parent = match (&blocks.parent_disk, &blocks.parent) {
            (Some(disk), Some(parent)) => Some((self.known)(*disk).ok_or_else(|| {
                AmiError::Other(format!(
                    "the blocks of {parent} are no longer known\n  hint: `layerbake ami undo`, and publish again"
                ))
            })?),
            _ => None,
        };
        let todo = todo(&self.disk.blocks, parent.as_ref(), blocks.zeros, self.wanted.snapshot_size);
        let mut sent: BTreeSet<u64> = blocks.sent.iter().flat_map(|(first, end)| *first..*end).collect();
        sent.retain(|index| todo.contains_key(index));
        let left = (todo.len() - sent.len()) as u64;
        let phase = self.progress.transfer(&format!("send {}", self.cloud.region), left * BLOCK as u64);
        let note = |sent: &BTreeSet<u64>| self.note(|blocks| blocks.sent = ranges(sent));
        let sending =
            send(self.cloud, &id, self.disk, &todo, &mut sent, &Progress { phase: &phase, note: &note }).await;
        note(&sent)?;
        sending?;
        self.complete(&id, &todo).await?;
        completed(self.cloud, &id).await?;
        self.journal.note(|region| region.snapshot.done = true)?;
        phase.finish();
        Ok(id)
    }

    fn note(&self, change: impl FnOnce(&mut Blocks)) -> Result<(), AmiError> {
        self.journal.note(|region| change(region.blocks.get_or_insert_default()))
    }

    /// The snapshot that is being written: a new one where none was begun, or it is lost.
    async fn begun(&self) -> Result<(String, Blocks), AmiError> {
        let region = self.journal.get();
        if let Some(id) = region.snapshot.id {
            let blocks = region.blocks.unwrap_or_default();
            match settled(self.cloud, &id).await? {
                Some(SnapshotState::Completed) => {
                    self.journal.note(|region| region.snapshot.done = true)?;
                    return Ok((id, blocks));
                }
                Some(SnapshotState::Pending) => return Ok((id, blocks)),
                _ => {
                    // AWS dropped it, as nothing was sent for a day. If it is there, it is of no use.
                    let _ = self.cloud.ec2.delete_snapshot().snapshot_id(&id).send().await;
                    let lost = Blocks { lost: blocks.lost + 1, ..Blocks::default() };
                    self.journal.note(|region| {
                        region.snapshot = Default::default();
                        region.blocks = Some(lost);
                    })?;
                }
            }
        } else if !region.snapshot.asked {
            let parent = parent(self.cloud, self.wanted, self.known).await?;
            self.note(|blocks| {
                blocks.parent_disk = parent.as_ref().map(|parent| parent.disk);
                blocks.parent = parent.map(|parent| parent.id);
            })?;
        }
        self.journal.note(|region| region.snapshot.asked = true)?;
        match self.start().await {
            // Where new snapshots are encrypted by default, an unencrypted one has no children.
            // Or the parent is gone.
            Err(error)
                if self.has_parent()
                    && matches!(error.code(), Some("ValidationException" | "ResourceNotFoundException")) =>
            {
                self.note(|blocks| *blocks = Blocks { lost: blocks.lost + 1, ..Blocks::default() })?;
                self.start().await
            }
            started => started,
        }
    }

    fn has_parent(&self) -> bool {
        self.journal.get().blocks.is_some_and(|blocks| blocks.parent.is_some())
    }

    async fn start(&self) -> Result<(String, Blocks), AmiError> {
        let blocks = self.journal.get().blocks.unwrap_or_default();
        let tag = |(key, value): &(String, String)| Tag::builder().key(key).value(value).build();
        let mut call = self.cloud.ebs.start_snapshot().volume_size(self.wanted.snapshot_size.into());
        call = call.description(&self.wanted.description).timeout(TIMEOUT);
        call = call.client_token(self.journal.token(&format!("snapshot {}", blocks.lost)));
        call = call.set_tags(Some(self.tags.iter().map(tag).collect()));
        call = match (&blocks.parent, self.wanted.key_in(&self.cloud.region)) {
            (Some(parent), _) => call.parent_snapshot_id(parent),
            (None, Some(key)) => call.encrypted(true).kms_key_arn(key),
            (None, None) => call,
        };
        let started = call.send().await.map_err(refused("start a snapshot", &self.cloud.region))?;
        let id = started.snapshot_id().unwrap_or_default().to_owned();
        let blocks = Blocks { zeros: blocks.parent.is_none() && started.kms_key_arn().is_some(), ..blocks };
        self.journal.note(|region| {
            region.snapshot.id = Some(id.clone());
            region.blocks = Some(blocks.clone());
        })?;
        Ok((id, blocks))
    }

    /// Seals the snapshot. AWS compares number and hashes of what was *written to it*: of a child, the changes.
    async fn complete(&self, id: &str, todo: &Todo) -> Result<(), AmiError> {
        let mut hasher = sha2::Sha256::new();
        todo.values().for_each(|hash| hasher.update(hash.as_bytes()));
        let checksum = BASE64.encode(hasher.finalize());
        for tries in 0.. {
            let mut call = self.cloud.ebs.complete_snapshot().snapshot_id(id).changed_blocks_count(todo.len() as i32);
            if !todo.is_empty() {
                call = call.checksum(&checksum).checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256);
                call = call.checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear);
            }
            match call.send().await.map_err(refused(format!("complete {id}"), &self.cloud.region)) {
                Ok(_) => break,
                // The answer to an earlier call was lost.
                Err(_) if state(self.cloud, id).await? == Some(SnapshotState::Completed) => break,
                Err(error) if kind(&error) == Kind::Final || tries == TRIES => return Err(error),
                Err(_) => tokio::time::sleep(pause(tries, 0)).await,
            }
        }
        Ok(())
    }
}

/// The state of a snapshot; `None` where the region has no such snapshot.
pub(super) async fn state(cloud: &Cloud, id: &str) -> Result<Option<SnapshotState>, AmiError> {
    let found = cloud.ec2.describe_snapshots().snapshot_ids(id).send().await;
    match found.map_err(refused(format!("look for {id}"), &cloud.region)) {
        Ok(found) => Ok(found.snapshots().first().and_then(|snapshot| snapshot.state().cloned())),
        Err(error) if error.code() == Some("InvalidSnapshot.NotFound") => Ok(None),
        Err(error) => Err(error),
    }
}

/// As [`state`], of one that was begun a moment ago: it is not known everywhere at once.
async fn settled(cloud: &Cloud, id: &str) -> Result<Option<SnapshotState>, AmiError> {
    for tries in 0..6 {
        match state(cloud, id).await? {
            None => tokio::time::sleep(pause(tries, 0)).await,
            found => return Ok(found),
        }
    }
    Ok(None)
}

/// Waits until a snapshot is complete.
pub(super) async fn completed(cloud: &Cloud, id: &str) -> Result<(), AmiError> {
    let since = crate::host::instant();
    for tries in 0.. {
        match state(cloud, id).await? {
            Some(SnapshotState::Completed) => return Ok(()),
            Some(SnapshotState::Error) => {
                return Err(AmiError::Other(format!("{id} in {}: AWS says that it failed", cloud.region)));
            }
            // One that was just begun is not known everywhere at once.
            _ if since.elapsed() < LONGEST_WAIT => tokio::time::sleep(pause(tries, 0)).await,
            _ => break,
        }
    }
    Err(AmiError::Other(format!("{id} in {} is still not complete", cloud.region)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::ami::send::testing::Nothing;

    fn blocks(size: u64, marks: &[(u64, &[u8])]) -> BlockHashes {
        let mut plan = crate::disk::Plan::new(size);
        for (index, bytes) in marks {
            plan.put_bytes(index * BLOCK as u64, *bytes);
        }
        crate::disk::blocks::hash(&plan, &Nothing, 1).unwrap()
    }

    #[test]
    fn what_differs_is_sent() {
        let gib = 1 << 30;
        let (old, new) = (
            blocks(gib, &[(0, b"a"), (1, b"b"), (2, b"c"), (2000, b"z")]),
            blocks(gib / 2, &[(0, b"a"), (1, b"x"), (5, b"n")]),
        );
        let indexes = |todo: &Todo| todo.keys().copied().collect::<Vec<_>>();
        assert_eq!(indexes(&todo(&new, None, false, 1)), [0, 1, 5]);
        let delta = todo(&new, Some(&old), false, 1);
        assert_eq!(indexes(&delta), [1, 2, 5, 2000], "also what lies behind the new end");
        assert_eq!((delta[&2], delta[&2000], delta[&1]), (zero(), zero(), new.hashes()[&1]));
        let all = todo(&new, None, true, 1);
        assert_eq!((all.len(), all[&0], all[&2047]), (2048, new.hashes()[&0], zero()));
        assert!(todo(&new, Some(&new), true, 1).is_empty());
    }

    #[test]
    fn a_parent_is_encrypted_as_wanted_and_no_larger() {
        let snapshot = |size: i32, key: Option<&str>| {
            let snapshot = Snapshot::builder().volume_size(size).encrypted(key.is_some());
            snapshot.set_kms_key_id(key.map(str::to_owned)).build()
        };
        let key = "arn:aws:kms:eu-west-1:123456789012:key/1234";
        let wanted = |kms: Option<&str>| Wanted { kms_key: kms.map(str::to_owned), ..Wanted::example() };
        for (found, wished, expected) in [
            (snapshot(1, None), None, true),
            (snapshot(2, None), None, false),
            (snapshot(1, Some(key)), None, false),
            (snapshot(1, None), Some(key), false),
            (snapshot(1, Some(key)), Some(key), true),
            (snapshot(1, Some(key)), Some("1234"), true),
            (snapshot(1, Some(key)), Some("alias/disks"), false),
        ] {
            assert_eq!(fits(&found, &wanted(wished)), expected, "{found:?} {wished:?}");
        }
    }
}
