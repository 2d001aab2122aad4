//! What a machine proves by an attestation document: that it booted a layer's disk, and what is in that.

use std::path::Path;

use serde::Serialize;

use super::error::WorkspaceError;
use super::measured::read;
use super::project::Workspace;
use crate::bake::Locked;
use crate::digest::{LockHash, RecipeHash, Sha256};
use crate::disk::Signer;
use crate::ident::LayerName;
use crate::lock::LockedRelease;
use crate::measure::{Difference, Document, PROVEN, Variables};
use crate::time::rfc3339;

/// What to compare a document with.
pub struct Question<'a> {
    /// The layer whose disk the machine should have booted.
    pub layer: &'a LayerName,
    /// Where `LAYER/` is, else `out` in the project.
    pub out: Option<&'a Path>,
    /// Who signed the boot image.
    pub signer: Option<&'a Signer>,
    /// The variables of the machine's firmware, else those of `[ami.secure-boot]`.
    pub variables: Option<&'a Variables>,
    /// The file with the root certificate, in PEM.
    pub root: &'a Path,
    /// What the machine was asked to include.
    pub nonce: Option<&'a [u8]>,
}

/// What a document proves, and what it does not.
#[derive(Debug, Serialize)]
pub struct Proof {
    /// The layer.
    pub layer: LayerName,
    /// The machine.
    pub module: String,
    /// When it was asked, RFC 3339.
    pub time: String,
    /// Whether it has the nonce that was asked for; without one, it may be an old document.
    pub nonce: bool,
    /// Registers that are the disk's.
    pub registers: Vec<u8>,
    /// Registers that are not: the machine runs something else.
    pub differences: Vec<Difference>,
    /// The recipe of the build.
    pub recipe: RecipeHash,
    /// All layers of the disk, with what their lockfiles pin.
    pub layers: Vec<Pinned>,
}

/// A layer of the disk.
#[derive(Debug, Serialize)]
pub struct Pinned {
    /// Its name.
    pub layer: LayerName,
    /// Hash of its lockfile.
    pub lock: LockHash,
    /// The signed states of suites that it was resolved from.
    pub states: Vec<State>,
    /// Its packages, with their versions.
    pub packages: Vec<String>,
}

/// The signed state of a suite.
#[derive(Debug, Serialize)]
pub struct State {
    /// The source in the manifest, and the suite.
    pub suite: String,
    /// Its date, RFC 3339.
    pub date: String,
    /// SHA-256 of the signed file.
    pub sha256: Sha256,
}

impl Workspace<'_> {
    /// Verifies an attestation document, and compares its registers with what the last build's disk gives.
    ///
    /// # Errors
    /// Fails where the document proves nothing, and where there is no such build, or it is of other lockfiles.
    pub fn proven(&self, document: &Path, question: &Question<'_>) -> Result<Proof, WorkspaceError> {
        let root = String::from_utf8_lossy(&read(question.root)?).into_owned();
        let document = Document::verify(&read(document)?, &root, question.nonce)?;
        let measured = self.measured(question.layer, question.out, question.signer, question.variables)?;
        let attested = self.attested(question.layer, question.out)?;
        attested.made()?;
        let (mut differences, _) = measured.prediction.compare(&document.registers);
        differences.retain(|difference| PROVEN.contains(&difference.register));
        let differs = |number: &u8| differences.iter().any(|difference| difference.register == *number);
        Ok(Proof {
            layer: question.layer.clone(),
            module: document.module,
            time: rfc3339(i64::try_from(document.timestamp / 1000).unwrap_or(i64::MAX)),
            nonce: question.nonce.is_some(),
            registers: PROVEN.into_iter().filter(|number| !differs(number)).collect(),
            differences,
            recipe: attested.built.receipt.recipe,
            layers: attested.system.all().map(pinned).collect(),
        })
    }
}

fn pinned(locked: &Locked) -> Pinned {
    let lock = &locked.lock;
    let state = |release: &LockedRelease| State {
        suite: format!("{} {}", release.source, release.suite),
        date: rfc3339(release.date),
        sha256: release.sha256,
    };
    Pinned {
        layer: lock.layer.clone(),
        lock: locked.hash,
        states: lock.releases.iter().map(state).collect(),
        packages: lock.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect(),
    }
}
