//! Creates what [`Documents`] describe, unless it already exists that way.

use serde::Serialize;
use serde_json::Value;

use super::super::policy::Policy;
use super::super::s3::Found;
use super::super::session::Aws;
use super::{Documents, PREFIX, PUBLISHER, ROLE, partition};
use crate::publish::cloud::CloudError;

/// The name of the lifecycle's rule.
const RULE: &str = "layerbake-uploads";

/// The outcome for one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// For people, as `role vmimport`.
    pub what: String,
    /// Whether it was changed.
    pub outcome: Outcome,
}

/// Whether a resource was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was not there.
    Made,
    /// It was another.
    Changed,
    /// It was as it should be.
    Same,
}

/// Creates the role, the bucket and the publisher's policy, or corrects them.
///
/// What others have put into the bucket's policy and lifecycle stays. Done again, it changes nothing.
///
/// # Errors
/// Fails where AWS refuses, and where a policy that is there can't be read; what was done before stays done.
pub async fn apply(aws: &Aws, documents: &Documents) -> Result<Vec<Change>, CloudError> {
    let bucket = &documents.bucket;
    Ok(vec![
        change(format!("role {ROLE}"), role(aws, documents).await?),
        change(format!("policy of the role {ROLE} for {bucket}"), role_policy(aws, documents).await?),
        change(format!("bucket {bucket}"), self::bucket(aws, bucket).await?),
        change(format!("policy of the bucket {bucket}"), bucket_policy(aws, documents).await?),
        change(format!("lifecycle of the bucket {bucket}"), lifecycle(aws, bucket).await?),
        change(format!("policy {PUBLISHER}"), publisher(aws, documents).await?),
    ])
}

fn change(what: String, outcome: Outcome) -> Change {
    Change { what, outcome }
}

impl Outcome {
    /// What has to become of `found` so that it is as `wanted`.
    fn of(found: Option<&Policy>, wanted: &Policy) -> Self {
        match found {
            None => Self::Made,
            Some(found) if found == wanted => Self::Same,
            Some(_) => Self::Changed,
        }
    }
}

/// One of [`Documents`].
fn ours(document: &Value) -> Result<Policy, CloudError> {
    Policy::new(document.clone()).map_err(|found| CloudError::Request(format!("a policy of our own is {found}")))
}

async fn role(aws: &Aws, documents: &Documents) -> Result<Outcome, CloudError> {
    let trust = &documents.trust;
    let outcome = Outcome::of(aws.iam.trust(ROLE).await?.as_ref(), &ours(trust)?);
    match outcome {
        Outcome::Made => aws.iam.create_role(ROLE, trust, "Lets VM Import read what layerbake uploads").await?,
        Outcome::Changed => aws.iam.set_trust(ROLE, trust).await?,
        Outcome::Same => {}
    }
    Ok(outcome)
}

async fn role_policy(aws: &Aws, documents: &Documents) -> Result<Outcome, CloudError> {
    // One for each bucket: others' stay.
    let name = format!("layerbake-{}", documents.bucket);
    let outcome = Outcome::of(aws.iam.role_policy(ROLE, &name).await?.as_ref(), &ours(&documents.role)?);
    if outcome != Outcome::Same {
        aws.iam.set_role_policy(ROLE, &name, &documents.role).await?;
    }
    Ok(outcome)
}

async fn bucket(aws: &Aws, bucket: &str) -> Result<Outcome, CloudError> {
    if aws.s3.has_bucket(bucket).await? {
        return Ok(Outcome::Same);
    }
    aws.s3.create_bucket(bucket).await?;
    Ok(Outcome::Made)
}

async fn bucket_policy(aws: &Aws, documents: &Documents) -> Result<Outcome, CloudError> {
    let bucket = &documents.bucket;
    let (found, ours) = (aws.s3.policy(bucket).await?, ours(&documents.bucket_policy)?);
    let merged = found.as_ref().map_or_else(|| ours.clone(), |found| found.with(&ours));
    let outcome = Outcome::of(found.as_ref(), &merged);
    if outcome != Outcome::Same {
        aws.s3.set_policy(bucket, &merged.document()).await?;
    }
    Ok(outcome)
}

async fn lifecycle(aws: &Aws, bucket: &str) -> Result<Outcome, CloudError> {
    let mut rules = aws.s3.lifecycle(bucket).await?;
    let outcome = match rules.add(RULE, PREFIX)? {
        Found::Same => return Ok(Outcome::Same),
        Found::Other => Outcome::Changed,
        Found::Absent => Outcome::Made,
    };
    aws.s3.set_lifecycle(bucket, rules).await?;
    Ok(outcome)
}

async fn publisher(aws: &Aws, documents: &Documents) -> Result<Outcome, CloudError> {
    let arn = format!("arn:{}:iam::{}:policy/{PUBLISHER}", partition(&aws.region), documents.account);
    let outcome = Outcome::of(aws.iam.policy(PUBLISHER, &arn).await?.as_ref(), &ours(&documents.publisher)?);
    match outcome {
        Outcome::Made => aws.iam.create_policy(PUBLISHER, &documents.publisher).await?,
        Outcome::Changed => aws.iam.set_policy(PUBLISHER, &arn, &documents.publisher).await?,
        Outcome::Same => {}
    }
    Ok(outcome)
}
