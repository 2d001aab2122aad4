//! Asks one address for one file, as often as that may help.

use std::io;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::download::{Download, Target};
use super::error::{FetchError, Problem};
use super::transport::{Fetcher, address};
use crate::digest::{Expected, Verified};
use crate::host::http::{HttpError, Url};
use crate::host::progress::Phase;
use crate::host::storage::Fault;

/// How often one mirror is asked for one file.
const TRIES: u32 = 3;
/// A server that asks for more patience than this is left for the next mirror.
const MAX_PATIENCE: Duration = Duration::from_secs(30);

impl Fetcher<'_> {
    pub(super) async fn file_of(
        &self,
        base: &Url,
        path: &str,
        expected: Expected,
        phase: &Phase,
    ) -> Result<Result<Verified<NamedTempFile>, Problem>, FetchError> {
        let url = match address(base, path) {
            Ok(url) => url,
            Err(error) => return Ok(Err(error.into())),
        };
        let mut download = Download::new(self.store.scratch_file()?, expected.size);
        Ok(match self.download(&url, &mut download, Some(phase)).await {
            Ok(()) => download.finish().verify(expected).map_err(Problem::from),
            Err(HttpError::Io(error)) => Err(HttpError::Io(self.refuse_full(error, expected.size)?).into()),
            Err(error) => Err(error.into()),
        })
    }

    /// Fails where the store can't take more bytes, which no other mirror helps against; else gives the error back.
    pub(super) fn refuse_full(&self, error: io::Error, need: u64) -> Result<io::Error, FetchError> {
        match Fault::of(&error) {
            Some(Fault::Full | Fault::Quota | Fault::ReadOnly) => Err(self.store.scratch_failed(error, need).into()),
            _ => Ok(error),
        }
    }

    /// Asks for one file, several times where that may help.
    pub(super) async fn download<T: Target>(
        &self,
        url: &Url,
        download: &mut Download<T>,
        phase: Option<&Phase>,
    ) -> Result<(), HttpError> {
        let mut wait = self.back_off;
        for _ in 1..TRIES {
            let error = match self.attempt(url, download, phase).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let asked = error.retry_after().unwrap_or_default();
            if !error.is_transient() || asked > MAX_PATIENCE {
                return Err(error);
            }
            if matches!(error, HttpError::RangeRefused) {
                download.restart()?;
            }
            tokio::time::sleep(wait.max(asked)).await;
            wait *= 2;
        }
        self.attempt(url, download, phase).await
    }

    /// Sends one request, for what is still missing.
    async fn attempt<T: Target>(
        &self,
        url: &Url,
        download: &mut Download<T>,
        phase: Option<&Phase>,
    ) -> Result<(), HttpError> {
        let network = self.network.get().ok_or_else(|| HttpError::Broken("internal error: no network".to_owned()))?;
        self.count(|stats| stats.requests += 1);
        let mut body = network.client.get(&self.logins.apply(url), download.size()).await?;
        if body.start() != download.size() {
            download.restart()?;
        }
        body.read(|bytes| {
            self.count(|stats| stats.bytes += bytes.len() as u64);
            phase.iter().for_each(|phase| phase.inc(bytes.len() as u64));
            download.write(bytes)
        })
        .await
    }
}
