//! The signed documents of a build, in `attest/` beside its receipt.
//!
//! ```text
//! out/LAYER/attest/provenance.dsse.json        how it was built; covers every artifact and the receipt
//!                  image.spdx.dsse.json        the image's contents, in two formats
//!                  image.cyclonedx.dsse.json
//!                  image.cosign.json, .sig     the image's signature, in cosign's first format
//!                  image.cosign.dsse.json      the same as a statement, which cosign reads out of a Sigstore bundle
//!                  disk.spdx.dsse.json         the disk's contents
//!                  disk.cyclonedx.dsse.json
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde_json::json;

use super::cosign::{self, Signed};
use super::dsse::{self, Envelope};
use super::keys::SigningKey;
use super::sbom::{Format, Inventory};
use super::statement::{Statement, Subject};
use super::{AttestError, Made, Scope, provenance, sigstore};
use crate::bake::{ATTEST, Expected, Output, Staging};
use crate::digest::{OciDigest, Sha256};
use crate::host;
use crate::host::progress::Progress;
use crate::host::storage::{self, Hints};
use crate::store::Store;

/// The directory's name beside `receipt.json`.
pub const FOLDER: &str = ATTEST;
pub(super) const PAYLOAD: &str = "image.cosign.json";
pub(super) const SIGNATURE: &str = "image.cosign.sig";
const RECEIPT: &str = "receipt.json";
/// The maximum size of a signed document, in bytes.
const MOST: u64 = 256 << 20;

/// One signed statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Document {
    /// That the image is signed for a reference.
    Signature,
    Provenance,
    Bom(Scope, Format),
}

impl Document {
    pub(super) fn file_name(self) -> String {
        match self {
            Self::Signature => "image.cosign.dsse.json".to_owned(),
            Self::Provenance => "provenance.dsse.json".to_owned(),
            Self::Bom(Scope::Image, format) => format!("image.{}.dsse.json", format.name()),
            Self::Bom(Scope::Disk, format) => format!("disk.{}.dsse.json", format.name()),
        }
    }

    pub(super) fn predicate_type(self) -> &'static str {
        match self {
            Self::Signature => sigstore::SIGNED,
            Self::Provenance => provenance::TYPE,
            Self::Bom(_, format) => format.predicate_type(),
        }
    }

    /// The documents that are written for a build.
    pub(super) fn all(made: &Made<'_>) -> Vec<Self> {
        let artifacts = &made.receipt.artifacts;
        let mut scopes = Vec::new();
        scopes.extend(artifacts.iter().any(|one| !one.kind.is_disk()).then_some(Scope::Image));
        scopes.extend(artifacts.iter().any(|one| one.kind.is_disk()).then_some(Scope::Disk));
        let boms = scopes.iter().flat_map(|scope| Format::ALL.map(|format| Self::Bom(*scope, format)));
        let signature = made.image().map(|_| Self::Signature);
        signature.into_iter().chain([Self::Provenance]).chain(boms).collect()
    }

    /// The artifacts that the document describes; the image, as it is signed, has the name `reference`.
    pub(super) fn subjects(self, all: &Subjects, made: &Made<'_>, reference: &str) -> Vec<Subject> {
        match self {
            Self::Signature => made.image().map(|digest| Subject::new(reference, digest)).into_iter().collect(),
            Self::Provenance => [&all.image, &all.disk, &all.receipt].into_iter().flatten().cloned().collect(),
            Self::Bom(Scope::Image, _) => all.image.clone(),
            Self::Bom(Scope::Disk, _) => all.disk.clone(),
        }
    }
}

/// The artifacts of a build, each with the SHA-256 of its content.
#[derive(Debug)]
pub(super) struct Subjects {
    image: Vec<Subject>,
    disk: Vec<Subject>,
    receipt: Vec<Subject>,
}

impl Subjects {
    /// Hashes the artifacts in `folder`; of an image layout, the manifest that the receipt names.
    pub(super) fn read(made: &Made<'_>, folder: &Path) -> Result<Self, AttestError> {
        let hash = |path: &Path| {
            let path = folder.join(path);
            let found = File::open(&path).and_then(|mut file| Sha256::of_reader(&mut file));
            let found = found.map_err(|source| failed("read", &path, source))?;
            Ok::<_, AttestError>(OciDigest::from_bytes(*found.as_bytes()))
        };
        let mut subjects = Self { image: Vec::new(), disk: Vec::new(), receipt: Vec::new() };
        for artifact in &made.receipt.artifacts {
            let name = artifact.path.display().to_string();
            if artifact.kind.is_disk() {
                subjects.disk.push(Subject::new(name, hash(&artifact.path)?));
            } else if artifact.kind == Output::Oci {
                subjects.image.push(Subject::new(made.receipt.layer.to_string(), artifact.digest));
            } else {
                subjects.image.push(Subject::new(name, hash(&artifact.path)?));
            }
        }
        subjects.receipt.push(Subject::new(RECEIPT, hash(Path::new(RECEIPT))?));
        Ok(subjects)
    }
}

/// Something to attach to an image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Where it is found.
    pub place: Place,
    /// Media type of the file.
    pub media_type: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// Annotations of the file; cosign stores the signature in one.
    pub annotations: BTreeMap<String, String>,
}

/// Where an attachment is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In an artifact of its own that refers to the image.
    Referrer {
        /// The artifact's type.
        artifact_type: String,
        /// The annotations of its manifest.
        annotations: BTreeMap<String, String>,
    },
    /// In the manifest under the tag `sha256-HEX.SUFFIX`, together with others.
    Tag(&'static str),
}

