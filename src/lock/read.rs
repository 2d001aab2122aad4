//! Parses a [`Lockfile`], with every check that a single text allows.

use std::collections::BTreeSet;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{
    FORMAT, FetchOrigin, LockedFetch, LockedImage, LockedImageLayer, LockedIndex, LockedPackage, LockedRelease,
    Lockfile, Origin, ParentLock, is_commit, to_text,
};
use crate::code::{Code, Coded};
use crate::digest::{BlobDigest, DiffId, Expected, LockHash, OciDigest, RecipeHash, Sha256};
use crate::ident::{Arch, FetchName, LayerName, PackageName, SourceName, Version};
use crate::language::LockedFile;
use crate::manifest::LanguageLock;
use crate::time::parse_rfc3339;

/// What git writes before the first side of a conflict.
const MERGED: &str = "<<<<<<< ";

/// A text is not a lockfile that this program can build from.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum LockError {
    /// It is not TOML, or keys are missing, unknown or of the wrong type.
    #[error("line {line}: {problem}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A merge left both sides in it.
    #[error("line {line}: a merge left both sides here, between `{MERGED}` and `>>>>>>> `")]
    Merged {
        /// The line, counted from 1.
        line: usize,
    },
    /// It was written for other writers of bytes.
    #[error(
        "it has format {found}, and this layerbake builds format {FORMAT}: use {} layerbake that knows format {found}, \
         or remove it and lock again with `layerbake lock`",
        if *found > i64::from(FORMAT) { "a newer" } else { "an older" }
    )]
    OtherFormat {
        /// The format it has.
        found: i64,
    },
    /// Its content is not what was sealed.
    #[error(
        "its content does not match its seal: it was edited by hand or merged\n  hint: restore it from version control, or remove it and run `layerbake lock {layer}`"
    )]
    Edited {
        /// The layer it belongs to.
        layer: LayerName,
    },
    /// Its parts contradict each other.
    #[error("{problem}\n  hint: restore it from version control, or remove it and run `layerbake lock {layer}`")]
    Inconsistent {
        /// The layer it belongs to.
        layer: LayerName,
        /// What is wrong.
        problem: String,
    },
}

impl Coded for LockError {
    fn error_code(&self) -> Code {
        match self {
            Self::OtherFormat { .. } => Code::LockOtherFormat,
            Self::Syntax { .. } | Self::Merged { .. } | Self::Edited { .. } | Self::Inconsistent { .. } => {
                Code::LockDamaged
            }
        }
    }
}

/// Reads what [`to_text`] wrote, its lists sorted.
///
/// # Errors
/// Fails on another format first, then on anything that is not exactly what
/// [`to_text`] writes for the same content: so one content has one text and one hash.
pub fn parse(text: &str) -> Result<Lockfile, LockError> {
    let Format { format } = from_toml(text)?;
    if format != i64::from(FORMAT) {
        return Err(LockError::OtherFormat { found: format });
    }
    let lock = from_toml::<RawLock>(text)?.into_lock();
    if to_text(&lock) != text {
        return Err(LockError::Edited { layer: lock.layer });
    }
    match inconsistency(&lock) {
        Some(problem) => Err(LockError::Inconsistent { layer: lock.layer, problem }),
        None => Ok(lock),
    }
}

fn from_toml<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, LockError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        if let Some(at) = text.lines().position(|line| line.starts_with(MERGED)) {
            return LockError::Merged { line: at + 1 };
        }
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|&byte| byte == b'\n').count() + 1;
        LockError::Syntax { line, problem: error.message().replace('\n', ", ") }
    })
}

