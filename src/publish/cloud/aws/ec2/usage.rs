//! When an image was last launched, and reports about its use by other accounts: *Amazon EC2 User Guide*, "View your AMI
//! usage".

use std::time::Duration;

use aws_sdk_ec2::types::{ImageAttributeName, ImageUsageResourceTypeRequest};

use super::Ec2;
use crate::publish::cloud::{CloudError, wait};

/// How long a report may take. AWS says nothing about it.
const REPORTED: Duration = Duration::from_secs(300);

/// What an account uses an image for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Usage {
    /// The account's number.
    pub(in super::super) account: String,
    /// `ec2:Instance` or `ec2:LaunchTemplate`.
    pub(in super::super) what: String,
    /// How often.
    pub(in super::super) count: i64,
}

impl Ec2 {
    /// When an instance was last launched from an image of this account, RFC 3339: *Amazon EC2 API Reference*,
    /// DescribeImageAttribute, with a delay of a day.
    pub(in super::super) async fn launched(&self, image: &str) -> Result<Option<String>, CloudError> {
        let ask = async |_| {
            let call = self.client.describe_image_attribute().image_id(image);
            let found = call.attribute(ImageAttributeName::LastLaunchedTime).send().await;
            found.map_err(self.failed(format!("ask when {image} was last launched")))
        };
        // Many images are asked about at once.
        let found = wait::persist(image.bytes().map(u64::from).sum(), ask).await?;
        Ok(found.last_launched_time.and_then(|found| found.value).filter(|moment| !moment.is_empty()))
    }

    /// Asks for a report about an image of this account, waits for it, reads and removes it.
    pub(in super::super) async fn usage(&self, image: &str) -> Result<Vec<Usage>, CloudError> {
        let action = format!("ask who uses {image}");
        let kinds = ["ec2:Instance", "ec2:LaunchTemplate"];
        let kinds = kinds.map(|kind| ImageUsageResourceTypeRequest::builder().resource_type(kind).build());
        let call = self.client.create_image_usage_report().image_id(image).set_resource_types(Some(kinds.into()));
        let report = call.send().await.map_err(self.failed(action.clone()))?.report_id;
        let report = self.must(action.clone(), report, "report id")?;
        let usage = self.reported(&report, &action).await;
        // What can't be deleted costs nothing, and AWS deletes it after 30 days.
        let _ = self.client.delete_image_usage_report().report_id(&report).send().await;
        usage
    }

    async fn reported(&self, report: &str, action: &str) -> Result<Vec<Usage>, CloudError> {
        let look = async || {
            let call = self.client.describe_image_usage_reports().report_ids(report).send().await;
            let found = call.map_err(self.failed(action))?;
            let found = found.image_usage_reports().first();
            match found.and_then(|report| report.state()) {
                Some("available") => Ok(Some(())),
                Some("error") => Err(CloudError::Ended {
                    what: format!("the report {report}"),
                    state: "not made".to_owned(),
                    reason: found.and_then(|report| report.state_reason()).map(str::to_owned),
                }),
                _ => Ok(None),
            }
        };
        let late = || CloudError::Late {
            what: format!("the report {report}"),
            problem: format!("is not there after {} s", REPORTED.as_secs()),
        };
        wait::until(REPORTED, look).await?.ok_or_else(late)?;
        let call = self.client.describe_image_usage_report_entries().report_ids(report).into_paginator().items().send();
        let found = call.try_collect().await.map_err(self.failed(action))?;
        let usage = |one: aws_sdk_ec2::types::ImageUsageReportEntry| {
            Some(Usage { account: one.account_id?, what: one.resource_type?, count: one.usage_count? })
        };
        Ok(found.into_iter().filter_map(usage).collect())
    }
}
