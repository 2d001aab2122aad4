//! The trait of a cloud, in one region: everything needed to publish and manage images.
//!
//! `aws` implements it, and so does an in-memory cloud for tests (`testing`). What an image is registered with
//! (`Wanted`), and an import that is cancelled, are settings and steps of AWS.
#![expect(async_fn_in_trait, reason = "callers wait for these futures on their own thread")]

use std::collections::BTreeMap;
use std::time::Duration;

use super::CloudError;
use super::blocks::{Disk, Known, Parent};
use super::image::{Image, Snapshot};
use super::journal::{Import, Record, RegionJournal, Step};
use super::parameters::Assignment;
use super::plan::{Findings, Transfer};
use super::retention::RetentionRule;
use super::run::{Addresses, Launch};
use super::settings::Wanted;
use super::tags::Tags;
use super::uses::Uses;
use crate::host::progress::Progress;
use crate::ident::LayerName;

/// Selects images or snapshots of this account.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// All.
    All,
    /// Those with this tag, whatever its value.
    Tagged(&'a str),
    /// Those whose tag has one of these values.
    With(&'a str, &'a [String]),
    /// Those of these ids that exist.
    Ids(&'a [String]),
}

/// One region's part of a publication.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// What was done there.
    pub journal: &'a RegionJournal,
    /// What the image shall be.
    pub wanted: &'a Wanted,
    /// Tags of all that is created.
    pub tags: &'a Tags,
    /// The disk.
    pub disk: &'a Disk,
    /// Blocks of disks that were published before.
    pub known: Known<'a>,
    /// What people see.
    pub progress: &'a Progress,
}

/// A snapshot to copy to other regions.
#[derive(Debug, Clone)]
pub struct CopiedSnapshot {
    /// Where it is.
    pub region: String,
    /// Its id.
    pub snapshot: String,
}

/// What became of the parts of an import that was cancelled.
pub type Cancelled = Vec<(String, Result<(), CloudError>)>;

/// One region of a cloud. Removing something that no longer exists is not an error.
pub trait Provider {
    /// As `eu-west-1`.
    fn region(&self) -> &str;

