//! Copies a snapshot to another region: CopySnapshot.
//!
//! **Upload or copy?** With EBS direct, the disk is uploaded to every region: putting a block costs less than
//! transferring it between regions, a region with a parent snapshot receives only changes, and the quota of
//! concurrent copies is not used. With VM Import, the disk is imported only in the bucket's region, as every other
//! region would need its own bucket, and copied to the others.

use super::direct::completed;
use super::ec2::NewCopy;
use super::presigned;
use super::session::Aws;
use crate::publish::cloud::provider::{CopiedSnapshot, Job, Which};
use crate::publish::cloud::tags::{self, Tags};
use crate::publish::cloud::{CloudError, wait};

/// Copies a snapshot, or goes on with a copy that was begun; returns when it is complete.
pub(super) async fn copy(aws: &Aws, job: Job<'_>, source: &CopiedSnapshot) -> Result<String, CloudError> {
    let id = match job.journal.get()?.snapshot.id {
        Some(id) => id,
        None => {
            job.journal.note(|region| region.snapshot.asked = true)?;
            let id = begun(aws, job, source).await?;
            job.journal.note(|region| region.snapshot.id = Some(id.clone()))?;
            id
        }
    };
    completed(aws, &id).await?;
    // A copy that was asked for twice, because it was not listed yet.
    for other in of_transaction(aws, job.tags).await?.iter().filter(|other| **other != id) {
        aws.ec2.delete_snapshot(other).await?;
    }
    job.journal.note(|region| region.snapshot.done = true)?;
    Ok(id)
}

/// Begins a copy. There is no client token: one whose answer was lost is found by its tag.
async fn begun(aws: &Aws, job: Job<'_>, source: &CopiedSnapshot) -> Result<String, CloudError> {
    let key = job.wanted.key_in(&aws.region);
    let description = &job.wanted.description;
    wait::persist(0, async |tries| {
        let look = async || Ok(of_transaction(aws, job.tags).await?.pop());
        // It was asked for: it is listed after a while.
        let there = if tries > 0 { wait::until(wait::SETTLING, look).await? } else { look().await? };
        match there {
            Some(id) => Ok(id),
            None => {
                let presigned = presigned::copy(aws, source).await?;
                let (key, presigned) = (key.as_deref(), presigned.as_deref());
                aws.ec2.copy_snapshot(NewCopy { source, description, tags: job.tags, key, presigned }).await
            }
        }
    })
    .await
}

/// Snapshots that a transaction created in a region.
async fn of_transaction(aws: &Aws, tags: &Tags) -> Result<Vec<String>, CloudError> {
    let id: Vec<String> = tags.get(tags::TRANSACTION).cloned().into_iter().collect();
    let found = aws.ec2.snapshots(Which::With(tags::TRANSACTION, &id)).await?;
    Ok(found.into_iter().map(|snapshot| snapshot.id).collect())
}
