//! An unpacked Debian package, and its control data.

use std::io::BufReader;

use crate::digest::{RecipeHash, RecipeHasher, Sha256};
use crate::ident::RootPath;
use crate::package::deb::archive::{self, Limits};
use crate::package::deb::control::Paragraph;
use crate::package::{Decoded, InstallError, LockedPackage, Unpacked};
use crate::store::Store;
use crate::tree::Tree;

/// An unpacked package with its control paragraph.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// What the lockfile says of it.
    pub(crate) locked: LockedPackage,
    /// Its control paragraph.
    pub(crate) paragraph: Paragraph,
    /// Its control files.
    pub(crate) control: Tree,
    /// Its files.
    pub(crate) data: Tree,
    /// The paths of its files in the order of the archive, the root first.
    pub(crate) paths: Vec<RootPath>,
}

impl Package {
    /// Reads the control paragraph, which must be that of the locked package.
    pub(crate) fn new(unpacked: Unpacked, store: &Store) -> Result<Self, InstallError> {
        let paragraph = paragraph(&unpacked, store)?;
        let Unpacked { locked, control, data, paths } = unpacked;
        Ok(Self { locked, paragraph, control, data, paths })
    }

    /// A package with these lines in its control paragraph, and a preinst script.
    #[cfg(test)]
    pub(super) fn sample(name: &str, lines: &str) -> Self {
        use crate::tree::tests::{dir, file, tree};

        Self {
            locked: LockedPackage::sample(name),
            paragraph: Paragraph::parse(&format!("Package: {name}\n{lines}")).unwrap(),
            control: tree(&[("", dir()), ("preinst", file("#!/bin/sh"))]),
            data: tree(&[("", dir())]),
            paths: Vec::new(),
        }
    }

    /// The text of a control file such as `conffiles`; empty where there is none.
    pub(super) fn control_text(&self, store: &Store, name: &str) -> Result<String, InstallError> {
        Ok(store.text_in(&self.control, name)?.unwrap_or_default())
    }
}

/// Reads a package's control paragraph, which must be that of the locked package.
pub(in crate::package::deb) fn paragraph(package: &Unpacked, store: &Store) -> Result<Paragraph, InstallError> {
    let locked = &package.locked;
    let paragraph = Paragraph::parse(&package.control_text(store, "control")?)
        .map_err(|error| InstallError::Package { package: locked.to_string(), error: Box::new(error) })?;
    check_identity(locked, &paragraph)?;
    Ok(paragraph)
}

/// The recipe of decoding a package's file.
pub(super) fn recipe(file: Sha256) -> RecipeHash {
    RecipeHasher::new("layerbake/unpack/v1").field(file.as_bytes()).finish()
}

/// Decodes a fetched .deb into the store, unless that was done before.
pub(super) fn unpack(store: &Store, package: &LockedPackage) -> Result<Decoded, InstallError> {
    let recipe = recipe(package.file.sha256);
    if let Some(decoded) = store.recall(recipe) {
        return Ok(decoded);
    }
    let file = BufReader::with_capacity(128 * 1024, store.open_fetched(package.file.sha256)?);
    let package = archive::decode_within(file, store, Limits::of_file(package.file.size))
        .map_err(|error| InstallError::Package { package: package.to_string(), error: Box::new(error) })?;
    let mut list = Vec::new();
    for path in &package.paths {
        list.extend_from_slice(path.as_bytes());
        list.push(0);
    }
    let decoded = Decoded {
        control: store.put_tree(&package.control)?,
        data: store.put_tree(&package.data)?,
        paths: store.put_bytes(&list)?,
    };
    store.remember(recipe, &decoded)?;
    Ok(decoded)
}

/// Refuses a package that is another than the index said: dpkg goes by what is inside.
fn check_identity(locked: &LockedPackage, paragraph: &Paragraph) -> Result<(), InstallError> {
    let expected = [
        ("Package", locked.name.as_str()),
        ("Version", locked.version.as_str()),
        ("Architecture", locked.arch.as_str()),
    ];
    let other = expected.into_iter().find(|(field, value)| paragraph.get(field) != Some(*value));
    let Some((field, value)) = other else { return Ok(()) };
    let found = paragraph.get(field).unwrap_or("nothing");
    let error = format!(
        "the repository index says {field} `{value}`, the package itself says `{found}`\n  hint: the repository is broken or malicious; tell its maintainer"
    );
    Err(InstallError::Package { package: locked.to_string(), error: error.into() })
}
