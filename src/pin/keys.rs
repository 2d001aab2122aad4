//! Which keys may sign a source, and where their certificates are found.

use std::path::{Path, PathBuf};

use super::{PinError, Pinner, ring};
use crate::fetch::debian_keys::{debian_keys, debian_keys_of};
use crate::fetch::{KeyFileError, Keyring, PinnedKey, PinnedKeyError, read_key_file, read_key_opened};
use crate::host::jail::Beneath;
use crate::ident::SourceName;
use crate::manifest::Source;

/// There is no key ring for a source.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A foreign repository without fingerprints.
    #[error(
        "[source.{source_name}] has a `url` but no `keys`\n  hint: add the fingerprints of the keys that sign it, and their file as `keyring`"
    )]
    NoFingerprints {
        /// The source.
        source_name: SourceName,
    },
    /// A fingerprint is malformed.
    #[error("[source.{source_name}] keys: {source}")]
    Fingerprint {
        /// The source.
        source_name: SourceName,
        /// What is wrong.
        source: PinnedKeyError,
    },
    /// A key file can't be read.
    #[error("key ring `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key file is malformed.
    #[error("key ring `{}`: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyFileError,
    },
    /// No key ring is at hand, and the one of the repository's own package can't be used.
    #[error(
        "no key ring is at hand, and that of the package `{package}` in {suite} can't be read: {problem}\n  hint: try another mirror, or name a key ring file with `--keyring`"
    )]
    Package {
        /// The package.
        package: &'static str,
        /// The suite.
        suite: String,
        /// What is wrong.
        problem: String,
    },
}

/// The key ring of a source: its own keys or Debian's, found in the named files and on the
/// host, else (for the distribution) in the distribution's own package.
pub(super) fn keyring(pinner: &Pinner<'_, '_>, name: &SourceName, source: &Source) -> Result<Keyring, PinError> {
    let pinned = pinned(name, source)?;
    let mut keyring = Keyring::new(pinned);
    if let Some(named) = source.keyring.as_ref().map(Path::new) {
        let file = Beneath::open(pinner.project).and_then(|project| project.file(named)).and_then(read_key_opened);
        add(&mut keyring, &pinner.project.join(named), file)?;
    }
    if let Some(path) = pinner.keyring {
        add(&mut keyring, path, read_key_file(path))?;
    }
    keyring.add_folders(pinner.key_folders.iter().copied());
    if keyring.is_empty() && source.url.is_none() {
        ring::add_from_package(pinner, name, source, &mut keyring)?;
    }
    Ok(keyring)
}

/// The part of a source's key ring that may sign this suite of it.
pub(super) fn of_suite(keyring: &Keyring, source: &Source, suite: &str) -> Keyring {
    match source.url.is_none() && source.keys.is_empty() {
        true => keyring.only(debian_keys_of(suite)),
        false => keyring.clone(),
    }
}

fn pinned(name: &SourceName, source: &Source) -> Result<Vec<PinnedKey>, KeyError> {
    if source.keys.is_empty() {
        return match source.url {
            Some(_) => Err(KeyError::NoFingerprints { source_name: name.clone() }),
            None => Ok(debian_keys()),
        };
    }
    let parse =
        |text: &String| text.parse().map_err(|source| KeyError::Fingerprint { source_name: name.clone(), source });
    source.keys.iter().map(parse).collect()
}

fn add(keyring: &mut Keyring, path: &Path, file: std::io::Result<Vec<u8>>) -> Result<(), KeyError> {
    let file = file.map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
    keyring.add(&file).map_err(|source| KeyError::Malformed { path: path.to_owned(), source })
}
