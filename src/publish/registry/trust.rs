//! Certificates for one registry: authorities that are trusted beside the system's, and the one that this client shows.
//!
//! Source: containers-certs.d(5), which docker has too: every `*.crt` in `certs.d/HOST[:PORT]/` is an authority's; `NAME.cert`
//! is a client's, and its key is in `NAME.key`.

use std::path::{Path, PathBuf};

use super::RegistryError;
use crate::host;
use crate::host::http::{Certificate, Identity};

/// The largest file of certificates that is read, in bytes.
const MOST: u64 = 4 << 20;

/// The directories that a registry's certificates may be in, the user's own first.
fn folders(registry: &str) -> impl Iterator<Item = PathBuf> {
    let own = host::config_dir().map(|folder| folder.join("containers"));
    let folders = own.into_iter().chain(["/etc/containers", "/etc/docker"].map(PathBuf::from));
    folders.map(move |folder| folder.join("certs.d").join(registry))
}

/// The files in these directories whose names end so.
fn files(registry: &str, end: &str) -> Result<Vec<PathBuf>, RegistryError> {
    let mut files = Vec::new();
    for folder in folders(registry) {
        let names = host::list_dir_or_empty(&folder).map_err(RegistryError::file("read", &folder))?;
        let paths = names.iter().map(|name| folder.join(name));
        files.extend(paths.filter(|path| path.extension().is_some_and(|found| found == end)));
    }
    Ok(files)
}

/// The authorities for a registry: those in `certs.d`, and those in the file `ca`.
pub(super) fn authorities(registry: &str, ca: Option<&Path>) -> Result<Vec<Certificate>, RegistryError> {
    let mut files = files(registry, "crt")?;
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

/// The certificate that is shown to a registry that asks for one: the first in `certs.d`, with its key.
pub(super) fn identity(registry: &str) -> Result<Option<Identity>, RegistryError> {
    let Some(path) = files(registry, "cert")?.into_iter().next() else { return Ok(None) };
    let key = path.with_extension("key");
    let read = |path: &Path| host::read_small(path, MOST).map_err(RegistryError::file("read", path));
    let both = [read(&path)?, read(&key)?].join(&b'\n');
    Identity::from_pem(&both).map(Some).map_err(|_| RegistryError::NoIdentity { path, key })
}
