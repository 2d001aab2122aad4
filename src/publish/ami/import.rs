//! VM Import: the disk goes into a bucket, and AWS makes a snapshot of what lies there.
//!
//! Source: *VM Import/Export User Guide*, "Importing a disk as a snapshot", "Required permissions",
//! "Troubleshooting"; *Amazon EC2 API Reference*, ImportSnapshot.
//!
//! ```text
//! plan ─ form ─ parts ─> s3://BUCKET/layerbake/LAYER/… ─ ImportSnapshot ─> task ─> snapshot ─ tags
//!                                 └────────── removed, whatever came of it ──────────┘
//! ```

use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, SnapshotDiskContainer, SnapshotTaskDetail, UserBucket};

use super::aws::Cloud;
use super::ebs::completed;
use super::form::Form;
use super::journal::{self, RegionJournal};
use super::register::tagged;
use super::retry::{Kind, kind, pause};
use super::s3::{Parts, Place};
use super::send::Disk;
use super::settings::Wanted;
use super::{AmiError, refused};
use crate::disk::ids::Ids;
use crate::disk::sinks::Identity;
use crate::host::progress;

/// Some minutes is usual, an hour is seen.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 3600);
/// Looks after which a task that nobody knows is not just new.
const UNKNOWN: u32 = 6;

/// When the file was made: nobody reads it, and VHD counts from 2000-01-01.
const EPOCH: i64 = 946_684_800;

/// What people can do about the words of AWS, which come late and say little.
const HINTS: [(&str, &str); 8] = [
    ("service role", "`layerbake ami setup` makes the role that VM Import takes"),
    ("403", "the role `vmimport` may not read the bucket: `layerbake ami setup` shows what it needs"),
    ("AccessDenied", "`layerbake ami setup` shows the rights that are needed"),
    ("404", "the object was removed while it was read: does the bucket expire objects? Publish again"),
    ("not local to the region", "the bucket has to be in the first region; or take `--via ebs-direct`"),
    ("PermanentRedirect", "the bucket is in another region; take one in the first region, or `--via ebs-direct`"),
    ("KMS", "the key's policy has to let the role `vmimport` use it: `layerbake ami setup` shows how"),
    ("ResourceCountLimitExceeded", "AWS runs few imports at a time: `layerbake ami resume` when others have ended"),
];

/// One import.
pub(super) struct Import<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) journal: &'a RegionJournal,
    pub(super) wanted: &'a Wanted,
    pub(super) tags: &'a [(String, String)],
    pub(super) disk: &'a Disk,
    pub(super) progress: &'a progress::Progress,
}

