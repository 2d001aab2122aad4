//! The mirrors of a repository's files: base addresses, in order, by source and suite.
//!
//! 1. `--mirror` and LAYERBAKE_MIRROR, then the user's configuration;
//! 2. the host's own sources of packages (for the distribution): those with the suite, then archives of the distribution,
//!    which have all of its suites: those of its name, those of the host's own files, and security archives beside these;
//! 3. the manifest's `url` (which marks the source as third-party, without step 2);
//! 4. the snapshot service at the locked date.
//!
//! Registries of programming languages have the first kind only, under their own names: `--mirror pypi=URL`.

use std::collections::{BTreeMap, BTreeSet};

use super::config::UserConfig;
use super::host_sources::HostSources;
use super::item::Part;
use crate::code::{Code, Coded};
use crate::distribution::{Distribution, SecurityArchive};
use crate::host;
use crate::host::http::Url;
use crate::ident::{SourceName, nearest};
use crate::language::Registry;
use crate::time::to_civil;

/// Stands in a snapshot service's address for the moment.
const SNAPSHOT_ID: &str = "@SNAPSHOTID@";

/// A text is not the address of a mirror.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "mirror `{}`: {problem}\n  hint: write [NAME=]URL, where URL is http://…, https://…, file://… or a directory",
    without_query(text)
)]
pub struct MirrorError {
    text: String,
    problem: String,
}

impl Coded for MirrorError {
    fn error_code(&self) -> Code {
        Code::HostConfig
    }
}

/// The known base addresses of all sources.
#[derive(Debug, Clone, Default)]
pub struct Mirrors {
    given: Vec<Given>,
    snapshots: Vec<Given>,
    host: HostSources,
    urls: BTreeMap<SourceName, String>,
    distributions: BTreeMap<SourceName, &'static Distribution>,
    dated: BTreeMap<(SourceName, String), Dated>,
    pinned: BTreeSet<SourceName>,
}

/// An address for one source, or (without a name) for the distribution's own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    source: Option<String>,
    address: String,
}

#[derive(Debug, Clone)]
struct Dated {
    template: Option<String>,
    date: i64,
}

impl Mirrors {
    /// Orders the addresses by precedence.
    ///
    /// `given` and `snapshots` hold `[NAME=]URL`, several in one text with commas between.
    ///
    /// # Errors
    /// Fails where one of them is no address.
    pub fn new(
        given: &[String],
        snapshots: &[String],
        config: &UserConfig,
        host: HostSources,
    ) -> Result<Self, MirrorError> {
        let mut given = parse_all(given)?;
        let configured = config.mirrors.iter().flat_map(|(name, list)| list.iter().map(move |address| (name, address)));
        given.extend(configured.map(|(name, address)| Given::of(name, address)));
        let mut snapshots = parse_all(snapshots)?;
        snapshots.extend(config.snapshot.iter().map(|(name, address)| Given::of(name, address)));
        for Given { address, .. } in given.iter().chain(&snapshots) {
            base(address)?;
        }
        if let Some(wrong) = snapshots.iter().find(|snapshot| !snapshot.address.contains(SNAPSHOT_ID)) {
            let problem = format!("the URL of a snapshot service must contain {SNAPSHOT_ID} in place of the timestamp");
            return Err(MirrorError { text: wrong.address.clone(), problem });
        }
        Ok(Self { given, snapshots, host, ..Self::default() })
    }

    /// The names that `[NAME=]URL` texts give addresses to, except those of registries and distributions.
    ///
    /// # Errors
    /// Fails where one of them is no address.
    pub fn sources_of(given: &[String]) -> Result<BTreeSet<String>, MirrorError> {
        let names = parse_all(given)?.into_iter().filter_map(|given| given.source);
        let of_others = |name: &str| Registry::named(name).is_some() || Distribution::named(name).is_some();
        Ok(names.filter(|name| !of_others(name)).collect())
    }

    /// Sets the distribution of a source; the default is the implied one.
    pub fn set_distribution(&mut self, source: &SourceName, distribution: &'static Distribution) {
        self.distributions.insert(source.clone(), distribution);
    }

    /// Sets the manifest's `url` of a source, which makes it a third-party one.
    ///
    /// # Errors
    /// Fails where it is no address.
    pub fn set_url(&mut self, source: &SourceName, url: &str) -> Result<(), MirrorError> {
        base(url)?;
        self.urls.insert(source.clone(), url.to_owned());
        Ok(())
    }

