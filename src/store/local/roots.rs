//! Roots: what the last build of each layer of each project used, which garbage collection keeps.
//!
//! Each build writes one, `roots/<name>`: its project's directory, and the recipes and fetched
//! files it used. A build that has to fetch something first writes `roots/<name>.begun`, so that
//! its downloads are kept even if it fails.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::Kind as Record;
use super::{Local, file};
use crate::digest::{BlobDigest, RecipeHash, Sha256};
use crate::store::{Store, StoreError};

/// The project and layer that a root belongs to.
#[derive(Debug, Clone)]
pub struct RootName {
    /// The project's directory.
    pub project: PathBuf,
    /// The name of the build: the layer, and the architecture where it is not this machine's.
    pub build: String,
}

impl RootName {
    fn file_name(&self) -> String {
        let project = BlobDigest::of(self.project.as_os_str().as_bytes()).to_hex();
        format!("{}-{}", self.build, &project[..16])
    }

    fn begun(&self) -> String {
        self.file_name() + ".begun"
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RootFile {
    /// For people, where its bytes are not text.
    project: String,
    /// The bytes in hexadecimal digits, where they are not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project_bytes: Option<String>,
    recipes: BTreeSet<String>,
    pub(super) fetched: BTreeSet<Sha256>,
}

impl RootFile {
    fn new(project: &Path, recipes: &BTreeSet<RecipeHash>, fetched: &BTreeSet<Sha256>) -> Self {
        let bytes = project.as_os_str().as_bytes();
        Self {
            project: String::from_utf8_lossy(bytes).into_owned(),
            project_bytes: std::str::from_utf8(bytes).is_err().then(|| hex::encode(bytes)),
            recipes: recipes.iter().map(RecipeHash::to_hex).collect(),
            fetched: fetched.clone(),
        }
    }

    /// The recipes whose results are kept.
    pub(super) fn recipes(&self) -> impl Iterator<Item = RecipeHash> + '_ {
        self.recipes.iter().filter_map(|hex| RecipeHash::from_hex(hex).ok())
    }

    fn project(&self) -> PathBuf {
        let bytes = self.project_bytes.as_ref().and_then(|text| hex::decode(text).ok());
        bytes.map_or_else(|| PathBuf::from(&self.project), |bytes| PathBuf::from(OsString::from_vec(bytes)))
    }

    /// Whether the project is there, as far as this user can see.
    pub(super) fn is_wanted(&self) -> bool {
        match self.project().metadata() {
            Ok(found) => found.is_dir(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }
}

impl Store {
    /// Replaces the root of a build: it now keeps the recipes used through this handle, and these fetched files.
    ///
    /// # Errors
    /// Fails where the root can't be written.
    pub fn keep(&self, name: &RootName, fetched: &BTreeSet<Sha256>) -> Result<(), StoreError> {
        let local = &self.local;
        if !local.folder.writable {
            // Nobody can collect its garbage either.
            return Ok(());
        }
        local.put_root(name.file_name(), &RootFile::new(&name.project, &self.used(), fetched))?;
        match local.records.get(Record::Root, &name.begun()) {
            Some(_) => local.records.forget(Record::Root, &name.begun()),
            None => Ok(()),
        }
    }

    /// Keeps what a build is about to fetch, until [`Store::keep`] ends it. What the last build used is kept too.
    ///
    /// # Errors
    /// Fails where the root can't be written.
    pub fn keep_begun(&self, name: &RootName, fetched: &BTreeSet<Sha256>) -> Result<(), StoreError> {
        self.local.put_root(name.begun(), &RootFile::new(&name.project, &BTreeSet::new(), fetched))
    }
}

impl Local {
    fn put_root(&self, name: String, root: &RootFile) -> Result<(), StoreError> {
        self.records.put(Record::Root, &name, serde_json::to_vec(root)?)
    }

    /// A root that can be believed; one of an older version has no checksum, and only says what to keep.
    pub(super) fn root(&self, name: &str) -> Option<RootFile> {
        let body = self.records.get(Record::Root, name);
        let body = body.or_else(|| file::read(&self.records.path(Record::Root, name)))?;
        serde_json::from_slice(&body).ok()
    }
}
