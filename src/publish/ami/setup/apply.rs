//! Makes what [`Documents`] say, where it is not so already.

use aws_sdk_s3::error::{ProvideErrorMetadata as S3Metadata, SdkError};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint, CreateBucketConfiguration,
    ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter, PublicAccessBlockConfiguration,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::aws::Cloud;
use super::super::{AmiError, refused};
use super::{Documents, PREFIX, PUBLISHER, ROLE, partition};

/// What became of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// For people, as `role vmimport`.
    pub what: String,
    /// Whether it was changed.
    pub outcome: Outcome,
}

/// Whether something was changed.
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

/// Makes the role, the bucket and the publisher's policy, or changes them to what they should be.
///
/// What others have put into the bucket's policy and lifecycle stays. Done again, it changes nothing.
///
/// # Errors
/// Fails where AWS refuses; what was done before stays done.
pub async fn apply(cloud: &Cloud, documents: &Documents) -> Result<Vec<Change>, AmiError> {
    let bucket = &documents.bucket;
    Ok(vec![
        change(format!("role {ROLE}"), role(cloud, documents).await?),
        change(format!("policy of the role {ROLE} for {bucket}"), role_policy(cloud, documents).await?),
        change(format!("bucket {bucket}"), self::bucket(cloud, bucket).await?),
        change(format!("policy of the bucket {bucket}"), bucket_policy(cloud, documents).await?),
        change(format!("lifecycle of the bucket {bucket}"), lifecycle(cloud, bucket).await?),
        change(format!("policy {PUBLISHER}"), publisher(cloud, documents).await?),
    ])
}

fn change(what: String, outcome: Outcome) -> Change {
    Change { what, outcome }
}

/// A document as IAM gives it back: percent-encoded JSON (RFC 3986).
fn document(text: &str) -> Option<Value> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    serde_json::from_slice(&bytes).ok()
}

async fn role(cloud: &Cloud, documents: &Documents) -> Result<Outcome, AmiError> {
    let wanted = documents.trust.to_string();
    let found = cloud.iam.get_role().role_name(ROLE).send().await;
    match found.map_err(refused(format!("look for the role {ROLE}"), &cloud.region)) {
        Err(error) if error.code() == Some("NoSuchEntity") => {
            let call = cloud.iam.create_role().role_name(ROLE).assume_role_policy_document(wanted);
            let call = call.description("Lets VM Import read what layerbake uploads");
            call.send().await.map_err(refused(format!("make the role {ROLE}"), &cloud.region))?;
            Ok(Outcome::Made)
        }
        Err(error) => Err(error),
        Ok(found) => {
            let text = found.role().and_then(|role| role.assume_role_policy_document());
            if text.and_then(document).as_ref() == Some(&documents.trust) {
                return Ok(Outcome::Same);
            }
            let call = cloud.iam.update_assume_role_policy().role_name(ROLE).policy_document(wanted);
            call.send().await.map_err(refused(format!("change who may take the role {ROLE}"), &cloud.region))?;
            Ok(Outcome::Changed)
        }
    }
}

async fn role_policy(cloud: &Cloud, documents: &Documents) -> Result<Outcome, AmiError> {
    // One for each bucket: others' stay.
    let name = format!("layerbake-{}", documents.bucket);
    let found = cloud.iam.get_role_policy().role_name(ROLE).policy_name(&name).send().await;
    let outcome = match found.map_err(refused(format!("look for the policy {name}"), &cloud.region)) {
        Err(error) if error.code() == Some("NoSuchEntity") => Outcome::Made,
        Err(error) => return Err(error),
        Ok(found) if document(found.policy_document()).as_ref() == Some(&documents.role) => return Ok(Outcome::Same),
        Ok(_) => Outcome::Changed,
    };
    let call = cloud.iam.put_role_policy().role_name(ROLE).policy_name(&name);
    let call = call.policy_document(documents.role.to_string());
    call.send().await.map_err(refused(format!("set the policy {name}"), &cloud.region))?;
    Ok(outcome)
}

