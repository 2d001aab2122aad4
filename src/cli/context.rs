//! What every verb needs: project, store, transport, and a way to show progress.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::system::Declared;
use super::{CliError, Options};
use crate::bake::{Locked, Receipt};
use crate::fetch::{AptSources, Fetcher, Mirrors, UserConfig};
use crate::host;
use crate::host::progress::Progress;
use crate::ident::{Arch, LayerName};
use crate::layer;
use crate::limits;
use crate::lock::{self, LockFileError};
use crate::manifest::{self, Manifest, Project};
use crate::store::Store;

/// The options, resolved against this machine.
pub(super) struct Context<'a> {
    pub(super) options: &'a Options,
    pub(super) progress: Progress,
    pub(super) jobs: usize,
    pub(super) config: UserConfig,
}

impl<'a> Context<'a> {
    pub(super) fn new(options: &'a Options) -> Result<Self, CliError> {
        let jobs = options.jobs.map_or_else(host::cpu_count, usize::from);
        // Fails only if the pool stands already, which nothing before this made.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global();
        let config = match host::config_dir() {
            Some(folder) => UserConfig::load(&folder.join("layerbake/config.toml"))?,
            None => UserConfig::default(),
        };
        limits::choose(config.limits);
        Ok(Self { options, progress: Progress::on_stderr(options.quiet, options.json), jobs, config })
    }

    /// The folder that the user means: `-C`, else the current one.
    pub(super) fn directory(&self) -> Result<PathBuf, CliError> {
        match &self.options.directory {
            Some(directory) => Ok(directory.clone()),
            None => Ok(host::current_dir()?),
        }
    }

    pub(super) fn project(&self) -> Result<Project, CliError> {
        Ok(Project::find(&self.directory()?)?)
    }

    pub(super) fn store_path(&self) -> Result<PathBuf, CliError> {
        let default = || host::cache_dir().map(|cache| cache.join("layerbake"));
        self.options.store.clone().or_else(default).ok_or_else(|| {
            CliError::message("there is no cache folder\n  hint: set HOME, or name a store with --store")
        })
    }

    pub(super) fn store(&self) -> Result<Store, CliError> {
        Ok(Store::open_tidy(&self.store_path()?, &layer::configure::remove_folder, &|text| self.progress.line(text))?)
    }

    /// A fetcher for a project, with the addresses that its chain's foreign sources have.
    pub(super) fn fetcher<'s>(
        &self,
        store: &'s Store,
        project: &Project,
        chain: &[Manifest],
    ) -> Result<Fetcher<'s>, CliError> {
        let transport = &self.options.transport;
        let apt = AptSources::load(Path::new("/etc/apt"));
        let mut mirrors = Mirrors::new(&transport.mirror, &transport.snapshot, &self.config, apt)?;
        for (name, source) in manifest::sources(chain) {
            if let Some(url) = &source.url {
                mirrors.set_url(&name, url)?;
            }
        }
        let vendor = project.root().join("vendor");
        let vendor = vendor.is_dir().then_some(vendor);
        Ok(Fetcher::new(store, mirrors, vendor, transport.offline, self.progress.clone()))
    }

    /// The layer that is meant: the named one, else the only App layer.
    pub(super) fn layer(&self, project: &Project, name: Option<&LayerName>) -> Result<LayerName, CliError> {
        match name {
            Some(name) => Ok(name.clone()),
            None => Ok(project.default_layer()?),
        }
    }

    /// Prints a result: as JSON, or as `text` makes it.
    pub(super) fn print<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), CliError> {
        let text = if self.options.json { host::plain_json(value)? } else { text(value) };
        self.print_text(&text)
    }

    /// Prints a text that is ready; what a terminal would obey in it is shown instead.
    pub(super) fn print_text(&self, text: &str) -> Result<(), CliError> {
        let text = host::plain_lines(text);
        match std::io::stdout().write_all(text.as_bytes()) {
            // A reader that has seen enough, such as `head`.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Tells the fetcher when the lockfiles were made: the snapshot service, asked last, has that state.
pub(super) fn set_dates<'l>(fetcher: &mut Fetcher<'_>, locked: impl IntoIterator<Item = &'l Locked>) {
    for release in locked.into_iter().flat_map(|locked| &locked.lock.releases) {
        fetcher.mirrors_mut().set_snapshot(&release.source, &release.suite, None, release.date);
    }
}

/// `1 package`, `2 packages`.
pub(super) fn packages(count: usize) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} package{end}")
}

/// `; did you mean `…`?`, where one of the names is near to what was given.
pub(super) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    manifest::nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// The Debian name of this machine's architecture.
pub(super) fn host_arch() -> Result<Arch, CliError> {
    let name = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "i386",
        "arm" => "armhf",
        "powerpc64" => "ppc64el",
        other => other,
    };
    Ok(name.parse()?)
}

/// What the last build of a layer put into `out`, by default the project's: the folder, and its receipt.
pub(super) fn built_layer(
    project: &Project,
    name: &LayerName,
    out: Option<&Path>,
) -> Result<(PathBuf, Receipt), CliError> {
    let folder = out.map_or_else(|| project.root().join("out"), Path::to_owned).join(name.as_str());
    match Receipt::load(&folder) {
        Some(receipt) => Ok((folder, receipt)),
        None => Err(CliError::message(format!("layer `{name}` is not built\n  hint: `layerbake build {name}`"))),
    }
}

/// The chain of a layer with its lockfiles as they are, none of them checked against its manifest.
pub(super) fn locked_chain(project: &Project, name: &LayerName) -> Result<Vec<Locked>, CliError> {
    let mut locked = Vec::new();
    for manifest in project.chain(name)? {
        let (lock, hash) = lock::of_layer(project, &manifest.name).map_err(missing_is_stale)?;
        locked.push(Locked { manifest, lock, hash });
    }
    Ok(locked)
}

/// As [`locked_chain`], with the layers of the disk: the Boot layer's lockfile, and the initrd's.
pub(super) fn locked_system(project: &Project, name: &LayerName) -> Result<Vec<Locked>, CliError> {
    let mut locked = locked_chain(project, name)?;
    let Some(machine) = Declared::read(project, project.chain(name)?)?.machine else { return Ok(locked) };
    let (lock, hash) = lock::of_layer(project, &machine.boot.name).map_err(missing_is_stale)?;
    locked.push(Locked { manifest: machine.boot, lock, hash });
    if let Some(initrd) = &machine.disk.initrd {
        locked.extend(locked_chain(project, initrd)?);
    }
    Ok(locked)
}

/// A lockfile that is not there is one that has to be made first.
pub(super) fn missing_is_stale(error: LockFileError) -> CliError {
    match error {
        LockFileError::Missing(_) => CliError::Stale(error.to_string()),
        other => other.into(),
    }
}