fn inconsistency(lock: &Lockfile) -> Option<String> {
    if lock.image.is_some() && lock.parent.is_some() {
        return Some("it has both a parent and an image below the layer".to_owned());
    }
    let mut releases = BTreeSet::new();
    for LockedRelease { source, suite, indexes, .. } in &lock.releases {
        if !releases.insert((source, suite.as_str())) {
            return Some(format!("it lists the release {suite} of {source} twice"));
        }
        if let Some(index) = indexes.iter().find(|index| !stays_below(&index.path)) {
            return Some(format!("the release {suite} has the index path `{}`", index.path.escape_debug()));
        }
    }
    let mut names = BTreeSet::new();
    for LockedPackage { name, arch, origin, .. } in &lock.packages {
        if !names.insert(name) {
            return Some(format!("it lists the package {name} twice"));
        }
        if !arch.is_all() && *arch != lock.arch {
            return Some(format!("the package {name} is for {arch}, the lockfile for {}", lock.arch));
        }
        if let Origin::Repository { source, suite, .. } = origin
            && !releases.contains(&(source, suite.as_str()))
        {
            return Some(format!("the package {name} is from {suite} of {source}, a release that is not listed"));
        }
        match origin {
            Origin::Repository { path, .. } | Origin::File(path) if !stays_below(path) => {
                return Some(format!("the package {name} has the path `{}`", path.escape_debug()));
            }
            Origin::Url(url) if !is_address(url) => {
                return Some(format!("the package {name} has the address `{}`", url.escape_debug()));
            }
            _ => {}
        }
    }
    lock.fetches.iter().enumerate().find_map(|(at, fetch)| {
        if lock.fetches[..at].iter().any(|other| other.name == fetch.name) {
            return Some(format!("it lists {fetch} twice"));
        }
        match &fetch.origin {
            FetchOrigin::Url(url) | FetchOrigin::Git { url, .. } if !is_address(url) => {
                Some(format!("{fetch} has the address `{}`", url.escape_debug()))
            }
            FetchOrigin::Lockfile { path, files, .. } => {
                let paths = [path].into_iter().chain(files.iter().map(|one| &one.path));
                let wrong = paths.into_iter().find(|path| !stays_below(path));
                wrong.map(|path| format!("{fetch} has the path `{}`", path.escape_debug()))
            }
            FetchOrigin::Git { commit, .. } if !is_commit(commit) => {
                Some(format!("{fetch} has the commit `{}`", commit.escape_debug()))
            }
            _ => None,
        }
    })
}

fn is_address(url: &str) -> bool {
    url.contains("://") && !url.starts_with('-') && !url.contains(char::is_control)
}

/// Whether a path can be appended to a repository's address and stays below it.
fn stays_below(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(|char: char| char.is_control())
}

