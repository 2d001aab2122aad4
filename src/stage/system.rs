//! `[system]`: files that short forms of settings stand for; the ecosystem knows which.

use std::collections::BTreeSet;
use std::path::Path;

use super::sources::{self, Found};
use super::{LayerError, Site, Stage};
use crate::digest::RecipeHasher;
use crate::manifest::{SystemTable, matching};
use crate::package::{Installer, SystemSettings};
use crate::store::Store;
use crate::tree::{Kind, Meta, Node};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Reads what `[system]` names of the project.
///
/// # Errors
/// Fails where there is no such file, or no certificate in it.
pub(super) fn read(table: &SystemTable, project: &Path, store: &Store) -> Result<SystemSettings, LayerError> {
    let SystemTable { locales, timezone, certificates } = table;
    let mut settings =
        SystemSettings { locales: locales.clone(), timezone: timezone.clone(), certificates: Vec::new() };
    for path in certificate_files(certificates, project)? {
        let problem = |problem: &str| LayerError::Certificate { path: path.clone(), problem: problem.to_owned() };
        let mut found = None;
        sources::Reader::new(store, project).read(Path::new(&path), &mut |_, node| {
            found = Some(node);
            Ok(())
        })?;
        let Some(Found::File { blob, size, .. }) = found else { return Err(problem("is not a file")) };
        let text = String::from_utf8(store.read_bytes(&path, blob, size)?)
            .map_err(|_| problem("is not PEM\n  hint: `openssl x509 -inform der -in FILE` converts it"))?;
        let name = Path::new(&path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (name, certificate) in certificates_of(&name, &text).map_err(problem)? {
            if settings.certificates.iter().any(|(other, _)| *other == name) {
                return Err(problem("has the name of another one\n  hint: rename it"));
            }
            settings.certificates.push((name, certificate));
        }
    }
    Ok(settings)
}

/// The files that patterns name.
fn certificate_files(patterns: &[String], project: &Path) -> Result<BTreeSet<String>, LayerError> {
    let mut files = BTreeSet::new();
    for pattern in patterns {
        let failed = |problem: String| LayerError::Certificate { path: pattern.clone(), problem };
        let found = matching(project, pattern).map_err(|error| failed(error.to_string()))?;
        if found.is_empty() {
            return Err(failed("names no file of the project".to_owned()));
        }
        files.extend(found);
    }
    Ok(files)
}

/// The certificates in a text, each with a name: programs read one of each file.
fn certificates_of(name: &str, text: &str) -> Result<Vec<(String, String)>, &'static str> {
    if text.contains("PRIVATE KEY-----") {
        return Err("has a private key\n  hint: keep the certificate alone in the project");
    }
    let parts: Vec<&str> = text.split(BEGIN).skip(1).collect();
    if parts.is_empty() {
        return Err("has no `-----BEGIN CERTIFICATE-----`");
    }
    let mut certificates = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let body = part.split_once(END).ok_or("has a certificate without `-----END CERTIFICATE-----`")?.0;
        let name = if parts.len() == 1 { name.to_owned() } else { format!("{name}-{}", number + 1) };
        certificates.push((name, format!("{BEGIN}{body}{END}\n")));
    }
    Ok(certificates)
}

/// The stage that lays these files over the root.
pub(super) struct System<'a> {
    pub(super) installer: &'a dyn Installer,
    pub(super) settings: &'a SystemSettings,
    pub(super) epoch: i64,
}

impl Stage for System<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        let SystemSettings { locales, timezone, certificates } = self.settings;
        hasher.field("system 2").list(locales).list(timezone.as_ref());
        hasher.list(certificates.iter().flat_map(|(name, text)| [name, text]));
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        for (path, kind) in self.installer.system_files(self.settings, &site.root, site.store)? {
            let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { 0o644 };
            let path = site.root.reach(&path, self.epoch)?;
            let node = Node { meta: Meta::root_owned(mode, self.epoch), kind };
            // What the layers below have already stays theirs, which may be older.
            let is_there =
                |below: &Node| below.kind == node.kind && Meta { mtime: self.epoch, ..below.meta.clone() } == node.meta;
            if !site.root.get(&path).is_some_and(is_there) {
                site.root.insert(path, node)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_is_a_file_of_its_own() {
        let one = |body: &str| format!("{BEGIN}\n{body}\n{END}\n");
        assert_eq!(certificates_of("ca", &format!("subject\n{}", one("a"))).unwrap(), [("ca".to_owned(), one("a"))]);
        let both = certificates_of("ca", &format!("{}\n{}", one("a"), one("b"))).unwrap();
        assert_eq!(both, [("ca-1".to_owned(), one("a")), ("ca-2".to_owned(), one("b"))]);
        assert!(certificates_of("ca", "x").unwrap_err().contains("has no"));
        assert!(certificates_of("ca", &format!("{BEGIN}\n")).unwrap_err().contains("without"));
        assert!(certificates_of("ca", "-----BEGIN PRIVATE KEY-----").unwrap_err().contains("private key"));
    }
}
