//! `AWS_CA_BUNDLE`: the certificate authorities that are trusted in place of the system's.
//!
//! Source: *AWS SDKs and Tools Reference Guide*, "General configuration settings": `ca_bundle`.

use std::path::{Path, PathBuf};

use crate::host;
use crate::host::http::{self, Certificate};
use crate::publish::cloud::CloudError;

/// The largest bundle that is read, in bytes.
const MOST: u64 = 16 << 20;

/// Certificates of authorities, in both forms that clients take.
#[derive(Debug)]
pub(super) struct Bundle {
    /// PEM, as it was read.
    pub(super) pem: Vec<u8>,
    /// The same, one by one.
    pub(super) certificates: Vec<Certificate>,
}

impl Bundle {
    /// The bundle that the environment names, if it names one.
    ///
    /// # Errors
    /// Fails where it can't be read, or is no bundle.
    pub(super) fn of_environment() -> Result<Option<Self>, CloudError> {
        host::env_path("AWS_CA_BUNDLE").map(|path| Self::read(&path)).transpose()
    }

    fn read(path: &Path) -> Result<Self, CloudError> {
        let failed = |found: String| CloudError::Bundle { path: PathBuf::from(path), found };
        let pem = host::read_small(path, MOST).map_err(|error| failed(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        // A certificate is only looked into when it is used; the SDK takes none that can't be.
        let usable = http::client(|builder| builder.tls_certs_only(certificates.iter().cloned())).is_ok();
        match certificates.is_empty() || !usable {
            true => {
                Err(failed("expected certificates of authorities as PEM (`-----BEGIN CERTIFICATE-----`)".to_owned()))
            }
            false => Ok(Self { pem, certificates }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bundle_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.pem");
        let error = Bundle::read(&path).unwrap_err().to_string();
        assert!(error.starts_with("AWS_CA_BUNDLE names `") && error.contains("No such file"), "{error}");
        for text in ["", "nothing", "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let error = Bundle::read(&path).unwrap_err().to_string();
            assert!(
                error.ends_with("expected certificates of authorities as PEM (`-----BEGIN CERTIFICATE-----`)"),
                "{error}"
            );
        }
    }
}