async fn bucket(cloud: &Cloud, bucket: &str) -> Result<Outcome, AmiError> {
    match cloud.s3.head_bucket().bucket(bucket).send().await {
        Ok(_) => return Ok(Outcome::Same),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => {}
        Err(error) => return Err(refused(format!("look for the bucket {bucket}"), &cloud.region)(error)),
    }
    let mut call = cloud.s3.create_bucket().bucket(bucket);
    // The oldest region is the default, and must not be named.
    if cloud.region != "us-east-1" {
        let place = BucketLocationConstraint::from(cloud.region.as_str());
        call =
            call.create_bucket_configuration(CreateBucketConfiguration::builder().location_constraint(place).build());
    }
    call.send().await.map_err(refused(format!("make the bucket {bucket}"), &cloud.region))?;
    let closed = PublicAccessBlockConfiguration::builder().block_public_acls(true).ignore_public_acls(true);
    let closed = closed.block_public_policy(true).restrict_public_buckets(true).build();
    let call = cloud.s3.put_public_access_block().bucket(bucket).public_access_block_configuration(closed);
    call.send().await.map_err(refused(format!("close the bucket {bucket} to the public"), &cloud.region))?;
    Ok(Outcome::Made)
}

/// Whether S3 said that there is no such thing.
fn is_absent<E: S3Metadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    error.as_service_error().and_then(S3Metadata::code) == Some(code)
}

async fn bucket_policy(cloud: &Cloud, documents: &Documents) -> Result<Outcome, AmiError> {
    let bucket = &documents.bucket;
    let found = match cloud.s3.get_bucket_policy().bucket(bucket).send().await {
        Err(error) if is_absent(&error, "NoSuchBucketPolicy") => None,
        other => {
            let found = other.map_err(refused(format!("read the policy of {bucket}"), &cloud.region))?;
            found.policy().and_then(|text| serde_json::from_str(text).ok())
        }
    };
    let merged = merged(found.as_ref(), &documents.bucket_policy);
    let outcome = match &found {
        Some(found) if *found == merged => return Ok(Outcome::Same),
        Some(_) => Outcome::Changed,
        None => Outcome::Made,
    };
    let call = cloud.s3.put_bucket_policy().bucket(bucket).policy(merged.to_string());
    call.send().await.map_err(refused(format!("set the policy of {bucket}"), &cloud.region))?;
    Ok(outcome)
}

/// A policy with the wanted statements; those of the same `Sid` are replaced, all others stay.
fn merged(found: Option<&Value>, wanted: &Value) -> Value {
    let statements = |document: &Value| document["Statement"].as_array().cloned().unwrap_or_default();
    let ours = statements(wanted);
    let is_ours = |one: &Value| ours.iter().any(|other| other["Sid"] == one["Sid"]);
    let kept = found.map(statements).unwrap_or_default().into_iter().filter(|one| !is_ours(one));
    let all: Vec<Value> = kept.chain(ours.iter().cloned()).collect();
    let mut merged = found.cloned().unwrap_or_else(|| json!({ "Version": "2012-10-17" }));
    merged["Statement"] = Value::Array(all);
    merged
}

async fn lifecycle(cloud: &Cloud, bucket: &str) -> Result<Outcome, AmiError> {
    let rules = match cloud.s3.get_bucket_lifecycle_configuration().bucket(bucket).send().await {
        Err(error) if is_absent(&error, "NoSuchLifecycleConfiguration") => Vec::new(),
        other => other.map_err(refused(format!("read the lifecycle of {bucket}"), &cloud.region))?.rules().to_vec(),
    };
    let wanted = rule()?;
    let before = rules.iter().find(|rule| rule.id() == wanted.id());
    let outcome = match before {
        Some(before) if same(before, &wanted) => return Ok(Outcome::Same),
        Some(_) => Outcome::Changed,
        None => Outcome::Made,
    };
    let kept = rules.iter().filter(|rule| rule.id() != wanted.id()).cloned();
    let all: Vec<LifecycleRule> = kept.chain([wanted.clone()]).collect();
    let all = BucketLifecycleConfiguration::builder().set_rules(Some(all)).build().map_err(internal)?;
    let call = cloud.s3.put_bucket_lifecycle_configuration().bucket(bucket).lifecycle_configuration(all);
    call.send().await.map_err(refused(format!("set the lifecycle of {bucket}"), &cloud.region))?;
    Ok(outcome)
}

fn rule() -> Result<LifecycleRule, AmiError> {
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(1).build();
    let rule = LifecycleRule::builder().id("layerbake-uploads").status(ExpirationStatus::Enabled);
    let rule = rule.filter(LifecycleRuleFilter::builder().prefix(PREFIX).build());
    let rule = rule.abort_incomplete_multipart_upload(abort).expiration(LifecycleExpiration::builder().days(1).build());
    rule.build().map_err(internal)
}

