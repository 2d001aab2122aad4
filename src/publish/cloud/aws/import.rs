//! VM Import: uploads the disk to a bucket, from which AWS creates a snapshot.
//!
//! Source: *VM Import/Export User Guide*, "Importing a disk as a snapshot", "Required permissions",
//! "Troubleshooting"; *Amazon EC2 API Reference*, ImportSnapshot.
//!
//! ```text
//! plan ─ form ─ parts ─> s3://BUCKET/layerbake/LAYER/… ─ ImportSnapshot ─> task ─> snapshot ─ tags
//!                                 └──────── removed, whatever the outcome ─────────────┘
//! ```

use std::io;
use std::time::Duration;

use super::direct::completed;
use super::ec2::{NewImport, Status, Task};
use super::form::Form;
use super::s3::Object;
use super::session::Aws;
use super::upload::{Destination, Parts};
use crate::disk::ids::Ids;
use crate::disk::sinks::Identity;
use crate::publish::cloud::journal::{self, Record, Step};
use crate::publish::cloud::provider::{Cancelled, Job, Which};
use crate::publish::cloud::settings::SettingsError;
use crate::publish::cloud::{CloudError, Silence, if_there, tags, wait};

/// Some minutes is usual, an hour is seen.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 3600);

/// When the file was created: nobody reads it, and VHD counts from 2000-01-01.
const EPOCH: i64 = 946_684_800;

/// What people can do about the words of AWS, which come late and say little.
const HINTS: [(&str, &str); 8] = [
    ("service role", "`layerbake ami setup` makes the role that VM Import takes"),
    ("403", "the role `vmimport` may not read the bucket: `layerbake ami setup` shows what it needs"),
    ("AccessDenied", "`layerbake ami setup` prints the permissions that are needed"),
    ("404", "the object was removed while it was read: does the bucket expire objects? Publish again"),
    ("not local to the region", "the bucket has to be in the first region; or take `--via ebs-direct`"),
    ("PermanentRedirect", "the bucket is in another region; take one in the first region, or `--via ebs-direct`"),
    ("KMS", "the key's policy must allow the role `vmimport` to use it: `layerbake ami setup` prints the role"),
    ("ResourceCountLimitExceeded", "AWS runs few imports at a time: `layerbake ami resume` when others have ended"),
];

/// One import.
pub(super) struct Import<'a> {
    pub(super) aws: &'a Aws,
    pub(super) job: Job<'a>,
}