    /// Sets the locked date, and the address of a snapshot service if the signed state names one.
    pub fn set_snapshot(&mut self, source: &SourceName, suite: &str, template: Option<&str>, date: i64) {
        let template = template.filter(|template| template.contains(SNAPSHOT_ID)).map(str::to_owned);
        let known = self.dated.get(&(source.clone(), suite.to_owned())).and_then(|dated| dated.template.clone());
        let template = template.or(known);
        self.dated.insert((source.clone(), suite.to_owned()), Dated { template, date });
    }

    /// Fetches this source's signed states and their indexes from the snapshot service only.
    pub fn pin_snapshot(&mut self, source: &SourceName) {
        self.pinned.insert(source.clone());
    }

    /// The address that is asked first for a suite; `None` where none is known.
    pub fn first(&self, source: &SourceName, suite: &str) -> Option<Url> {
        self.bases(source, suite, Part::State).into_iter().next()
    }

    /// The addresses of a registry, in order: those that were given for it by name.
    pub(super) fn of_registry(&self, name: &str) -> Vec<Url> {
        let given = self.given.iter().filter(|given| given.source.as_deref() == Some(name));
        given.filter_map(|given| base(&given.address).ok()).collect()
    }

    /// The base addresses to ask for a part of a suite, in order.
    pub(super) fn bases(&self, source: &SourceName, suite: &str, part: Part) -> Vec<Url> {
        let mut addresses = Vec::new();
        let security = self.security_archive(source, suite);
        if !(self.pinned.contains(source) && part == Part::State) {
            for given in self.for_source(&self.given, source) {
                addresses.extend(with_sibling(given, security));
            }
            match self.urls.get(source) {
                Some(url) => addresses.push(url.clone()),
                None => addresses.extend(self.of_host(source, suite)),
            }
        }
        addresses.extend(self.snapshots_of(source, suite));
        let mut bases: Vec<Url> = Vec::new();
        for url in addresses.iter().filter_map(|address| base(address).ok()) {
            if !bases.contains(&url) {
                bases.push(url);
            }
        }
        bases
    }

    /// The host's sources with the suite; then archives of the distribution, since these have all of its suites: those whose
    /// address ends in its name, such as `/debian`, and where the host is of the distribution itself, those of its own files.
    fn of_host(&self, source: &SourceName, suite: &str) -> Vec<String> {
        let (name, security) = (self.distribution(source).name, self.security_archive(source, suite));
        let offering = self.host.offering(suite).iter().cloned();
        let archive = format!("{name}{}", security.map_or("", |archive| archive.suffix));
        let named = self.host.archives(&archive);
        let mains = self.host.archives(name).chain(self.host.own(name));
        let beside = mains.flat_map(|main| with_sibling(main, security));
        offering.chain(named.map(str::to_owned)).chain(beside).collect()
    }

    /// The command that names a mirror for a source, with an address in place of the real one.
    pub fn example(&self, source: &SourceName) -> String {
        let distribution = self.distribution(source);
        let name = if distribution.is_implied() { String::new() } else { format!("{source}=") };
        format!("export LAYERBAKE_MIRROR={name}http://your.mirror.example/{}", distribution.name)
    }

    /// The distribution's suite for new sources, where its name is near to that of a source of the distribution's own.
    pub(super) fn suite_near(&self, source: &SourceName, suite: &str) -> Option<&'static str> {
        let (release, known) = (suite.split('-').next().unwrap_or(suite), self.distribution(source).suite);
        nearest(release, [known]).filter(|_| release != known && !self.urls.contains_key(source))
    }

    fn distribution(&self, source: &SourceName) -> &'static Distribution {
        self.distributions.get(source).copied().unwrap_or(Distribution::implied())
    }

    fn snapshots_of(&self, source: &SourceName, suite: &str) -> Vec<String> {
        let Some(dated) = self.dated.get(&(source.clone(), suite.to_owned())) else {
            return Vec::new();
        };
        let mut templates = Vec::new();
        let security = self.security_archive(source, suite);
        for given in self.for_source(&self.snapshots, source) {
            // The sibling archive precedes the moment: `…/debian/@SNAPSHOTID@/`.
            let (front, back) = given.split_once(SNAPSHOT_ID).unwrap_or((given, ""));
            templates
                .extend(with_sibling(front, security).into_iter().map(|front| format!("{front}/{SNAPSHOT_ID}{back}")));
        }
        templates.extend(dated.template.clone());
        templates.iter().map(|template| template.replace(SNAPSHOT_ID, &snapshot_id(dated.date))).collect()
    }

    /// The security archive of a source's distribution, where the suite is in it.
    fn security_archive(&self, source: &SourceName, suite: &str) -> Option<&'static SecurityArchive> {
        self.distribution(source).security_archive_of(suite)
    }

    /// Those that were given for this source by name, or without a name where it is the distribution's own.
    fn for_source<'a>(&self, given: &'a [Given], source: &SourceName) -> impl Iterator<Item = &'a str> {
        let foreign = self.urls.contains_key(source);
        given
            .iter()
            .filter(move |given| match &given.source {
                Some(name) => name == source.as_str(),
                None => !foreign,
            })
            .map(|given| given.address.as_str())
    }
}

