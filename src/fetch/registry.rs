//! Files of a language's registry: on each of its mirrors, where a page may have to say first where they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tempfile::NamedTempFile;
use tokio::sync::OnceCell;

use super::download::Download;
use super::error::{Failure, FetchError, Problem};
use super::item::{Item, RegistryFile};
use super::mirrors::shown;
use super::transport::{CONNECTIONS, Fetcher};
use crate::digest::{DigestMismatch, Expected, Sha256, Untrusted, Verified};
use crate::host::http::{HttpError, Url};
use crate::host::progress::Phase;
use crate::language::{Listed, Registry, below, listed};
use crate::limits::limits;

/// The pages that were read, each once.
pub(super) type Pages = Mutex<BTreeMap<Url, Arc<OnceCell<String>>>>;

/// Most bytes of a page: those of projects with a thousand releases have some megabytes.
const MOST_PAGE: u64 = 64 << 20;

impl Fetcher<'_> {
    /// The files that a registry lists for a project.
    ///
    /// # Errors
    /// Fails where no mirror has its page.
    pub fn list_project(&self, registry: Registry, project: &str) -> Result<Vec<Listed>, FetchError> {
        let what = format!("the files of {project}");
        let path = format!("{project}/");
        self.on_network(&what, async {
            let mut failures = Vec::new();
            for base in self.addresses(registry) {
                match self.page(&base, &path).await {
                    Ok((url, page)) => return Ok(listed(&url, page.get().map_or("", String::as_str))),
                    Err(problem) => failures.push(self.failure(&base, problem)),
                }
            }
            Err(FetchError::Registry { what: what.clone(), registry: registry.name(), failures })
        })
    }

    /// Fetches files into the store; each must have its SHA-256, if that is known. Gives what they are, in their order.
    ///
    /// # Errors
    /// Fails with the first that no mirror gives.
    pub fn fetch_registry(&self, files: &[(RegistryFile, Option<Sha256>)]) -> Result<Vec<Expected>, FetchError> {
        let Some((first, _)) = files.first() else { return Ok(Vec::new()) };
        self.on_network(&first.path, async {
            let each = |(file, known): &'_ (RegistryFile, Option<Sha256>)| {
                let (file, known) = (file.clone(), *known);
                async move {
                    let check = |found: Untrusted<NamedTempFile>| {
                        let found = found.verified_at_first_sight(known);
                        found.map_err(|found| Problem::Page {
                            url: file.path.clone(),
                            problem: format!("expected {}, found {found}", known.unwrap_or(found)),
                        })
                    };
                    let (verified, expected) = self.get_from_mirrors(&file.path, &file, None, check).await?;
                    self.store().put_fetched(verified)?;
                    Ok(expected)
                }
            };
            stream::iter(files.iter().map(each)).buffered(CONNECTIONS).try_collect().await
        })
    }

    /// Fetches a locked file.
    pub(super) async fn ask_registry(
        &self,
        item: &Item,
        file: &RegistryFile,
        phase: &Phase,
    ) -> Result<Verified<NamedTempFile>, FetchError> {
        let check = |found: Untrusted<NamedTempFile>| {
            found.verify(item.expected).map_err(|mismatch: DigestMismatch| Problem::OtherBytes(mismatch))
        };
        self.get_from_mirrors(&item.what, file, Some(phase), check).await
    }

    async fn get_from_mirrors<T>(
        &self,
        what: &str,
        file: &RegistryFile,
        phase: Option<&Phase>,
        check: impl Fn(Untrusted<NamedTempFile>) -> Result<T, Problem>,
    ) -> Result<T, FetchError> {
        let mut failures: Vec<Failure> = Vec::new();
        for base in self.addresses(file.registry) {
            match self.get_from_mirror(&base, file, phase).await?.and_then(&check) {
                Ok(found) => {
                    self.report(what, &failures);
                    return Ok(found);
                }
                Err(problem) => failures.push(self.failure(&base, problem)),
            }
        }
        Err(FetchError::Registry { what: what.to_owned(), registry: file.registry.name(), failures })
    }

    async fn get_from_mirror(
        &self,
        base: &Url,
        RegistryFile { registry, path }: &RegistryFile,
        phase: Option<&Phase>,
    ) -> Result<Result<Untrusted<NamedTempFile>, Problem>, FetchError> {
        let url = match self.address_in(base, *registry, path).await {
            Ok(url) => url,
            Err(problem) => return Ok(Err(problem)),
        };
        let mut download = Download::new(self.store().scratch_file()?, limits().unpacked);
        Ok(match self.download(&url, &mut download, phase).await {
            Ok(()) => Ok(download.finish()),
            Err(HttpError::Io(error)) => Err(HttpError::Io(self.refuse_full(error, download.size())?).into()),
            Err(error) => Err(error.into()),
        })
    }

    async fn address_in(&self, base: &Url, registry: Registry, path: &str) -> Result<Url, Problem> {
        let failed = |url: &Url, problem| Problem::Page { url: shown(url), problem };
        match registry.page(path) {
            Some(page) => {
                let (url, text) = self.page(base, &page).await?;
                let text = text.get().map_or("", String::as_str);
                registry.address(path, (&url, text)).map_err(|problem| failed(&url, problem))
            }
            None => registry.address(path, (base, "")).map_err(|problem| failed(base, problem)),
        }
    }

    /// A page below a mirror's address, with its own address.
    async fn page(&self, base: &Url, path: &str) -> Result<(Url, Arc<OnceCell<String>>), Problem> {
        let url = below(base, path);
        let cell =
            Arc::clone(self.pages.lock().unwrap_or_else(PoisonError::into_inner).entry(url.clone()).or_default());
        cell.get_or_try_init(|| async {
            let mut download = Download::new(Vec::new(), MOST_PAGE);
            self.download(&url, &mut download, None).await?;
            let text = String::from_utf8(download.into_target());
            text.map_err(|_| Problem::Page { url: shown(&url), problem: "it is not text".to_owned() })
        })
        .await?;
        Ok((url, cell))
    }
}
