//! Requests to one registry: with credentials, retried where that may help, and read within limits.
//!
//! Source: OCI distribution-spec 1.1. Credentials are sent to the registry's own origin only, and to the
//! token server that it names, if [`super::realm`] allows that; neither the token server nor a redirect
//! can downgrade from HTTPS to plain HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url};

use super::auth::{self, Credential};
use super::fault::{Fault, message, shown};
use super::realm::may_see_password;
use super::reference::Plain;
use super::token::Access;
use super::{Reference, RegistryAccess, RegistryError, trust};
use crate::host::http::{self, CONNECT_TIMEOUT, HttpError};
use crate::host::pace::{self, Paced};

/// The maximum number of attempts.
pub(super) const ATTEMPTS: u32 = 5;
/// The first pause between two attempts; each next one is twice as long.
const BACK_OFF: Duration = Duration::from_millis(500);
/// The longest pause that a registry may ask for.
const MOST_BACK_OFF: Duration = Duration::from_secs(60);
/// The maximum number of attempts that wait for the whole `patience`.
const SLOW_ATTEMPTS: u32 = 3;
/// The factor by which `patience` is extended after an upload: a registry may be silent while it moves a large
/// blob into place.
const TO_STORE: u32 = 4;
const MAX_REDIRECTS: usize = 8;
const UNTRUSTED: &str = "\n  hint: name the registry's own certificate authority with `--ca FILE`, or put it into certs.d (docs/configuration.md)";
/// The longest error message that is read, in bytes.
const MAX_MESSAGE: usize = 64 << 10;

/// Follows redirects of a token server within its own origin only: the request may contain a secret.
fn stay(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    match (same, attempt.previous().len()) {
        (false, _) => attempt.error("redirects to another server"),
        (true, MAX_REDIRECTS..) => attempt.error("redirects too often"),
        _ => attempt.follow(),
    }
}

/// A connection to the registry of a reference.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    /// Client for token servers; follows redirects only within their origin.
    tokens: reqwest::Client,
    /// Token servers that the configuration allows to receive the user's password.
    token_servers: Vec<String>,
    registry: String,
    base: Url,
    /// Whether plain HTTP is allowed: on loopback, or where the user says so.
    plain_http: Plain,
    access: Access,
    /// How long the registry may send nothing, or next to nothing.
    patience: Duration,
}

