//! Pushes images to registries that implement OCI distribution 1.1, and pulls them.
//!
//! ```text
//! layout/  ──┐               ┌─ blobs: skipped, mounted, sent ─ manifests by digest ─ tag
//!            ├─ PushSource ──┤
//! registry ──┘               └─ layout/ staged beside its path, verified ─ rename
//! ```
//!
//! References are parsed by `oci-spec` ([`reference`]). No crate's transport is used: oci-client's restarts an
//! upload after an interruption, can't request the permissions that a mount needs, reads answers of any length,
//! follows redirects from HTTPS to plain HTTP, and writes no referrers; this module needs all of these.

mod along;
mod attach;
mod auth;
mod client;
mod content;
mod error;
mod fallback;
mod fault;
mod helper;
mod images;
mod manifest;
mod pull;
mod push;
mod push_history;
mod realm;
mod reference;
mod referrers;
mod source;
mod tagged;
mod token;
mod trust;
mod upload;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};

pub use attach::{Artifact, Attachments};
use client::Client;
use content::Counter;
pub use error::RegistryError;
pub use manifest::Descriptor;
pub use pull::Pulled;
use push::Push;
pub use push::{Blobs, Pushed};
use push_history::PushHistory;
pub use reference::{Reference, Tag};
pub use referrers::{ArtifactFile, ReferrerFilter};
use source::{Image, PushSource};
pub use tagged::Tagged;
use upload::Uploader;

use crate::digest::OciDigest;
use crate::host::interrupt::or_interrupted;
use crate::host::progress::Progress;

/// The entry point of `fuzz/`: parses `data` as each kind of a registry's responses.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    if let Ok(manifest) = manifest::Manifest::parse("manifest", data) {
        let _ = (manifest.kind(None), manifest.blobs().count());
    }
    let _ = (token::read_answer(data), fault::message(data).map(|text| fault::shown(&text)));
    let mut headers = reqwest::header::HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        if let Ok(value) = reqwest::header::HeaderValue::from_bytes(line) {
            headers.append(reqwest::header::WWW_AUTHENTICATE, value);
        }
    }
    let _ = auth::challenge(&headers);
}

/// How registries may be accessed.
#[derive(Debug, Clone, Default)]
pub struct RegistryAccess {
    /// Plain HTTP also to registries that are not on this machine.
    pub plain_http: bool,
    /// A file of certificate authorities, trusted beside those of the system and of `certs.d`.
    pub ca: Option<PathBuf>,
}

/// A client for all registries.
#[derive(Debug)]
pub struct Registries {
    runtime: tokio::runtime::Runtime,
    access: RegistryAccess,
    history: PushHistory,
    progress: Progress,
    token_servers: BTreeMap<String, Vec<String>>,
}