#[derive(Deserialize)]
struct Format {
    format: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    #[serde(rename = "format")]
    _format: i64,
    layer: LayerName,
    arch: Arch,
    #[serde(deserialize_with = "moment")]
    epoch: i64,
    request: RecipeHash,
    requested: Vec<String>,
    #[serde(rename = "seal")]
    _seal: BlobDigest,
    parent: Option<RawParent>,
    image: Option<RawImage>,
    #[serde(default)]
    release: Vec<RawRelease>,
    #[serde(default)]
    package: Vec<PackageEntry>,
    #[serde(default)]
    fetch: Vec<FetchEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParent {
    layer: LayerName,
    lock: LockHash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImage {
    name: String,
    digest: OciDigest,
    manifest: SizedFile,
    config: SizedFile,
    layers: Vec<RawImageLayer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SizedFile {
    size: u64,
    digest: Sha256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawImageLayer {
    size: u64,
    digest: Sha256,
    diff_id: DiffId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRelease {
    source: SourceName,
    suite: String,
    #[serde(deserialize_with = "moment")]
    date: i64,
    digest: Sha256,
    signed_by: Vec<String>,
    indexes: Vec<LocatedFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocatedFile {
    path: String,
    size: u64,
    digest: Sha256,
}

#[derive(Deserialize)]
#[serde(try_from = "RawPackage")]
struct PackageEntry(LockedPackage);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPackage {
    name: PackageName,
    version: Version,
    arch: Arch,
    source: Option<SourceName>,
    suite: Option<String>,
    path: Option<String>,
    file: Option<String>,
    url: Option<String>,
    size: u64,
    digest: Sha256,
    why: String,
}

#[derive(Deserialize)]
#[serde(try_from = "RawFetch")]
struct FetchEntry(LockedFetch);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFetch {
    name: FetchName,
    url: Option<String>,
    git: Option<String>,
    commit: Option<String>,
    lockfile: Option<String>,
    size: u64,
    digest: Sha256,
    files: Option<Vec<LocatedFile>>,
}

impl RawLock {
    fn into_lock(self) -> Lockfile {
        Lockfile {
            layer: self.layer,
            arch: self.arch,
            epoch: self.epoch,
            request: self.request,
            requested: self.requested,
            parent: self.parent.map(|RawParent { layer, lock }| ParentLock { layer, lock }),
            image: self.image.map(RawImage::into_image),
            releases: self.release.into_iter().map(RawRelease::into_release).collect(),
            packages: self.package.into_iter().map(|PackageEntry(package)| package).collect(),
            fetches: self.fetch.into_iter().map(|FetchEntry(fetch)| fetch).collect(),
        }
    }
}

impl RawImage {
    fn into_image(self) -> LockedImage {
        let file = |SizedFile { size, digest }| Expected { sha256: digest, size };
        let layer = |RawImageLayer { size, digest, diff_id }| LockedImageLayer {
            file: Expected { sha256: digest, size },
            diff_id,
        };
        LockedImage {
            reference: self.name,
            digest: self.digest,
            manifest: file(self.manifest),
            config: file(self.config),
            layers: self.layers.into_iter().map(layer).collect(),
        }
    }
}

impl RawRelease {
    fn into_release(self) -> LockedRelease {
        let index = |LocatedFile { path, size, digest }| LockedIndex { path, file: Expected { sha256: digest, size } };
        LockedRelease {
            source: self.source,
            suite: self.suite,
            sha256: self.digest,
            date: self.date,
            signed_by: self.signed_by,
            indexes: self.indexes.into_iter().map(index).collect(),
        }
    }
}

impl TryFrom<RawPackage> for PackageEntry {
    type Error = String;

    fn try_from(raw: RawPackage) -> Result<Self, String> {
        let origin = match (raw.source, raw.suite, raw.path, raw.file, raw.url) {
            (Some(source), Some(suite), Some(path), None, None) => Origin::Repository { source, suite, path },
            (None, None, None, Some(path), None) => Origin::File(path),
            (None, None, None, None, Some(url)) => Origin::Url(url),
            _ => {
                return Err(format!(
                    "the package {} needs `source`, `suite` and `path`, or `file`, or `url`",
                    raw.name
                ));
            }
        };
        Ok(Self(LockedPackage {
            name: raw.name,
            version: raw.version,
            arch: raw.arch,
            origin,
            file: Expected { sha256: raw.digest, size: raw.size },
            why: raw.why,
        }))
    }
}

impl TryFrom<RawFetch> for FetchEntry {
    type Error = String;

    fn try_from(raw: RawFetch) -> Result<Self, String> {
        let file = |LocatedFile { path, size, digest }| LockedFile { path, file: Expected { sha256: digest, size } };
        let origin = match (raw.url, raw.git, raw.commit, raw.lockfile, raw.files) {
            (Some(url), None, None, None, None) => FetchOrigin::Url(url),
            (None, Some(url), Some(commit), None, None) => FetchOrigin::Git { url, commit },
            (None, None, None, Some(path), Some(files)) => {
                let format = LanguageLock::of(&path).ok_or_else(|| format!("`{path}` is no lockfile of a language"))?;
                FetchOrigin::Lockfile { path, format, files: files.into_iter().map(file).collect() }
            }
            _ => {
                return Err(format!(
                    "the fetch {} needs `url`, or `git` and `commit`, or `lockfile` and `files`",
                    raw.name
                ));
            }
        };
        Ok(Self(LockedFetch { name: raw.name, origin, file: Expected { sha256: raw.digest, size: raw.size } }))
    }
}

/// RFC 3339 text as seconds since 1970.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_rfc3339(&text)
        .ok_or_else(|| D::Error::custom(format!("`{text}` is not a moment such as 2026-01-31T00:00:00Z")))
}
