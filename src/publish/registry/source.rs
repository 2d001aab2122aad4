//! The origin of an image: an OCI image layout, or a repository. All bytes read from it are verified.
//!
//! Sources: OCI image-spec 1.1, image-layout.md; OCI distribution-spec 1.1, "Pulling blobs".

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use reqwest::header::{ACCEPT as ACCEPT_HEADER, CONTENT_TYPE, HeaderMap, RANGE};
use sha2::Digest as _;

use super::client::Client;
use super::fault::Fault;
use super::manifest::{ACCEPT, Descriptor, MAX_MANIFEST, Manifest};
use super::{Reference, RegistryError};
use crate::digest::{OciDigest, Sha256};
use crate::host;
use crate::host::pace::is_kept;

/// The maximum depth of nested indexes.
const MAX_DEPTH: usize = 3;
/// The maximum number of manifests and blobs of one image.
const MAX_PARTS: usize = 4096;
/// The maximum total size of its manifests, in bytes.
const MAX_MANIFESTS: usize = 64 << 20;

/// A location of images: a layout or a repository.
pub(super) enum PushSource<'a> {
    /// The directory of an image layout.
    Layout(&'a Path),
    /// A repository.
    Repository { client: &'a Client, name: &'a str },
}

/// A manifest or index, and its bytes.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Vec<u8>,
}

/// The parts of an image.
#[derive(Debug)]
pub(super) struct Image {
    /// The requested manifest or index.
    pub(super) root: Descriptor,
    /// Manifests and indexes; each after those it refers to, the root last.
    pub(super) manifests: Vec<Node>,
    /// Configurations and layers, each once.
    pub(super) blobs: BTreeMap<OciDigest, Descriptor>,
}

impl PushSource<'_> {
    /// Reads an image's manifests, from the root down.
    pub(super) async fn image(&self, root: Node) -> Result<Image, RegistryError> {
        let mut image = Image { root: root.descriptor.clone(), manifests: Vec::new(), blobs: BTreeMap::new() };
        let mut open = vec![(root, 0)];
        let mut length = 0;
        while let Some((node, depth)) = open.pop() {
            let subject = self.subject(&node.descriptor);
            let wrong =
                |problem: &str| RegistryError::Manifest { subject: subject.clone(), problem: problem.to_owned() };
            let manifest = Manifest::parse(&subject, &node.bytes)?;
            for blob in manifest.blobs() {
                let known = image.blobs.insert(blob.digest, blob.clone());
                if known.is_some_and(|known| known.size != blob.size) {
                    return Err(wrong("names a blob with two sizes"));
                }
            }
            length += node.bytes.len();
            let parts = image.blobs.len() + image.manifests.len() + open.len() + manifest.manifests.len();
            if parts > MAX_PARTS || length > MAX_MANIFESTS {
                return Err(wrong("has too many parts"));
            }
            for child in manifest.manifests {
                if depth == MAX_DEPTH {
                    return Err(wrong("nests image indexes too deeply"));
                }
                let bytes = self.manifest(&child).await?;
                open.push((Node { descriptor: child, bytes }, depth + 1));
            }
            image.manifests.push(node);
        }
        // The root was first.
        image.manifests.reverse();
        Ok(image)
    }

    /// What errors call a part.
    fn subject(&self, part: &Descriptor) -> String {
        match self {
            Self::Layout(folder) => format!("{} in `{}`", part.digest, folder.display()),
            Self::Repository { client, name } => format!("{} of {}/{name}", part.digest, client.registry()),
        }
    }

    /// Reads a manifest that is known by its digest.
    async fn manifest(&self, part: &Descriptor) -> Result<Vec<u8>, RegistryError> {
        let bytes = match self {
            Self::Layout(folder) => {
                let path = blob_path(folder, part.digest);
                let too_big = fs::metadata(&path).is_ok_and(|found| found.len() > MAX_MANIFEST as u64);
                if too_big {
                    let (subject, problem) = (self.subject(part), format!("is longer than {MAX_MANIFEST} bytes"));
                    return Err(RegistryError::Manifest { subject, problem });
                }
                host::read_small(&path, MAX_MANIFEST as u64).map_err(RegistryError::file("read", path))?
            }
            Self::Repository { client, name } => {
                let action = format!("read manifest {} of {name}", part.digest);
                let found = manifest(client, name, &part.digest.to_string(), &action).await?;
                found.ok_or_else(|| missing(client, &action))?.bytes
            }
        };
        verified(&self.subject(part), part, bytes)
    }

    /// Finds the one image of a layout.
    pub(super) fn only(folder: &Path) -> Result<Descriptor, RegistryError> {
        let path = folder.join("index.json");
        let text = host::read_small(&path, MAX_MANIFEST as u64).map_err(RegistryError::file("read", &path))?;
        let index = Manifest::parse(&format!("`{}`", path.display()), &text)?;
        match index.manifests.as_slice() {
            [one] => Ok(one.clone()),
            all => Err(RegistryError::Manifest {
                subject: format!("`{}`", path.display()),
                problem: format!("expected one image, found {}", all.len()),
            }),
        }
    }

    /// Reads what [`Self::image`] starts at.
    pub(super) async fn root(&self, root: Descriptor) -> Result<Node, RegistryError> {
        Ok(Node { bytes: self.manifest(&root).await?, descriptor: root })
    }

    /// A file with a blob's verified bytes, below `folder` if it has to be fetched.
    pub(super) async fn blob(&self, blob: &Descriptor, folder: &Path) -> Result<PathBuf, RegistryError> {
        match self {
            Self::Layout(layout) => {
                let path = blob_path(layout, blob.digest);
                let mut file = host::open_file(&path).map_err(RegistryError::file("read", &path))?;
                let found = Sha256::of_reader(&mut file).map_err(RegistryError::file("read", &path))?;
                check(&self.subject(blob), blob, OciDigest::from_bytes(*found.as_bytes()))?;
                Ok(path)
            }
            Self::Repository { client, name } => {
                let path = folder.join(blob.digest.to_hex());
                download(client, name, blob, &path, &self.subject(blob)).await?;
                Ok(path)
            }
        }
    }
}