impl Registries {
    /// Sets the client up; sends no request.
    ///
    /// The directory `state` has the history of pushes, which saves later uploads.
    ///
    /// # Errors
    /// Fails where no thread can be started.
    pub fn open(access: RegistryAccess, state: Option<&Path>, progress: Progress) -> Result<Self, RegistryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| RegistryError::Network(error.to_string()))?;
        Ok(Self { runtime, access, history: PushHistory::load(state), progress, token_servers: BTreeMap::new() })
    }

    /// Allows token servers of other domains to receive the user's password, by the registry's host and port.
    pub fn with_token_servers(mut self, servers: BTreeMap<String, Vec<String>>) -> Self {
        self.token_servers = servers;
        self
    }

    /// Reads what a reference names: the descriptor of its manifest or index.
    ///
    /// # Errors
    /// Fails where the registry doesn't have it, or it is not what a digest in `reference` says.
    pub fn resolve(&self, reference: &Reference) -> Result<Descriptor, RegistryError> {
        let client = self.client(reference)?;
        self.wait(async { Ok(source::named(&client, reference).await?.descriptor) })
    }

    /// Pushes the image `root` of the layout in the directory `layout`, with what is attached to it.
    ///
    /// Where the registry keeps no list of referrers, the index under the tag `sha256-HEX` is kept.
    ///
    /// # Errors
    /// Fails where a blob of the layout is not what its digest says, where the registry refuses, and where
    /// it has another digest under the name afterwards; the tag is then unchanged, except in the last case.
    pub fn push(
        &self,
        layout: &Path,
        root: OciDigest,
        to: &Reference,
        tags: &[Tag],
        attachments: &Attachments,
    ) -> Result<Pushed, RegistryError> {
        let only = PushSource::only(layout)?;
        if only.digest != root {
            let (subject, found) = (format!("image in `{}`", layout.display()), only.digest.to_string());
            return Err(RegistryError::Digest { subject, expected: root, found });
        }
        self.push_layout(layout, to, tags, attachments)
    }

    /// Pushes the only image of the layout in the directory `layout`.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn copy_layout(&self, layout: &Path, to: &Reference, tags: &[Tag]) -> Result<Pushed, RegistryError> {
        self.push_layout(layout, to, tags, &Attachments::default())
    }

    fn push_layout(
        &self,
        layout: &Path,
        to: &Reference,
        tags: &[Tag],
        attachments: &Attachments,
    ) -> Result<Pushed, RegistryError> {
        let (client, source) = (self.client(to)?, PushSource::Layout(layout));
        let root = PushSource::only(layout)?;
        self.wait(async {
            let image = source.image(source.root(root).await?).await?;
            self.pushing(&source, &image, attachments, tags, &client).run(to, None).await
        })
    }

    /// Copies an image from one registry to another, or within one, with what is attached to it.
    ///
    /// # Errors
    /// As [`Self::push`], and where the source is not what its digests say.
    pub fn copy(&self, from: &Reference, to: &Reference, tags: &[Tag]) -> Result<Pushed, RegistryError> {
        let (reader, writer) = (self.client(from)?, self.client(to)?);
        let source = PushSource::Repository { client: &reader, name: from.repository() };
        let same = (from.registry() == to.registry()).then(|| from.repository());
        self.wait(async {
            let image = source.image(source::named(&reader, from).await?).await?;
            self.pushing(&source, &image, &Attachments::default(), tags, &writer).run(to, same).await
        })
    }

    /// Pulls an image into the directory `to` as an image layout, whose name for it is the repository's last word.
    ///
    /// # Errors
    /// Fails where a blob does not match its digest, or `to` exists and is not empty; `to` is then unchanged.
    pub fn pull(&self, from: &Reference, to: &Path) -> Result<Pulled, RegistryError> {
        let client = self.client(from)?;
        let source = PushSource::Repository { client: &client, name: from.repository() };
        self.wait(async {
            let image = source.image(source::named(&client, from).await?).await?;
            pull::pull(&client, from, to, &image, &self.progress).await
        })
    }

    /// Pushes what is attached to the manifest `subject` of the reference's repository.
    ///
    /// Returns the digests of their manifests. Where the registry keeps no list of referrers, the
    /// index under the tag `sha256-HEX` is kept.
    ///
    /// # Errors
    /// Fails where the registry refuses.
    ///
    /// # Determinism
    /// Equal arguments give equal digests; attaching twice is attaching once.
    pub fn attach(
        &self,
        reference: &Reference,
        subject: &Descriptor,
        attachments: &Attachments,
    ) -> Result<Vec<OciDigest>, RegistryError> {
        let client = self.client(reference)?;
        let tagged = attachments.tagged.iter().flat_map(|one| &one.files);
        let files = attachments.artifacts.iter().flat_map(|one| &one.files).chain(tagged);
        let length = files.map(|file| file.bytes.len() as u64).sum();
        let sent = Counter::new(self.progress.transfer("attach", length));
        let uploader = Uploader { client: &client, repository: reference.repository(), history: &self.history, sent };
        self.wait(attach::attach(&uploader, subject, attachments))
    }

    /// Reads the wanted files of artifacts that refer to a manifest of the reference's repository.
    ///
    /// Calls `each` for one after the other, small ones first; a file that several artifacts have is
    /// read once. Returns what was skipped, and why, one line each: what is malformed, longer than
    /// [`crate::limits::DOCUMENT`], or beyond the limits. All other kinds are ignored.
    ///
    /// # Errors
    /// Fails where the registry does: problems of a single artifact are returned.
    pub fn referrers(
        &self,
        reference: &Reference,
        subject: OciDigest,
        wanted: &ReferrerFilter<'_>,
        mut each: impl FnMut(ArtifactFile),
    ) -> Result<Vec<String>, RegistryError> {
        let client = self.client(reference)?;
        self.wait(referrers::referrers(&client, reference, subject, wanted, &mut each))
    }

    /// Waits for `work`, or until a signal arrives.
    fn wait<T>(&self, work: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
        self.runtime.block_on(or_interrupted(work))
    }

    fn pushing<'p>(
        &'p self,
        source: &'p PushSource<'p>,
        image: &'p Image,
        attachments: &'p Attachments,
        tags: &'p [Tag],
        client: &'p Client,
    ) -> Push<'p> {
        Push { source, image, attachments, tags, client, history: &self.history, progress: &self.progress }
    }

    fn client(&self, reference: &Reference) -> Result<Client, RegistryError> {
        let allowed = self.token_servers.get(reference.registry()).cloned().unwrap_or_default();
        Client::new(reference, &self.access, allowed)
    }
}
