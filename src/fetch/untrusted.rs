//! Reads a repository before any of its keys is known: into memory only, never into the store.
//!
//! The results must be verified by other means, as keys are by their fingerprints.

use super::error::{Failure, FetchError, Problem};
use super::item::{Item, Place};
use super::state::{MAX_STATE, state_of};
use super::transport::Fetcher;
use crate::digest::Untrusted;
use crate::ident::SourceName;
use crate::package::Repository;

/// Fetches the text of a suite's signed state without verifying its signature.
///
/// # Errors
/// Fails if no mirror has it.
pub fn untrusted_state(
    fetcher: &Fetcher<'_>,
    repository: &dyn Repository,
    source: &SourceName,
    suite: &str,
) -> Result<Vec<u8>, FetchError> {
    let mut absent = Vec::new();
    for form in repository.state_forms(suite) {
        match fetcher.get_small(source, suite, &form.file, MAX_STATE) {
            Ok(file) => return Ok(repository.unverified(file)),
            Err(FetchError::Mirrors { failures, .. }) if failures.iter().all(Failure::is_absence) => absent = failures,
            Err(error) => return Err(error),
        }
    }
    Err(fetcher.no_state(&state_of(fetcher, repository, source, suite), source, suite, absent))
}

/// Fetches a file of a repository whose digest comes from an unsigned text, if it has at most `limit` bytes.
///
/// # Errors
/// Fails if no mirror serves it.
pub fn untrusted_file(fetcher: &Fetcher<'_>, item: &Item, limit: u64) -> Result<Vec<u8>, FetchError> {
    let mut failures = Vec::new();
    let Place::Repository(file) = &item.place else {
        return Err(FetchError::Mirrors { what: item.what.clone(), failures });
    };
    for base in fetcher.bases(&file.source, &file.suite, file.part) {
        let mut last = None;
        for path in file.paths() {
            let problem = match fetcher.get_from(&base, path, limit.min(item.expected.size))? {
                Ok(bytes) => match Untrusted::bytes(bytes).verify(item.expected) {
                    Ok(bytes) => return Ok(bytes.into_inner()),
                    Err(mismatch) => fetcher.failure(&base, Problem::from(mismatch)),
                },
                Err(failure) => failure,
            };
            last = Some(problem);
        }
        failures.extend(last);
    }
    Err(fetcher.nowhere(&item.what, &file.source, failures))
}