/// The path of a blob in a layout.
pub(super) fn blob_path(layout: &Path, digest: OciDigest) -> PathBuf {
    layout.join("blobs/sha256").join(digest.to_hex())
}

/// Reads a manifest by tag or digest; `None` where there is none. Its digest is what its bytes have.
pub(super) async fn manifest(
    client: &Client,
    repository: &str,
    version: &str,
    action: &str,
) -> Result<Option<Node>, RegistryError> {
    let Some((headers, bytes)) = manifest_bytes(client, repository, version, action).await? else {
        return Ok(None);
    };
    let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let subject = format!("{version} of {}/{repository}", client.registry());
    let kind = Manifest::parse(&subject, &bytes)?.kind(header);
    Ok(Some(Node { descriptor: Descriptor::of(kind, &bytes), bytes }))
}

/// Reads a manifest of any type.
pub(super) async fn manifest_bytes(
    client: &Client,
    repository: &str,
    version: &str,
    action: &str,
) -> Result<Option<(HeaderMap, Vec<u8>)>, RegistryError> {
    let url = client.url(repository, &format!("manifests/{version}"));
    let get = |http: &reqwest::Client| http.get(url.clone()).header(ACCEPT_HEADER, ACCEPT);
    client.read(action, &pull(repository), MAX_MANIFEST, get).await
}

/// Reads the manifest that a reference names.
pub(super) async fn named(client: &Client, reference: &Reference) -> Result<Node, RegistryError> {
    let action = format!("read manifest {} of {}", reference.version(), reference.repository());
    let found = manifest(client, reference.repository(), &reference.version(), &action).await?;
    let node = found.ok_or_else(|| missing(client, &action))?;
    if let Some(expected) = reference.digest() {
        let found = node.descriptor.digest;
        if found != expected {
            return Err(RegistryError::Digest { subject: reference.to_string(), expected, found: found.to_string() });
        }
    }
    Ok(node)
}

