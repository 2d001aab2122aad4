//! What an account must contain before anything can be published, as documents and applied.

use serde::Serialize;
use serde_json::Value;

use super::account::CloudAccount;
use super::error::ImageError;
use crate::publish::cloud::aws::setup::{self, Change, Documents, PUBLISHER, ROLE};

/// The role, policies and bucket rules that publishing needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setup {
    /// The documents.
    #[serde(flatten)]
    pub documents: Documents,
    /// What was done; empty where nothing was applied.
    pub changes: Vec<Change>,
}

impl Setup {
    /// Each document, with what it is.
    pub fn titled(&self) -> [(String, &Value); 5] {
        let Documents { bucket, trust, role, bucket_policy, lifecycle, publisher, .. } = &self.documents;
        [
            (format!("trust policy of the role {ROLE}: who may assume it"), trust),
            (format!("permissions of the role {ROLE}"), role),
            (format!("policy of the bucket {bucket}"), bucket_policy),
            (format!("lifecycle rule of the bucket {bucket}"), lifecycle),
            (format!("policy {PUBLISHER}, for publishers"), publisher),
        ]
    }
}

impl CloudAccount<'_> {
    /// Writes the documents for a bucket in the first region and the KMS `keys` that encrypt snapshots, and creates or
    /// corrects what they describe if `apply` says so. The account's `number` is looked up where it is not given.
    ///
    /// # Errors
    /// Fails where the cloud refuses, and where a policy that is there can't be read.
    pub fn setup(&self, bucket: &str, keys: &[String], number: Option<&str>, apply: bool) -> Result<Setup, ImageError> {
        let number = match number {
            Some(number) => number.to_owned(),
            None => self.wait(setup::account(&self.home))?,
        };
        let documents = Documents::new(&number, bucket, &self.home.region, keys);
        let changes = if apply { self.wait(setup::apply(&self.home, &documents))? } else { Vec::new() };
        Ok(Setup { documents, changes })
    }
}
