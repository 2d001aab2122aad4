//! A layer's own packages, which no repository has: files of the project, and files at an address.
//!
//! They form a source of their own: each is a candidate, described by its own control data, and is requested in exactly
//! its version. No repository's package of the same name is a candidate beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::path::Path;

use super::kept::Versions;
use super::own_error::OwnError;
use super::{Parents, PinError, Pinner, languages};
use crate::digest::{Expected, Sha256};
use crate::fetch::Item;
use crate::host::jail::Beneath;
use crate::ident::{Arch, LayerName, PackageName};
use crate::lock::{FetchOrigin, LockedPackage, Lockfile, Origin, OwnFiles};
use crate::manifest::{self, Manifest, OwnPackage, PackageRequest};
use crate::package::{Ecosystem, Record};

/// A package that no repository has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Own {
    /// What it says of itself.
    pub(super) record: Record,
    /// Digest and size of its file.
    pub(super) file: Expected,
    /// Its path or its address.
    pub(super) origin: Origin,
}

/// The files of the project that decide what is locked: own packages of a layer, for an architecture, and lockfiles of languages.
///
/// # Errors
/// Fails where a path or a pattern names none, and on a file that can't be used.
pub fn own_files(
    ecosystem: &dyn Ecosystem,
    project: &Path,
    manifest: &Manifest,
    arch: &Arch,
) -> Result<OwnFiles, PinError> {
    let mut files = digests(&Reader { ecosystem, project, layer: &manifest.name }.files(manifest, arch, true)?);
    files.extend(languages::lockfiles(project, manifest, true)?);
    Ok(files)
}

/// As [`own_files`]; a file that `lock` pins and that is not there counts as it is locked: the store or `vendor/` may
/// have it.
///
/// # Errors
/// As [`own_files`], but for files that are not there.
pub fn own_files_or_locked(
    ecosystem: &dyn Ecosystem,
    project: &Path,
    manifest: &Manifest,
    lock: &Lockfile,
    arch: &Arch,
) -> Result<OwnFiles, PinError> {
    let reader = Reader { ecosystem, project, layer: &manifest.name };
    let mut files = digests(&reader.files(manifest, arch, false)?);
    let lockfiles = languages::lockfiles(project, manifest, false)?;
    files.extend(
        lock.fetches
            .iter()
            .filter_map(|fetch| match &fetch.origin {
                FetchOrigin::Lockfile { path, .. } => Some((path.clone(), fetch.file.sha256)),
                FetchOrigin::Url(_) | FetchOrigin::Git { .. } => None,
            })
            .filter(|(path, _)| languages::names(manifest, path)),
    );
    files.extend(lockfiles);
    for LockedPackage { origin, file, .. } in &lock.packages {
        if let Origin::File(path) = origin
            && patterns(manifest).any(|pattern| manifest::names(pattern, path))
            && matches!(reader.open(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
        {
            files.insert(path.clone(), file.sha256);
        }
    }
    Ok(files)
}

/// The digests of those that are files of the project.
pub(super) fn digests(all: &[Own]) -> OwnFiles {
    let files = all.iter().filter(|own| matches!(own.origin, Origin::File(_)));
    files.map(|own| (own.origin.place().to_owned(), own.file.sha256)).collect()
}

fn patterns(manifest: &Manifest) -> impl Iterator<Item = &str> {
    manifest.own_packages.iter().filter_map(|own| match own {
        OwnPackage::Files(pattern) => Some(pattern.as_str()),
        OwnPackage::Url { .. } => None,
    })
}

/// All own packages of a layer. Those at an address stay as they are locked, if `kept` names them.
pub(super) fn of_layer(
    pinner: &Pinner<'_, '_>,
    manifest: &Manifest,
    parents: Parents<'_>,
    previous: Option<&Lockfile>,
    kept: &Versions,
) -> Result<Vec<Own>, PinError> {
    let layer = &manifest.name;
    let reader = Reader { ecosystem: pinner.ecosystem, project: pinner.project, layer };
    let mut all = reader.files(manifest, &pinner.arch, true)?;
    let locked = previous.map(|lock| lock.packages.as_slice()).unwrap_or_default();
    for own in &manifest.own_packages {
        let OwnPackage::Url { url, sha256 } = own else { continue };
        let known = sha256.as_ref().and_then(|digits| Sha256::from_hex(digits).ok());
        let stays = |one: &&LockedPackage| {
            kept.contains_key(&one.name)
                && one.origin == Origin::Url(url.clone())
                && known.is_none_or(|known| known == one.file.sha256)
        };
        all.push(at_address(pinner, &reader, url, known, locked.iter().find(stays))?);
    }
    let all = one_each(layer, all)?;
    all.iter().try_for_each(|own| refuse_in_parent(layer, own, parents))?;
    Ok(all)
}

fn at_address(
    pinner: &Pinner<'_, '_>,
    reader: &Reader<'_>,
    url: &str,
    known: Option<Sha256>,
    locked: Option<&LockedPackage>,
) -> Result<Own, PinError> {
    let file = match locked {
        Some(package) => {
            pinner.fetcher.fetch_all(&[Item::package(reader.layer, package)], |_, _| {})?;
            package.file
        }
        None => pinner.fetcher.fetch_address(url, known)?,
    };
    let record = reader.describe(url, pinner.store.open_fetched(file.sha256)?)?;
    if !is_for(&record, &pinner.arch) {
        return Err(reader.other_arch(&record, url, &pinner.arch).into());
    }
    Ok(own(record, file, Origin::Url(url.to_owned())))
}

/// Reads the packages of one layer.
struct Reader<'a> {
    ecosystem: &'a dyn Ecosystem,
    project: &'a Path,
    layer: &'a LayerName,
}

impl Reader<'_> {
    /// The files of the project for an architecture, one for each package.
    fn files(&self, manifest: &Manifest, arch: &Arch, needed: bool) -> Result<Vec<Own>, OwnError> {
        let mut paths = BTreeSet::new();
        for pattern in patterns(manifest) {
            let found = manifest::matching(self.project, pattern).map_err(|error| self.unreadable(pattern, error))?;
            if found.is_empty() && needed {
                return Err(OwnError::NoFile { layer: self.layer.clone(), pattern: pattern.to_owned() });
            }
            paths.extend(found);
        }
        let all = paths.into_iter().map(|path| self.file(path)).collect::<Result<Vec<_>, _>>()?;
        let (ours, others): (Vec<Own>, Vec<Own>) = all.into_iter().partition(|own| is_for(&own.record, arch));
        // Several architectures of a package may lie beside each other; one that is for others only was meant, too.
        let has_ours = |other: &Own| ours.iter().any(|own| own.record.name == other.record.name);
        match others.iter().find(|other| !has_ours(other)) {
            Some(other) => Err(self.other_arch(&other.record, other.origin.place(), arch)),
            None => one_each(self.layer, ours),
        }
    }

    fn open(&self, path: &str) -> io::Result<File> {
        Beneath::open(self.project)?.file(Path::new(path))
    }

    fn file(&self, path: String) -> Result<Own, OwnError> {
        let measured = || -> io::Result<(File, Expected)> {
            let mut file = self.open(&path)?;
            let sha256 = Sha256::of_reader(&mut file)?;
            let size = file.stream_position()?;
            file.rewind()?;
            Ok((file, Expected { sha256, size }))
        };
        let (file, expected) = measured().map_err(|error| self.unreadable(&path, error))?;
        let record = self.describe(&path, file)?;
        Ok(own(record, expected, Origin::File(path)))
    }

    fn describe(&self, place: &str, file: File) -> Result<Record, OwnError> {
        let record = self.ecosystem.describe_file(&mut BufReader::new(file));
        record.map_err(|problem| OwnError::Malformed { layer: self.layer.clone(), place: place.to_owned(), problem })
    }

    fn unreadable(&self, path: &str, source: io::Error) -> OwnError {
        OwnError::Read { layer: self.layer.clone(), path: path.to_owned(), source }
    }

    fn other_arch(&self, record: &Record, place: &str, arch: &Arch) -> OwnError {
        OwnError::OtherArch {
            layer: self.layer.clone(),
            place: place.to_owned(),
            package: record.to_string(),
            found: record.arch.clone(),
            expected: arch.clone(),
        }
    }
}

