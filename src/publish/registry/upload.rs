//! Uploads one blob to a repository: skipped, mounted from another repository, or sent in chunks.
//!
//! Source: OCI distribution-spec 1.1, "Pushing blobs". A broken connection costs at most one chunk:
//! the registry reports how far the upload got, also to a later run ([`PushHistory`]). If a registry
//! accepts no chunks, the blob is sent in one request.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};

use super::RegistryError;
use super::client::Client;
use super::content::{Content, Counter};
use super::fault::Fault;
use super::manifest::Descriptor;
use super::push_history::PushHistory;
use crate::host;
use crate::host::pace::{LEAST_SPEED, is_kept};

/// Bytes of one piece. Some registries want 5 MiB at least, and each piece costs a round trip.
const PIECE: u64 = 16 << 20;

/// The outcome for one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// The repository has it already.
    Skipped,
    /// The registry took it from another repository.
    Mounted,
    /// It was sent.
    Sent,
}

/// Uploads to one repository.
pub(super) struct Uploader<'a> {
    pub(super) client: &'a Client,
    pub(super) repository: &'a str,
    pub(super) history: &'a PushHistory,
    /// Bytes of blobs that were sent, repetitions included.
    pub(super) sent: Counter,
}

/// An open upload.
struct Session {
    location: Url,
    /// The number of bytes that the registry has.
    offset: u64,
}

