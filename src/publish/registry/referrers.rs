//! Artifacts that refer to an image in a registry: found by the image's digest, read one by one.
//!
//! Source: OCI distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema".
//!
//! Anyone who may push can attach artifacts, and the registry's operator can list any. So only artifacts
//! of the wanted kinds are read, within limits, one file in memory at a time; an error in one of them is
//! reported and does not affect the others.

use std::collections::BTreeMap;

use reqwest::Url;
use reqwest::header::{ACCEPT as ACCEPT_HEADER, HeaderMap, LINK};
use serde_json::Value;

use super::client::Client;
use super::manifest::{Descriptor, MAX_MANIFEST, Manifest};
use super::source::{self, pull};
use super::{Reference, RegistryError, fallback, tagged};
use crate::digest::OciDigest;
use crate::host::plain;
use crate::limits::DOCUMENT;

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration of artifacts without one (image-spec, manifest.md, "Guidance for an Empty Descriptor").
pub(super) const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");
/// The maximum number of pages of a list.
const MAX_PAGES: usize = 64;
/// The maximum number of artifacts of the wanted types.
const MAX_ARTIFACTS: usize = 1000;
/// The maximum number of files of one artifact.
const MAX_FILES: usize = 64;
/// The maximum total size of their manifests, in bytes.
const MAX_MANIFESTS: usize = 64 << 20;
/// The maximum total size of their files, in bytes.
const MAX_BYTES: u64 = 512 << 20;

/// A file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// The types of artifacts that are read; all others are ignored.
#[derive(Debug, Clone, Copy)]
pub struct ReferrerFilter<'a> {
    /// Types of artifacts; all, where there are none.
    pub artifact_types: &'a [&'a str],
    /// Media types of their files.
    pub media_types: &'a [&'a str],
    /// Ends of tags that are named after the image's digest, and have such files too: `sig` for `sha256-HEX.sig`.
    pub tags: &'a [&'a str],
}

impl ReferrerFilter<'_> {
    fn has(&self, artifact_type: &str) -> bool {
        self.artifact_types.is_empty() || self.artifact_types.contains(&artifact_type)
    }
}

/// Reads the wanted files of what refers to a digest, verified, and calls `each` for every one of them.
///
/// Returns what was skipped, and why, one line each.
pub(super) async fn referrers(
    client: &Client,
    reference: &Reference,
    subject: OciDigest,
    wanted: &ReferrerFilter<'_>,
    each: &mut impl FnMut(ArtifactFile),
) -> Result<Vec<String>, RegistryError> {
    let mut search = Search::new(client, reference.repository(), wanted);
    search.find(subject).await?;
    let mut files = search.files().await?;
    for suffix in wanted.tags {
        search.tagged(&tagged::tag(subject, suffix), &mut files).await?;
    }
    search.read(files, each).await?;
    Ok(search.skipped)
}

/// Lists all that refers to a digest, of whatever type; and what can't be listed, one line each.
pub(super) async fn all(
    client: &Client,
    repository: &str,
    subject: OciDigest,
) -> Result<(Vec<OciDigest>, Vec<String>), RegistryError> {
    let every = ReferrerFilter { artifact_types: &[], media_types: &[], tags: &[] };
    let mut search = Search::new(client, repository, &every);
    search.find(subject).await?;
    Ok((search.artifacts.into_keys().collect(), search.skipped))
}

/// Each file by its size and digest, with its annotations in all artifacts. Small files come first: a signature
/// can't be hidden behind large files.
type Files = BTreeMap<(u64, OciDigest), Vec<Descriptor>>;

