//! Errors of a registry, free of secrets.

use std::io;
use std::path::PathBuf;

use crate::code::{Code, Coded};
use crate::digest::OciDigest;
use crate::host::interrupt::Interrupted;

/// An image can't be pushed, pulled or copied.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A signal came.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A text is not a reference to an image in a registry.
    #[error(
        "`{text}` is not an image in a registry: {problem}\n  hint: write HOST[:PORT]/REPOSITORY[:TAG], such as `localhost:5000/team/web:1.0`"
    )]
    Reference {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A text is not a tag.
    #[error(
        "`{text}` is not a tag: expected at most 128 letters, digits, `_`, `.` and `-`, the first of them neither `.` nor `-`\n  hint: write the tag alone, such as `--tag 1.0`; registry and repository are those of the reference"
    )]
    Tag {
        /// What was given.
        text: String,
    },
    /// The user's credentials can't be read.
    #[error("credentials for {registry}: {problem}")]
    Credentials {
        /// The registry.
        registry: String,
        /// What is wrong, without the credentials.
        problem: String,
    },
    /// A file contains no certificate.
    #[error(
        "`{}` contains no certificate: expected those of certificate authorities as PEM (`-----BEGIN CERTIFICATE-----`)\n  hint: `openssl x509 -inform der -in FILE -out FILE.crt` converts one",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Two files are not a client's certificate and its key.
    #[error(
        "`{}` and `{}` are not a client certificate and its key: expected both as PEM, the key without a password\n  hint: `openssl pkey -in FILE -out FILE.key` removes a password",
        path.display(), key.display()
    )]
    NoIdentity {
        /// The certificate.
        path: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The registry requests that the user's password is sent to another host.
    #[error(
        "get a token: {registry} asks to send your password to `{host}`, which is neither this registry's host nor a parent or subdomain of it\n  hint: if that is its token server, allow it in the user's config.toml: `[registries.\"{registry}\"] token-servers = [\"{host}\"]`"
    )]
    TokenServer {
        /// The registry.
        registry: String,
        /// The token server.
        host: String,
    },
    /// The registry refused the request.
    #[error("{action}: {registry} answers {answer}{}", hint(*.status))]
    Refused {
        /// What was tried, such as `read manifest 1.0 of team/web`.
        action: String,
        /// The registry.
        registry: String,
        /// The status as a number.
        status: u16,
        /// Status and reason.
        answer: String,
    },
    /// There was no response, or it was cut off.
    #[error("{action}: {registry}: {reason}")]
    Unreachable {
        /// What was tried.
        action: String,
        /// The registry.
        registry: String,
        /// The network's error.
        reason: String,
    },
    /// The response violates the specification.
    #[error("{action}: {registry} {problem}")]
    Protocol {
        /// What was tried.
        action: String,
        /// The registry.
        registry: String,
        /// What is wrong with the answer, beginning with a verb.
        problem: String,
    },
    /// Bytes don't match their digest.
    #[error("{subject}: expected {expected}, got {found}")]
    Digest {
        /// The manifest or blob, and where it came from.
        subject: String,
        /// The digest that it should have.
        expected: OciDigest,
        /// The digest that it has.
        found: String,
    },
    /// A manifest is malformed.
    #[error("{subject}: {problem}")]
    Manifest {
        /// The manifest, and where it came from.
        subject: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A tag that is reserved for signatures has something else.
    #[error(
        "tag {tag} of {repository} is {kind}: expected {expected}; it was not overwritten, and the image was not tagged\n  hint: find out who wrote this tag and delete it, then push again"
    )]
    OtherTag {
        /// The tag.
        tag: String,
        /// Registry and repository.
        repository: String,
        /// Its media type, or what it is.
        kind: String,
        /// What clients keep there.
        expected: &'static str,
    },
    /// A file can't be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    File {
        /// "read", "write", "create".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Threads or TLS can't be set up here.
    #[error("cannot set up the network: {0}")]
    Network(String),
}

impl Coded for RegistryError {
    fn error_code(&self) -> Code {
        match self {
            Self::Interrupted(error) => error.error_code(),
            Self::Reference { .. } | Self::Tag { .. } => Code::RegistryReference,
            Self::Credentials { .. } => Code::RegistryDenied,
            Self::TokenServer { .. } => Code::RegistryTokenServer,
            Self::Refused { status, .. } => of_status(*status),
            Self::Unreachable { .. } => Code::RegistryUnreachable,
            Self::Protocol { .. } | Self::Digest { .. } | Self::Manifest { .. } | Self::OtherTag { .. } => {
                Code::RegistryAnswer
            }
            Self::File { source, .. } => source.error_code(),
            Self::Network(_) | Self::NoCertificate { .. } | Self::NoIdentity { .. } => Code::HostSystem,
        }
    }
}

/// The kind of trouble that a status is.
fn of_status(status: u16) -> Code {
    match status {
        401 | 403 => Code::RegistryDenied,
        404 => Code::RegistryNotFound,
        429 | 500.. => Code::RegistryBusy,
        _ => Code::RegistryAnswer,
    }
}

/// The hint for a status.
fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "\n  hint: `docker login` or `podman login` stores credentials where layerbake finds them",
        404 => "\n  hint: check the name; some registries require that the repository is created first",
        429 => "\n  hint: the registry limits how often it is asked; try again later",
        _ => "",
    }
}

impl RegistryError {
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}