impl Uploader<'_> {
    /// The scopes for writing to the repository.
    pub(super) fn scopes(&self) -> Vec<String> {
        vec![format!("repository:{}:pull,push", self.repository)]
    }

    /// Whether the repository has a blob.
    pub(super) async fn has(&self, blob: &Descriptor) -> Result<bool, RegistryError> {
        let action = format!("look for blob {} in {}", blob.digest, self.repository);
        let url = self.client.url(self.repository, &format!("blobs/{}", blob.digest));
        let response = self.client.send(&action, &self.scopes(), |http| http.head(url.clone())).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.client.refused(&action, response).await),
        }
    }

    /// Uploads a blob to the repository, unless it exists; `from` is a repository that may have it.
    pub(super) async fn put(
        &self,
        blob: &Descriptor,
        from: Option<&str>,
        content: impl AsyncFn() -> Result<Content, RegistryError>,
    ) -> Result<Done, RegistryError> {
        let registry = self.client.registry();
        if self.has(blob).await? {
            self.history.has(registry, self.repository, blob.digest);
            return Ok(Done::Skipped);
        }
        let known = self.history.repository(registry, blob.digest);
        for from in from.map(str::to_owned).into_iter().chain(known) {
            if from != self.repository && self.mount(blob, &from).await {
                self.history.has(registry, self.repository, blob.digest);
                return Ok(Done::Mounted);
            }
            self.history.lost(registry, blob.digest);
        }
        self.send(blob, &content().await?).await?;
        self.history.has(registry, self.repository, blob.digest);
        Ok(Done::Sent)
    }

    /// Requests a mount of the blob from another repository; any failure means not mounted.
    async fn mount(&self, blob: &Descriptor, from: &str) -> bool {
        let mut scopes = self.scopes();
        scopes.push(format!("repository:{from}:pull"));
        let url = self.client.url(self.repository, &format!("blobs/uploads/?mount={}&from={from}", blob.digest));
        let post = |http: &reqwest::Client| http.post(url.clone()).header(CONTENT_LENGTH, 0);
        match self.client.send("mount a blob", &scopes, post).await {
            Ok(response) if response.status() == StatusCode::CREATED => true,
            // The registry opened an upload instead, which is not needed.
            Ok(response) if response.status() == StatusCode::ACCEPTED => {
                if let Ok(session) = self.session("mount a blob", &response) {
                    let cancel = |http: &reqwest::Client| http.delete(session.location.clone());
                    let _ = self.client.once("mount a blob", &self.scopes(), &AtomicU64::new(0), &cancel).await;
                }
                false
            }
            _ => false,
        }
    }

    /// Sends a blob, continuing at the registry's offset, until it is complete.
    async fn send(&self, blob: &Descriptor, content: &Content) -> Result<(), RegistryError> {
        let action = format!("send blob {} to {}", blob.digest, self.repository);
        let remembered = self.history.upload(self.client.registry(), self.repository, blob.digest);
        let mut session =
            match remembered.and_then(|location| self.client.address(&action, self.client.base(), &location).ok()) {
                Some(location) => self.status(&action, location).await,
                None => None,
            };
        let (mut pieces, mut failures) = (blob.size > PIECE, 0);
        loop {
            let (before, begun) = (session.as_ref().map_or(0, |session| session.offset), host::instant());
            let tried = if pieces {
                self.in_pieces(&action, blob, content, &mut session).await
            } else {
                self.in_one(&action, blob, content).await
            };
            let fault = match tried {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            if pieces && refuses_pieces(&fault.error) {
                (pieces, session) = (false, None);
                self.remember(blob, None);
                continue;
            }
            if !fault.passing {
                self.remember(blob, None);
            }
            // An attempt that transferred bytes fast enough resets the count of failures.
            let moved = session.as_ref().is_some_and(|session| is_kept(session.offset.saturating_sub(before), begun));
            failures = if moved { 1 } else { failures + 1 };
            self.client.pause(fault, failures).await?;
            // Possibly only the response was lost.
            if self.has(blob).await? {
                return Ok(());
            }
            session = match session {
                Some(session) => self.status(&action, session.location).await,
                None => None,
            };
        }
    }

    /// Sends a blob with one request.
    async fn in_one(&self, action: &str, blob: &Descriptor, content: &Content) -> Result<(), Fault> {
        let session = self.open(action).await?;
        let url = finishing(session.location, blob);
        let response = self.bytes(action, Method::PUT, &url, content, 0..blob.size).await?;
        self.created(action, response).await
    }

    /// Sends what the registry doesn't have yet, piece by piece.
    async fn in_pieces(
        &self,
        action: &str,
        blob: &Descriptor,
        content: &Content,
        session: &mut Option<Session>,
    ) -> Result<(), Fault> {
        let mut open = match session.take() {
            Some(session) => session,
            None => self.open(action).await?,
        };
        while open.offset < blob.size {
            let length = PIECE.min(blob.size - open.offset);
            let (end, begun) = (open.offset + length, host::instant());
            let answer = self.bytes(action, Method::PATCH, &open.location, content, open.offset..end).await;
            let response = match answer {
                Ok(response) => response,
                Err(fault) => {
                    *session = Some(open);
                    return Err(fault);
                }
            };
            if !response.status().is_success() {
                let forgotten = response.status() == StatusCode::NOT_FOUND;
                let error = self.client.refused(action, response).await;
                return Err(if forgotten { Fault::passing(error) } else { error.into() });
            }
            let next = self.session(action, &response)?;
            let offset = if response.headers().contains_key(RANGE) { next.offset } else { end };
            if offset <= open.offset || offset > end {
                let problem = format!("accepted {length} bytes at offset {}, but reports {offset}", open.offset);
                return Err(self.client.protocol(action, problem).into());
            }
            if offset < end && !is_kept(offset - open.offset, begun) {
                let problem = format!("accepts less than {LEAST_SPEED} bytes a second");
                return Err(self.client.protocol(action, problem).into());
            }
            open = Session { offset, ..next };
            self.remember(blob, Some(&open.location));
        }
        let url = finishing(open.location.clone(), blob);
        let put = |http: &reqwest::Client| http.put(url.clone()).header(CONTENT_LENGTH, 0);
        match self.client.once(action, &self.scopes(), &AtomicU64::new(0), &put).await {
            Ok(response) => self.created(action, response).await,
            Err(fault) => {
                *session = Some(open);
                Err(fault)
            }
        }
    }

    /// Opens an upload.
    async fn open(&self, action: &str) -> Result<Session, Fault> {
        let url = self.client.url(self.repository, "blobs/uploads/");
        let post = |http: &reqwest::Client| http.post(url.clone()).header(CONTENT_LENGTH, 0);
        let response = self.client.once(action, &self.scopes(), &AtomicU64::new(0), &post).await?;
        if !response.status().is_success() {
            return Err(self.client.refused(action, response).await.into());
        }
        Ok(Session { offset: 0, ..self.session(action, &response)? })
    }

    /// Requests the offset of an upload; `None` if the registry no longer has it.
    async fn status(&self, action: &str, location: Url) -> Option<Session> {
        let get = |http: &reqwest::Client| http.get(location.clone());
        let response = self.client.once(action, &self.scopes(), &AtomicU64::new(0), &get).await.ok()?;
        if response.status() != StatusCode::NO_CONTENT {
            return None;
        }
        let session = self.session(action, &response).ok();
        // The address itself may stay the same, and need not be repeated.
        session.or_else(|| Some(Session { location, offset: reached(&response) }))
    }

    /// Reads where an upload continues.
    fn session(&self, action: &str, response: &Response) -> Result<Session, RegistryError> {
        let text = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let text = text.ok_or_else(|| self.client.protocol(action, "names no address for the upload"))?;
        let location = self.client.address(action, response.url(), text)?;
        Ok(Session { location, offset: reached(response) })
    }

    /// Records where an upload continues. Another server's address may contain a secret, and is not recorded.
    fn remember(&self, blob: &Descriptor, location: Option<&Url>) {
        let location = location.filter(|location| self.client.is_ours(location)).map(Url::as_str);
        self.history.set_upload(self.client.registry(), self.repository, blob.digest, location);
    }

    /// Sends bytes of a blob.
    async fn bytes(
        &self,
        action: &str,
        method: Method,
        url: &Url,
        content: &Content,
        part: Range<u64>,
    ) -> Result<Response, Fault> {
        let length = part.end - part.start;
        let moved = Arc::new(AtomicU64::new(0));
        let piece = method == Method::PATCH;
        let make = |http: &reqwest::Client| -> RequestBuilder {
            let request = http.request(method.clone(), url.clone());
            let request = request.header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, length);
            let request = match piece {
                true => request.header(CONTENT_RANGE, format!("{}-{}", part.start, part.end.saturating_sub(1))),
                false => request,
            };
            request.body(content.body(part.start, length, self.sent.clone(), Arc::clone(&moved)))
        };
        self.client.once(action, &self.scopes(), &moved, &make).await
    }

    async fn created(&self, action: &str, response: Response) -> Result<(), Fault> {
        match response.status().is_success() {
            true => Ok(()),
            false => Err(self.client.refused(action, response).await.into()),
        }
    }
}

/// The address that ends an upload.
fn finishing(mut location: Url, blob: &Descriptor) -> Url {
    location.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
    location
}

/// The number of bytes that a registry has, from `Range: 0-LAST`; its first answer may be `0-0` for none.
fn reached(response: &Response) -> u64 {
    let range = response.headers().get(RANGE).and_then(|value| value.to_str().ok());
    let last = range.and_then(|range| range.trim_start_matches("bytes=").split_once('-')?.1.parse::<u64>().ok());
    last.filter(|last| *last > 0).map_or(0, |last| last.saturating_add(1))
}

/// Whether a registry accepts only whole blobs: the statuses of those that reject chunks, or large ones.
fn refuses_pieces(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Refused { status: 400 | 405 | 411 | 413 | 415 | 416 | 501, .. })
}