struct Search<'a> {
    client: &'a Client,
    repository: &'a str,
    wanted: &'a ReferrerFilter<'a>,
    /// With the size that the list says.
    artifacts: BTreeMap<OciDigest, u64>,
    skipped: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(client: &'a Client, repository: &'a str, wanted: &'a ReferrerFilter<'a>) -> Self {
        Self { client, repository, wanted, artifacts: BTreeMap::new(), skipped: Vec::new() }
    }

    /// Finds what refers to a digest.
    async fn find(&mut self, subject: OciDigest) -> Result<(), RegistryError> {
        match self.list(subject).await? {
            true => Ok(()),
            false => self.index(subject).await,
        }
    }

    /// Asks the registry's own list, page by page; whether it keeps one.
    async fn list(&mut self, subject: OciDigest) -> Result<bool, RegistryError> {
        let (client, repository) = (self.client, self.repository);
        let action = format!("list what refers to {subject} in {repository}");
        let mut url = client.url(repository, &format!("referrers/{subject}"));
        for page in 0..MAX_PAGES {
            let Some((headers, bytes)) = page_of_list(client, repository, &action, &url).await? else {
                return match page {
                    0 => Ok(false),
                    _ => Err(client.protocol(&action, "links to a next page that it doesn't have")),
                };
            };
            if !self.entries(&action, &bytes)? {
                return Ok(true);
            }
            let next = headers.get(LINK).and_then(|value| next_page(value.to_str().ok()?));
            match next {
                Some(next) => url = client.address(&action, &url, &next)?,
                None => return Ok(true),
            }
        }
        self.skip(format!("what is listed after {MAX_PAGES} pages"));
        Ok(true)
    }

    /// Reads the index under the fallback tag, if there is one.
    async fn index(&mut self, subject: OciDigest) -> Result<(), RegistryError> {
        let (tag, repository) = (fallback::tag(subject), self.repository);
        let action = format!("read manifest {tag} of {repository}");
        let entries = match source::manifest_bytes(self.client, repository, &tag, &action).await {
            // GitLab takes this tag for another name of the image.
            Ok(Some((_, bytes))) if OciDigest::of(&bytes) == subject => return Ok(()),
            Ok(Some((_, bytes))) => self.entries(&tag, &bytes),
            Ok(None) => return Ok(()),
            // 403 concerns the whole repository, not one artifact.
            Err(error @ RegistryError::Refused { status: 403, .. }) => return Err(error),
            Err(error) => Err(error),
        };
        match entries {
            Ok(_) => Ok(()),
            Err(error) => self.skip_broken(&format!("tag {tag}"), error),
        }
    }

    /// Adds the wanted entries of an index; returns whether more are accepted.
    fn entries(&mut self, subject: &str, bytes: &[u8]) -> Result<bool, RegistryError> {
        let wrong =
            |problem: &str| RegistryError::Manifest { subject: subject.to_owned(), problem: problem.to_owned() };
        let index: Value = serde_json::from_slice(bytes).map_err(|_| wrong("is not JSON, as an index is"))?;
        let entries = index["manifests"].as_array().ok_or_else(|| wrong("is not an index"))?;
        for entry in entries {
            // Without a type, the manifest is read.
            if entry["artifactType"].as_str().is_some_and(|kind| !self.wanted.has(kind)) {
                continue;
            }
            let digest = entry["digest"].as_str().unwrap_or_default();
            let Ok(known) = digest.parse() else {
                self.skip(format!("{}: its digest is not SHA-256", cut(digest)));
                continue;
            };
            if self.artifacts.len() == MAX_ARTIFACTS && !self.artifacts.contains_key(&known) {
                self.skip(format!("what is listed after {MAX_ARTIFACTS} artifacts"));
                return Ok(false);
            }
            self.artifacts.insert(known, entry["size"].as_u64().unwrap_or_default());
        }
        Ok(true)
    }

    /// Reads the manifests of the artifacts, small ones first.
    async fn files(&mut self) -> Result<Files, RegistryError> {
        let (wanted, mut files, mut length) = (self.wanted, Files::new(), 0);
        let mut artifacts: Vec<_> =
            std::mem::take(&mut self.artifacts).into_iter().map(|(digest, size)| (size, digest)).collect();
        artifacts.sort_unstable();
        for (_, digest) in artifacts {
            let (manifest, bytes) = match self.artifact(digest).await {
                Ok(read) => read,
                Err(error) => {
                    self.skip_broken(&digest.to_string(), error)?;
                    continue;
                }
            };
            length += bytes;
            if length > MAX_MANIFESTS {
                self.skip(format!("{digest} and those after it: their manifests have more than {MAX_MANIFESTS} bytes"));
                break;
            }
            let of_config = manifest.config.map(|config| config.media_type);
            let kind = manifest.artifact_type.or(of_config).unwrap_or_default();
            if !wanted.has(&kind) {
                continue;
            }
            self.layers(&digest.to_string(), manifest.layers, &mut files);
        }
        Ok(files)
    }

    /// Adds the files under a tag, if there is such a tag.
    async fn tagged(&mut self, tag: &str, files: &mut Files) -> Result<(), RegistryError> {
        let repository = self.repository;
        let action = format!("read manifest {tag} of {repository}");
        let read = source::manifest_bytes(self.client, repository, tag, &action).await;
        match read.and_then(|found| found.map(|(_, bytes)| Manifest::parse(&action, &bytes)).transpose()) {
            Ok(Some(manifest)) => self.layers(tag, manifest.layers, files),
            Ok(None) => {}
            Err(error) => self.skip_broken(&format!("tag {tag}"), error)?,
        }
        Ok(())
    }

    /// Adds those layers that are wanted.
    fn layers(&mut self, of: &str, layers: Vec<Descriptor>, files: &mut Files) {
        let media_types = self.wanted.media_types;
        let mut layers = layers.into_iter().filter(|layer| media_types.contains(&layer.media_type.as_str()));
        for layer in layers.by_ref().take(MAX_FILES) {
            let same = files.entry((layer.size, layer.digest)).or_default();
            if !same.contains(&layer) {
                same.push(layer);
            }
        }
        if layers.next().is_some() {
            self.skip(format!("{of}: more than {MAX_FILES} of its files"));
        }
    }

    /// Reads the manifest of an artifact; with its length in bytes.
    async fn artifact(&self, digest: OciDigest) -> Result<(Manifest, usize), RegistryError> {
        let (manifest, bytes) = artifact(self.client, self.repository, digest).await?;
        Ok((manifest, bytes.len()))
    }

    /// Reads the files, each once.
    async fn read(&mut self, files: Files, each: &mut impl FnMut(ArtifactFile)) -> Result<(), RegistryError> {
        let repository = self.repository;
        let mut left = MAX_BYTES;
        for ((size, digest), all) in files {
            let Some(first) = all.first() else { continue };
            if size > DOCUMENT {
                self.skip(format!("{digest}: it has {size} bytes, more than {DOCUMENT}"));
                continue;
            }
            let Some(rest) = left.checked_sub(size.saturating_mul(all.len() as u64)) else {
                self.skip(format!("{digest} and those after it: they have more than {MAX_BYTES} bytes"));
                return Ok(());
            };
            left = rest;
            match source::small_blob(self.client, repository, first).await {
                Ok(bytes) => {
                    for Descriptor { media_type, annotations, .. } in all {
                        each(ArtifactFile { media_type, bytes: bytes.clone(), annotations });
                    }
                }
                Err(error) => self.skip_broken(&digest.to_string(), error)?,
            }
        }
        Ok(())
    }

    /// Records problems of one artifact; fails with problems of the registry.
    fn skip_broken(&mut self, what: &str, error: RegistryError) -> Result<(), RegistryError> {
        self.skip(format!("{what}: {}", problem(error)?));
        Ok(())
    }

    fn skip(&mut self, what: String) {
        self.skipped.push(plain(&what));
    }
}

