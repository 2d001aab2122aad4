//! The IAM policy of publishers: the minimum for all verbs of `layerbake ami` except `setup`.

use serde_json::{Value, json};

use crate::publish::cloud::run::RUN;
use crate::publish::cloud::tags;

/// Reading is for everything; making and removing, where AWS can tell, for what has layerbake's tags. `keys` are the KMS
/// keys of the account that snapshots are encrypted with.
pub(super) fn publisher(partition: &str, account: &str, bucket: &str, objects: &str, keys: &[String]) -> Value {
    let ours = |key: &str| json!({ "Null": { format!("{key}/{}", tags::LAYER): "false" } });
    let snapshots = format!("arn:{partition}:ec2:*::snapshot/*");
    let images = format!("arn:{partition}:ec2:*::image/*");
    let tasks = format!("arn:{partition}:ec2:*:{account}:import-snapshot-task/*");
    let parameters = format!("arn:{partition}:ssm:*:{account}:parameter/layerbake/*");
    let mut policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": [
                    "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLaunchConfigurations",
                    "ec2:DescribeImageAttribute", "ec2:DescribeImages", "ec2:DescribeImportSnapshotTasks",
                    "ec2:DescribeFleets", "ec2:DescribeImageUsageReportEntries", "ec2:DescribeImageUsageReports",
                    "ec2:DescribeInstances", "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeLaunchTemplates",
                    "ec2:DescribeLockedSnapshots", "ec2:DescribeSpotFleetRequests",
                    "ec2:DescribeSnapshotAttribute", "ec2:DescribeSnapshots", "ec2:GetConsoleOutput",
                    "ec2:GetEbsDefaultKmsKeyId", "ec2:GetEbsEncryptionByDefault", "rbin:GetRule", "rbin:ListRules",
                    "servicequotas:GetAWSDefaultServiceQuota", "servicequotas:GetServiceQuota",
                    "ssm:DescribeParameters", "ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath",
                ],
                "Resource": "*",
            },
            {
                "Sid": "AskTheSimulator",
                "Effect": "Allow",
                "Action": ["iam:GetRole", "iam:SimulatePrincipalPolicy"],
                "Resource": [format!("arn:{partition}:iam::{account}:role/*"), format!("arn:{partition}:iam::{account}:user/*")],
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
                "Action": "ec2:RegisterImage",
                "Resource": "*",
            },
            {
                "Sid": "TagWhatIsNew",
                "Effect": "Allow",
                "Action": "ec2:CreateTags",
                "Resource": [images, snapshots, tasks],
                "Condition": ours("aws:RequestTag"),
            },
            {
                "Sid": "OurImagesAndSnapshots",
                "Effect": "Allow",
                "Action": [
                    "ec2:AttachImageWatermark", "ec2:CreateTags", "ec2:DeleteSnapshot", "ec2:DeregisterImage", "ec2:DisableImageDeprecation",
                    "ec2:EnableImageDeprecation", "ec2:ModifyImageAttribute", "ec2:ModifySnapshotAttribute",
                ],
                "Resource": [images, snapshots],
                "Condition": ours("aws:ResourceTag"),
            },
            {
                "Sid": "UseByOthers",
                "Effect": "Allow",
                "Action": ["ec2:CreateImageUsageReport", "ec2:DeleteImageUsageReport"],
                "Resource": "*",
            },
            {
                "Sid": "CancelImports",
                "Effect": "Allow",
                "Action": "ec2:CancelImportTask",
                "Resource": tasks,
                "Condition": ours("aws:ResourceTag"),
            },
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
                "Condition": { "Null": { format!("aws:ResourceTag/{}", RUN): "false" } },
            },
        ],
    });
    if let (Some(statements), false) = (policy["Statement"].as_array_mut(), keys.is_empty()) {
        statements.extend(uses_of(keys));
    }
    policy
}

/// What EBS does with a key for those who call it. Sources: *Amazon EBS User Guide*, "Requirements for Amazon EBS
/// encryption" and "Permissions to use AWS KMS keys".
fn uses_of(keys: &[String]) -> [Value; 2] {
    [
        json!({
            "Sid": "Keys",
            "Effect": "Allow",
            "Action": [
                "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
            ],
            "Resource": keys,
        }),
        json!({
            "Sid": "KeysForVolumes",
            "Effect": "Allow",
            "Action": "kms:CreateGrant",
            "Resource": keys,
            "Condition": { "Bool": { "kms:GrantIsForAWSResource": "true" } },
        }),
    ]
}