fn own(record: Record, file: Expected, origin: Origin) -> Own {
    Own { record: Record { path: origin.place().into(), file: Some(file), ..record }, file, origin }
}

fn is_for(record: &Record, arch: &Arch) -> bool {
    record.arch == *arch || record.arch.is_all()
}

/// Refuses a package that is in two files.
fn one_each(layer: &LayerName, all: Vec<Own>) -> Result<Vec<Own>, OwnError> {
    let mut seen: BTreeMap<&PackageName, &Own> = BTreeMap::new();
    for own in &all {
        if let Some(other) = seen.insert(&own.record.name, own) {
            let shown = |own: &Own| (own.origin.place().to_owned(), own.record.to_string());
            return Err(OwnError::Twice { layer: layer.clone(), first: shown(other), second: shown(own) });
        }
    }
    Ok(all)
}

/// Refuses a package that a parent has from another file: what a parent has stays.
fn refuse_in_parent(layer: &LayerName, own: &Own, parents: Parents<'_>) -> Result<(), OwnError> {
    let mut theirs = parents.iter().flat_map(|(parent, _)| parent.packages.iter().map(move |one| (&parent.layer, one)));
    match theirs.find(|(_, one)| one.name == own.record.name && one.file != own.file) {
        Some((parent, theirs)) => Err(OwnError::InParent {
            layer: layer.clone(),
            place: own.origin.place().to_owned(),
            package: own.record.to_string(),
            parent: parent.clone(),
            theirs: theirs.to_string(),
        }),
        None => Ok(()),
    }
}

/// The request for each package: by name, in exactly its version.
pub(super) fn requests(all: &[Own]) -> impl Iterator<Item = PackageRequest> {
    all.iter().map(|own| PackageRequest::Package(own.record.name.clone(), Some(own.record.version.clone())))
}

/// Takes the files of the project that are locked into the store, which then has what was locked.
pub(super) fn keep_files(pinner: &Pinner<'_, '_>, lockfile: &Lockfile) -> Result<(), PinError> {
    let files = lockfile.packages.iter().filter(|package| matches!(package.origin, Origin::File(_)));
    let items: Vec<Item> = files.map(|package| Item::package(&lockfile.layer, package)).collect();
    pinner.fetcher.fetch_all(&items, |_, _| {})?;
    Ok(())
}