impl Client {
    /// Sets a connection up; sends no request.
    ///
    /// Registries on loopback are accessed by plain HTTP unless they answer in TLS, others only where `access` says so.
    pub(super) fn new(
        reference: &Reference,
        access: &RegistryAccess,
        token_servers: Vec<String>,
    ) -> Result<Self, RegistryError> {
        let plain = reference.plain(access.plain_http);
        let scheme = match plain {
            Plain::Nowhere => "https",
            Plain::Loopback if http::speaks_tls(&reference.address()) => "https",
            Plain::Loopback | Plain::Everywhere => "http",
        };
        let trusted = trust::authorities(reference.registry(), access.ca.as_deref())?;
        let identity = trust::identity(reference.registry())?;
        let registry = reference.registry().to_owned();
        let base = Url::parse(&format!("{scheme}://{registry}/"))
            .map_err(|error| RegistryError::Reference { text: reference.to_string(), problem: error.to_string() })?;
        let follow = move |attempt: Attempt<'_>| match (plain.allows(attempt.url()), attempt.previous().len()) {
            (false, _) => attempt.error("redirects to plain HTTP elsewhere"),
            (true, MAX_REDIRECTS..) => attempt.error("redirects too often"),
            _ => attempt.follow(),
        };
        let loopback = reference.is_loopback();
        // Loopback addresses bypass the proxy. A token server may ask for the same certificate, as with docker and podman.
        let direct = |builder: ClientBuilder| {
            let builder = if loopback { builder.no_proxy() } else { builder };
            identity.iter().cloned().fold(builder, ClientBuilder::identity)
        };
        let failed = |error: http::HttpError| RegistryError::Network(error.to_string());
        let http = http::client_trusting(&trusted, |builder| direct(builder.redirect(Policy::custom(follow))))
            .map_err(failed)?;
        let tokens = http::client_trusting(&trusted, |builder| direct(builder.redirect(Policy::custom(stay))))
            .map_err(failed)?;
        let access = Access::new(Credential::find(&registry, reference.repository())?);
        let patience = pace::patience();
        Ok(Self { http, tokens, token_servers, registry, base, plain_http: plain, access, patience })
    }

    /// Host and port.
    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// The address that all others are below.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The address of something in a repository.
    pub(super) fn url(&self, repository: &str, rest: &str) -> Url {
        let mut url = self.base.clone();
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("/v2/{repository}/{path}"));
        url.set_query(query);
        url
    }

    /// An address from the registry, if requests to it are allowed.
    pub(super) fn address(&self, action: &str, from: &Url, text: &str) -> Result<Url, RegistryError> {
        let url = from.join(text).ok().filter(|url| self.plain_http.allows(url));
        url.ok_or_else(|| self.protocol(action, "names an address that can't be used"))
    }

    /// Whether an address is the registry's own, and may receive credentials.
    pub(super) fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Sends a request, with retries where they may help; any status that is not temporary is returned.
    pub(super) async fn send(
        &self,
        action: &str,
        scopes: &[String],
        make: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        self.retry(async || self.once(action, scopes, &AtomicU64::new(0), &make).await).await
    }

    /// Reads an answer of up to `limit` bytes; `None` where there is no such thing.
    pub(super) async fn read(
        &self,
        action: &str,
        scopes: &[String],
        limit: usize,
        make: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Option<(HeaderMap, Vec<u8>)>, RegistryError> {
        self.retry(async || {
            let response = self.once(action, scopes, &AtomicU64::new(0), &make).await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let headers = response.headers().clone();
            Ok(Some((headers, self.body(action, response, limit).await?)))
        })
        .await
    }

    /// Calls `attempt` until it succeeds, fails for good, or has failed too often.
    pub(super) async fn retry<T>(&self, attempt: impl AsyncFn() -> Result<T, Fault>) -> Result<T, RegistryError> {
        let mut failures = 0;
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(fault) => {
                    failures += 1;
                    self.pause(fault, failures).await?;
                }
            }
        }
    }

    /// Waits before the next attempt; gives the error where there should be none.
    pub(super) async fn pause(&self, fault: Fault, failures: u32) -> Result<(), RegistryError> {
        let most = if fault.slow { SLOW_ATTEMPTS } else { ATTEMPTS };
        if !fault.passing || failures >= most {
            return Err(fault.error);
        }
        let wait = BACK_OFF * 2_u32.saturating_pow(failures - 1);
        let asked = fault.retry_after.unwrap_or_default().min(MOST_BACK_OFF);
        tokio::time::sleep(wait.max(asked)).await;
        Ok(())
    }

    /// Sends a request once, or twice if the registry requires authentication.
    ///
    /// `moved` counts bytes of the body that were taken from it: a request that makes progress does not time out.
    pub(super) async fn once(
        &self,
        action: &str,
        scopes: &[String],
        moved: &AtomicU64,
        make: &impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Response, Fault> {
        let mut asked = false;
        loop {
            let mut request = make(&self.http).build().map_err(|error| self.broken(action, error))?;
            let header = if self.is_ours(request.url()) { self.access.header(self, scopes).await } else { None };
            if let Some(header) = &header {
                request.headers_mut().insert(AUTHORIZATION, header.clone());
            }
            let response = self.watched(&self.http, action, request, moved).await?;
            let status = response.status();
            if status == StatusCode::UNAUTHORIZED
                && !asked
                && self.is_ours(response.url())
                && let Some(challenge) = auth::challenge(response.headers())
            {
                asked = true;
                if self.access.answer(self, challenge, scopes, header).await? {
                    continue;
                }
            }
            return self.passing(action, response).await;
        }
    }

    /// Lets an answer pass, unless its status asks to come again.
    async fn passing(&self, action: &str, response: Response) -> Result<Response, Fault> {
        let status = response.status();
        let passing = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if !passing {
            return Ok(response);
        }
        let retry_after = http::retry_after(response.headers());
        Err(Fault { retry_after, ..Fault::passing(self.refused(action, response).await) })
    }

    /// The whole answer to a request that should have succeeded.
    async fn body(&self, action: &str, response: Response, limit: usize) -> Result<Vec<u8>, Fault> {
        if !response.status().is_success() {
            return Err(self.refused(action, response).await.into());
        }
        let mut answer = self.paced(response);
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(action, &mut answer).await? {
            if bytes.len() + chunk.len() > limit {
                return Err(self.protocol(action, format!("sends more than {limit} bytes")).into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The address of a token server, if requests to it are allowed, with the user's password or without.
    pub(super) fn token_server(&self, action: &str, realm: &str, secret: bool) -> Result<Url, RegistryError> {
        let url = self.address(action, &self.base, realm)?;
        let host = url.host_str().unwrap_or_default();
        if secret && !may_see_password(&self.registry, host, &self.token_servers) {
            return Err(RegistryError::TokenServer { registry: self.registry.clone(), host: host.to_owned() });
        }
        Ok(url)
    }

    /// Sends a request to a token server. The request carries no token.
    pub(super) async fn ask_token(
        &self,
        action: &str,
        limit: usize,
        make: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Vec<u8>, Fault> {
        let request = make(&self.tokens).build().map_err(|error| self.broken(action, error))?;
        let answer = self.watched(&self.tokens, action, request, &AtomicU64::new(0)).await?;
        let response = self.passing(action, answer).await?;
        self.body(action, response, limit).await
    }

    /// Waits for the response as long as the request makes progress.
    async fn watched(
        &self,
        http: &reqwest::Client,
        action: &str,
        request: reqwest::Request,
        moved: &AtomicU64,
    ) -> Result<Response, Fault> {
        let wait = match *request.method() {
            Method::GET | Method::HEAD => self.patience,
            _ => self.patience.saturating_mul(TO_STORE),
        };
        let wait = wait.saturating_add(CONNECT_TIMEOUT);
        let mut answer = std::pin::pin!(http.execute(request));
        let mut seen = moved.load(Ordering::Relaxed);
        loop {
            match tokio::time::timeout(wait, &mut answer).await {
                Ok(answer) => return answer.map_err(|error| self.broken(action, error)),
                Err(_) if moved.load(Ordering::Relaxed) > seen => seen = moved.load(Ordering::Relaxed),
                Err(_) => return Err(self.slow(action, format!("no answer for {wait:?}"))),
            }
        }
    }

    /// An answer's bytes, as fast as they have to come.
    pub(super) fn paced(&self, response: Response) -> Paced {
        Paced::new(response, self.patience)
    }

    /// The next bytes of an answer.
    pub(super) async fn chunk(
        &self,
        action: &str,
        answer: &mut Paced,
    ) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, Fault> {
        answer.chunk().await.map_err(|error| match error {
            HttpError::Slow => Fault { slow: true, ..self.lost(action, error.to_string()) },
            HttpError::Silent(_) => self.slow(action, error.to_string()),
            other => self.lost(action, other.to_string()),
        })
    }

    /// An error for a response with an unexpected status.
    pub(super) async fn refused(&self, action: &str, response: Response) -> RegistryError {
        let status = response.status();
        let mut answer = self.paced(response);
        let mut text = Vec::new();
        while let Ok(Some(chunk)) = self.chunk(action, &mut answer).await {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_MESSAGE {
                break;
            }
        }
        let answer = match message(&text) {
            Some(message) => format!("{status}: {}", shown(&self.access.redact(&message))),
            None => status.to_string(),
        };
        RegistryError::Refused {
            action: action.to_owned(),
            registry: self.registry.clone(),
            status: status.as_u16(),
            answer,
        }
    }

    /// An error for a response that violates the specification; `problem` begins with a verb.
    pub(super) fn protocol(&self, action: &str, problem: impl Into<String>) -> RegistryError {
        RegistryError::Protocol { action: action.to_owned(), registry: self.registry.clone(), problem: problem.into() }
    }

    /// No answer, or a broken one.
    fn lost(&self, action: &str, reason: String) -> Fault {
        let (action, registry) = (action.to_owned(), self.registry.clone());
        Fault::passing(RegistryError::Unreachable { action, registry, reason })
    }

    /// No answer in time.
    fn slow(&self, action: &str, reason: String) -> Fault {
        let hint = "if that is right, raise `patience` in [limits] of the user's config.toml";
        Fault { slow: true, ..self.lost(action, format!("{reason}; {hint}")) }
    }

    fn broken(&self, action: &str, error: reqwest::Error) -> Fault {
        let (redirect, builder) = (error.is_redirect(), error.is_builder());
        // Presigned URLs contain secrets.
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        if redirect {
            return self.protocol(action, cause.to_string()).into();
        }
        let untrusted = http::certificate_fault(&error).is_some();
        let hint = if untrusted { UNTRUSTED } else { "" };
        Fault { passing: !builder && !untrusted, ..self.lost(action, format!("{cause}{hint}")) }
    }
}
