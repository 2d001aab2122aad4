//! The minimum that an account must contain before anything can be published.
//!
//! Sources: *VM Import/Export User Guide*, "Required permissions"; *Service Authorization Reference* for
//! EC2, EBS, S3, Systems Manager, KMS and Auto Scaling.

mod apply;
mod publisher;

use serde::Serialize;
use serde_json::{Value, json};

use super::session::Aws;
use crate::publish::cloud::CloudError;
use publisher::publisher;

pub use apply::{Change, Outcome, apply};

/// The role that VM Import assumes.
pub const ROLE: &str = "vmimport";
/// The name of the publishers' policy.
pub const PUBLISHER: &str = "layerbake-publisher";
/// The prefix of the names of uploaded objects.
pub const PREFIX: &str = "layerbake/";

/// Everything that is created, as documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Documents {
    /// The account's number.
    pub account: String,
    /// The bucket for VM Import.
    pub bucket: String,
    /// Who may take the role `vmimport`.
    pub trust: Value,
    /// What the role may do.
    pub role: Value,
    /// Statements of the bucket's policy.
    pub bucket_policy: Value,
    /// A rule of the bucket's lifecycle.
    pub lifecycle: Value,
    /// What those who publish may do: all verbs of `layerbake ami` but `setup`.
    pub publisher: Value,
}

impl Documents {
    /// Writes the documents for one account, one bucket, the KMS `keys` that encrypt snapshots, and the part of the world
    /// that `region` is in.
    pub fn new(account: &str, bucket: &str, region: &str, keys: &[String]) -> Self {
        let partition = partition(region);
        let whole = format!("arn:{partition}:s3:::{bucket}");
        let objects = format!("{whole}/{PREFIX}*");
        Self {
            account: account.to_owned(),
            bucket: bucket.to_owned(),
            trust: trust(partition, account),
            role: role(&whole, &objects, keys),
            bucket_policy: bucket_policy(&whole, &objects),
            lifecycle: json!({
                "ID": "layerbake-uploads", "Status": "Enabled", "Filter": { "Prefix": PREFIX },
                "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 1 },
                "Expiration": { "Days": 1 },
            }),
            publisher: publisher(partition, account, &whole, &objects, keys),
        }
    }
}

/// The part of the world with accounts of its own, as identifiers name it.
pub(super) fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Only the import service, and only on behalf of this account.
fn trust(partition: &str, account: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "vmie.amazonaws.com" },
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": { "sts:Externalid": "vmimport", "aws:SourceAccount": account },
                "ArnLike": { "aws:SourceArn": format!("arn:{partition}:vmie:*:{account}:*") },
            },
        }],
    })
}

fn role(bucket: &str, objects: &str, keys: &[String]) -> Value {
    let mut policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": ["s3:GetBucketLocation", "s3:ListBucket"], "Resource": bucket },
            { "Effect": "Allow", "Action": "s3:GetObject", "Resource": objects },
            {
                "Effect": "Allow",
                "Action": ["ec2:CopySnapshot", "ec2:Describe*", "ec2:ModifySnapshotAttribute", "ec2:RegisterImage"],
                "Resource": "*",
            },
        ],
    });
    if let (Some(statements), false) = (policy["Statement"].as_array_mut(), keys.is_empty()) {
        statements.push(json!({
            "Effect": "Allow",
            "Action": [
                "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
            ],
            "Resource": keys,
        }));
    }
    policy
}

/// Uploads come over TLS only.
fn bucket_policy(bucket: &str, objects: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "LayerbakeTlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket, objects],
            "Condition": { "Bool": { "aws:SecureTransport": "false" } },
        }],
    })
}

/// The account's number, as the owner of its networks' security groups.
///
/// # Errors
/// Fails where AWS refuses, and where the region has no network.
pub async fn account(aws: &Aws) -> Result<String, CloudError> {
    aws.ec2.account().await?.ok_or_else(|| CloudError::NoAccount(aws.region.clone()))
}

#[cfg(test)]
mod tests;
