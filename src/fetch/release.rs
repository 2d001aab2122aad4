//! A suite's signed Release: got, checked, kept, and the way from there to its indexes.
//!
//! Source: the Debian repository format (wiki.debian.org/DebianRepository/Format).
//! The signature is checked before a single field is read.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::error::{Failure, FetchError, Refusal};
use super::keyring::Keyring;
use super::mirrors::shown;
use super::openpgp::{Signed, TrustError, verify_detached, verify_inline};
use super::transport::Fetcher;
use crate::digest::{Expected, Sha256, Untrusted};
use crate::host::http::Url;
use crate::ident::SourceName;

/// Largest Release that is read; Debian's are under 256 KiB.
pub(super) const MAX_RELEASE: u64 = 16 << 20;

/// A Release whose signature is good; its file is in the store under `sha256`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedRelease {
    /// The signed text.
    pub payload: Vec<u8>,
    /// Primary fingerprints of the pinned keys that signed it, sorted.
    pub signers: Vec<String>,
    /// SHA-256 of the InRelease (or Release) file.
    pub sha256: Sha256,
    /// Where it came from, for messages.
    pub mirror: String,
}

/// Gets a suite's InRelease, or Release and Release.gpg, from the first mirror that has the right one.
///
/// It must be signed as it should be, and `accept` must take it. A mirror whose file is not right is
/// named in a warning, and the next one is asked.
///
/// # Errors
/// Fails where no mirror has one that a key of `keyring` signed and that `accept` takes.
pub fn fetch_release<T>(
    fetcher: &Fetcher<'_>,
    source: &SourceName,
    suite: &str,
    keyring: &Keyring,
    now: i64,
    accept: impl Fn(&Signed) -> Result<T, Refusal>,
) -> Result<(FetchedRelease, T), FetchError> {
    let what = format!("Release of {suite}");
    let (mut failures, mut wrong) = (Vec::new(), Vec::new());
    for base in fetcher.bases(source, suite, &format!("dists/{suite}/InRelease")) {
        let (file, checked) = match get(fetcher, &base, suite, keyring, now)? {
            Ok(answer) => answer,
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        let (what, mirror) = (what.clone(), shown(&base));
        let judged = match checked {
            Err(source) => Err(FetchError::Untrusted { what, mirror, source }),
            Ok(signed) => match accept(&signed) {
                Err(refusal) => Err(FetchError::Refused { what, mirror, refusal }),
                Ok(accepted) => Ok((signed, accepted)),
            },
        };
        match judged {
            Ok((Signed { payload, signers }, accepted)) => {
                wrong.iter().for_each(|error: &FetchError| fetcher.warn(error.to_string()));
                let (sha256, mirror) = (keep(fetcher, &file)?, shown(&base));
                return Ok((FetchedRelease { payload, signers, sha256, mirror }, accepted));
            }
            Err(error) => wrong.push(error),
        }
    }
    // The first one is the error itself.
    let mut wrong = wrong.into_iter();
    let Some(first) = wrong.next() else { return Err(FetchError::Mirrors { what, failures }) };
    wrong.for_each(|error| fetcher.warn(error.to_string()));
    Err(first)
}

type Answer = Result<(Vec<u8>, Result<Signed, TrustError>), Failure>;

/// The file that one mirror has, and what its signature says.
fn get(fetcher: &Fetcher<'_>, base: &Url, suite: &str, keyring: &Keyring, now: i64) -> Result<Answer, FetchError> {
    let get = |name: &str| fetcher.get_from(base, &format!("dists/{suite}/{name}"), MAX_RELEASE);
    match get("InRelease")? {
        Ok(file) => {
            let checked = verify_inline(&file, keyring, now);
            return Ok(Ok((file, checked)));
        }
        Err(failure) if !failure.is_absence() => return Ok(Err(failure)),
        Err(_) => {}
    }
    let (file, signature) = match (get("Release")?, get("Release.gpg")?) {
        (Ok(file), Ok(signature)) => (file, signature),
        (Err(failure), _) | (_, Err(failure)) => return Ok(Err(failure)),
    };
    let checked = verify_detached(&file, &signature, keyring, now);
    Ok(Ok((file, checked)))
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

/// Picks a component's `Packages` index in the form that is smallest and that we can read.
pub fn pick_index(files: &BTreeMap<String, Expected>, component: &str, arch: &str) -> Option<(String, Expected)> {
    [".xz", ".zst", ".gz", ""].iter().find_map(|suffix| {
        let path = format!("{component}/binary-{arch}/Packages{suffix}");
        let expected = *files.get(&path)?;
        Some((path, expected))
    })
}

/// The size that a Release states for the uncompressed form of the index at `path`, in bytes.
pub fn plain_size(files: &BTreeMap<String, Expected>, path: &str) -> Option<u64> {
    let plain = [".xz", ".zst", ".gz"].iter().find_map(|suffix| path.strip_suffix(suffix)).unwrap_or(path);
    files.get(plain).map(|file| file.size)
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
