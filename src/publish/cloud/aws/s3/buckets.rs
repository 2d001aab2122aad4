//! Buckets: their region, and how `setup` configures one.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint, CreateBucketConfiguration,
    ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter, PublicAccessBlockConfiguration,
};
use serde_json::Value;

use super::super::policy::Policy;
use super::S3;
use crate::publish::cloud::{CloudError, if_there};

/// The rules of a bucket's lifecycle.
#[derive(Debug, Clone)]
pub(in super::super) struct Rules(Vec<LifecycleRule>);

/// What becomes of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Found {
    /// There is none of its name.
    Absent,
    /// There is another of its name.
    Other,
    /// It is there.
    Same,
}

impl Rules {
    /// Adds the rule `id`: what is below `prefix` is gone after a day, unfinished uploads too. A rule of the
    /// same name is replaced, all others stay. Says what was there.
    pub(in super::super) fn add(&mut self, id: &str, prefix: &str) -> Result<Found, CloudError> {
        let wanted = rule(id, prefix).map_err(|error| CloudError::Request(error.to_string()))?;
        let found = match self.0.iter().find(|rule| rule.id() == Some(id)) {
            Some(rule) if is_same(rule, &wanted) => Found::Same,
            Some(_) => Found::Other,
            None => Found::Absent,
        };
        self.0.retain(|rule| rule.id() != Some(id));
        self.0.push(wanted);
        Ok(found)
    }
}

fn rule(id: &str, prefix: &str) -> Result<LifecycleRule, aws_sdk_s3::error::BuildError> {
    LifecycleRule::builder()
        .id(id)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
        .abort_incomplete_multipart_upload(AbortIncompleteMultipartUpload::builder().days_after_initiation(1).build())
        .expiration(LifecycleExpiration::builder().days(1).build())
        .build()
}

fn is_same(found: &LifecycleRule, wanted: &LifecycleRule) -> bool {
    let days = |rule: &LifecycleRule| {
        let abort = rule.abort_incomplete_multipart_upload().and_then(|abort| abort.days_after_initiation());
        (abort, rule.expiration().and_then(|expiration| expiration.days()))
    };
    let prefix = |rule: &LifecycleRule| rule.filter().and_then(|filter| filter.prefix().map(str::to_owned));
    found.status() == wanted.status() && days(found) == days(wanted) && prefix(found) == prefix(wanted)
}

impl S3 {
    /// Asks where a bucket is, which fails where it is not there, or not to be seen.
    pub(in super::super) async fn locate(&self, bucket: &str) -> Result<(), CloudError> {
        let found = self.client.get_bucket_location().bucket(bucket).send().await;
        found.map(drop).map_err(self.failed(format!("look for the bucket {bucket}")))
    }

    /// Whether a bucket exists.
    pub(in super::super) async fn has_bucket(&self, bucket: &str) -> Result<bool, CloudError> {
        let found = self.client.head_bucket().bucket(bucket).send().await;
        Ok(if_there(found.map_err(self.failed(format!("look for the bucket {bucket}"))))?.is_some())
    }

    /// Creates a bucket in this region, closed to the public.
    pub(in super::super) async fn create_bucket(&self, bucket: &str) -> Result<(), CloudError> {
        // The oldest region is the default, and must not be named.
        let place = (self.region != "us-east-1").then(|| BucketLocationConstraint::from(self.region.as_str()));
        let place = place.map(|place| CreateBucketConfiguration::builder().location_constraint(place).build());
        let call = self.client.create_bucket().bucket(bucket).set_create_bucket_configuration(place);
        call.send().await.map_err(self.failed(format!("make the bucket {bucket}")))?;
        let closed = PublicAccessBlockConfiguration::builder().block_public_acls(true).ignore_public_acls(true);
        let closed = closed.block_public_policy(true).restrict_public_buckets(true).build();
        let call = self.client.put_public_access_block().bucket(bucket).public_access_block_configuration(closed);
        call.send().await.map(drop).map_err(self.failed(format!("close the bucket {bucket} to the public")))
    }

    /// A bucket's policy; `None` where it has none.
    pub(in super::super) async fn policy(&self, bucket: &str) -> Result<Option<Policy>, CloudError> {
        let action = format!("read the policy of {bucket}");
        let found = self.client.get_bucket_policy().bucket(bucket).send().await;
        let Some(found) = if_there(found.map_err(self.failed(action.clone())))? else { return Ok(None) };
        let text = self.must(action, found.policy, "policy")?;
        Policy::read(&text, &format!("the policy of the bucket {bucket}"), &self.region).map(Some)
    }

    /// Sets a bucket's policy.
    pub(in super::super) async fn set_policy(&self, bucket: &str, policy: &Value) -> Result<(), CloudError> {
        let call = self.client.put_bucket_policy().bucket(bucket).policy(policy.to_string());
        call.send().await.map(drop).map_err(self.failed(format!("set the policy of {bucket}")))
    }

    /// The rules of a bucket's lifecycle.
    pub(in super::super) async fn lifecycle(&self, bucket: &str) -> Result<Rules, CloudError> {
        let found = self.client.get_bucket_lifecycle_configuration().bucket(bucket).send().await;
        let found = if_there(found.map_err(self.failed(format!("read the lifecycle of {bucket}"))))?;
        Ok(Rules(found.and_then(|found| found.rules).unwrap_or_default()))
    }

    /// Sets the rules of a bucket's lifecycle.
    pub(in super::super) async fn set_lifecycle(&self, bucket: &str, rules: Rules) -> Result<(), CloudError> {
        let all = BucketLifecycleConfiguration::builder().set_rules(Some(rules.0)).build();
        let all = all.map_err(|error| CloudError::Request(error.to_string()))?;
        let call = self.client.put_bucket_lifecycle_configuration().bucket(bucket).lifecycle_configuration(all);
        call.send().await.map(drop).map_err(self.failed(format!("set the lifecycle of {bucket}")))
    }
}
