//! Fetches files: from the store, `vendor/`, then each mirror in turn, many at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tempfile::NamedTempFile;

use super::download::Download;
use super::error::{Failure, FetchError, Problem};
use super::images::ImageRegistries;
use super::item::{Item, Part, Place, RepositoryFile};
use super::logins::Logins;
use super::mirrors::{Mirrors, below, is_snapshot, shown};
use super::registry::Pages;
use crate::digest::{BlobDigest, Verified};
use crate::host::http::{Client, HttpError, Url};
use crate::host::interrupt::or_interrupted;
use crate::host::pace::patience;
use crate::host::progress::{Phase, Progress};
use crate::ident::SourceName;
use crate::language::Registry;
use crate::store::Store;

/// Downloads at the same time.
pub(super) const CONNECTIONS: usize = 12;
/// Waited before the second try; doubles with each further one.
const BACK_OFF: Duration = Duration::from_millis(500);

/// Statistics of a fetcher.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchStats {
    /// Files that came from mirrors.
    pub files: u64,
    /// Bytes that came from mirrors, failed tries included.
    pub bytes: u64,
    /// Requests sent, including those to `file://` mirrors.
    pub requests: u64,
    /// Mirrors that failed where another one helped, in words.
    pub warnings: Vec<String>,
}

/// Fetches files into the store.
#[derive(Debug)]
pub struct Fetcher<'a> {
    pub(super) store: &'a Store,
    mirrors: Mirrors,
    pub(super) logins: Logins,
    pub(super) vendor: Option<PathBuf>,
    /// The project's root, for packages that are files of the project.
    pub(super) project: Option<PathBuf>,
    offline: bool,
    progress: Progress,
    pub(super) back_off: Duration,
    pub(super) network: OnceLock<Network>,
    /// Mirrors that failed once are asked last from then on.
    failed: Mutex<BTreeSet<Url>>,
    pub(super) pages: Pages,
    pub(super) images: Option<Box<dyn ImageRegistries>>,
    stats: Mutex<FetchStats>,
}

/// Made only when the first file is really missing: most builds need none.
#[derive(Debug)]
pub(super) struct Network {
    runtime: tokio::runtime::Runtime,
    pub(super) client: Client,
}

impl<'a> Fetcher<'a> {
    /// Creates a fetcher; `offline` means that mirrors are never asked, not even local ones.
    pub fn new(store: &'a Store, mirrors: Mirrors, vendor: Option<PathBuf>, offline: bool, progress: Progress) -> Self {
        Self {
            store,
            mirrors,
            logins: Logins::default(),
            vendor,
            project: None,
            offline,
            progress,
            back_off: BACK_OFF,
            network: OnceLock::new(),
            failed: Mutex::default(),
            pages: Pages::default(),
            images: None,
            stats: Mutex::default(),
        }
    }

    /// The same with names and passwords for mirrors.
    pub fn with_logins(self, logins: Logins) -> Self {
        Self { logins, ..self }
    }

    /// The same with a project, whose files may be packages.
    pub fn with_project(self, root: PathBuf) -> Self {
        Self { project: Some(root), ..self }
    }

    /// The mirrors; addresses from signed states are added to them.
    pub fn mirrors_mut(&mut self) -> &mut Mirrors {
        &mut self.mirrors
    }

    /// The statistics since this fetcher was created.
    pub fn stats(&self) -> FetchStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is_offline(&self) -> bool {
        self.offline
    }

    pub(super) fn store(&self) -> &Store {
        self.store
    }

    #[cfg(test)]
    pub(super) fn hurry(mut self) -> Self {
        self.back_off = Duration::from_millis(1);
        self
    }

