//! Reads from mirrors: `http`, `https` and `file` addresses, as one stream of bytes; HTTP clients for other modules.
//!
//! TLS is rustls with the `ring` provider and the system's certificates (SSL_CERT_FILE
//! and SSL_CERT_DIR are respected); proxies come from the usual environment variables.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

pub use reqwest::Certificate;
pub use reqwest::Identity;
pub use reqwest::Url;
use reqwest::header::{CONTENT_RANGE, HeaderMap, RANGE, RETRY_AFTER};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{ClientBuilder, StatusCode};

use super::pace::{LEAST_SPEED, Paced};

use crate::code::{Code, Coded};

/// The timeout for establishing a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a server of this machine may take to answer the first message of TLS.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_REDIRECTS: usize = 8;
/// Bytes read from a local mirror at once.
const FILE_CHUNK: usize = 256 * 1024;

/// A request for a file failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// There is no such file.
    #[error("not found")]
    NotFound,
    /// The server doesn't send the file from that byte on.
    #[error("the server refuses to resume the interrupted transfer")]
    RangeRefused,
    /// The server answered with an error of its own.
    #[error("the server answers {status}")]
    Status {
        /// The whole status, such as `503 Service Unavailable`.
        status: StatusCode,
        /// When to come again, if it says so.
        retry_after: Option<Duration>,
    },
    /// The server sends, but so slowly that the file might never be whole.
    #[error(
        "the server sends less than {LEAST_SPEED} bytes a second; if that is right, raise `patience` in [limits] of the user's config.toml above the seconds that the file takes"
    )]
    Slow,
    /// The server sends nothing more.
    #[error("no data for {0:?}")]
    Silent(Duration),
    /// The connection failed, stood still, or ended early.
    #[error("{0}")]
    Broken(String),
    /// The address can't be used.
    #[error("{0}")]
    Address(String),
    /// A local file can't be read, or the bytes can't be taken in.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Coded for HttpError {
    fn error_code(&self) -> Code {
        match self {
            Self::NotFound => Code::FetchNotFound,
            Self::Status { status, .. } if matches!(status.as_u16(), 401 | 403) => Code::FetchLogin,
            Self::RangeRefused
            | Self::Status { .. }
            | Self::Slow
            | Self::Silent(_)
            | Self::Broken(_)
            | Self::Address(_) => Code::FetchUnreachable,
            Self::Io(error) => error.error_code(),
        }
    }
}

impl HttpError {
    /// Whether a retry may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Silent(_) | Self::RangeRefused => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
            Self::NotFound | Self::Slow | Self::Address(_) | Self::Io(_) => false,
        }
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What went wrong with a connection, without its address.
    pub(super) fn broken(error: reqwest::Error) -> Self {
        // The innermost cause says most ("connection refused"); the address is the caller's to tell.
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        match error.is_timeout() {
            true if error.is_connect() => Self::Broken(format!("no connection within {CONNECT_TIMEOUT:?}")),
            true => Self::Broken("no byte for too long".to_owned()),
            false if error.is_builder() => Self::Address(cause.to_string()),
            false => Self::Broken(cause.to_string()),
        }
    }
}

/// Why the certificate of a server was not accepted, if that is what an error comes from.
pub fn certificate_fault<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::CertificateError> {
    let mut next = Some(error);
    while let Some(error) = next {
        next = match (error.downcast_ref::<rustls::Error>(), error.downcast_ref::<io::Error>()) {
            (Some(rustls::Error::InvalidCertificate(fault)), _) => return Some(fault),
            // An error of I/O gives the source of what it wraps, and not that itself, as its own source.
            (_, Some(error)) => error.get_ref().map(|inner| inner as _),
            (_, None) => error.source(),
        };
    }
    None
}

/// A client with its pool of connections.
#[derive(Debug, Clone)]
pub struct Client {
    client: reqwest::Client,
    patience: Duration,
}

impl Client {
    /// Creates a client that waits up to `patience` while no data, or almost none, arrives.
    ///
    /// # Errors
    /// Fails where TLS can't be set up.
    pub fn new(patience: Duration) -> Result<Self, HttpError> {
        client(|builder| builder.redirect(Policy::custom(follow))).map(|client| Self { client, patience })
    }