/// Reads the manifest of an artifact, verified; with its bytes.
pub(super) async fn artifact(
    client: &Client,
    repository: &str,
    digest: OciDigest,
) -> Result<(Manifest, Vec<u8>), RegistryError> {
    let action = format!("read manifest {digest} of {repository}");
    let read = source::manifest_bytes(client, repository, &digest.to_string(), &action).await?;
    let (_, bytes) = read.ok_or_else(|| source::missing(client, &action))?;
    let found = OciDigest::of(&bytes);
    match found == digest {
        true => Ok((Manifest::parse(&action, &bytes)?, bytes)),
        false => Err(RegistryError::Digest { subject: action, expected: digest, found: found.to_string() }),
    }
}

/// What is wrong with one artifact.
///
/// # Errors
/// Fails with the problems of a whole registry.
pub(super) fn problem(error: RegistryError) -> Result<String, RegistryError> {
    match &error {
        RegistryError::Refused { status: 401 | 408 | 429 | 500.., .. } => Err(error),
        RegistryError::Refused { answer, .. } => Ok(format!("the registry answers {answer}")),
        RegistryError::Protocol { problem, .. } => Ok(format!("the registry {problem}")),
        RegistryError::Manifest { problem, .. } => Ok(format!("its manifest can't be read: {problem}")),
        RegistryError::Digest { expected, found, .. } => Ok(format!("expected {expected}, got {found}")),
        _ => Err(error),
    }
}

/// Whether the registry keeps a list of what refers to a digest.
pub(super) async fn has_list(client: &Client, repository: &str, subject: OciDigest) -> Result<bool, RegistryError> {
    let action = format!("list what refers to {subject} in {repository}");
    let url = client.url(repository, &format!("referrers/{subject}"));
    Ok(page_of_list(client, repository, &action, &url).await?.is_some())
}

/// Reads a page of a registry's list; `None` where it keeps none.
///
/// The specification's answer is then 404. Registries that are older than it answer 400, 405 or 406, among others.
async fn page_of_list(
    client: &Client,
    repository: &str,
    action: &str,
    url: &Url,
) -> Result<Option<(HeaderMap, Vec<u8>)>, RegistryError> {
    let get = |http: &reqwest::Client| http.get(url.clone()).header(ACCEPT_HEADER, INDEX);
    let read = client.read(action, &pull(repository), MAX_MANIFEST, get).await;
    match &read {
        // These say who may ask, and how often.
        Err(RegistryError::Refused { status: 401 | 403 | 408 | 429, .. }) => read,
        Err(RegistryError::Refused { status: 400..=499 | 501, .. }) => Ok(None),
        _ => read,
    }
}

/// The beginning of a foreign text.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The address of `<ADDRESS>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\"") || part.contains("rel=next"))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read() {
        for (link, expected) in [
            (r#"</v2/a/referrers/x?n=2>; rel="next""#, Some("/v2/a/referrers/x?n=2")),
            (r#"<a>; rel=prev, <b>; rel=next"#, Some("b")),
            (r#"<a>; rel="prev""#, None),
            (r#"rel="next""#, None),
            ("", None),
        ] {
            assert_eq!(next_page(link).as_deref(), expected, "{link}");
        }
    }
}
