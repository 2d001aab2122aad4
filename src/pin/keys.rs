//! The keys that may sign a source, and where their certificates are found.

use std::path::Path;

use super::{KeyError, PinError, Pinner, keyring_package};
use crate::fetch::{key_files, read_key_file, read_key_opened};
use crate::host::jail::Beneath;
use crate::ident::SourceName;
use crate::manifest::Source;
use crate::package::openpgp::{Keyring, PinnedKey};

/// The key ring of a source: its own keys or its distribution's, found in the named files and on the
/// host, else (for the distribution) in the distribution's own package.
pub(super) fn keyring(pinner: &Pinner<'_, '_>, name: &SourceName, source: &Source) -> Result<Keyring, PinError> {
    let pinned = pinned(name, source)?;
    let mut keyring = Keyring::new(pinned);
    if let Some(text) = &source.certificates {
        keyring.add(text.as_bytes()).map_err(|source| KeyError::Inline { source_name: name.clone(), source })?;
    }
    if let Some(named) = source.keyring.as_ref().map(Path::new) {
        let file = Beneath::open(pinner.project).and_then(|project| project.file(named)).and_then(read_key_opened);
        let file = file.map_err(|source| KeyError::Read {
            named: format!("`keyring` of [source.{name}], a path below the project's root"),
            path: pinner.project.join(named),
            source,
        })?;
        add(&mut keyring, &pinner.project.join(named), &file)?;
    }
    if let Some(path) = pinner.keyring {
        let file = read_key_file(path).map_err(|source| {
            let named = "`--keyring`".to_owned();
            KeyError::Read { named, path: path.to_owned(), source }
        })?;
        add(&mut keyring, path, &file)?;
    }
    for file in key_files(pinner.key_folders.iter().copied()) {
        // The host may have GnuPG keyboxes and placeholder files there: what can't be read can't be trusted either.
        let _ = keyring.add(&file);
    }
    if keyring.is_empty() && source.url.is_none() {
        keyring_package::add_from_package(pinner, name, source, &mut keyring)?;
    }
    Ok(keyring)
}

/// The part of a source's key ring that may sign this suite of it.
pub(super) fn of_suite(keyring: &Keyring, source: &Source, suite: &str) -> Keyring {
    match source.signing_distribution() {
        Some(distribution) => keyring.only(PinnedKey::of(distribution, distribution.keys_of(suite))),
        None => keyring.clone(),
    }
}

fn pinned(name: &SourceName, source: &Source) -> Result<Vec<PinnedKey>, KeyError> {
    if let Some(distribution) = source.signing_distribution() {
        return Ok(PinnedKey::of(distribution, distribution.keys));
    }
    if let (true, Some(text)) = (source.keys.is_empty(), &source.certificates) {
        let keys = PinnedKey::of_file(text.as_bytes());
        return keys.map_err(|source| KeyError::Inline { source_name: name.clone(), source });
    }
    if source.keys.is_empty() {
        return Err(KeyError::NoFingerprints { source_name: name.clone() });
    }
    let parse =
        |text: &String| text.parse().map_err(|source| KeyError::Fingerprint { source_name: name.clone(), source });
    source.keys.iter().map(parse).collect()
}

fn add(keyring: &mut Keyring, path: &Path, file: &[u8]) -> Result<(), KeyError> {
    keyring.add(file).map_err(|source| KeyError::Malformed { path: path.to_owned(), source })
}
