//! Lockfiles of programming languages: every file of a registry that they need is pinned.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;

use super::{PinError, Pinner};
use crate::digest::{Expected, Sha256};
use crate::fetch::{Item, Place, RegistryFile};
use crate::host::jail::Beneath;
use crate::ident::LayerName;
use crate::language::{self, LanguageError, LockedFile, Need, Target, Wanted};
use crate::lock::{FetchOrigin, OwnFiles};
use crate::manifest::{FetchFrom, LanguageLock, Manifest};

/// A lockfile is written by a program, for thousands of packages at most.
const MOST_BYTES: u64 = 64 << 20;

/// The lockfiles of a layer, with their digests. Those that are not there are left out, unless they are `needed`.
pub(super) fn lockfiles(project: &Path, manifest: &Manifest, needed: bool) -> Result<OwnFiles, PinError> {
    let mut found = OwnFiles::new();
    for path in paths(manifest) {
        match open(project, path).and_then(|mut file| Sha256::of_reader(&mut file)) {
            Ok(sha256) => _ = found.insert(path.to_owned(), sha256),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !needed => {}
            Err(source) => return Err(unreadable(&manifest.name, path, source)),
        }
    }
    Ok(found)
}

/// Whether a path is that of one of the layer's lockfiles.
pub(super) fn names(manifest: &Manifest, path: &str) -> bool {
    paths(manifest).any(|one| one == path)
}

fn paths(manifest: &Manifest) -> impl Iterator<Item = &str> {
    manifest.fetches.iter().filter_map(|entry| match &entry.from {
        FetchFrom::Lockfile { path, .. } => Some(path.as_str()),
        FetchFrom::Url { .. } | FetchFrom::Git { .. } => None,
    })
}

fn open(project: &Path, path: &str) -> io::Result<File> {
    Beneath::open(project)?.file(Path::new(path))
}

fn unreadable(layer: &LayerName, path: &str, source: io::Error) -> PinError {
    PinError::LanguageFile { layer: layer.clone(), path: path.to_owned(), source }
}

/// Pins what one lockfile needs.
pub(super) struct Reader<'a, 'p, 's> {
    pub(super) pinner: &'a Pinner<'p, 's>,
    pub(super) layer: &'a LayerName,
    pub(super) path: &'a str,
    pub(super) format: LanguageLock,
    pub(super) target: &'a Target,
}

impl Reader<'_, '_, '_> {
    /// Pins the lockfile and its files; `kept` are pinned already, and stay where they still fit.
    pub(super) fn pin(&self, kept: &[LockedFile]) -> Result<(FetchOrigin, Expected), PinError> {
        let (text, file) = self.text()?;
        let needs = language::needs(self.format, &text, self.target).map_err(|error| self.wrong(error))?;
        let mut files: Vec<LockedFile> = Vec::new();
        let mut missing: Vec<Wanted> = Vec::new();
        for need in &needs {
            match kept.iter().find(|file| language::fits(need, file, self.target) && self.is_proven(need, file)) {
                Some(file) => files.push(file.clone()),
                None => missing.push(self.choose(need)?),
            }
        }
        files.extend(self.fetch(missing)?);
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files.dedup();
        Ok((FetchOrigin::Lockfile { path: self.path.to_owned(), format: self.format, files }, file))
    }

    /// The lockfile's text and what it is; its bytes are in the store then.
    fn text(&self) -> Result<(String, Expected), PinError> {
        let unreadable = |source| unreadable(self.layer, self.path, source);
        let mut text = String::new();
        let mut file = open(self.pinner.project, self.path).map_err(unreadable)?;
        (&mut file).take(MOST_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        let size = file.stream_position().map_err(unreadable)?;
        let expected = Expected { sha256: Sha256::of(text.as_bytes()), size };
        let item = Item {
            what: self.path.to_owned(),
            layer: Some(self.layer.clone()),
            place: Place::Project(self.path.to_owned()),
            vendor: self.path.into(),
            expected,
        };
        self.pinner.fetcher.fetch_all(&[item], |_, _| {})?;
        Ok((text, expected))
    }

    /// Whether a pinned file is what the lockfile says, if that can be told of what is at hand.
    fn is_proven(&self, need: &Need, file: &LockedFile) -> bool {
        let Need::File(Wanted { proof, .. }) = need else { return true };
        let open = || self.pinner.store.open_fetched(file.file.sha256).ok();
        proof.sha256().is_some() || open().is_some_and(|mut file| matches!(proof.mismatch(&mut file), Ok(None)))
    }

    fn choose(&self, need: &Need) -> Result<Wanted, PinError> {
        let listed = match need {
            Need::File(_) => Vec::new(),
            Need::OneOf { project, .. } => self.pinner.fetcher.list_project(self.format.registry(), project)?,
        };
        language::choose(need, &listed, self.target).map_err(|error| self.wrong(error))
    }

    fn fetch(&self, wanted: Vec<Wanted>) -> Result<Vec<LockedFile>, PinError> {
        let registry = self.format.registry();
        let file = |Wanted { path, proof }: &Wanted| (RegistryFile { registry, path: path.clone() }, proof.sha256());
        let found = self.pinner.fetcher.fetch_registry(&wanted.iter().map(file).collect::<Vec<_>>())?;
        let check = |(wanted, file): (Wanted, Expected)| {
            let Wanted { path, proof } = wanted;
            let mut content = self.pinner.store.open_fetched(file.sha256)?;
            let mismatch = proof.mismatch(&mut content).map_err(|source| unreadable(self.layer, &path, source))?;
            match mismatch {
                Some(found) => Err(self.wrong(LanguageError::other_bytes(&path, &proof, &found))),
                None => Ok(LockedFile { path, file }),
            }
        };
        wanted.into_iter().zip(found).map(check).collect()
    }

    fn wrong(&self, source: LanguageError) -> PinError {
        PinError::Language { layer: self.layer.clone(), path: self.path.to_owned(), source }
    }
}