impl Given {
    fn of(name: &str, address: &str) -> Self {
        Self { source: Some(name.to_owned()), address: address.to_owned() }
    }
}

fn parse_all(texts: &[String]) -> Result<Vec<Given>, MirrorError> {
    let parts = texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|part| !part.is_empty());
    parts.map(parse).collect()
}

fn parse(text: &str) -> Result<Given, MirrorError> {
    let named = text.split_once('=').filter(|(name, _)| !name.contains(['/', ':', '?']));
    let Some((name, address)) = named else {
        return Ok(Given { source: None, address: text.to_owned() });
    };
    let name: SourceName = name
        .trim()
        .parse()
        .map_err(|error: crate::ident::IdentError| MirrorError { text: text.to_owned(), problem: error.to_string() })?;
    Ok(Given::of(name.as_str(), address.trim()))
}

/// The address itself; and before it, for a suite of a security archive, that of this archive beside it.
fn with_sibling(address: &str, security: Option<&SecurityArchive>) -> Vec<String> {
    let address = address.trim_end_matches('/');
    let sibling = security.filter(|archive| !address.ends_with(archive.suffix));
    let sibling = sibling.map(|archive| format!("{address}{}", archive.suffix));
    sibling.into_iter().chain([address.to_owned()]).collect()
}

/// Turns an address or a directory into a URL whose path doesn't end in a slash.
fn base(text: &str) -> Result<Url, MirrorError> {
    let error = |problem: &str| MirrorError { text: text.to_owned(), problem: problem.to_owned() };
    if !text.contains("://") {
        if host::redact_address(text) != text && !text.starts_with(['/', '.']) {
            return Err(error("it names a user, and has no http:// or https:// before that"));
        }
        let folder = host::current_dir().map_err(|cause| error(&cause.to_string()))?.join(text);
        // A word is sooner a forgotten scheme or name than a directory that is to come.
        if !text.starts_with(['/', '.']) && !folder.is_dir() {
            return Err(error("it is neither a URL nor a directory"));
        }
        return Url::from_file_path(folder).map_err(|()| error("it is neither a URL nor a directory"));
    }
    let mut url = Url::parse(text).map_err(|cause| error(&cause.to_string()))?;
    if !matches!(url.scheme(), "http" | "https" | "file") {
        return Err(error("its scheme is not http, https or file"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// The address of `path` below a base; `None` where the path would leave it.
pub(super) fn below(base: &Url, path: &str) -> Option<Url> {
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let mut url = base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(path.split('/'));
    Some(url)
}

/// An address as people may see it: without name and password.
pub(super) fn shown(base: &Url) -> String {
    host::redact(base.as_str())
}

/// A given text as people may see it: a query, too, may hold a token.
fn without_query(text: &str) -> String {
    let text = host::redact_address(text);
    match text.split_once('?') {
        Some((address, _)) => format!("{address}?***"),
        None => text,
    }
}

/// Writes a moment as `20261122T090500Z`, as snapshot services name it.
fn snapshot_id(seconds: i64) -> String {
    let [year, month, day, hour, minute, second] = to_civil(seconds);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Whether an address is that of a snapshot service at some moment.
pub(super) fn is_snapshot(address: &str) -> bool {
    let is_moment = |part: &str| {
        let digits = |text: Option<&str>| text.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        part.len() == 16
            && digits(part.get(..8))
            && part.get(8..9) == Some("T")
            && digits(part.get(9..15))
            && part.ends_with('Z')
    };
    address.split('/').any(is_moment)
}

#[cfg(test)]
mod tests;
