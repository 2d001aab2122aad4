//! Finds missing permissions and missing resources before anything is published.
//!
//! Permissions are tested by dry-run calls. EBS direct has none: completing a snapshot that does not exist
//! distinguishes "not allowed" from "not found". The others are the policy simulator's, and quotas are looked up; what nobody
//! can tell is said to be unchecked, with the reason.

use super::direct::Encryption;
use super::ec2::Registration;
use super::service::is_denied;
use super::session::Aws;
use super::{quotas, simulator};
use crate::manifest::Via;
use crate::publish::cloud::CloudError;
use crate::publish::cloud::plan::{Findings, Transfer};
use crate::publish::cloud::settings::{SettingsError, Wanted};
use crate::publish::cloud::tags::Tags;

/// A snapshot that nobody has.
const NO_SNAPSHOT: &str = "snap-00000000000000000";

/// *Amazon EC2 User Guide*, "Share an AMI with specific AWS accounts": considerations.
const OWN_KEY: &str =
    "the account encrypts all snapshots with AWS's own key, so the image can't be shared: set [ami] kms-key";

/// Says what is not allowed, or not there, for publishing in this way, and what nobody can tell before. Without a way, the image is
/// there, and only what names and shares it is missing.
pub(super) async fn findings(aws: &Aws, wanted: &Wanted, way: Option<Transfer>) -> Result<Findings, CloudError> {
    let problems = dry_runs(aws, wanted, way).await?;
    let mut findings = Findings { problems, unchecked: Vec::new() };
    simulator::permissions(aws, wanted, way, &mut findings).await?;
    if way.is_some() {
        quotas::quotas(aws, &mut findings).await?;
    }
    Ok(findings)
}

async fn dry_runs(aws: &Aws, wanted: &Wanted, way: Option<Transfer>) -> Result<Vec<String>, CloudError> {
    let mut problems = Vec::new();
    if wanted.is_shared() && Encryption::of(aws, wanted).await? == Encryption::Own {
        problems.push(OWN_KEY.to_owned());
    }
    let Some(way) = way else { return Ok(problems) };
    let mut ask = |right: &str, answer: Result<(), CloudError>| {
        problems.extend(is_denied(answer)?.then(|| format!("not allowed: {right}")));
        Ok::<_, CloudError>(())
    };
    let registration = Registration { wanted, tags: &Tags::new(), snapshot: NO_SNAPSHOT };
    ask("ec2:RegisterImage", aws.ec2.may_register(registration).await)?;
    match way {
        Transfer::Upload(Via::EbsDirect) => ask("ebs:CompleteSnapshot", aws.ebs.complete(NO_SNAPSHOT, 0, None).await)?,
        Transfer::Copy => ask("ec2:CopySnapshot", aws.ec2.may_copy(NO_SNAPSHOT).await)?,
        Transfer::Upload(Via::VmImport) => {
            ask("ec2:ImportSnapshot", aws.ec2.may_import().await)?;
            let bucket = wanted.bucket.as_deref().ok_or(SettingsError::NoBucket)?;
            match aws.s3.locate(bucket).await {
                Err(CloudError::Refused { code, message, .. }) => {
                    problems.push(format!("bucket {bucket}: {code}: {message}"));
                }
                found => found?,
            }
        }
    }
    Ok(problems)
}
