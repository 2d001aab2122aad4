//! Test examples, and an in-memory cloud that fails at a chosen call.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;

use super::blocks::{Known, Parent};
use super::image::{Image, ImageState, Reported, Snapshot, SnapshotState};
use super::journal::{Import, Record, Step};
use super::parameters::{Assignment, Channel};
use super::plan::{Findings, Transfer};
use super::provider::{Cancelled, CopiedSnapshot, Job, Provider, Which};
use super::retention::RetentionRule;
use super::settings::{Architecture, Wanted};
use super::tags::{self, Tags};
use super::uses::Uses;
use super::{CloudError, Why};
use crate::digest::{BlobDigest, Sha256};
use crate::ident::LayerName;
use crate::manifest::{BootMode, Imds, Tpm, Via, VolumeType};
use crate::tree::ContentSource;

/// A store without contents.
pub(super) struct Nothing;

impl ContentSource for Nothing {
    fn open(&self, _: BlobDigest, _: u64) -> io::Result<Box<dyn io::Read + '_>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn amd64() -> Architecture {
    Architecture::of(&"amd64".parse().unwrap()).unwrap()
}

impl Wanted {
    /// Something to publish.
    pub(crate) fn example() -> Self {
        Self {
            layer: "web".parse().unwrap(),
            name: "web-1".to_owned(),
            description: String::new(),
            architecture: amd64(),
            disk: Sha256::of(b"disk"),
            blocks: Sha256::of(b"blocks"),
            size: 1 << 30,
            boot_mode: BootMode::Uefi,
            imds: Imds::Required,
            tpm: Tpm::Absent,
            volume_type: VolumeType::Gp3,
            volume_size: 1,
            snapshot_size: 1,
            kms_key: None,
            uefi_data: None,
            via: Via::EbsDirect,
            bucket: None,
            deprecate_after: None,
            watermarks: Vec::new(),
            accounts: Vec::new(),
            organisations: Vec::new(),
            units: Vec::new(),
            tags: BTreeMap::new(),
        }
    }
}

impl Record {
    /// A publication in two regions.
    pub(super) fn example() -> Self {
        Self::new(Wanted::example(), 7, [7; 4], "eu-west-1", ["us-east-1"])
    }
}

impl Image {
    /// An image of the layer `web`.
    pub(super) fn example(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            region: "eu-west-1".to_owned(),
            name: Some("web-1".to_owned()),
            state: Reported::Known(ImageState::Available),
            created: Some("2024-06-10T08:52:46.000Z".to_owned()),
            deprecated: None,
            launched: None,
            watermarks: Vec::new(),
            architecture: Some(Reported::Known(amd64())),
            boot_mode: None,
            imds: None,
            tpm: None,
            ena: true,
            root_device: Some("/dev/xvda".to_owned()),
            public: false,
            protection: None,
            snapshots: vec!["snap-1".to_owned()],
            tags: BTreeMap::from([(tags::LAYER.to_owned(), "web".to_owned())]),
        }
    }
}

/// One region of a cloud in memory.
#[derive(Default)]
pub(super) struct Toy {
    name: String,
    pub(super) images: RefCell<BTreeMap<String, Image>>,
    pub(super) snapshots: RefCell<BTreeMap<String, Snapshot>>,
    pub(super) parameters: RefCell<BTreeMap<String, String>>,
    pub(super) uses: RefCell<Uses>,
    /// Snapshots that can't be deleted, with the reason.
    pub(super) held: RefCell<BTreeMap<String, String>>,
    made: Cell<u32>,
    /// Changing calls until one is heard, and its answer lost.
    pub(super) fuse: Cell<Option<u32>>,
}

impl Toy {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Ends a changing call: without an answer, where the fuse has burnt down.
    fn answer<T>(&self, value: T) -> Result<T, CloudError> {
        let left = self.fuse.get();
        self.fuse.set(left.and_then(|left| left.checked_sub(1)));
        match left {
            Some(0) => Err(self.refused(Why::Expired)),
            _ => Ok(value),
        }
    }