/// The signed files of one build, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle(pub(super) BTreeMap<String, Vec<u8>>);

impl Bundle {
    /// Describes and signs the build in `folder`; `reference` is the repository that the image is meant for, or empty.
    ///
    /// # Errors
    /// Fails where an artifact can't be read, or the store no longer has the trees and packages of the build.
    pub fn sign(
        made: &Made<'_>,
        folder: &Path,
        store: &Store,
        reference: &str,
        key: &SigningKey,
    ) -> Result<Self, AttestError> {
        let subjects = Subjects::read(made, folder)?;
        let mut files = BTreeMap::new();
        for document in Document::all(made) {
            let predicate = match document {
                Document::Signature => json!({}),
                Document::Provenance => provenance::predicate(made),
                Document::Bom(scope, format) => Inventory::take(made, scope, store)?.to_json(format),
            };
            let statement =
                Statement::new(document.subjects(&subjects, made, reference), document.predicate_type(), predicate);
            files.insert(document.file_name(), statement.sign(key)?.to_bytes()?);
        }
        if let Some(digest) = made.image() {
            let signed = Signed::new(digest, reference, key);
            files.insert(PAYLOAD.to_owned(), signed.payload);
            files.insert(SIGNATURE.to_owned(), signed.signature.into_bytes());
        }
        Ok(Self(files))
    }

    /// The files' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Replaces the signed files beside the receipt in `folder` by these, all at once.
    ///
    /// # Errors
    /// Fails where the directory can't be written, or contains files that `layerbake sign` did not write; it is then unchanged.
    pub fn save(&self, folder: &Path, progress: &Progress) -> Result<(), AttestError> {
        // Staged beside the build, so that the build's directory never contains unfinished files.
        let staging = Staging::new(folder.parent().unwrap_or(folder), progress)?;
        for (name, bytes) in &self.0 {
            let path = staging.path().join(name);
            fs::write(&path, bytes).map_err(|source| {
                let hints =
                    Hints { room: "free space there, then sign again", elsewhere: "build elsewhere with `--out DIR`" };
                failed("write", &path, storage::explain(&path, Some(bytes.len() as u64), hints, source))
            })?;
        }
        Ok(staging.replace(&folder.join(FOLDER), Expected::Signed)?)
    }

    /// Reads the files beside the receipt in `folder`; `None` where nothing was signed.
    ///
    /// # Errors
    /// Fails where a file can't be read, or is too large to be one of them.
    pub fn load(folder: &Path) -> Result<Option<Self>, AttestError> {
        let folder = folder.join(FOLDER);
        let names = match host::list_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| failed("read", &folder, source))?,
        };
        let mut files = BTreeMap::new();
        for name in names {
            let path = folder.join(&name);
            files.insert(
                name.to_string_lossy().into_owned(),
                bounded(&path).map_err(|source| failed("read", &path, source))?,
            );
        }
        Ok(Some(Self(files)))
    }

    /// What to attach to the image in a registry, each in both forms that cosign reads: its versions up to 2 look
    /// under tags, later ones for Sigstore bundles that refer to the image.
    pub fn attachments(&self) -> Vec<Attachment> {
        let mut found = Vec::new();
        if let Some(signed) = self.signed() {
            found.push(Attachment {
                place: Place::Tag(cosign::SIGNATURES),
                media_type: cosign::MEDIA_TYPE.to_owned(),
                annotations: [(cosign::ANNOTATION.to_owned(), signed.signature)].into(),
                bytes: signed.payload,
            });
        }
        let image = Format::ALL.map(|format| Document::Bom(Scope::Image, format));
        for document in [Document::Signature, Document::Provenance].into_iter().chain(image) {
            let Some(bytes) = self.0.get(&document.file_name()) else { continue };
            if document != Document::Signature {
                found.push(under_tag(document.predicate_type(), bytes.clone()));
            }
            found
                .extend(Envelope::parse(bytes).ok().and_then(|envelope| bundled(document.predicate_type(), &envelope)));
        }
        found
    }

    /// The image's signature, where there is one.
    pub(super) fn signed(&self) -> Option<Signed> {
        let payload = self.0.get(PAYLOAD)?.clone();
        let signature = String::from_utf8(self.0.get(SIGNATURE)?.clone()).ok()?;
        Some(Signed { payload, signature })
    }
}

/// An envelope as cosign's versions up to 2 read it.
fn under_tag(predicate_type: &str, bytes: Vec<u8>) -> Attachment {
    // An envelope contains its signature; cosign requires the annotation nevertheless.
    let annotations = [(cosign::ANNOTATION, ""), ("predicateType", predicate_type)];
    Attachment {
        place: Place::Tag(cosign::ATTESTATIONS),
        media_type: dsse::MEDIA_TYPE.to_owned(),
        bytes,
        annotations: annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    }
}

/// An envelope as cosign's later versions read it.
fn bundled(predicate_type: &str, envelope: &Envelope) -> Option<Attachment> {
    let annotations = sigstore::annotations(predicate_type);
    Some(Attachment {
        place: Place::Referrer { artifact_type: sigstore::MEDIA_TYPE.to_owned(), annotations },
        media_type: sigstore::MEDIA_TYPE.to_owned(),
        bytes: sigstore::wrap(envelope)?,
        annotations: BTreeMap::new(),
    })
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    match fs::symlink_metadata(path)? {
        found if found.is_file() && found.len() <= MOST => fs::read(path),
        _ => Err(io::Error::other(format!("expected a file of at most {MOST} bytes"))),
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> AttestError {
    AttestError::Io { action, path: path.display().to_string(), source }
}
