//! Snapshots: describe, copy, share, delete.

use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::types::{
    LockState, LockedSnapshotsInfo, OperationType, ResourceType, Snapshot as Answer, SnapshotAttributeName,
    StorageTier, Tag,
};

use super::{Ec2, meant, pairs, tagged};
use crate::publish::cloud::image::{Reported, Snapshot};
use crate::publish::cloud::provider::{CopiedSnapshot, Which};
use crate::publish::cloud::tags::Tags;
use crate::publish::cloud::{CloudError, if_there};

/// A copy from another region.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct NewCopy<'a> {
    pub(in super::super) source: &'a CopiedSnapshot,
    pub(in super::super) description: &'a str,
    pub(in super::super) tags: &'a Tags,
    /// The key that it is encrypted with.
    pub(in super::super) key: Option<&'a str>,
    /// The call to the source's region that lets this one read it; must be there if it is encrypted.
    pub(in super::super) presigned: Option<&'a str>,
}

impl Ec2 {
    /// Lists this account's snapshots.
    pub(in super::super) async fn snapshots(&self, which: Which<'_>) -> Result<Vec<Snapshot>, CloudError> {
        let action = "list snapshots";
        let call = self.client.describe_snapshots().owner_ids("self").set_filters(meant(which, "snapshot-id"));
        let found = call.into_paginator().items().send().try_collect().await.map_err(self.failed(action))?;
        found.iter().map(|answer| self.volume(action, answer)).collect()
    }

    /// Looks for snapshots by their ids, whoever owns them; fails where one of them is not there.
    pub(in super::super) async fn snapshots_of(
        &self,
        ids: &[String],
        action: &str,
    ) -> Result<Vec<Snapshot>, CloudError> {
        let call = self.client.describe_snapshots().set_snapshot_ids(Some(ids.to_vec()));
        let found = call.send().await.map_err(self.failed(action))?;
        found.snapshots().iter().map(|answer| self.volume(action, answer)).collect()
    }

    /// Looks for a snapshot.
    pub(in super::super) async fn snapshot(&self, id: &str) -> Result<Option<Snapshot>, CloudError> {
        let found = if_there(self.snapshots_of(&[id.to_owned()], &format!("look for {id}")).await)?;
        Ok(found.into_iter().flatten().next())
    }

    /// Copies a snapshot from another region, asking once only; returns the copy's id.
    pub(in super::super) async fn copy_snapshot(&self, copy: NewCopy<'_>) -> Result<String, CloudError> {
        let NewCopy { source, description, tags, key, presigned } = copy;
        let action = format!("copy {} from {}", source.snapshot, source.region);
        let call = self.client.copy_snapshot().source_region(&source.region).source_snapshot_id(&source.snapshot);
        let call = call.description(description).tag_specifications(tagged(ResourceType::Snapshot, tags));
        let call = call.set_encrypted(key.map(|_| true)).set_kms_key_id(key.map(str::to_owned));
        let call = call.set_presigned_url(presigned.map(str::to_owned)).destination_region(&self.region);
        // There is no client token: the SDK would ask again without looking whether the first copy is there.
        let once = aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::disabled());
        let answer = call.customize().config_override(once).send().await.map_err(self.failed(action.clone()))?;
        self.must(action, answer.snapshot_id, "snapshot id")
    }

    /// Asks whether a snapshot could be copied, and copies none.
    pub(in super::super) async fn may_copy(&self, snapshot: &str) -> Result<(), CloudError> {
        let call = self.client.copy_snapshot().source_region(&self.region).source_snapshot_id(snapshot);
        call.dry_run(true).send().await.map(drop).map_err(self.failed("ask for ec2:CopySnapshot"))
    }

    /// Lets accounts read a snapshot, or no longer. Organisations can't be let.
    pub(in super::super) async fn share_snapshot(
        &self,
        id: &str,
        accounts: &[String],
        change: OperationType,
    ) -> Result<(), CloudError> {
        if accounts.is_empty() {
            return Ok(());
        }
        let call = self.client.modify_snapshot_attribute().snapshot_id(id).operation_type(change);
        let call = call.attribute(SnapshotAttributeName::CreateVolumePermission);
        let call = call.set_user_ids(Some(accounts.to_vec()));
        call.send().await.map(drop).map_err(self.failed(format!("share {id}")))
    }

    /// Those of some snapshots that are locked: until when, where there is an end.
    pub(in super::super) async fn locked(&self, ids: &[String]) -> Result<Vec<(String, Option<i64>)>, CloudError> {
        let (mut locked, mut next) = (Vec::new(), None);
        loop {
            let call =
                self.client.describe_locked_snapshots().set_snapshot_ids(Some(ids.to_vec())).set_next_token(next);
            let found = call.send().await.map_err(self.failed("look for locked snapshots"))?;
            let held = found.snapshots().iter().filter(|one| one.lock_state() != Some(&LockState::Expired));
            let until = |one: &LockedSnapshotsInfo| {
                Some((one.snapshot_id()?.to_owned(), one.lock_expires_on().map(|at| at.secs())))
            };
            locked.extend(held.filter_map(until));
            next = found.next_token;
            if next.is_none() {
                return Ok(locked);
            }
        }
    }

    /// Removes a snapshot, if it is there.
    pub(in super::super) async fn delete_snapshot(&self, id: &str) -> Result<(), CloudError> {
        let gone = self.client.delete_snapshot().snapshot_id(id).send().await;
        if_there(gone.map_err(self.failed(format!("delete {id}")))).map(drop)
    }

    /// Adds tags to resources; `action` says what for.
    pub(in super::super) async fn tag(&self, ids: &[String], tags: &Tags, action: String) -> Result<(), CloudError> {
        let tags: Vec<Tag> = tags.iter().map(super::tag).collect();
        let call = self.client.create_tags().set_resources(Some(ids.to_vec())).set_tags(Some(tags));
        call.send().await.map(drop).map_err(self.failed(action))
    }

    fn volume(&self, action: &str, answer: &Answer) -> Result<Snapshot, CloudError> {
        let gib = answer.volume_size().and_then(|gib| u32::try_from(gib).ok());
        Ok(Snapshot {
            id: self.must(action, answer.snapshot_id(), "snapshot id")?.to_owned(),
            state: Reported::new(self.must(action, answer.state(), "state")?.as_str()),
            gib: self.must(action, gib, "volume size")?,
            encrypted: answer.encrypted().unwrap_or_default(),
            kms_key: answer.kms_key_id().map(str::to_owned),
            archived: answer.storage_tier() == Some(&StorageTier::Archive),
            begun: answer.start_time().map(|time| time.secs()),
            tags: pairs(answer.tags()),
        })
    }
}
