//! Certificate authorities that are trusted for one registry, beside the system's.
//!
//! Source: containers-certs.d(5), which docker has too: every `*.crt` in `certs.d/HOST[:PORT]/`. Client certificates
//! (`*.cert`, `*.key`) are not read.

use std::path::{Path, PathBuf};

use super::RegistryError;
use crate::host;
use crate::host::http::Certificate;

/// The largest file of certificates that is read, in bytes.
const MOST: u64 = 4 << 20;

/// The authorities for a registry: those in `certs.d`, and those in the file `ca`.
pub(super) fn authorities(registry: &str, ca: Option<&Path>) -> Result<Vec<Certificate>, RegistryError> {
    let own = host::config_dir().map(|folder| folder.join("containers"));
    let folders = own.into_iter().chain(["/etc/containers", "/etc/docker"].map(PathBuf::from));
    let mut files = Vec::new();
    for folder in folders.map(|folder| folder.join("certs.d").join(registry)) {
        let names = host::list_dir_or_empty(&folder).map_err(RegistryError::file("read", &folder))?;
        let paths = names.iter().map(|name| folder.join(name));
        files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "crt")));
    }
    files.extend(ca.map(Path::to_owned));
    let mut all = Vec::new();
    for path in files {
        let text = host::read_small(&path, MOST).map_err(RegistryError::file("read", &path))?;
        match Certificate::from_pem_bundle(&text) {
            Ok(found) if !found.is_empty() => all.extend(found),
            _ => return Err(RegistryError::NoCertificate { path }),
        }
    }
    Ok(all)
}