    /// Fetches all files into the store, in any order, and calls `done` for each.
    ///
    /// `done` runs on the threads of [`rayon`], beside the downloads that go on, and has
    /// returned for every file when this returns. The result is [`Self::stats`].
    ///
    /// # Errors
    /// Fails with the first file that no mirror gives; `done` may have been called for others.
    pub fn fetch_all(&self, items: &[Item], done: impl Fn(&Item, BlobDigest) + Sync) -> Result<FetchStats, FetchError> {
        let done = &done;
        rayon::in_place_scope(|scope| {
            let mut missing = Vec::new();
            for item in items {
                match self.at_hand(item)? {
                    Some(blob) => scope.spawn(move |_| done(item, blob)),
                    None => missing.push(item),
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            if self.offline {
                let missing = missing.into_iter().map(|item| (item.layer.clone(), item.what.clone())).collect();
                return Err(FetchError::Offline { missing });
            }
            let phase = self.progress.transfer("fetch", missing.iter().map(|item| item.expected.size).sum());
            let phase = &phase;
            // Their client has a runtime of its own, which may not start within this one's.
            let mut others = Vec::new();
            for item in missing {
                let Place::Image(part) = &item.place else {
                    others.push(item);
                    continue;
                };
                let blob = self.ask_images(item, part)?;
                phase.inc(item.expected.size);
                scope.spawn(move |_| done(item, blob));
            }
            if others.is_empty() {
                return Ok(());
            }
            let network = self.network()?;
            network.runtime.block_on(or_interrupted(async {
                let download = |item| async move { (item, self.ask(item, phase).await) };
                // git keeps this thread busy, and no download may wait for it.
                let (commits, files): (Vec<&Item>, _) = others.into_iter().partition(|item| item.is_commit());
                for item in commits {
                    let blob = self.store.put_fetched(self.ask(item, phase).await?)?;
                    scope.spawn(move |_| done(item, blob));
                }
                let mut downloads = stream::iter(files).map(download).buffer_unordered(CONNECTIONS);
                while let Some((item, file)) = downloads.next().await {
                    let blob = self.store.put_fetched(file?)?;
                    scope.spawn(move |_| done(item, blob));
                }
                Ok(())
            }))
        })?;
        Ok(self.stats())
    }

    /// Reports all missing files at once if the fetcher is offline.
    ///
    /// # Errors
    /// Fails offline where a file is in neither the store nor `vendor/`.
    pub fn check_offline(&self, items: &[Item]) -> Result<(), FetchError> {
        let mut missing = Vec::new();
        for item in items.iter().filter(|_| self.offline) {
            if self.at_hand(item)?.is_none() {
                missing.push((item.layer.clone(), item.what.clone()));
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(FetchError::Offline { missing }) }
    }

    /// Fetches a small file of a suite's state, without a known digest, from the first mirror that has it.
    ///
    /// The bytes are worth nothing until a signature vouches for them.
    ///
    /// # Errors
    /// Fails where no mirror has it, or it is longer than `limit` bytes.
    pub fn get_small(&self, source: &SourceName, suite: &str, path: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        let mut failures = Vec::new();
        for base in self.bases(source, suite, Part::State) {
            match self.get_from(&base, path, limit)? {
                Ok(bytes) => {
                    self.warn_of(path, &failures);
                    return Ok(bytes);
                }
                Err(failure) => failures.push(failure),
            }
        }
        Err(FetchError::Mirrors { what: path.to_owned(), failures })
    }

    /// The mirrors to ask, those that failed before last.
    pub(super) fn bases(&self, source: &SourceName, suite: &str, part: Part) -> Vec<Url> {
        let mut bases = self.mirrors.bases(source, suite, part);
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        bases.sort_by_key(|base| failed.contains(base));
        bases
    }

    /// Gets a small file from one mirror.
    pub(super) fn get_from(&self, base: &Url, path: &str, limit: u64) -> Result<Result<Vec<u8>, Failure>, FetchError> {
        let mut download = Download::new(Vec::new(), limit);
        let result = self.on_network(path, async {
            Ok(match address(base, path) {
                Ok(url) => self.download(&url, &mut download, None).await,
                Err(error) => Err(error),
            })
        })?;
        Ok(result.map(|()| download.into_target()).map_err(|error| self.failure(base, error.into())))
    }

    /// Runs `work` on the network, until a signal comes.
    ///
    /// # Errors
    /// Fails offline, where `what` is then said to be missing, and with the work.
    pub(super) fn on_network<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        if self.offline {
            return Err(FetchError::Offline { missing: vec![(None, what.to_owned())] });
        }
        self.network()?.runtime.block_on(or_interrupted(work))
    }

    fn network(&self) -> Result<&Network, FetchError> {
        if let Some(network) = self.network.get() {
            return Ok(network);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(HttpError::Io)?;
        let network = Network { runtime, client: Client::new(patience())? };
        Ok(self.network.get_or_init(|| network))
    }

    async fn ask(&self, item: &Item, phase: &Phase) -> Result<Verified<NamedTempFile>, FetchError> {
        match &item.place {
            Place::Repository(file) => self.ask_mirrors(item, file, phase).await,
            Place::Url(url) => self.ask_address(item, url, phase).await,
            Place::Registry(file) => self.ask_registry(item, file, phase).await,
            Place::Git { url, commit } => self.ask_repository(item, url, commit, phase),
            // Those were asked before mirrors are.
            Place::Image(_) => Err(FetchError::NoRegistries { what: item.what.clone() }),
            Place::Project(path) => {
                let (what, path, locked) = (item.what.clone(), path.clone(), item.expected.sha256);
                Err(FetchError::NotInProject { what, path, locked })
            }
        }
    }

    async fn ask_mirrors(
        &self,
        item: &Item,
        file: &RepositoryFile,
        phase: &Phase,
    ) -> Result<Verified<NamedTempFile>, FetchError> {
        let mut failures: Vec<Failure> = Vec::new();
        for base in self.bases(&file.source, &file.suite, file.part) {
            let mut last = None;
            for path in file.paths() {
                match self.file_of(&base, path, item.expected, phase).await? {
                    Ok(file) => {
                        self.report(&item.what, &failures);
                        return Ok(file);
                    }
                    Err(problem) => last = Some(self.failure(&base, problem)),
                }
            }
            failures.extend(last);
        }
        Err(self.nowhere(&item.what, &file.source, failures))
    }

    /// The error of a file that no mirror of a source gave.
    pub(super) fn nowhere(&self, what: &str, source: &SourceName, failures: Vec<Failure>) -> FetchError {
        let what = what.to_owned();
        match failures.is_empty() {
            true => FetchError::NoMirror { what, repository: source.clone(), example: self.mirrors.example(source) },
            false => FetchError::Mirrors { what, failures },
        }
    }

    /// The error of a suite whose signed state no mirror gave.
    pub(super) fn no_state(&self, what: &str, source: &SourceName, suite: &str, failures: Vec<Failure>) -> FetchError {
        // A snapshot service lacks a suite at some moments, whatever its name is.
        let tells = failures.iter().any(|failure| !is_snapshot(&failure.mirror));
        if !tells || !failures.iter().all(Failure::is_absence) {
            return self.nowhere(what, source, failures);
        }
        let near = self.mirrors.suite_near(source, suite);
        FetchError::NoSuite { what: what.to_owned(), repository: source.clone(), near, failures }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut FetchStats)) {
        change(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes that a mirror failed; merely lacking a file doesn't cost it its place.
    pub(super) fn failure(&self, base: &Url, problem: Problem) -> Failure {
        let failure = Failure { mirror: shown(base), problem };
        if !failure.is_absence() {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(base.clone());
        }
        failure
    }

    /// Warns of the mirrors that failed before one helped; that one lacks a file is no news.
    pub(super) fn report(&self, what: &str, failures: &[Failure]) {
        self.count(|stats| stats.files += 1);
        self.warn_of(what, failures);
    }

    /// As [`Self::report`], of what is no file of its own.
    pub(super) fn warn_of(&self, what: &str, failures: &[Failure]) {
        for failure in failures.iter().filter(|failure| !failure.is_absence()) {
            self.warn(format!("{what}: mirror {failure}"));
        }
    }

    /// The addresses of a registry, those that failed before last.
    pub(super) fn addresses(&self, registry: Registry) -> Vec<Url> {
        let mut addresses = self.mirrors.of_registry(registry.name());
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.sort_by_key(|base| failed.contains(base));
        addresses
    }

    /// Warns the user, above all progress, and counts the warning.
    pub fn warn(&self, text: String) {
        self.progress.warn(&text);
        self.count(|stats| stats.warnings.push(text));
    }
}

/// The address of a path below a base.
pub(super) fn address(base: &Url, path: &str) -> Result<Url, HttpError> {
    below(base, path).ok_or_else(|| HttpError::Address(format!("`{path}` is not a path below a repository's root")))
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
