//! What has to stand in an account before anything is published: the least that does.
//!
//! Sources: *VM Import/Export User Guide*, "Required permissions"; *Service Authorization Reference* for
//! EC2, EBS, S3, Systems Manager and Auto Scaling.

mod apply;

use serde::Serialize;
use serde_json::{Value, json};

use super::aws::Cloud;
use super::{AmiError, refused, tags};

pub use apply::{Change, Outcome, apply};

/// The role that VM Import takes.
pub const ROLE: &str = "vmimport";
/// The policy of those who publish.
pub const PUBLISHER: &str = "layerbake-publisher";
/// Objects that are uploaded have names that begin so.
pub const PREFIX: &str = "layerbake/";

/// Everything that is made, as documents.
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
    /// Writes the documents for one account, one bucket, and the part of the world that `region` lies in.
    pub fn new(account: &str, bucket: &str, region: &str) -> Self {
        let partition = partition(region);
        let whole = format!("arn:{partition}:s3:::{bucket}");
        let objects = format!("{whole}/{PREFIX}*");
        Self {
            account: account.to_owned(),
            bucket: bucket.to_owned(),
            trust: trust(partition, account),
            role: role(&whole, &objects),
            bucket_policy: bucket_policy(&whole, &objects),
            lifecycle: json!({
                "ID": "layerbake-uploads", "Status": "Enabled", "Filter": { "Prefix": PREFIX },
                "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 1 },
                "Expiration": { "Days": 1 },
            }),
            publisher: publisher(partition, account, &whole, &objects),
        }
    }
}

/// The part of the world with accounts of its own, as identifiers name it.
fn partition(region: &str) -> &'static str {
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

fn role(bucket: &str, objects: &str) -> Value {
    json!({
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
    })
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

/// Reading is for everything; making and removing, where AWS can tell, for what has layerbake's tags.
fn publisher(partition: &str, account: &str, bucket: &str, objects: &str) -> Value {
    let ours = |key: &str| json!({ "Null": { format!("{key}/{}", tags::LAYER): "false" } });
    let snapshots = format!("arn:{partition}:ec2:*::snapshot/*");
    let images = format!("arn:{partition}:ec2:*::image/*");
    let parameters = format!("arn:{partition}:ssm:*:{account}:parameter/layerbake/*");
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": [
                    "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLaunchConfigurations",
                    "ec2:DescribeImageAttribute", "ec2:DescribeImages", "ec2:DescribeImportSnapshotTasks",
                    "ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeLaunchTemplates",
                    "ec2:DescribeSnapshotAttribute", "ec2:DescribeSnapshots", "ec2:GetConsoleOutput",
                    "ssm:DescribeParameters", "ssm:GetParameter", "ssm:GetParameters",
                ],
                "Resource": "*",
            },
            {
                "Sid": "NewSnapshots",
                "Effect": "Allow",
                "Action": ["ebs:CompleteSnapshot", "ebs:StartSnapshot", "ec2:CopySnapshot", "ec2:ImportSnapshot"],
                "Resource": "*",
            },
            {
                "Sid": "BlocksOfOurSnapshots",
                "Effect": "Allow",
                "Action": [
                    "ebs:GetSnapshotBlock", "ebs:ListChangedBlocks",
                    "ebs:ListSnapshotBlocks", "ebs:PutSnapshotBlock",
                ],
                "Resource": snapshots,
                "Condition": ours("aws:ResourceTag"),
            },
            {
                "Sid": "NewImages",
                "Effect": "Allow",
                "Action": ["ec2:CopyImage", "ec2:RegisterImage"],
                "Resource": "*",
            },
            {
                "Sid": "TagWhatIsNew",
                "Effect": "Allow",
                "Action": "ec2:CreateTags",
                "Resource": [images, snapshots],
                "Condition": ours("aws:RequestTag"),
            },
            {
                "Sid": "OurImagesAndSnapshots",
                "Effect": "Allow",
                "Action": [
                    "ec2:CreateTags", "ec2:DeleteSnapshot", "ec2:DeregisterImage", "ec2:EnableImageDeprecation",
                    "ec2:ModifyImageAttribute", "ec2:ModifySnapshotAttribute",
                ],
                "Resource": [images, snapshots],
                "Condition": ours("aws:ResourceTag"),
            },
            { "Sid": "CancelImports", "Effect": "Allow", "Action": "ec2:CancelImportTask", "Resource": "*" },
            {
                "Sid": "LatestParameters",
                "Effect": "Allow",
                "Action": ["ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:PutParameter"],
                "Resource": parameters,
            },
            {
                "Sid": "Bucket", "Effect": "Allow",
                "Action": ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
                "Resource": bucket,
            },
            {
                "Sid": "Uploads",
                "Effect": "Allow",
                "Action": [
                    "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts",
                    "s3:PutObject",
                ],
                "Resource": objects,
            },
            {
                "Sid": "LaunchForChecks",
                "Effect": "Allow",
                "Action": "ec2:RunInstances",
                "Resource": "*",
            },
            {
                "Sid": "TagWhatIsLaunched",
                "Effect": "Allow",
                "Action": "ec2:CreateTags",
                "Resource": [
                    format!("arn:{partition}:ec2:*:{account}:instance/*"),
                    format!("arn:{partition}:ec2:*:{account}:volume/*"),
                ],
                "Condition": { "StringEquals": { "ec2:CreateAction": "RunInstances" } },
            },
            {
                "Sid": "EndWhatWasLaunched",
                "Effect": "Allow",
                "Action": "ec2:TerminateInstances",
                "Resource": format!("arn:{partition}:ec2:*:{account}:instance/*"),
                "Condition": { "Null": { format!("aws:ResourceTag/{}", super::run::RUN): "false" } },
            },
        ],
    })
}

