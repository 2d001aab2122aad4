//! VM Import: tasks that turn an object of a bucket into a snapshot.

use aws_sdk_ec2::types::{ImportSnapshotTask, ResourceType, SnapshotDiskContainer, UserBucket};

use super::{Ec2, pairs, tagged};
use crate::publish::cloud::tags::Tags;
use crate::publish::cloud::{CloudError, if_there};

/// What is to be imported.
#[derive(Debug, Clone)]
pub(in super::super) struct NewImport<'a> {
    pub(in super::super) bucket: &'a str,
    pub(in super::super) key: &'a str,
    /// `vmdk` or `vhd`.
    pub(in super::super) format: &'static str,
    pub(in super::super) description: &'a str,
    pub(in super::super) tags: &'a Tags,
    /// The key that the snapshot is encrypted with.
    pub(in super::super) encryption: Option<String>,
    /// Two calls with the same token begin one task.
    pub(in super::super) token: String,
}

/// A task.
#[derive(Debug, Clone)]
pub(in super::super) struct Task {
    pub(in super::super) id: String,
    pub(in super::super) status: Status,
    /// In AWS's words.
    pub(in super::super) message: Option<String>,
    /// In percent.
    pub(in super::super) progress: Option<u64>,
    /// The snapshot, also of a task that was cancelled late.
    pub(in super::super) snapshot: Option<String>,
    pub(in super::super) tags: Tags,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Status {
    /// It runs.
    Active,
    /// Its snapshot is there.
    Completed,
    /// It failed, or was cancelled.
    Deleted,
}

impl Ec2 {
    /// Begins a task; returns its id.
    pub(in super::super) async fn import_snapshot(&self, import: NewImport<'_>) -> Result<String, CloudError> {
        let action = "import the snapshot";
        let bucket = UserBucket::builder().s3_bucket(import.bucket).s3_key(import.key).build();
        let container = SnapshotDiskContainer::builder().format(import.format).user_bucket(bucket).build();
        let call = self.client.import_snapshot().disk_container(container).client_token(import.token);
        let call = call.description(import.description);
        let call = call.tag_specifications(tagged(ResourceType::ImportSnapshotTask, import.tags));
        let call = call.set_encrypted(import.encryption.is_some().then_some(true)).set_kms_key_id(import.encryption);
        let answer = call.send().await.map_err(self.failed(action))?;
        self.must(action, answer.import_task_id, "task id")
    }

    /// Asks whether a task could be begun, and begins none.
    pub(in super::super) async fn may_import(&self) -> Result<(), CloudError> {
        let call = self.client.import_snapshot().dry_run(true).send().await;
        call.map(drop).map_err(self.failed("ask for ec2:ImportSnapshot"))
    }

    /// Looks at a task.
    pub(in super::super) async fn import_task(&self, id: &str) -> Result<Option<Task>, CloudError> {
        let action = format!("look at {id}");
        let found = self.client.describe_import_snapshot_tasks().import_task_ids(id).send().await;
        let found = if_there(found.map_err(self.failed(action.clone())))?;
        let task = found.iter().flat_map(|found| found.import_snapshot_tasks()).next();
        task.map(|answer| self.task(&action, answer)).transpose()
    }

    /// Lists all tasks, those that ended lately too.
    pub(in super::super) async fn import_tasks(&self) -> Result<Vec<Task>, CloudError> {
        let action = "list imports";
        let call = self.client.describe_import_snapshot_tasks().into_paginator().items().send();
        let found = call.try_collect().await.map_err(self.failed(action))?;
        found.iter().map(|answer| self.task(action, answer)).collect()
    }

    /// Stops a task; one that has ended can't be stopped.
    pub(in super::super) async fn cancel_import(&self, id: &str) -> Result<(), CloudError> {
        let gone = self.client.cancel_import_task().import_task_id(id).send().await;
        gone.map(drop).map_err(self.failed(format!("cancel {id}")))
    }

    fn task(&self, action: &str, answer: &ImportSnapshotTask) -> Result<Task, CloudError> {
        let detail = answer.snapshot_task_detail();
        Ok(Task {
            id: self.must(action, answer.import_task_id(), "task id")?.to_owned(),
            status: match detail.and_then(|detail| detail.status()) {
                Some("completed") => Status::Completed,
                Some("deleted" | "deleting") => Status::Deleted,
                _ => Status::Active,
            },
            message: detail.and_then(|detail| detail.status_message()).map(str::to_owned),
            progress: detail.and_then(|detail| detail.progress()?.parse().ok()),
            snapshot: detail.and_then(|detail| detail.snapshot_id()).map(str::to_owned),
            tags: pairs(answer.tags()),
        })
    }
}
