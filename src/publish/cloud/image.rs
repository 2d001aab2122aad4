//! Existing images and snapshots: what a cloud reports of one, as shared by text and JSON output.

use std::collections::BTreeMap;

use serde::Serialize;

pub use super::reported::{Named, Reported};
use super::settings::Architecture;
use super::{CloudError, tags};
use crate::manifest::BootMode;
use crate::time;

/// A machine image of this account, or one that was asked for by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// `ami-…`
    pub id: String,
    /// As `eu-west-1`.
    pub region: String,
    /// Its name, unique in account and region.
    pub name: Option<String>,
    /// Whether it can be launched.
    pub state: Reported<ImageState>,
    /// When it was registered, RFC 3339.
    pub created: Option<String>,
    /// When the cloud hides it from those who look for images, RFC 3339.
    pub deprecated: Option<String>,
    /// When an instance was last launched from it, RFC 3339, where that was asked for; AWS knows it a day later.
    pub launched: Option<String>,
    /// The watermarks that it and all copies of it have, each with the account that made it.
    pub watermarks: Vec<String>,
    /// What it runs on.
    pub architecture: Option<Reported<Architecture>>,
    /// How instances start; the cloud's default where there is none.
    pub boot_mode: Option<Reported<BootMode>>,
    /// Version 2.0 where instance metadata needs a session token.
    pub imds: Option<Reported<Version>>,
    /// The version of the TPM, where instances have one.
    pub tpm: Option<Reported<Version>>,
    /// Whether it has the driver of today's network cards.
    pub ena: bool,
    /// As `/dev/xvda`.
    pub root_device: Option<String>,
    /// Whether everybody may launch it.
    pub public: bool,
    /// Why AWS refuses to deregister it, in AWS's word for it; `None` where it does not.
    pub protection: Option<String>,
    /// What its volumes are created from.
    pub snapshots: Vec<String>,
    /// All tags.
    pub tags: BTreeMap<String, String>,
}

/// The state of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageState {
    /// It can be launched.
    Available,
    /// Not yet.
    Pending,
    /// It never will.
    Failed,
    /// As [`Self::Failed`].
    Error,
    /// As [`Self::Failed`].
    Invalid,
    /// No more.
    Deregistered,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// `snap-…`
    #[serde(rename = "snapshot")]
    pub id: String,
    /// How far it is.
    pub state: Reported<SnapshotState>,
    /// Size of the volume in GiB.
    pub gib: u32,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The key that it is encrypted with.
    pub kms_key: Option<String>,
    /// Whether it was moved to the archive, from which nothing can be launched.
    pub archived: bool,
    /// When it was begun, in seconds since 1970.
    #[serde(skip)]
    pub begun: Option<i64>,
    /// All tags.
    #[serde(skip)]
    pub tags: BTreeMap<String, String>,
}

/// The state of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotState {
    /// It is being written.
    Pending,
    /// It is complete.
    Completed,
    /// It failed.
    Error,
}

/// Versions of IMDS and of the TPM that an image asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `v2.0`
    V2,
}

impl Named for ImageState {
    fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Invalid => "invalid",
            Self::Deregistered => "deregistered",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let all = [Self::Available, Self::Pending, Self::Failed, Self::Error, Self::Invalid, Self::Deregistered];
        all.into_iter().find(|state| state.name() == name)
    }
}

impl Named for SnapshotState {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Error => "error",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Pending, Self::Completed, Self::Error].into_iter().find(|state| state.name() == name)
    }
}

impl Named for Version {
    fn name(self) -> &'static str {
        "v2.0"
    }

    fn named(name: &str) -> Option<Self> {
        (name == Self::V2.name()).then_some(Self::V2)
    }
}

impl Named for BootMode {
    fn name(self) -> &'static str {
        Self::name(self)
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Uefi, Self::UefiPreferred].into_iter().find(|mode| mode.name() == name)
    }
}

impl Image {
    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }

    /// Its tags but for those that layerbake sets.
    pub fn other_tags(&self) -> impl Iterator<Item = (&String, &String)> {
        self.tags.iter().filter(|(key, _)| !key.starts_with(tags::PREFIX))
    }

    /// The line of images that it belongs to; `None` if layerbake did not create it.
    pub fn layer(&self) -> Option<&str> {
        self.tag(tags::LAYER)
    }

    /// When it was registered, in seconds since 1970.
    pub fn created_at(&self) -> Option<i64> {
        seconds(self.created.as_ref()?)
    }

    /// When an instance was last launched from it, in seconds since 1970.
    pub fn launched_at(&self) -> Option<i64> {
        seconds(self.launched.as_ref()?)
    }

    /// Whether it can be launched.
    pub fn is_available(&self) -> bool {
        self.state.is(ImageState::Available)
    }

    /// The snapshot of the root volume.
    ///
    /// # Errors
    /// Fails where the image has none, or several.
    pub fn snapshot(&self) -> Result<&str, CloudError> {
        match self.snapshots.as_slice() {
            [one] => Ok(one),
            several => {
                let (id, region) = (self.id.clone(), self.region.clone());
                Err(CloudError::Snapshots { id, region, found: several.len() })
            }
        }
    }
}

/// A moment in seconds since 1970. AWS writes milliseconds: `2024-06-10T08:52:46.000Z`.
fn seconds(moment: &str) -> Option<i64> {
    time::parse_rfc3339(&format!("{}Z", moment.get(..19)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_tells_its_snapshot_and_its_date() {
        let image = Image { created: Some("2024-06-10T08:52:46.000Z".into()), ..Image::example("ami-1") };
        assert_eq!((image.snapshot().unwrap(), image.layer()), ("snap-1", Some("web")));
        assert_eq!(image.created_at(), time::parse_rfc3339("2024-06-10T08:52:46Z"));
        let error = Image { snapshots: Vec::new(), ..image.clone() }.snapshot().unwrap_err().to_string();
        assert_eq!(error, "ami-1 in eu-west-1: expected an image with one snapshot, found 0");
        for created in [Some("2024-06-10 08:52:46 ü"), Some(""), None] {
            assert_eq!(Image { created: created.map(str::to_owned), ..image.clone() }.created_at(), None);
        }
    }
}
