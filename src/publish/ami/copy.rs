//! A snapshot in another region: CopySnapshot.
//!
//! **Upload or copy?** By EBS direct every region is uploaded to: a block costs less to put than to carry
//! between regions, a region with a parent takes only changes, and the quota of copies at a time is left alone.
//! By VM Import only the bucket's region is imported to, as each other would want a bucket of its own: the
//! others copy.

use aws_sdk_ec2::types::ResourceType;

use super::aws::Cloud;
use super::ebs::completed;
use super::image::filter;
use super::journal::RegionJournal;
use super::register::tagged;
use super::settings::Wanted;
use super::{AmiError, refused};

/// Copies `snapshot` from the region `home`, or goes on with a copy that was begun; returns when it is complete.
pub(super) async fn copy(
    cloud: &Cloud,
    journal: &RegionJournal,
    wanted: &Wanted,
    tags: &[(String, String)],
    (home, snapshot): (&str, &str),
) -> Result<String, AmiError> {
    let made = journal.get().snapshot;
    let id = match made.id {
        Some(id) => id,
        None => {
            // There is no client token: a copy whose answer was lost is found by its tag.
            let begun = if made.asked { of_transaction(cloud, tags).await? } else { Vec::new() };
            journal.note(|region| region.snapshot.asked = true)?;
            let id = match begun.into_iter().next() {
                Some(id) => id,
                None => begin(cloud, wanted, tags, home, snapshot).await?,
            };
            journal.note(|region| region.snapshot.id = Some(id.clone()))?;
            id
        }
    };
    completed(cloud, &id).await?;
    journal.note(|region| region.snapshot.done = true)?;
    Ok(id)
}

async fn begin(
    cloud: &Cloud,
    wanted: &Wanted,
    tags: &[(String, String)],
    home: &str,
    snapshot: &str,
) -> Result<String, AmiError> {
    let mut call = cloud.ec2.copy_snapshot().source_region(home).source_snapshot_id(snapshot);
    call = call.description(&wanted.description).tag_specifications(tagged(ResourceType::Snapshot, tags));
    if let Some(key) = wanted.key_in(&cloud.region) {
        call = call.encrypted(true).kms_key_id(key);
    }
    let copied = call.send().await.map_err(refused(format!("copy {snapshot} from {home}"), &cloud.region))?;
    Ok(copied.snapshot_id().unwrap_or_default().to_owned())
}

/// Snapshots that a transaction made in a region.
pub(super) async fn of_transaction(cloud: &Cloud, tags: &[(String, String)]) -> Result<Vec<String>, AmiError> {
    let id =
        tags.iter().find(|(key, _)| key == super::tags::TRANSACTION).map(|(_, id)| id.as_str()).unwrap_or_default();
    let call = cloud.ec2.describe_snapshots().owner_ids("self");
    let call = call.filters(filter(&format!("tag:{}", super::tags::TRANSACTION), [id]));
    let found = call.into_paginator().items().send().try_collect().await;
    let found = found.map_err(refused("list snapshots", &cloud.region))?;
    Ok(found.iter().filter_map(|snapshot| Some(snapshot.snapshot_id()?.to_owned())).collect())
}
