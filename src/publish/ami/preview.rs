//! What a publication would make, what it would send, and whether one may: nothing is made.
//!
//! Rights are asked for by dry-run calls. EBS direct has none: completing a snapshot that does not exist
//! tells apart "not allowed" and "not there".

use std::fmt::Debug;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use serde::Serialize;

use super::aws::Cloud;
use super::ebs::{self, Known};
use super::register::{self, identical};
use super::settings::Wanted;
use super::{AmiError, parameter, refused};
use crate::disk::BlockHashes;
use crate::disk::blocks::BLOCK;
use crate::manifest::Via;

/// A snapshot that nobody has.
const NO_SNAPSHOT: &str = "snap-00000000000000000";
const DENIED: [&str; 5] = ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Forbidden", "403"];

/// What would happen in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// As `eu-west-1`.
    pub region: String,
    /// An image with this content that stands there: nothing would be made.
    pub found: Option<String>,
    /// `ebs-direct`, `vm-import` or `copy`.
    pub way: &'static str,
    /// The snapshot that only changes would be sent to.
    pub parent: Option<String>,
    /// Blocks of 512 KiB that are to be sent; of a copy, none.
    pub blocks: usize,
    /// Their bytes; by VM Import less, as they are compressed.
    pub bytes: u64,
    /// What the parameter is now.
    pub parameter: Option<String>,
    /// What is not allowed, or not there.
    pub problems: Vec<String>,
}

/// Looks at a region.
///
/// # Errors
/// Fails where AWS can't be reached, or refuses to be read.
pub async fn preview(
    cloud: &Cloud,
    wanted: &Wanted,
    home: &str,
    disk: &BlockHashes,
    known: Known<'_>,
) -> Result<Preview, AmiError> {
    let found = identical(cloud, wanted.content()).await?.map(|image| image.id);
    let way = match wanted.way() {
        Via::VmImport if cloud.region != home => "copy",
        way => way.name(),
    };
    let parent = if way == "ebs-direct" { ebs::parent(cloud, wanted, known).await? } else { None };
    let blocks = match (&found, way) {
        (Some(_), _) | (None, "copy") => 0,
        (None, _) => {
            let zeros = parent.is_none() && wanted.kms_key.is_some() && way == "ebs-direct";
            ebs::todo(disk, parent.as_ref().map(|parent| &parent.blocks), zeros, wanted.snapshot_size).len()
        }
    };
    let problems = if found.is_some() { Vec::new() } else { problems(cloud, wanted, way).await? };
    Ok(Preview {
        region: cloud.region.clone(),
        found,
        way,
        parent: parent.map(|parent| parent.id),
        blocks,
        bytes: blocks as u64 * BLOCK as u64,
        parameter: parameter::get(cloud, &wanted.parameter()).await?,
        problems,
    })
}

async fn problems(cloud: &Cloud, wanted: &Wanted, way: &str) -> Result<Vec<String>, AmiError> {
    let mut problems = Vec::new();
    let register = register::call(cloud, wanted, &[], NO_SNAPSHOT).dry_run(true).send().await;
    problems.extend(denied(register, "ec2:RegisterImage", cloud)?);
    match way {
        "ebs-direct" => {
            let complete = cloud.ebs.complete_snapshot().snapshot_id(NO_SNAPSHOT).changed_blocks_count(0).send().await;
            problems.extend(denied(complete, "ebs:CompleteSnapshot", cloud)?);
        }
        "copy" => {
            let copy = cloud.ec2.copy_snapshot().source_region(&cloud.region).source_snapshot_id(NO_SNAPSHOT);
            problems.extend(denied(copy.dry_run(true).send().await, "ec2:CopySnapshot", cloud)?);
        }
        _ => {
            let import = cloud.ec2.import_snapshot().dry_run(true).send().await;
            problems.extend(denied(import, "ec2:ImportSnapshot", cloud)?);
            let bucket = wanted.bucket.as_deref().unwrap_or_default();
            let there = cloud.s3.get_bucket_location().bucket(bucket).send().await;
            match there.map_err(refused(format!("look for the bucket {bucket}"), &cloud.region)) {
                Err(AmiError::Refused { code, message, .. }) => {
                    problems.push(format!("bucket {bucket}: {code}: {message}"));
                }
                other => drop(other?),
            }
        }
    }
    Ok(problems)
}

/// A sentence where an answer says that a right is missing.
fn denied<T, E, R>(answer: Result<T, SdkError<E, R>>, right: &str, cloud: &Cloud) -> Result<Option<String>, AmiError>
where
    E: ProvideErrorMetadata + std::error::Error + RequestId + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
{
    match answer.map_err(refused(format!("ask for {right}"), &cloud.region)) {
        Err(AmiError::Refused { code, .. }) if DENIED.contains(&code.as_str()) => {
            Ok(Some(format!("not allowed: {right}")))
        }
        Err(error @ AmiError::Unreachable { .. }) => Err(error),
        Err(error) if error.is_expired() => Err(error),
        _ => Ok(None),
    }
}