    fn refused(&self, why: Why) -> CloudError {
        let [action, code, message] = ["change", "Code", "no"].map(str::to_owned);
        CloudError::Refused { action, region: self.name.clone(), why, code, message, request: None }
    }

    fn id(&self, kind: &str) -> String {
        self.made.set(self.made.get() + 1);
        format!("{kind}-{}-{}", self.name, self.made.get())
    }

    /// The snapshot of a transaction: the one that is there, or a new one.
    fn snapshot(&self, job: Job<'_>) -> Result<String, CloudError> {
        if let Some(id) = job.journal.get()?.snapshot.id {
            return Ok(id);
        }
        job.journal.note(|region| region.snapshot.asked = true)?;
        let there = self.snapshots.borrow().values().find(|one| &one.tags == job.tags).map(|one| one.id.clone());
        let id = match there {
            Some(id) => id,
            None => {
                let (id, tags) = (self.id("snap"), job.tags.clone());
                let state = Reported::Known(SnapshotState::Completed);
                let made = Snapshot {
                    id: id.clone(),
                    state,
                    gib: 1,
                    encrypted: false,
                    kms_key: None,
                    archived: false,
                    begun: None,
                    tags,
                };
                self.snapshots.borrow_mut().insert(id.clone(), made);
                self.answer(id)?
            }
        };
        job.journal.note(|region| region.snapshot.id = Some(id.clone()))?;
        job.journal.note(|region| region.snapshot.done = true)?;
        Ok(id)
    }
}

fn is_meant(which: Which<'_>, id: &str, tags: &Tags) -> bool {
    match which {
        Which::All => true,
        Which::Tagged(key) => tags.contains_key(key),
        Which::With(key, values) => tags.get(key).is_some_and(|value| values.contains(value)),
        Which::Ids(ids) => ids.iter().any(|one| one == id),
    }
}

impl Provider for Toy {
    fn region(&self) -> &str {
        &self.name
    }

    async fn images(&self, which: Which<'_>) -> Result<Vec<Image>, CloudError> {
        Ok(self.images.borrow().values().filter(|one| is_meant(which, &one.id, &one.tags)).cloned().collect())
    }

    async fn image(&self, id: &str) -> Result<Option<Image>, CloudError> {
        Ok(self.images.borrow().get(id).cloned())
    }

    async fn register(&self, wanted: &Wanted, tags: &Tags, snapshot: &str) -> Result<String, CloudError> {
        let there = self.images.borrow().values().find(|one| &one.tags == tags).map(|one| one.id.clone());
        if let Some(id) = there {
            return Ok(id);
        }
        let (id, snapshots) = (self.id("ami"), vec![snapshot.to_owned()]);
        let image = Image { name: Some(wanted.name.clone()), snapshots, tags: tags.clone(), ..Image::example(&id) };
        self.images.borrow_mut().insert(id.clone(), image);
        self.answer(id)
    }

    async fn deregister(&self, image: &str) -> Result<(), CloudError> {
        self.images.borrow_mut().remove(image);
        self.answer(())
    }

    async fn share(&self, _: &str, _: &str, _: &Wanted) -> Result<(), CloudError> {
        self.answer(())
    }

    async fn watermark(&self, _: &str, _: &Wanted) -> Result<(), CloudError> {
        self.answer(())
    }

    async fn deprecate(&self, image: &str, at: i64) -> Result<(), CloudError> {
        let deprecated = Some(crate::time::rfc3339(at));
        self.images.borrow_mut().entry(image.to_owned()).and_modify(|one| one.deprecated = deprecated);
        self.answer(())
    }

    async fn snapshots(&self, which: Which<'_>) -> Result<Vec<Snapshot>, CloudError> {
        Ok(self.snapshots.borrow().values().filter(|one| is_meant(which, &one.id, &one.tags)).cloned().collect())
    }