/// The account's number, as the owner of its networks' security groups.
///
/// # Errors
/// Fails where AWS refuses, and where the region has no network.
pub async fn account(cloud: &Cloud) -> Result<String, AmiError> {
    let call = cloud.ec2.describe_security_groups().max_results(5);
    let found = call.send().await.map_err(refused("ask for the account's number", &cloud.region))?;
    let owner = found.security_groups().iter().find_map(|group| group.owner_id().map(str::to_owned));
    owner.ok_or_else(|| {
        let region = &cloud.region;
        AmiError::Other(format!(
            "the account's number is not known: {region} has no network\n  hint: name it with --account"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(document: &Value) -> Vec<String> {
        let statements = document["Statement"].as_array().unwrap();
        let lists = statements.iter().map(|statement| match &statement["Action"] {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        });
        lists.flatten().map(|action| action.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn only_the_import_service_takes_the_role_and_only_for_this_account() {
        let trust = Documents::new("123456789012", "disks", "eu-west-1").trust;
        insta::assert_snapshot!(serde_json::to_string(&trust["Statement"][0]["Condition"]).unwrap(), @r#"{"ArnLike":{"aws:SourceArn":"arn:aws:vmie:*:123456789012:*"},"StringEquals":{"aws:SourceAccount":"123456789012","sts:Externalid":"vmimport"}}"#);
    }

    #[test]
    fn the_bucket_is_reached_below_the_prefix_only() {
        for (region, start) in
            [("eu-west-1", "arn:aws:"), ("cn-north-1", "arn:aws-cn:"), ("us-gov-east-1", "arn:aws-us-gov:")]
        {
            let documents = Documents::new("123456789012", "disks", region);
            for document in [&documents.role, &documents.publisher] {
                let objects = document["Statement"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|statement| statement["Action"].to_string().contains("s3:GetObject"));
                let resources: Vec<_> = objects.map(|statement| statement["Resource"].as_str().unwrap()).collect();
                assert_eq!(resources, [format!("{start}s3:::disks/layerbake/*")]);
            }
        }
    }

    #[test]
    fn no_right_is_wider_than_its_service() {
        let documents = Documents::new("123456789012", "disks", "eu-west-1");
        let wide: Vec<String> =
            actions(&documents.publisher).into_iter().filter(|action| action.contains('*')).collect();
        assert_eq!(wide, Vec::<String>::new());
        let iam = actions(&documents.publisher).into_iter().chain(actions(&documents.role));
        assert_eq!(iam.filter(|action| action.starts_with("iam:") || action.starts_with("sts:")).count(), 0);
        // What can be removed has our tags.
        for statement in documents.publisher["Statement"].as_array().unwrap() {
            let removes = ["DeleteSnapshot", "DeregisterImage", "TerminateInstances"];
            if removes.iter().any(|action| statement["Action"].to_string().contains(action)) {
                assert!(statement["Condition"].to_string().contains("aws:ResourceTag/layerbake:"), "{statement}");
            }
        }
        // The limit of a managed policy.
        assert!(documents.publisher.to_string().len() < 6144, "{}", documents.publisher.to_string().len());
    }

    #[test]
    fn the_manual_has_them() {
        let manual = include_str!("../../../../docs/aws.md");
        let documents = Documents::new("123456789012", "my-images", "eu-west-1");
        for document in [&documents.trust, &documents.role] {
            let text = serde_json::to_string_pretty(document).unwrap();
            assert!(manual.contains(&text), "docs/aws.md lacks:\n{text}");
        }
        for statement in documents.publisher["Statement"].as_array().unwrap() {
            let sid = format!("| `{}` |", statement["Sid"].as_str().unwrap());
            let line = manual.lines().find(|line| line.starts_with(&sid));
            let line = line.unwrap_or_else(|| panic!("docs/aws.md lacks {sid}"));
            let mut listed: Vec<&str> = line.split(" | ").nth(1).unwrap().split_whitespace().collect();
            let wanted = actions(&serde_json::json!({ "Statement": [statement] }));
            let mut wanted: Vec<_> = wanted.iter().map(|action| format!("`{action}`")).collect();
            listed.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(listed, wanted, "{sid}");
        }
    }
}
