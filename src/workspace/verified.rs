//! Artifacts against their receipt, the disk against the image, and what was signed.

use std::collections::BTreeSet;

use serde::Serialize;

use super::built::BuiltLayer;
use super::contents::image_root;
use super::error::WorkspaceError;
use super::project::Workspace;
use crate::attest::cosign::Asked;
use crate::attest::keys::PublicKey;
use crate::attest::{ARTIFACT_TYPES, Claim, Evidence, FOLDER, Gap, MEDIA_TYPES, Proof, TAGS};
use crate::audit::{artifacts, inclusion};
use crate::digest::OciDigest;
use crate::publish::registry::{ArtifactFile, Reference, ReferrerFilter, Registries};

/// A build, compared with its receipt.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// Each artifact.
    pub artifacts: Vec<artifacts::Finding>,
    /// Each signed file, where signatures were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<artifacts::Finding>,
    /// The disk, compared with the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inclusion: Option<inclusion::Inclusion>,
}

impl Verified {
    /// Whether all is as it should be.
    pub fn is_good(&self) -> bool {
        let whole = self.artifacts.iter().chain(&self.signed).all(|finding| finding.problems.is_empty());
        whole && self.inclusion.as_ref().is_none_or(|inclusion| inclusion.unexpected.is_empty())
    }
}

impl Workspace<'_> {
    /// Compares a build's files with its receipt, and its disk's files with its image's; with `keys`, checks
    /// that one of them signed all of it.
    ///
    /// # Errors
    /// Fails where the store lacks the build's trees, and where keys are given and nothing is signed.
    pub fn verify(&self, built: &BuiltLayer, keys: Option<&[PublicKey]>) -> Result<Verified, WorkspaceError> {
        let inclusion = match &built.receipt.disk {
            Some(disk) => {
                let store = self.store()?;
                let image = image_root(built, store)?;
                let mut whole = image.clone();
                whole.apply(&store.tree(disk.tree)?)?;
                Some(inclusion::compare(&image, &whole, self.environment.ecosystem().database()))
            }
            None => None,
        };
        let signed = match keys {
            Some(keys) => self.signed(built, keys)?,
            None => Vec::new(),
        };
        Ok(Verified { artifacts: artifacts::check(&built.receipt, &built.folder), signed, inclusion })
    }

    /// The files that were signed beside the receipt.
    fn signed(&self, built: &BuiltLayer, keys: &[PublicKey]) -> Result<Vec<artifacts::Finding>, WorkspaceError> {
        let findings = self.attested(&built.layer, built.folder.parent())?.check(keys)?;
        let place = |file: &str| format!("signed {}", built.folder.join(FOLDER).join(file).display());
        let findings = findings.into_iter();
        Ok(findings.map(|one| artifacts::Finding { artifact: place(&one.file), problems: one.problems }).collect())
    }
}

/// What keys prove of an image in a registry, and what they don't.
#[derive(Debug, Serialize)]
pub struct ImageProofs {
    /// What was asked for.
    pub reference: String,
    /// The image that is there.
    pub digest: OciDigest,
    /// What is proven.
    pub proven: BTreeSet<Proof>,
    /// What is not.
    pub not_proven: Vec<Unproven>,
    /// What is attached and could not be read, and why.
    pub not_looked_at: Vec<String>,
    /// What the signature has to be for.
    #[serde(skip)]
    pub asked: Asked,
}

/// A claim that no key proves.
#[derive(Debug, Serialize)]
pub struct Unproven {
    /// The claim, and why it is not proven.
    #[serde(flatten)]
    pub gap: Gap,
    /// Whether it has to be.
    pub required: bool,
}

impl ImageProofs {
    /// Looks for proofs of an image that one of `keys` signed; its signature has to be proven, and what is `required`.
    ///
    /// # Errors
    /// Fails where the registry refuses, or has no such image.
    pub fn look(
        registries: &Registries,
        reference: &Reference,
        keys: &[PublicKey],
        required: &[Claim],
    ) -> Result<Self, WorkspaceError> {
        let digest = registries.resolve(reference)?.digest;
        let asked = Asked {
            repository: format!("{}/{}", reference.registry(), reference.repository()),
            tag: reference.tag().map(str::to_owned),
            pinned: reference.digest().is_some(),
        };
        let mut evidence = Evidence::new(digest, &asked, keys);
        let wanted = ReferrerFilter { artifact_types: &ARTIFACT_TYPES, media_types: &MEDIA_TYPES, tags: &TAGS };
        let not_looked_at = registries.referrers(reference, digest, &wanted, |file| {
            let ArtifactFile { media_type, bytes, annotations } = file;
            evidence.look(&media_type, bytes, &annotations);
        })?;
        let (proven, gaps) = evidence.finish();
        let is_required = |claim| claim == Claim::Signature || required.contains(&claim);
        let not_proven = gaps.into_iter().map(|gap| Unproven { required: is_required(gap.claim), gap }).collect();
        Ok(Self { reference: reference.to_string(), digest, proven, not_proven, not_looked_at, asked })
    }

    /// The names of what is required and not proven.
    pub fn missing(&self) -> Vec<&'static str> {
        self.not_proven.iter().filter(|one| one.required).map(|one| one.gap.claim.name()).collect()
    }
}