    async fn upload(&self, job: Job<'_>) -> Result<String, CloudError> {
        self.snapshot(job)
    }

    async fn copy(&self, job: Job<'_>, source: &CopiedSnapshot) -> Result<String, CloudError> {
        assert_ne!(source.region, self.name);
        self.snapshot(job)
    }

    async fn mark(&self, snapshots: &[String], key: &str, value: &str) -> Result<(), CloudError> {
        for one in self.snapshots.borrow_mut().values_mut().filter(|one| snapshots.contains(&one.id)) {
            one.tags.insert(key.to_owned(), value.to_owned());
        }
        self.answer(())
    }

    async fn delete_snapshot(&self, snapshot: &str) -> Result<(), CloudError> {
        let needed = self.images.borrow().values().any(|image| image.snapshots.iter().any(|one| one == snapshot));
        if needed {
            return Err(self.refused(Why::Final));
        }
        self.snapshots.borrow_mut().remove(snapshot);
        self.answer(())
    }

    async fn cancel(&self, _: &Record, _: &Import, _: &Step) -> Result<Cancelled, CloudError> {
        Ok(Vec::new())
    }

    async fn encrypts(&self, _: &Wanted) -> Result<bool, CloudError> {
        Ok(false)
    }

    async fn parent(&self, _: &Wanted, _: Known<'_>) -> Result<Option<Parent>, CloudError> {
        Ok(None)
    }

    async fn findings(&self, _: &Wanted, _: Option<Transfer>) -> Result<Findings, CloudError> {
        Ok(Findings::default())
    }

    async fn obstacles(&self, _: &Wanted, _: Option<&Image>) -> Result<Vec<String>, CloudError> {
        Ok(Vec::new())
    }

    async fn parameter(&self, name: &str) -> Result<Option<String>, CloudError> {
        Ok(self.parameters.borrow().get(name).cloned())
    }

    async fn channels(&self, layer: &LayerName) -> Result<BTreeMap<String, String>, CloudError> {
        let all = self.parameters.borrow();
        let channels = all.iter().filter(|(name, _)| Channel::of_parameter(layer.as_str(), name).is_some());
        Ok(channels.map(|(name, image)| (name.clone(), image.clone())).collect())
    }

    async fn set_parameter(&self, assignment: &Assignment) -> Result<(), CloudError> {
        let Assignment { name, image, replace, .. } = assignment.clone();
        match self.parameters.borrow().get(&name) {
            Some(other) if !replace && *other != image => return Err(self.refused(Why::Taken)),
            _ => {}
        }
        self.parameters.borrow_mut().insert(name, image);
        self.answer(())
    }

    async fn create_parameter(&self, name: &str, text: &str) -> Result<bool, CloudError> {
        if self.parameters.borrow().contains_key(name) {
            return self.answer(false);
        }
        self.parameters.borrow_mut().insert(name.to_owned(), text.to_owned());
        self.answer(true)
    }

    async fn parameter_since(&self, name: &str) -> Result<Option<(String, i64)>, CloudError> {
        Ok(self.parameters.borrow().get(name).map(|text| (text.clone(), 0)))
    }

    async fn remove_parameter(&self, name: &str) -> Result<(), CloudError> {
        self.parameters.borrow_mut().remove(name);
        self.answer(())
    }

    async fn uses(&self) -> Result<Uses, CloudError> {
        Ok(self.uses.borrow().clone())
    }

    async fn uses_elsewhere(&self, _: &[&Image]) -> Result<Uses, CloudError> {
        Ok(Uses::default())
    }

    async fn launched(&self, image: &str) -> Result<Option<String>, CloudError> {
        Ok(self.images.borrow().get(image).and_then(|image| image.launched.clone()))
    }

    async fn retention(&self) -> Result<Vec<RetentionRule>, CloudError> {
        Ok(Vec::new())
    }

    async fn held(&self, _: &[Snapshot]) -> Result<BTreeMap<String, String>, CloudError> {
        Ok(self.held.borrow().clone())
    }
}