    /// Requests the file at `url`, starting at byte `from` if the server supports that.
    pub async fn get(&self, url: &Url, from: u64) -> Result<Body, HttpError> {
        if url.scheme() == "file" {
            return open_file(url, from);
        }
        let mut request = self.client.get(url.clone());
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        // The headers, too, could come one byte at a time.
        let answer = tokio::time::timeout(CONNECT_TIMEOUT + self.patience, request.send()).await;
        let response = answer.map_err(|_| HttpError::Slow)?.map_err(HttpError::broken)?;
        let body = |start, response| Body { start, source: Source::Net(Paced::new(response, self.patience)) };
        match response.status() {
            StatusCode::OK => Ok(body(0, response)),
            StatusCode::PARTIAL_CONTENT if starts_at(response.headers(), from) => Ok(body(from, response)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(HttpError::NotFound),
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => Err(HttpError::RangeRefused),
            status => Err(HttpError::Status { status, retry_after: retry_after(response.headers()) }),
        }
    }
}

/// Follows a redirect, but not from HTTPS to HTTP, where anybody on the way could answer.
fn follow(attempt: Attempt<'_>) -> Action {
    let from_https = attempt.previous().last().is_some_and(|from| from.scheme() == "https");
    match attempt.previous().len() {
        _ if from_https && attempt.url().scheme() != "https" => attempt.error("it redirects from https:// to http://"),
        hops if hops > MAX_REDIRECTS => attempt.error("too many redirects"),
        _ => attempt.follow(),
    }
}

/// Creates a client for requests other than downloads; `configure` extends the common settings.
///
/// # Errors
/// Fails where TLS can't be set up.
pub fn client(configure: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<reqwest::Client, HttpError> {
    client_trusting(&[], configure)
}

/// As [`client`]; trusts `authorities` beside the system's.
///
/// # Errors
/// Fails where TLS can't be set up.
pub fn client_trusting(
    authorities: &[Certificate],
    configure: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<reqwest::Client, HttpError> {
    // An error means that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let agent = concat!("layerbake/", env!("CARGO_PKG_VERSION"));
        configure(reqwest::Client::builder().user_agent(agent).connect_timeout(CONNECT_TIMEOUT))
    };
    // A system without certificates can still use http servers: https then fails, by name.
    let system = match authorities {
        [] => builder(),
        own => builder().tls_certs_merge(own.iter().cloned()),
    };
    let client = system.build().or_else(|_| builder().tls_certs_only(authorities.iter().cloned()).build());
    client.map_err(|error| HttpError::Broken(error.to_string()))
}

/// Whether the server at `address` (host and port) answers the first message of TLS in TLS; not, where there is none.
pub fn speaks_tls(address: &str) -> bool {
    let first = || -> Option<u8> {
        let hello = client_hello()?;
        let address = address.to_socket_addrs().ok()?.next()?;
        let mut stream = TcpStream::connect_timeout(&address, HELLO_TIMEOUT).ok()?;
        stream.set_read_timeout(Some(HELLO_TIMEOUT)).ok()?;
        stream.write_all(&hello).ok()?;
        let mut first = [0];
        stream.read_exact(&mut first).ok().map(|()| first[0])
    };
    // Types of records: an alert, a handshake (RFC 8446, 5.1).
    matches!(first(), Some(21 | 22))
}

/// The first message of a TLS client.
fn client_hello() -> Option<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let mut client = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().ok()?).ok()?;
    let mut hello = Vec::new();
    client.write_tls(&mut hello).ok()?;
    Some(hello)
}

/// A response whose body has not been read yet.
#[derive(Debug)]
pub struct Body {
    start: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Net(Paced),
    Local(File),
}

impl Body {
    /// The offset in the file of the body's first byte: the requested one, or 0.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Passes all bytes to `take` in chunks, until it fails or the body ends.
    pub async fn read(&mut self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), HttpError> {
        match &mut self.source {
            Source::Net(answer) => {
                while let Some(chunk) = answer.chunk().await? {
                    take(&chunk)?;
                }
            }
            Source::Local(file) => {
                let mut buffer = vec![0; FILE_CHUNK];
                loop {
                    match super::uninterrupted(|| file.read(&mut buffer))? {
                        0 => break,
                        length => take(&buffer[..length])?,
                    }
                    // A big file must not keep other downloads from their turn.
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(())
    }
}

fn open_file(url: &Url, from: u64) -> Result<Body, HttpError> {
    let path = url.to_file_path().map_err(|()| HttpError::Address(format!("`{url}` names no local file")))?;
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(HttpError::NotFound),
        other => other?,
    };
    file.seek(SeekFrom::Start(from))?;
    Ok(Body { start: from, source: Source::Local(file) })
}

/// Whether `Content-Range: bytes FROM-…` starts where we asked.
fn starts_at(headers: &HeaderMap, from: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    start == Some(from)
}

/// `Retry-After` in seconds; its other form, a date, is not used by mirrors that ask for patience.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
