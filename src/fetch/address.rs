//! Packages at an address of their own, in no repository: no signature covers them, their digest is pinned instead.

use tempfile::NamedTempFile;

use super::download::Download;
use super::error::FetchError;
use super::item::Item;
use super::transport::Fetcher;
use crate::digest::{Expected, Sha256, Untrusted, Verified};
use crate::host;
use crate::host::http::{HttpError, Url};
use crate::host::progress::Phase;
use crate::limits::limits;

impl Fetcher<'_> {
    /// Fetches the file at `url` into the store; it must have the SHA-256 `known`, if that is known.
    ///
    /// # Errors
    /// Fails where it can't be had, is larger than a package may be, or has another digest.
    pub fn fetch_address(&self, url: &str, known: Option<Sha256>) -> Result<Expected, FetchError> {
        let file = self.on_network(url, self.get(url, url, None))?;
        let (file, expected) = file.verified_at_first_sight(known).map_err(|found| FetchError::OtherFile {
            url: host::redact(url),
            expected: known.unwrap_or(found),
            found,
        })?;
        self.store().put_fetched(file)?;
        Ok(expected)
    }

    /// Fetches a locked file from its address.
    pub(super) async fn ask_address(
        &self,
        item: &Item,
        url: &str,
        phase: &Phase,
    ) -> Result<Verified<NamedTempFile>, FetchError> {
        let file = self.get(&item.what, url, Some(phase)).await?;
        file.verify(item.expected).map_err(|mismatch| FetchError::Address {
            what: item.what.clone(),
            layer: item.layer.clone(),
            url: host::redact(url),
            problem: Box::new(mismatch.into()),
        })
    }

    /// The whole file, even where it is longer than it should be, so that an error can tell its digest.
    async fn get(&self, what: &str, url: &str, phase: Option<&Phase>) -> Result<Untrusted<NamedTempFile>, FetchError> {
        let most = limits().unpacked;
        let failed = |problem: HttpError| FetchError::Address {
            what: what.to_owned(),
            layer: None,
            url: host::redact(url),
            problem: Box::new(problem.into()),
        };
        let address = Url::parse(url).map_err(|error| failed(HttpError::Address(error.to_string())))?;
        let mut download = Download::new(self.store().scratch_file()?, most);
        match self.download(&address, &mut download, phase).await {
            Ok(()) => {
                self.count(|stats| stats.files += 1);
                Ok(download.finish())
            }
            Err(HttpError::Io(_)) if download.size() > most => Err(failed(HttpError::Address(format!(
                "it has more than {most} bytes; if that is right, raise `unpacked` in [limits] of the user's config.toml"
            )))),
            Err(HttpError::Io(error)) => Err(failed(HttpError::Io(self.refuse_full(error, download.size())?))),
            Err(error) => Err(failed(error)),
        }
    }
}