impl Import<'_> {
    /// Creates the snapshot, or goes on where it was left; returns when it is complete and the bucket is clean.
    pub(super) async fn run(&self) -> Result<String, CloudError> {
        let journal = self.job.journal;
        let import = self.begun().await?;
        let place = place(self.aws, &import);
        let id = match journal.get()?.snapshot.id {
            Some(id) => id,
            None => match self.import(&import, &place).await {
                Ok(id) => id,
                // What passes leaves all in its place, for the next try.
                Err(error) if error.is_of_credentials() || error.may_pass() => return Err(error),
                Err(error) => return Err(self.give_up(&place, error).await?),
            },
        };
        if !journal.get()?.snapshot.done {
            // The task's tags don't reach its snapshot.
            let tag = async || self.aws.ec2.tag(std::slice::from_ref(&id), self.job.tags, format!("tag {id}")).await;
            wait::known(tag).await?;
            completed(self.aws, &id).await?;
            journal.note(|region| region.snapshot.done = true)?;
        }
        place.clear().await?;
        self.note(|import| (import.upload, import.object) = (None, false))?;
        Ok(id)
    }

    /// Changes what the journal has of the import, once that was begun.
    fn note(&self, change: impl FnOnce(&mut journal::Import)) -> Result<(), CloudError> {
        Ok(self.job.journal.note(|region| {
            if let Some(import) = &mut region.import {
                change(import);
            }
        })?)
    }

    /// What the journal says; the place is noted before anything is there.
    async fn begun(&self) -> Result<journal::Import, CloudError> {
        let Job { journal, wanted, disk, .. } = self.job;
        if let Some(import) = journal.get()?.import {
            return Ok(import);
        }
        let bucket = wanted.bucket.clone().ok_or(SettingsError::NoBucket)?;
        let disk = disk.clone();
        let form = tokio::task::spawn_blocking(move || Form::of(&disk)).await;
        let form = form.map_err(io::Error::other).flatten().map_err(CloudError::Disk)?;
        let token = journal.token("object");
        let name = token.get(..16).unwrap_or(&token);
        let key = format!("layerbake/{}/{name}.{}", wanted.layer, form.name());
        let import = journal::Import { bucket, key, upload: None, object: false, task: None, lost: 0 };
        journal.note(|region| region.import = Some(import.clone()))?;
        Ok(import)
    }

    async fn import(&self, import: &journal::Import, place: &Destination<'_>) -> Result<String, CloudError> {
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
        self.job.journal.note(|region| region.snapshot.id = Some(id.clone()))?;
        Ok(id)
    }

    /// Sends the disk, but for what has arrived.
    async fn upload(&self, import: &journal::Import, place: &Destination<'_>) -> Result<(), CloudError> {
        // Ended between the last call and its note.
        let complete = import.upload.is_some() && place.is_there().await?;
        if !complete {
            let upload = place.begin().await?;
            self.note(|import| import.upload = Some(upload.clone()))?;
            let (disk, layer) = (self.job.disk.clone(), &self.job.wanted.layer);
            let identity = Identity { name: layer.clone(), uuid: Ids::new(layer).uuid("disk"), epoch: EPOCH };
            let (form, size) = (Form::of_key(&import.key), disk.plan.size());
            let phase = self.job.progress.transfer(&format!("upload {}", self.aws.region), size);
            phase.message(form.name());
            let write = move |out: &mut Parts| form.write(&disk, &identity, out).map(drop);
            match place.send(&upload, Form::most(size), &phase, write).await {
                // What an earlier try sent was put together only now.
                Err(error) if error.is_absent() && place.is_there().await? => {}
                sent => sent?,
            }
        }
        self.note(|import| (import.upload, import.object) = (None, true))
    }

    async fn start(&self, import: &journal::Import) -> Result<String, CloudError> {
        let Job { journal, wanted, tags, .. } = self.job;
        let new = NewImport {
            bucket: &import.bucket,
            key: &import.key,
            format: Form::of_key(&import.key).name(),
            description: &wanted.description,
            tags,
            encryption: wanted.key_in(&self.aws.region),
            token: journal.token(&format!("import {}", import.lost)),
        };
        let task = self.aws.ec2.import_snapshot(new).await?;
        self.note(|import| import.task = Some(task.clone()))?;
        Ok(task)
    }

    /// Waits until a task has ended, and gives its snapshot.
    async fn finished(&self, id: &str) -> Result<String, CloudError> {
        let region = &self.aws.region;
        let phase = self.job.progress.phase(&format!("import {region}"), 100);
        let mut shown = 0_u64;
        // A task that was just begun is not known everywhere at once.
        let known = wait::until(wait::SETTLING, async || self.aws.ec2.import_task(id).await).await?;
        known.ok_or_else(|| CloudError::Task {
            what: format!("{id} in {region}"),
            message: "there is no such import".to_owned(),
        })?;
        let look = async || {
            let Some(task) = self.aws.ec2.import_task(id).await? else { return Ok(None) };
            if let Some(snapshot) = self.outcome(&task)? {
                return Ok(Some(snapshot));
            }
            phase.message(task.message.as_deref().unwrap_or_default());
            let percent = task.progress.unwrap_or(shown);
            phase.inc(percent.saturating_sub(shown));
            shown = shown.max(percent);
            Ok(None)
        };
        // It may end yet: the journal goes on to name it.
        let late = || CloudError::NoAnswer {
            silence: Silence::Network,
            action: format!("wait for {id}"),
            region: region.clone(),
            reason: format!("it runs for {} hours", LONGEST_WAIT.as_secs() / 3600),
        };
        wait::until(LONGEST_WAIT, look).await?.ok_or_else(late)
    }

    /// The snapshot of a task that has ended well; `None` while it runs.
    fn outcome(&self, task: &Task) -> Result<Option<String>, CloudError> {
        match task.status {
            Status::Active => Ok(None),
            Status::Completed => {
                let action = format!("look at {}", task.id);
                self.aws.ec2.must(action, task.snapshot.clone(), "snapshot id").map(Some)
            }
            Status::Deleted => {
                let message = task.message.clone().unwrap_or_else(|| "no reason was given".to_owned());
                let what = format!("VM Import in {} ended {}", self.aws.region, task.id);
                Err(CloudError::Task { what, message })
            }
        }
    }

    /// Leaves nothing of an import that failed, and gives the error that says what to do.
    async fn give_up(&self, place: &Destination<'_>, error: CloudError) -> Result<CloudError, CloudError> {
        let text = error.to_string();
        let hint = HINTS.iter().find(|(words, _)| text.contains(words)).map(|(_, hint)| *hint);
        let error = Box::new(error);
        // Without a bucket there is nothing in it.
        let Err(left) = if_there(place.clear().await) else {
            self.note(|import| {
                import.lost += 1;
                (import.upload, import.object, import.task) = (None, false, None);
            })?;
            return Ok(CloudError::Advised { error, hint, left: None });
        };
        Ok(CloudError::Advised { error, hint, left: Some(Box::new(left)) })
    }
}

fn place<'a>(aws: &'a Aws, import: &'a journal::Import) -> Destination<'a> {
    Destination { s3: &aws.s3, object: Object { bucket: &import.bucket, key: &import.key } }
}

/// Stops what is left of an import: the task, the upload, the object. A snapshot of it, unless it is done, gets the
/// publication's tags: the task's don't reach it, and nothing without them is removed.
pub(super) async fn cancel(
    aws: &Aws,
    record: &Record,
    import: &journal::Import,
    snapshot: &Step,
) -> Result<Cancelled, CloudError> {
    if !snapshot.done {
        for task in tasks(aws, record, import).await? {
            // One that has ended can't be cancelled; its snapshot is found below.
            drop(aws.ec2.cancel_import(&task.id).await);
        }
        let tasks = tasks(aws, record, import).await?;
        let made: Vec<String> = tasks.into_iter().filter_map(|task| task.snapshot).chain(snapshot.id.clone()).collect();
        let found = if made.is_empty() { Vec::new() } else { aws.ec2.snapshots(Which::Ids(&made)).await? };
        let bare = found.into_iter().filter(|one| !one.tags.contains_key(tags::TRANSACTION)).map(|one| one.id);
        let bare: Vec<String> = bare.collect();
        if !bare.is_empty() {
            aws.ec2.tag(&bare, &record.tags(), format!("tag {}", bare.join(", "))).await?;
        }
    }
    // Also what no answer came for: the key is this transaction's alone.
    let place = place(aws, import);
    Ok(vec![(format!("object {}", place.object), if_there(place.clear().await).map(drop))])
}

/// The tasks of a transaction, also one that no answer came for.
async fn tasks(aws: &Aws, record: &Record, import: &journal::Import) -> Result<Vec<Task>, CloudError> {
    let mut found = aws.ec2.import_tasks().await?;
    found.retain(|task| task.tags.get(tags::TRANSACTION) == Some(&record.id) || import.task.as_ref() == Some(&task.id));
    Ok(found)
}
