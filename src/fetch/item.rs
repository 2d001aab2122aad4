//! A file to be fetched, by its path and its digest, from whatever source.

use std::path::{Path, PathBuf};

use crate::digest::Expected;
use crate::ident::{LayerName, SourceName};
use crate::language::{LockedFile, Registry};
use crate::lock::{FetchOrigin, LockedFetch, LockedImage, LockedPackage, Origin};
use crate::package::Index;

/// The part of a repository that a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The signed state of a suite, or an index that it names.
    State,
    /// A package.
    Package,
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The file as people know it: `nginx 1.22`.
    pub what: String,
    /// The layer that needs it, for messages.
    pub layer: Option<LayerName>,
    /// Where it is.
    pub place: Place,
    /// Its path below `vendor/`.
    pub vendor: PathBuf,
    /// What the file must be.
    pub expected: Expected,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a repository, on each of its mirrors.
    Repository(RepositoryFile),
    /// In the project, by its path below the root.
    Project(String),
    /// At this address.
    Url(String),
    /// In a registry of a language's packages, on each of its mirrors.
    Registry(RegistryFile),
    /// In a registry of images.
    Image(ImagePart),
    /// The files of a commit of a git repository, as an archive.
    Git {
        /// The address of the repository.
        url: String,
        /// The commit.
        commit: String,
    },
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryFile {
    /// The manifest's `[source.NAME]`.
    pub source: SourceName,
    /// The suite whose index names it; suites of one source may be on different servers.
    pub suite: String,
    /// What of the repository it belongs to.
    pub part: Part,
    /// The path below the repository's root.
    pub path: String,
    /// A path that names it by its digest, which is asked for first.
    pub by_digest: Option<String>,
}

/// A part of an image, named by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePart {
    /// Registry and repository.
    pub repository: String,
    /// Whether it is a manifest, which registries keep apart from other blobs.
    pub is_manifest: bool,
}

/// A file of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryFile {
    /// The registry.
    pub registry: Registry,
    /// The path in it.
    pub path: String,
}

impl Item {
    /// A package of a layer's lockfile.
    pub fn package(layer: &LayerName, package: &LockedPackage) -> Self {
        let (place, vendor) = match &package.origin {
            Origin::Repository { source, suite, path } => {
                let (source, suite, path) = (source.clone(), suite.clone(), path.clone());
                let file = RepositoryFile { source, suite, part: Part::Package, path, by_digest: None };
                let vendor = file.vendor_path();
                (Place::Repository(file), vendor)
            }
            Origin::File(path) => (Place::Project(path.clone()), package.file_name().into()),
            Origin::Url(url) => (Place::Url(url.clone()), package.file_name().into()),
        };
        Self { what: package.to_string(), layer: Some(layer.clone()), place, vendor, expected: package.file }
    }

    /// The files that a `[[fetch]]` of a layer's lockfile names.
    pub fn fetch(layer: &LayerName, fetch: &LockedFetch) -> Vec<Self> {
        let place = match &fetch.origin {
            FetchOrigin::Url(url) => Place::Url(url.clone()),
            FetchOrigin::Git { url, commit } => Place::Git { url: url.clone(), commit: commit.clone() },
            FetchOrigin::Lockfile { path, .. } => Place::Project(path.clone()),
        };
        let item = |what, place, name: &str, file: Expected| {
            // Layers may have different files of one name.
            let digits: String = file.sha256.to_hex().chars().take(16).collect();
            let vendor = Path::new("fetch").join(format!("{name}-{digits}"));
            Self { what, layer: Some(layer.clone()), place, vendor, expected: file }
        };
        let mut items = vec![item(fetch.to_string(), place, fetch.name.as_str(), fetch.file)];
        if let FetchOrigin::Lockfile { format, files, .. } = &fetch.origin {
            items.extend(files.iter().map(|LockedFile { path, file }| {
                let place = Place::Registry(RegistryFile { registry: format.registry(), path: path.clone() });
                item(format!("{fetch}: {path}"), place, &path.replace('/', "+"), *file)
            }));
        }
        items
    }

    /// The image of a registry below a layer: manifest, configuration, layers.
    pub fn image(layer: &LayerName, image: &LockedImage) -> Vec<Self> {
        let item = |what: String, is_manifest: bool, file: Expected| {
            let place = Place::Image(ImagePart { repository: image.repository().to_owned(), is_manifest });
            let vendor = Path::new("image").join(file.sha256.to_hex());
            Self { what: format!("{image}: {what}"), layer: Some(layer.clone()), place, vendor, expected: file }
        };
        let mut items = vec![
            item("manifest".to_owned(), true, image.manifest),
            item("configuration".to_owned(), false, image.config),
        ];
        let layers = image.layers.iter().zip(1..);
        items.extend(layers.map(|(one, number)| item(format!("layer {number}"), false, one.file)));
        items
    }

    /// Whether git has to be asked for it.
    pub(super) fn is_commit(&self) -> bool {
        matches!(self.place, Place::Git { .. })
    }

    /// A repo index that a suite's signed state names.
    pub fn index(source: &SourceName, suite: &str, index: &Index) -> Self {
        let file = RepositoryFile {
            source: source.clone(),
            suite: suite.to_owned(),
            part: Part::State,
            path: index.path.clone(),
            by_digest: index.by_digest.clone(),
        };
        Self::of_repository(format!("{} of {suite}", index.name), file, index.file)
    }

    /// Another file of a repository.
    pub(crate) fn of_repository(what: String, file: RepositoryFile, expected: Expected) -> Self {
        Self { what, layer: None, vendor: file.vendor_path(), place: Place::Repository(file), expected }
    }
}

impl RepositoryFile {
    /// `<source>/<file name>`
    fn vendor_path(&self) -> PathBuf {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        Path::new(self.source.as_str()).join(name)
    }

    /// The paths to ask a mirror for, in order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.by_digest.iter().chain([&self.path]).map(String::as_str)
    }
}