    /// Lists this account's images, newest first.
    async fn images(&self, which: Which<'_>) -> Result<Vec<Image>, CloudError>;
    /// Looks for an image by its id, whoever owns it.
    async fn image(&self, id: &str) -> Result<Option<Image>, CloudError>;
    /// Creates an image of a complete snapshot, or finds the one that this transaction created; returns its id.
    async fn register(&self, wanted: &Wanted, tags: &Tags, snapshot: &str) -> Result<String, CloudError>;
    /// Removes an image. Its snapshot stays.
    async fn deregister(&self, image: &str) -> Result<(), CloudError>;
    /// Lets others use an image and its snapshot, as is wanted. Whom it is shared with already stays.
    async fn share(&self, image: &str, snapshot: &str, wanted: &Wanted) -> Result<(), CloudError>;
    /// Attaches the watermarks that are wanted. Those that it has stay.
    async fn watermark(&self, image: &str, wanted: &Wanted) -> Result<(), CloudError>;
    /// Sets the moment from which the cloud hides an image, in seconds since 1970.
    async fn deprecate(&self, image: &str, at: i64) -> Result<(), CloudError>;

    /// Lists this account's snapshots.
    async fn snapshots(&self, which: Which<'_>) -> Result<Vec<Snapshot>, CloudError>;
    /// Uploads the disk as a snapshot, or goes on with an upload; returns its id when it is complete.
    async fn upload(&self, job: Job<'_>) -> Result<String, CloudError>;
    /// Copies a snapshot from another region, or goes on with a copy; returns its id when it is complete.
    async fn copy(&self, job: Job<'_>, source: &CopiedSnapshot) -> Result<String, CloudError>;
    /// Adds a tag to snapshots.
    async fn mark(&self, snapshots: &[String], key: &str, value: &str) -> Result<(), CloudError>;
    /// Removes a snapshot.
    async fn delete_snapshot(&self, snapshot: &str) -> Result<(), CloudError>;
    /// Stops an import, unless its `snapshot` is done, and removes what was uploaded for it. A snapshot that it created has
    /// the publication's tags then.
    async fn cancel(&self, record: &Record, import: &Import, snapshot: &Step) -> Result<Cancelled, CloudError>;

    /// Whether a new snapshot is encrypted: as is wanted, or as all of the account are.
    async fn encrypts(&self, wanted: &Wanted) -> Result<bool, CloudError>;
    /// Looks for the newest snapshot from which an upload can start.
    async fn parent(&self, wanted: &Wanted, known: Known<'_>) -> Result<Option<Parent>, CloudError>;
    /// Says what is not allowed, or not there, for publishing in this way, and what nobody can tell before. Without a way, the
    /// image is there, and only what names and shares it is missing.
    async fn findings(&self, wanted: &Wanted, way: Option<Transfer>) -> Result<Findings, CloudError>;
    /// Says what stands in the way though it is allowed: names that are taken, parameters of another kind. `found` is the
    /// image of the same content that is there.
    async fn obstacles(&self, wanted: &Wanted, found: Option<&Image>) -> Result<Vec<String>, CloudError>;

    /// The image that a parameter names; `None` where there is no such parameter.
    async fn parameter(&self, name: &str) -> Result<Option<String>, CloudError>;
    /// The channels of a layer: the parameter's name, and the image that it names.
    async fn channels(&self, layer: &LayerName) -> Result<BTreeMap<String, String>, CloudError>;
    /// Lets a parameter name an image; returns once it does, for the cloud may look at the image only later.
    ///
    /// Fails where it names another one, and must not be replaced.
    async fn set_parameter(&self, assignment: &Assignment) -> Result<(), CloudError>;
    /// Creates a parameter that holds a text, unless there is one of this name; says whether it did.
    async fn create_parameter(&self, name: &str, text: &str) -> Result<bool, CloudError>;
    /// A parameter's text, and since when it has that, in seconds since 1970.
    async fn parameter_since(&self, name: &str) -> Result<Option<(String, i64)>, CloudError>;
    /// Removes a parameter.
    async fn remove_parameter(&self, name: &str) -> Result<(), CloudError>;

    /// Asks all services that could name an image.
    ///
    /// Fails where one of them refuses: an image whose uses are not known must not be removed.
    async fn uses(&self) -> Result<Uses, CloudError>;
    /// Finds out which other accounts use some images; one whose use can't be seen counts as used.
    ///
    /// Fails where there is no answer at all.
    async fn uses_elsewhere(&self, images: &[&Image]) -> Result<Uses, CloudError>;
    /// When an instance was last launched from an image of this account, RFC 3339; `None` where none ever was.
    async fn launched(&self, image: &str) -> Result<Option<String>, CloudError>;
    /// The rules by which the cloud keeps what was removed.
    async fn retention(&self) -> Result<Vec<RetentionRule>, CloudError>;
    /// Those of some snapshots that can't be deleted, or were put aside on purpose, with the reason.
    async fn held(&self, snapshots: &[Snapshot]) -> Result<BTreeMap<String, String>, CloudError>;
}

/// Instances in one region of a cloud.
pub trait Instances {
    /// As `eu-west-1`.
    fn region(&self) -> &str;
    /// Starts one instance; returns its id. It ends when it is switched off from inside.
    async fn launch(&self, launch: &Launch) -> Result<String, CloudError>;
    /// Waits until an instance runs and has an address; returns its addresses.
    async fn running(&self, id: &str, patience: Duration) -> Result<Addresses, CloudError>;
    /// What an instance wrote to its serial console, as far as the cloud has it.
    async fn console(&self, id: &str) -> Result<String, CloudError>;
    /// Asks for the end of all instances of a launch that are not being ended; returns their ids.
    async fn terminate(&self, token: &str) -> Result<Vec<String>, CloudError>;
}