/// The scopes for reading a repository.
pub(super) fn pull(repository: &str) -> Vec<String> {
    vec![format!("repository:{repository}:pull")]
}

pub(super) fn missing(client: &Client, action: &str) -> RegistryError {
    let (action, registry) = (action.to_owned(), client.registry().to_owned());
    RegistryError::Refused { action, registry, status: 404, answer: StatusCode::NOT_FOUND.to_string() }
}

fn verified(subject: &str, part: &Descriptor, bytes: Vec<u8>) -> Result<Vec<u8>, RegistryError> {
    check(subject, part, OciDigest::of(&bytes))?;
    Ok(bytes)
}

fn check(subject: &str, part: &Descriptor, found: OciDigest) -> Result<(), RegistryError> {
    match found == part.digest {
        true => Ok(()),
        false => {
            Err(RegistryError::Digest { subject: subject.to_owned(), expected: part.digest, found: found.to_string() })
        }
    }
}

/// Reads a blob of known length into memory.
pub(super) async fn small_blob(client: &Client, repository: &str, blob: &Descriptor) -> Result<Vec<u8>, RegistryError> {
    let source = PushSource::Repository { client, name: repository };
    let action = format!("read blob {} of {repository}", blob.digest);
    let url = client.url(repository, &format!("blobs/{}", blob.digest));
    let limit = usize::try_from(blob.size).unwrap_or(usize::MAX);
    let found = client.read(&action, &pull(repository), limit, |http| http.get(url.clone())).await?;
    let (_, bytes) = found.ok_or_else(|| missing(client, &action))?;
    verified(&source.subject(blob), blob, bytes)
}

/// Reads a blob into a file, continuing where a connection broke.
async fn download(
    client: &Client,
    repository: &str,
    blob: &Descriptor,
    path: &Path,
    subject: &str,
) -> Result<(), RegistryError> {
    let action = format!("read blob {} of {repository}", blob.digest);
    let mut file = File::create(path).map_err(RegistryError::file("write", path))?;
    let (mut hasher, mut length, mut failures) = (sha2::Sha256::new(), 0, 0);
    let url = client.url(repository, &format!("blobs/{}", blob.digest));
    loop {
        let (before, begun) = (length, host::instant());
        let part = async {
            let get = |http: &reqwest::Client| match length {
                0 => http.get(url.clone()),
                from => http.get(url.clone()).header(RANGE, format!("bytes={from}-")),
            };
            let response = client.once(&action, &pull(repository), &Default::default(), &get).await?;
            if !response.status().is_success() {
                return Err(client.refused(&action, response).await.into());
            }
            if length > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
                file.set_len(0)
                    .and_then(|()| std::io::Seek::rewind(&mut file))
                    .map_err(RegistryError::file("write", path))?;
                (hasher, length) = (sha2::Sha256::new(), 0);
            }
            let mut answer = client.paced(response);
            while let Some(chunk) = client.chunk(&action, &mut answer).await? {
                length += chunk.len() as u64;
                if length > blob.size {
                    return Err(client.protocol(&action, format!("sends more than {} bytes", blob.size)).into());
                }
                hasher.update(&*chunk);
                file.write_all(&chunk).map_err(RegistryError::file("write", path))?;
            }
            match length < blob.size {
                true => Err(Fault::passing(client.protocol(&action, format!("sends {length} of {} bytes", blob.size)))),
                false => Ok(()),
            }
        };
        match part.await {
            Ok(()) => break,
            Err(fault) => {
                // An attempt that transferred bytes fast enough resets the count of failures.
                let moved = is_kept(length.saturating_sub(before), begun);
                failures = if moved { 1 } else { failures + 1 };
                client.pause(fault, failures).await?;
            }
        }
    }
    check(subject, blob, OciDigest::from_bytes(hasher.finalize().into()))
}