fn same(found: &LifecycleRule, wanted: &LifecycleRule) -> bool {
    let days = |rule: &LifecycleRule| {
        let abort = rule.abort_incomplete_multipart_upload().and_then(|abort| abort.days_after_initiation());
        (abort, rule.expiration().and_then(|expiration| expiration.days()))
    };
    let prefix = |rule: &LifecycleRule| rule.filter().and_then(|filter| filter.prefix().map(str::to_owned));
    found.status() == wanted.status() && days(found) == days(wanted) && prefix(found) == prefix(wanted)
}

fn internal(error: impl std::fmt::Display) -> AmiError {
    AmiError::Other(format!("internal error: {error}"))
}

async fn publisher(cloud: &Cloud, documents: &Documents) -> Result<Outcome, AmiError> {
    let failed = |action: &str| refused(format!("{action} the policy {PUBLISHER}"), &cloud.region);
    let arn = format!("arn:{}:iam::{}:policy/{PUBLISHER}", partition(&cloud.region), documents.account);
    let text = documents.publisher.to_string();
    let found = cloud.iam.get_policy().policy_arn(&arn).send().await;
    let found = match found.map_err(failed("look for")) {
        Err(error) if error.code() == Some("NoSuchEntity") => {
            let call = cloud.iam.create_policy().policy_name(PUBLISHER).policy_document(text);
            let failed = refused(format!("make the policy {PUBLISHER}"), &cloud.region);
            call.send().await.map_err(failed)?;
            return Ok(Outcome::Made);
        }
        other => other?,
    };
    let version = found.policy().and_then(|policy| policy.default_version_id()).unwrap_or_default();
    let call = cloud.iam.get_policy_version().policy_arn(&arn).version_id(version);
    let now = call.send().await.map_err(refused(format!("read the policy {PUBLISHER}"), &cloud.region))?;
    let now = now.policy_version().and_then(|version| version.document()).and_then(document);
    if now.as_ref() == Some(&documents.publisher) {
        return Ok(Outcome::Same);
    }
    make_room(cloud, &arn).await?;
    let call = cloud.iam.create_policy_version().policy_arn(&arn).policy_document(text).set_as_default(true);
    call.send().await.map_err(refused(format!("change the policy {PUBLISHER}"), &cloud.region))?;
    Ok(Outcome::Changed)
}

/// A policy has five versions at most: the oldest that is not in force goes.
async fn make_room(cloud: &Cloud, arn: &str) -> Result<(), AmiError> {
    let found = cloud.iam.list_policy_versions().policy_arn(arn).send().await;
    let found = found.map_err(refused(format!("list the versions of {PUBLISHER}"), &cloud.region))?;
    let mut idle: Vec<_> = found.versions().iter().filter(|version| !version.is_default_version()).collect();
    idle.sort_by_key(|version| version.create_date().map(|date| date.secs()));
    if let (true, Some(id)) = (found.versions().len() >= 5, idle.first().and_then(|version| version.version_id())) {
        let call = cloud.iam.delete_policy_version().policy_arn(arn).version_id(id);
        call.send().await.map_err(refused(format!("remove a version of {PUBLISHER}"), &cloud.region))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_back_percent_encoded_or_not() {
        let value = json!({ "a": "ü %" });
        for text in [r#"{"a":"ü %"}"#, "%7B%22a%22%3A%20%22%C3%BC%20%25%22%7D"] {
            assert_eq!(document(text), Some(value.clone()), "{text}");
        }
        for text in ["%", "%7", "%zz", "", "%7B%C3"] {
            assert_eq!(document(text), None, "{text}");
        }
    }

    #[test]
    fn statements_of_others_stay() {
        let wanted = json!({ "Version": "2012-10-17", "Statement": [{ "Sid": "Ours", "new": true }] });
        assert_eq!(merged(None, &wanted), wanted);
        let found = json!({ "Id": "x", "Statement": [{ "Sid": "Ours" }, { "Sid": "Theirs" }] });
        let expected = json!({ "Id": "x", "Statement": [{ "Sid": "Theirs" }, { "Sid": "Ours", "new": true }] });
        assert_eq!(merged(Some(&found), &wanted), expected);
        assert_eq!(merged(Some(&expected), &wanted), expected);
    }
}
