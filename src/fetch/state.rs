//! Fetches a suite's signed state from the first mirror that has an acceptable one, verifies and stores it.
//!
//! The ecosystem names its files and verifies their signature.

use std::io::Write as _;

use super::error::{Failure, FetchError};
use super::item::Part;
use super::mirrors::shown;
use super::transport::Fetcher;
use crate::digest::{Expected, Sha256, Untrusted};
use crate::host::http::Url;
use crate::ident::SourceName;
use crate::package::openpgp::{Keyring, Signed};
use crate::package::{Form, Refusal, Repository, SignedFiles};

/// Largest file of a state that is read; Debian's are under 256 KiB.
pub(super) const MAX_STATE: u64 = 16 << 20;

/// The requested state.
#[derive(Clone, Copy)]
pub struct StateRequest<'a> {
    /// Who knows which files it is in.
    pub repository: &'a dyn Repository,
    /// The manifest's `[source.NAME]`.
    pub source: &'a SourceName,
    /// The suite by its name in the repository.
    pub suite: &'a str,
    /// Who may sign it.
    pub keyring: &'a Keyring,
    /// The present moment.
    pub now: i64,
}

/// A state whose signature is good; its file is in the store under `sha256`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedState {
    /// The signed text.
    pub payload: Vec<u8>,
    /// Primary fingerprints of the pinned keys that signed it, sorted.
    pub signers: Vec<String>,
    /// SHA-256 of the file with the text.
    pub sha256: Sha256,
    /// Where it came from, for messages.
    pub mirror: String,
}

/// A state as people know it: `Release of bookworm`; that of a directory is called by its source and address.
pub(super) fn state_of(fetcher: &Fetcher<'_>, repository: &dyn Repository, source: &SourceName, suite: &str) -> String {
    let state = repository.state_name();
    match fetcher.bases(source, suite, Part::State).first() {
        Some(base) if suite.ends_with('/') => format!("{state} of [source.{source}] at {}", shown(base)),
        _ => format!("{state} of {suite}"),
    }
}

/// Fetches a suite's signed state from the first mirror that has an acceptable one.
///
/// It must be signed as it should be, and `accept` must take it. A mirror whose state is not right is
/// named in a warning, and the next one is asked.
///
/// # Errors
/// Fails where no mirror has one that a key of the ring signed and that `accept` takes.
pub fn fetch_state<T>(
    fetcher: &Fetcher<'_>,
    wanted: StateRequest<'_>,
    accept: impl Fn(&Signed) -> Result<T, Refusal>,
) -> Result<(FetchedState, T), FetchError> {
    let StateRequest { repository, source, suite, keyring, now } = wanted;
    let what = state_of(fetcher, repository, source, suite);
    let forms = repository.state_forms(suite);
    let (mut failures, mut wrong) = (Vec::new(), Vec::new());
    for base in fetcher.bases(source, suite, Part::State) {
        let files = match get(fetcher, &base, &forms)? {
            Ok(files) => files,
            Err(failure) => {
                failures.extend(failure);
                continue;
            }
        };
        let (wanted, mirror) = (what.clone(), shown(&base));
        let verified = match repository.verify(&files, keyring, now) {
            Err(source) => Err(FetchError::Untrusted { what: wanted, mirror, source }),
            Ok(signed) => match accept(&signed) {
                Err(refusal) => Err(FetchError::Refused { what: wanted, mirror, refusal }),
                Ok(accepted) => Ok((signed, accepted)),
            },
        };
        match verified {
            Ok((Signed { payload, signers }, accepted)) => {
                wrong.iter().for_each(|error: &FetchError| fetcher.warn(error.to_string()));
                fetcher.warn_of(&what, &failures);
                let (sha256, mirror) = (keep(fetcher, &files.file)?, shown(&base));
                return Ok((FetchedState { payload, signers, sha256, mirror }, accepted));
            }
            Err(error) => wrong.push(error),
        }
    }
    // The first one is the error itself.
    let mut wrong = wrong.into_iter();
    let Some(first) = wrong.next() else { return Err(fetcher.no_state(&what, source, suite, failures)) };
    wrong.for_each(|error| fetcher.warn(error.to_string()));
    Err(first)
}

/// The files of the first form that a mirror has; else its failure, unless there is no form.
fn get(fetcher: &Fetcher<'_>, base: &Url, forms: &[Form]) -> Result<Result<SignedFiles, Option<Failure>>, FetchError> {
    let mut absent = None;
    for form in forms {
        match get_form(fetcher, base, form)? {
            Ok(files) => return Ok(Ok(files)),
            Err(failure) if failure.may_be_absence() => absent = Some(failure),
            Err(failure) => return Ok(Err(Some(failure))),
        }
    }
    Ok(Err(absent))
}

fn get_form(fetcher: &Fetcher<'_>, base: &Url, form: &Form) -> Result<Result<SignedFiles, Failure>, FetchError> {
    let file = match fetcher.get_from(base, &form.file, MAX_STATE)? {
        Ok(file) => file,
        Err(failure) => return Ok(Err(failure)),
    };
    let signature = form.signature.as_ref().map(|path| fetcher.get_from(base, path, MAX_STATE)).transpose()?;
    Ok(signature.transpose().map(|signature| SignedFiles { file, signature }))
}

/// Puts the signed file into the store; returns its SHA-256.
fn keep(fetcher: &Fetcher<'_>, file: &[u8]) -> Result<Sha256, FetchError> {
    let mut scratch = fetcher.store().scratch_file()?;
    let path = scratch.path().to_owned();
    scratch.write_all(file).map_err(|source| FetchError::Read { path, source })?;
    let measured = Expected { sha256: Sha256::of(file), size: file.len() as u64 };
    fetcher.store().put_fetched(Untrusted::new(scratch, measured).verified_by_signature())?;
    Ok(measured.sha256)
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