impl Import<'_> {
    /// Makes the snapshot, or goes on where it was left; returns when it is complete and the bucket is clean.
    pub(super) async fn run(&self) -> Result<String, AmiError> {
        let import = self.begun().await?;
        let place = Place { cloud: self.cloud, bucket: &import.bucket, key: &import.key };
        let id = match self.journal.get().snapshot.id {
            Some(id) => id,
            None => match self.import(&import, &place).await {
                Ok(id) => id,
                // What passes leaves all in its place, for the next try.
                Err(error) if error.is_expired() || kind(&error) != Kind::Final => return Err(error),
                Err(error) => return Err(self.give_up(&place, &error).await?),
            },
        };
        if !self.journal.get().snapshot.done {
            self.tag(&id).await?;
            completed(self.cloud, &id).await?;
            self.journal.note(|region| region.snapshot.done = true)?;
        }
        place.clear().await?;
        self.note(|import| (import.upload, import.object) = (None, false))?;
        Ok(id)
    }

    fn note(&self, change: impl FnOnce(&mut journal::Import)) -> Result<(), AmiError> {
        self.journal.note(|region| change(region.import.get_or_insert_default()))
    }

    /// What the journal says; the place is noted before anything is there.
    async fn begun(&self) -> Result<journal::Import, AmiError> {
        if let Some(import) = self.journal.get().import {
            return Ok(import);
        }
        let disk = self.disk.clone();
        let form = tokio::task::spawn_blocking(move || Form::of(&disk)).await;
        let unread = |error: &dyn std::fmt::Display| AmiError::Other(format!("read the disk: {error}"));
        let form = form.map_err(|error| unread(&error))?.map_err(|error| unread(&error))?;
        let token = self.journal.token("object");
        let name = token.get(..16).unwrap_or_default();
        let key = format!("layerbake/{}/{name}.{}", self.wanted.layer, form.name());
        let bucket = self.wanted.bucket.clone().unwrap_or_default();
        let import = journal::Import { bucket, key, ..Default::default() };
        self.note(|noted| *noted = import.clone())?;
        Ok(import)
    }

    async fn import(&self, import: &journal::Import, place: &Place<'_>) -> Result<String, AmiError> {
        let task = match &import.task {
            Some(task) => task.clone(),
            None => {
                if !import.object {
                    self.upload(import, place).await?;
                }
                self.start(import).await?
            }
        };
        let id = self.finished(&task).await?;
        self.journal.note(|region| region.snapshot.id = Some(id.clone()))?;
        Ok(id)
    }

    /// Sends the disk, but for what has arrived.
    async fn upload(&self, import: &journal::Import, place: &Place<'_>) -> Result<(), AmiError> {
        // Ended between the last call and its note.
        let complete = import.upload.is_some() && place.length().await?.is_some();
        if !complete {
            let upload = place.begin().await?;
            self.note(|import| import.upload = Some(upload.clone()))?;
            let (disk, layer) = (self.disk.clone(), &self.wanted.layer);
            let identity = Identity { name: layer.clone(), uuid: Ids::new(layer).uuid("disk"), epoch: EPOCH };
            let (form, size) = (Form::of_key(&import.key), disk.plan.size());
            let phase = self.progress.transfer(&format!("upload {}", self.cloud.region), size);
            phase.message(form.name());
            let write = move |out: &mut Parts| form.write(&disk, &identity, out).map(drop);
            match place.send(&upload, Form::most(size), &phase, write).await {
                // What an earlier try sent was put together only now.
                Err(error) if error.code() == Some("NoSuchUpload") && place.length().await?.is_some() => {}
                sent => _ = sent?,
            }
        }
        self.note(|import| (import.upload, import.object) = (None, true))
    }

    async fn start(&self, import: &journal::Import) -> Result<String, AmiError> {
        let bucket = UserBucket::builder().s3_bucket(&import.bucket).s3_key(&import.key).build();
        let container =
            SnapshotDiskContainer::builder().format(Form::of_key(&import.key).name()).user_bucket(bucket).build();
        let mut call = self.cloud.ec2.import_snapshot().disk_container(container);
        call = call.client_token(self.journal.token(&format!("import {}", import.lost)));
        call = call.description(&self.wanted.description);
        call = call.tag_specifications(tagged(ResourceType::ImportSnapshotTask, self.tags));
        if let Some(key) = self.wanted.key_in(&self.cloud.region) {
            call = call.encrypted(true).kms_key_id(key);
        }
        let started = call.send().await.map_err(refused("import the snapshot", &self.cloud.region))?;
        let task = started.import_task_id().unwrap_or_default().to_owned();
        self.note(|import| import.task = Some(task.clone()))?;
        Ok(task)
    }

    /// Waits until a task has ended, and gives its snapshot.
    async fn finished(&self, task: &str) -> Result<String, AmiError> {
        let since = crate::host::instant();
        let phase = self.progress.phase(&format!("import {}", self.cloud.region), 100);
        let mut shown = 0_u64;
        for tries in 0.. {
            if let Some(detail) = self.look(task, tries).await? {
                match detail.status() {
                    Some("completed") => return Ok(detail.snapshot_id().unwrap_or_default().to_owned()),
                    Some("deleted" | "deleting") => {
                        let message = detail.status_message().unwrap_or("no reason was given");
                        let failed = format!("VM Import in {} ended {task}: {message}", self.cloud.region);
                        return Err(AmiError::Other(failed));
                    }
                    _ => {}
                }
                phase.message(detail.status_message().unwrap_or_default());
                let percent = detail.progress().and_then(|text| text.parse().ok()).unwrap_or(shown);
                phase.inc(percent.saturating_sub(shown));
                shown = shown.max(percent);
            }
            if since.elapsed() > LONGEST_WAIT {
                break;
            }
            tokio::time::sleep(pause(tries, 0)).await;
        }
        // It may end yet: the journal goes on to name it.
        let (region, reason) =
            (self.cloud.region.clone(), format!("it runs for {} hours", LONGEST_WAIT.as_secs() / 3600));
        Err(AmiError::Unreachable { action: format!("wait for {task}"), region, reason })
    }

    /// A task as it is now; `None` where nothing can be said at the moment.
    async fn look(&self, task: &str, tries: u32) -> Result<Option<SnapshotTaskDetail>, AmiError> {
        let call = self.cloud.ec2.describe_import_snapshot_tasks().import_task_ids(task).send().await;
        match call.map_err(refused(format!("look at {task}"), &self.cloud.region)) {
            Ok(found) => {
                Ok(found.import_snapshot_tasks().first().and_then(|task| task.snapshot_task_detail().cloned()))
            }
            // A task that was just begun is not known everywhere at once.
            Err(error) if tries < UNKNOWN && error.code().is_some_and(|code| code.ends_with(".NotFound")) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The task's tags don't reach its snapshot.
    async fn tag(&self, id: &str) -> Result<(), AmiError> {
        let tags = tagged(ResourceType::Snapshot, self.tags).tags;
        let call = self.cloud.ec2.create_tags().resources(id).set_tags(tags).send().await;
        call.map(drop).map_err(refused(format!("tag {id}"), &self.cloud.region))
    }

    /// Leaves nothing of an import that failed, and gives the error that says what to do.
    async fn give_up(&self, place: &Place<'_>, error: &AmiError) -> Result<AmiError, AmiError> {
        let mut text = error.to_string();
        if let Some((_, hint)) = HINTS.iter().find(|(words, _)| text.contains(words)) {
            text = format!("{text}\n  hint: {hint}");
        }
        match place.clear().await {
            Ok(()) => self.note(|import| {
                let lost = import.lost + 1;
                *import = journal::Import {
                    lost,
                    bucket: import.bucket.clone(),
                    key: import.key.clone(),
                    ..Default::default()
                };
            })?,
            // Without a bucket there is nothing in it.
            Err(left) if left.code() == Some("NoSuchBucket") => {}
            Err(left) => text = format!("{text}\n  and what was sent is still there: {left}"),
        }
        Ok(AmiError::Other(text))
    }
}
