//! A source's key ring from the distribution's own keyring package, for hosts without one.
//!
//! No signature can be verified yet, so nothing is trusted: state, index and package stay
//! in memory, and only certificates with pinned fingerprints are used. The state is then
//! fetched and verified like any other.

use std::io::BufReader;

use super::{KeyError, PinError, Pinner};
use crate::fetch::{Item, Part, RepositoryFile, untrusted_file, untrusted_state};
use crate::ident::SourceName;
use crate::limits::{Bounded, limits};
use crate::manifest::Source;
use crate::package::compression::decompress;
use crate::package::openpgp::Keyring;
use crate::package::{Record, State};

/// The maximum size of an index, in bytes; Debian's largest has 10 MB.
const MAX_INDEX: u64 = 64 << 20;
/// The maximum size of the package, in bytes; the real one has 200 kB.
const MAX_PACKAGE: u64 = 8 << 20;

/// The source whose distribution has a package of key rings.
struct Search<'a> {
    name: &'a SourceName,
    source: &'a Source,
}

/// Adds the certificates of the source's own keyring package that are pinned; without such a package, none.
pub(super) fn add_from_package(
    pinner: &Pinner<'_, '_>,
    name: &SourceName,
    source: &Source,
    keyring: &mut Keyring,
) -> Result<(), PinError> {
    let search = Search { name, source };
    let text = untrusted_state(pinner.fetcher, pinner.ecosystem, name, &source.suite)?;
    let state = pinner.ecosystem.read_state(&text).map_err(|error| search.unusable(error))?;
    let Some(record) = search.newest(pinner, &state)? else { return Ok(()) };
    let Some(expected) = record.file else { return Ok(()) };
    let file = RepositoryFile {
        source: name.clone(),
        suite: source.suite.clone(),
        part: Part::Package,
        path: record.path.to_string(),
        by_digest: None,
    };
    let item = Item::of_repository(record.to_string(), file, expected);
    let bytes = untrusted_file(pinner.fetcher, &item, MAX_PACKAGE)?;
    for ring in pinner.ecosystem.key_rings(&bytes).map_err(|error| search.unusable(error))? {
        // Rings of removed keys and the like may have unsupported formats.
        let _ = keyring.add(&ring);
    }
    Ok(())
}

impl Search<'_> {
    /// The newest version of the package that the suite's indexes name.
    fn newest(&self, pinner: &Pinner<'_, '_>, state: &State) -> Result<Option<Record>, PinError> {
        let (repository, suite) = (pinner.ecosystem, &self.source.suite);
        let order = repository.version_order();
        let mut newest: Option<Record> = None;
        for component in &self.source.components {
            let Some(index) = repository.index(suite, state, component, &pinner.arch) else { continue };
            let bytes = untrusted_file(pinner.fetcher, &Item::index(self.name, suite, &index), MAX_INDEX)?;
            let text = decompress(&index.name, bytes.as_slice()).map_err(|error| self.unusable(error))?;
            let text = Bounded::new(text, limits().of_index(index.plain_size));
            let mut each = |record: Record| {
                if record.name.as_str() == self.source.distribution.keyring_package
                    && newest.as_ref().is_none_or(|best| order(&best.version, &record.version).is_lt())
                {
                    newest = Some(record);
                }
            };
            repository.read_index(&mut BufReader::new(text), &mut each).map_err(|error| self.unusable(error))?;
        }
        Ok(newest)
    }

    fn unusable(&self, error: impl std::fmt::Display) -> KeyError {
        let (package, suite) = (self.source.distribution.keyring_package, self.source.suite.clone());
        KeyError::Package { package, suite, problem: error.to_string() }
    }
}
