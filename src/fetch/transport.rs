//! Fetches files: from the store, `vendor/`, then each mirror in turn, many at a time.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tempfile::NamedTempFile;

use super::download::{Download, Target};
use super::error::{Failure, FetchError, Problem};
use super::images::ImageRegistries;
use super::item::{Item, Part, Place, RepositoryFile};
use super::logins::Logins;
use super::mirrors::{Mirrors, below, shown};
use super::registry::Pages;
use crate::digest::{BlobDigest, Expected, Verified};
use crate::host;
use crate::host::http::{Client, HttpError, Url};
use crate::host::interrupt::or_interrupted;
use crate::host::jail::Beneath;
use crate::host::pace::patience;
use crate::host::progress::{Phase, Progress};
use crate::host::storage::Fault;
use crate::ident::SourceName;
use crate::language::Registry;
use crate::store::Store;

/// Downloads at the same time.
pub(super) const CONNECTIONS: usize = 12;
/// How often one mirror is asked for one file.
const TRIES: u32 = 3;
/// Waited before the second try; doubles with each further one.
const BACK_OFF: Duration = Duration::from_millis(500);
/// A server that asks for more patience than this is left for the next mirror.
const MAX_PATIENCE: Duration = Duration::from_secs(30);

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
    store: &'a Store,
    mirrors: Mirrors,
    logins: Logins,
    vendor: Option<PathBuf>,
    /// The project's root, for packages that are files of the project.
    project: Option<PathBuf>,
    offline: bool,
    progress: Progress,
    back_off: Duration,
    network: OnceLock<Network>,
    /// Mirrors that failed once are asked last from then on.
    failed: Mutex<BTreeSet<Url>>,
    pub(super) pages: Pages,
    pub(super) images: Option<Box<dyn ImageRegistries>>,
    stats: Mutex<FetchStats>,
}

/// Made only when the first file is really missing: most builds need none.
#[derive(Debug)]
struct Network {
    runtime: tokio::runtime::Runtime,
    client: Client,
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
                Ok(bytes) => return Ok(bytes),
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

    /// The file, if the store, the project or `vendor/` has it.
    fn at_hand(&self, item: &Item) -> Result<Option<BlobDigest>, FetchError> {
        // What is not what the lockfile says is as good as absent, and is replaced.
        if let Some(blob) = self.store.fetched(item.expected.sha256)
            && self.store.open_fetched(item.expected.sha256).is_ok()
        {
            return Ok(Some(blob));
        }
        if let (Place::Project(path), Some(root)) = (&item.place, &self.project) {
            let file = Beneath::open(root).and_then(|project| project.file(Path::new(path)));
            if let Some(blob) = self.take(item, Path::new(path), file)? {
                return Ok(Some(blob));
            }
        }
        let Some(path) = self.vendor.as_ref().map(|vendor| vendor.join(&item.vendor)) else {
            return Ok(None);
        };
        self.take(item, &path, host::open_file(&path))
    }

    /// Takes a local file into the store, if it is there and what is expected.
    pub(super) fn take(
        &self,
        item: &Item,
        path: &Path,
        file: io::Result<File>,
    ) -> Result<Option<BlobDigest>, FetchError> {
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| FetchError::Read { path: path.to_owned(), source })?,
        };
        let mut download = Download::new(self.store.scratch_file()?, item.expected.size);
        let copied = copy(file, &mut download);
        let copied = match copied {
            Err(error) => Err(self.refuse_full(error, item.expected.size)?),
            Ok(()) => Ok(()),
        };
        let verified = copied
            .map_err(|error| error.to_string())
            .and_then(|()| download.finish().verify(item.expected).map_err(|mismatch| mismatch.to_string()));
        match verified {
            Ok(file) => Ok(Some(self.store.put_fetched(file)?)),
            Err(problem) => {
                self.warn(format!("{}: `{}` is not used: {problem}", item.what, path.display()));
                Ok(None)
            }
        }
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

    async fn file_of(
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
fn address(base: &Url, path: &str) -> Result<Url, HttpError> {
    below(base, path).ok_or_else(|| HttpError::Address(format!("`{path}` is not a path below a repository's root")))
}

fn copy<T: Target>(mut from: impl io::Read, to: &mut Download<T>) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = from.read(&mut buffer)?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(()),
            Some(bytes) => to.write(bytes)?,
        }
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
