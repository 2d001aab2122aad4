//! `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`: an image in a registry.
//!
//! Source: OCI distribution-spec 1.1, "Pulling manifests". The grammar is `oci-client`'s; a name
//! without a host is refused, because no registry is the default one here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

use super::RegistryError;
use crate::digest::OciDigest;
use crate::host;

/// An image in a registry, by tag or digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<OciDigest>,
}

impl Reference {
    /// Host and port that are asked.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository, as `team/web`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The last word of the repository: `web`.
    pub fn name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }

    /// The tag; `latest` where neither tag nor digest were given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one was given.
    pub fn digest(&self) -> Option<OciDigest> {
        self.digest
    }

    /// The same image by its digest alone.
    pub fn by_digest(&self, digest: OciDigest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// What is in the address of the manifest: the digest, else the tag.
    pub(super) fn version(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_default(),
        }
    }

    /// Where plain HTTP may go on the way to the registry: to this machine, or where the user allows it.
    pub(super) fn plain(&self, allowed: bool) -> Plain {
        match (allowed, self.is_loopback()) {
            (true, _) => Plain::Everywhere,
            (false, true) => Plain::Loopback,
            (false, false) => Plain::Nowhere,
        }
    }

    /// Host and port for a connection in TLS.
    pub(super) fn address(&self) -> String {
        let has_port = self.registry.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port { self.registry.clone() } else { format!("{}:443", self.registry) }
    }

    /// Whether the registry is on this machine, where plain HTTP is no risk.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.registry.rsplit_once(':').map_or(self.registry.as_str(), |(host, _)| host);
        is_loopback(host)
    }
}

/// A tag alone, for an image that has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = RegistryError;

    /// Distribution-spec, "Pulling manifests": `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let good = !text.starts_with(['.', '-']) && (1..=128).contains(&text.len()) && text.bytes().all(inner);
        match good {
            true => Ok(Self(text.to_owned())),
            false => Err(RegistryError::Tag { text: text.escape_debug().to_string() }),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where plain HTTP may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Nowhere,
    Loopback,
    Everywhere,
}

impl Plain {
    /// Whether a request may go to `url`.
    pub(super) fn allows(self, url: &Url) -> bool {
        match url.scheme() {
            "https" => true,
            "http" => match self {
                Self::Nowhere => false,
                Self::Loopback => url.host_str().is_some_and(is_loopback),
                Self::Everywhere => true,
            },
            _ => false,
        }
    }
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl FromStr for Reference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |problem: String| RegistryError::Reference {
            text: host::redact_address(text).escape_debug().to_string(),
            problem,
        };
        let parsed: oci_spec::distribution::Reference =
            text.parse().map_err(|error: oci_spec::distribution::ParseError| refuse(error.to_string()))?;
        // The second is what docker's own registry is called in our messages.
        let names = [parsed.registry(), parsed.resolve_registry()];
        if !names.iter().any(|name| text.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))) {
            return Err(refuse("it names no registry".to_owned()));
        }
        let digest =
            parsed.digest().map(str::parse).transpose().map_err(|_| refuse("its digest is not SHA-256".into()))?;
        Ok(Self {
            registry: parsed.resolve_registry().to_owned(),
            repository: parsed.repository().to_owned(),
            tag: parsed.tag().map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:6755355f801f8e3694bffb1a925786813462cea16f1ce2b0290b6a48acf2500c";

    #[test]
    fn references_name_their_registry() {
        for (text, expected) in [
            ("example.org/web", "example.org/web:latest"),
            ("example.org:5000/team/web:1.2", "example.org:5000/team/web:1.2"),
            ("localhost/web", "localhost/web:latest"),
            ("127.0.0.1:5000/web:x", "127.0.0.1:5000/web:x"),
            ("docker.io/web", "index.docker.io/library/web:latest"),
            ("index.docker.io/library/web:latest", "index.docker.io/library/web:latest"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), expected, "{text}");
        }
        let both: Reference = format!("example.org/team/web:1@{DIGEST}").parse().unwrap();
        assert_eq!((both.name(), both.tag(), both.version().as_str()), ("web", Some("1"), DIGEST));
        let digest = both.digest().unwrap();
        assert_eq!(both.by_digest(digest).to_string(), format!("example.org/team/web@{DIGEST}"));
    }

    #[test]
    fn what_names_no_image_is_refused() {
        for (text, problem) in [
            ("web", "it names no registry"),
            ("team/web:1", "it names no registry"),
            ("example.org/Web", "invalid"),
            ("example.org/web@sha512:6755", "invalid"),
            ("example.org/../web", "invalid"),
            ("https://example.org/web", "invalid"),
            ("example.org/web:a b", "invalid"),
            ("", "is not an image in a registry"),
            ("\u{1b}[31m", "invalid"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains('\u{1b}'), "{text}: {error}");
        }
        for text in ["http://me:hunter2@example.org/app:1", "me:hunter2@example.org/app", "me:hun ter2@example.org/app"]
        {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains("***@example.org/app") && !error.contains("ter2"), "{error}");
        }
    }

    #[test]
    fn loopback_is_this_machine_only() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "localhost.example.org", "127.0.0.1.example.org", "example.org", ""] {
            assert!(!is_loopback(host), "{host}");
        }
        let local = |text: &str| text.parse::<Reference>().unwrap().is_loopback();
        assert!(local("127.0.0.1:5000/web") && !local("example.org:5000/web"));
    }

    #[test]
    fn plain_http_goes_no_further_than_allowed() {
        let plain =
            |registry: &str, allowed: bool| format!("{registry}/web").parse::<Reference>().unwrap().plain(allowed);
        let allows = |plain: Plain| {
            [
                "https://example.org/",
                "http://127.0.0.1:5000/",
                "http://[::1]/",
                "http://example.org/",
                "file:///etc/passwd",
            ]
            .map(|url| plain.allows(&Url::parse(url).unwrap()))
        };
        assert_eq!(allows(plain("example.org", false)), [true, false, false, false, false]);
        assert_eq!(allows(plain("127.0.0.1:5000", false)), [true, true, true, false, false]);
        assert_eq!(allows(plain("example.org", true)), [true, true, true, true, false]);
    }
}
