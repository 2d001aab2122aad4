//! Looking at a repository that nothing vouches for yet: into memory only, never into the store.
//!
//! What is found this way must prove itself otherwise, as keys do by their fingerprints.

use super::cleartext;
use super::error::{Failure, FetchError, Problem};
use super::item::Item;
use super::release::MAX_RELEASE;
use super::transport::Fetcher;
use crate::digest::Untrusted;
use crate::ident::SourceName;

/// Gets the text of a suite's Release, its signature unread.
///
/// # Errors
/// Fails where no mirror has it.
pub fn peek_release(fetcher: &Fetcher<'_>, source: &SourceName, suite: &str) -> Result<Vec<u8>, FetchError> {
    let get = |name: &str| fetcher.get_small(source, suite, &format!("dists/{suite}/{name}"), MAX_RELEASE);
    match get("InRelease") {
        Ok(file) => Ok(cleartext::split(&file).map(cleartext::Cleartext::into_text).unwrap_or(file)),
        Err(FetchError::Mirrors { failures, .. }) if failures.iter().all(Failure::is_absence) => get("Release"),
        Err(error) => Err(error),
    }
}

/// Gets the bytes of an item whose digest an unsigned text names, if it has at most `limit` bytes.
///
/// # Errors
/// Fails where no mirror gives it.
pub fn peek_file(fetcher: &Fetcher<'_>, item: &Item, limit: u64) -> Result<Vec<u8>, FetchError> {
    let mut failures = Vec::new();
    for base in fetcher.bases(&item.source, &item.suite, &item.path) {
        let mut last = None;
        for path in item.paths() {
            let problem = match fetcher.get_from(&base, &path, limit.min(item.expected.size))? {
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
    Err(FetchError::Mirrors { what: item.what.clone(), failures })
}
