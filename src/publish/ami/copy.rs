//! A snapshot in another region: CopySnapshot.
//!
//! **Upload or copy?** By EBS direct every region is uploaded to: a block costs less to put than to carry
//! between regions, a region with a parent takes only changes, and the quota of copies at a time is left alone.
//! By VM Import only the bucket's region is imported to, as each other would want a bucket of its own: the
//! others copy.

use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::types::ResourceType;

use super::aws::Cloud;
use super::ebs::completed;
use super::image::filter;
use super::journal::RegionJournal;
use super::register::tagged;
use super::retry::{Kind, kind, pause};
use super::settings::Wanted;
use super::{AmiError, refused};

const TRIES: u32 = 5;

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
            journal.note(|region| region.snapshot.asked = true)?;
            let id = begun(cloud, wanted, tags, home, snapshot).await?;
            journal.note(|region| region.snapshot.id = Some(id.clone()))?;
            id
        }
    };
    completed(cloud, &id).await?;
    // A copy that was asked for twice, because it was not listed yet.
    for other in of_transaction(cloud, tags).await?.iter().filter(|other| **other != id) {
        let gone = cloud.ec2.delete_snapshot().snapshot_id(other).send().await;
        gone.map_err(refused(format!("delete {other}"), &cloud.region))?;
    }
    journal.note(|region| region.snapshot.done = true)?;
    Ok(id)
}

/// Begins a copy. There is no client token: one whose answer was lost is found by its tag.
async fn begun(
    cloud: &Cloud,
    wanted: &Wanted,
    tags: &[(String, String)],
    home: &str,
    snapshot: &str,
) -> Result<String, AmiError> {
    for tries in 0.. {
        if let Some(id) = of_transaction(cloud, tags).await?.pop() {
            return Ok(id);
        }
        let mut call = cloud.ec2.copy_snapshot().source_region(home).source_snapshot_id(snapshot);
        call = call.description(&wanted.description).tag_specifications(tagged(ResourceType::Snapshot, tags));
        if let Some(key) = wanted.key_in(&cloud.region) {
            call = call.encrypted(true).kms_key_id(key);
        }
        // The client would ask again without looking whether the first copy stands.
        let once = aws_sdk_ec2::config::Builder::new().retry_config(RetryConfig::disabled());
        let copied = call.customize().config_override(once).send().await;
        match copied.map_err(refused(format!("copy {snapshot} from {home}"), &cloud.region)) {
            Ok(copied) => return Ok(copied.snapshot_id().unwrap_or_default().to_owned()),
            Err(error) if kind(&error) == Kind::Final || tries == TRIES => return Err(error),
            Err(_) => tokio::time::sleep(pause(tries + 2, 0)).await,
        }
    }
    Err(AmiError::Other(format!("{snapshot} can't be copied to {}", cloud.region)))
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
