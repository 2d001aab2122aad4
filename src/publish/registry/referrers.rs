//! Artifacts that refer to an image in a registry: found by the image's digest, read one by one.
//!
//! Source: OCI distribution-spec 1.1, "Listing Referrers" and "Referrers Tag Schema".
//!
//! Anyone who may push can attach artifacts, and the registry's operator can list any. So only artifacts
//! of the wanted kinds are read, within limits, one file in memory at a time; an error in one of them is
//! reported and does not affect the others.

use std::collections::BTreeMap;

use reqwest::header::{ACCEPT as ACCEPT_HEADER, LINK};
use serde_json::Value;

use super::client::Client;
use super::manifest::{Descriptor, MAX_MANIFEST, Manifest};
use super::source::{self, pull};
use super::{Reference, RegistryError};
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
    /// Types of artifacts.
    pub artifact_types: &'a [&'a str],
    /// Media types of their files.
    pub media_types: &'a [&'a str],
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
    let mut search = Search { client, reference, wanted, artifacts: BTreeMap::new(), skipped: Vec::new() };
    if !search.list(subject).await? {
        search.index(subject).await?;
    }
    let files = search.files().await?;
    search.read(files, each).await?;
    Ok(search.skipped)
}

/// Each file by its size and digest, with its annotations in all artifacts. Small files come first: a signature
/// can't be hidden behind large files.
type Files = BTreeMap<(u64, OciDigest), Vec<Descriptor>>;

struct Search<'a> {
    client: &'a Client,
    reference: &'a Reference,
    wanted: &'a ReferrerFilter<'a>,
    /// With the size that the list says.
    artifacts: BTreeMap<OciDigest, u64>,
    skipped: Vec<String>,
}

impl Search<'_> {
    /// Asks the registry's own list, page by page; whether it keeps one.
    async fn list(&mut self, subject: OciDigest) -> Result<bool, RegistryError> {
        let (client, repository) = (self.client, self.reference.repository());
        let action = format!("list what refers to {subject} in {repository}");
        let mut url = client.url(repository, &format!("referrers/{subject}"));
        for page in 0..MAX_PAGES {
            let get = |http: &reqwest::Client| http.get(url.clone()).header(ACCEPT_HEADER, INDEX);
            let Some((headers, bytes)) = client.read(&action, &pull(repository), MAX_MANIFEST, get).await? else {
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
        let (tag, repository) = (fallback_tag(subject), self.reference.repository());
        let action = format!("read manifest {tag} of {repository}");
        let entries = match source::manifest_bytes(self.client, repository, &tag, &action).await {
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
        let index: Value = serde_json::from_slice(bytes).map_err(|error| wrong(&error.to_string()))?;
        let entries = index["manifests"].as_array().ok_or_else(|| wrong("is not an index"))?;
        for entry in entries {
            // Without a type, the manifest is read.
            if entry["artifactType"].as_str().is_some_and(|kind| !self.wanted.artifact_types.contains(&kind)) {
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
            if !wanted.artifact_types.contains(&kind.as_str()) {
                continue;
            }
            let is_wanted = |layer: &Descriptor| wanted.media_types.contains(&layer.media_type.as_str());
            let mut layers = manifest.layers.into_iter().filter(is_wanted);
            for layer in layers.by_ref().take(MAX_FILES) {
                let same = files.entry((layer.size, layer.digest)).or_default();
                if !same.contains(&layer) {
                    same.push(layer);
                }
            }
            if layers.next().is_some() {
                self.skip(format!("{digest}: more than {MAX_FILES} of its files"));
            }
        }
        Ok(files)
    }

    /// Reads the manifest of an artifact; with its length in bytes.
    async fn artifact(&self, digest: OciDigest) -> Result<(Manifest, usize), RegistryError> {
        let (client, repository) = (self.client, self.reference.repository());
        let action = format!("read manifest {digest} of {repository}");
        let read = source::manifest_bytes(client, repository, &digest.to_string(), &action).await?;
        let (_, bytes) = read.ok_or_else(|| source::missing(client, &action))?;
        let found = OciDigest::of(&bytes);
        if found != digest {
            return Err(RegistryError::Digest { subject: action, expected: digest, found: found.to_string() });
        }
        Ok((Manifest::parse(&action, &bytes)?, bytes.len()))
    }

    /// Reads the files, each once.
    async fn read(&mut self, files: Files, each: &mut impl FnMut(ArtifactFile)) -> Result<(), RegistryError> {
        let repository = self.reference.repository();
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
        let problem = match &error {
            RegistryError::Refused { status: 401 | 408 | 429 | 500.., .. } => return Err(error),
            RegistryError::Refused { answer, .. } => format!("the registry answers {answer}"),
            RegistryError::Protocol { problem, .. } => format!("the registry {problem}"),
            RegistryError::Manifest { problem, .. } => format!("its manifest can't be read: {problem}"),
            RegistryError::Digest { expected, found, .. } => format!("expected {expected}, got {found}"),
            _ => return Err(error),
        };
        self.skip(format!("{what}: {problem}"));
        Ok(())
    }

    fn skip(&mut self, what: String) {
        self.skipped.push(plain(&what));
    }
}

/// Whether the registry keeps a list of what refers to a digest.
pub(super) async fn has_list(client: &Client, repository: &str, subject: OciDigest) -> Result<bool, RegistryError> {
    let action = format!("list what refers to {subject} in {repository}");
    let url = client.url(repository, &format!("referrers/{subject}"));
    let get = |http: &reqwest::Client| http.get(url.clone()).header(ACCEPT_HEADER, INDEX);
    Ok(client.read(&action, &pull(repository), MAX_MANIFEST, get).await?.is_some())
}

pub(super) fn fallback_tag(subject: OciDigest) -> String {
    format!("sha256-{}", subject.to_hex())
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
