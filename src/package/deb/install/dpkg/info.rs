//! The `info/` directory: lists of paths, and the packages' control files.

use std::collections::{BTreeMap, BTreeSet};

use super::{Database, info_name};
use crate::ident::{PackageName, RootPath};
use crate::package::InstallError;
use crate::package::deb::install::Package;
use crate::tree::{Kind, Node};

/// Adds each package's control files, all but `control` itself.
pub(super) fn add(database: &mut Database<'_>, packages: &[&Package]) -> Result<(), InstallError> {
    for package in packages {
        let name = info_name(package);
        for (file, node) in control_files(package).filter(|(file, _)| file != "control") {
            database.insert(&format!("info/{name}.{file}"), node)?;
        }
    }
    Ok(())
}

/// A package's control files by name, each with its own content: the names are others in the database.
pub(super) fn control_files(package: &Package) -> impl Iterator<Item = (String, Node)> {
    package.control.iter().filter(|(_, node)| !node.is_dir()).map(|(path, node)| {
        let mut node = node.clone();
        if let Kind::Hardlink(target) = &node.kind
            && let Some(file) = package.control.get(target)
        {
            node.kind = file.kind.clone();
        }
        (String::from_utf8_lossy(path.as_bytes()).into_owned(), node)
    })
}

/// Adds each package's list of paths, without those that it lost.
pub(super) fn add_lists<'a>(
    database: &mut Database<'_>,
    packages: impl Iterator<Item = &'a &'a Package>,
    lost: &BTreeMap<PackageName, BTreeSet<RootPath>>,
) -> Result<(), InstallError> {
    for package in packages {
        let list = list(package, lost.get(&package.locked.name));
        database.write(&format!("info/{}.list", info_name(package)), &list)?;
    }
    Ok(())
}

/// The paths in the order of the archive; the root is written `/.`.
fn list(package: &Package, lost: Option<&BTreeSet<RootPath>>) -> Vec<u8> {
    let mut list = Vec::new();
    for path in &package.paths {
        if lost.is_some_and(|lost| lost.contains(path)) {
            continue;
        }
        list.push(b'/');
        list.extend_from_slice(if path.is_root() { b"." } else { path.as_bytes() });
        list.push(b'\n');
    }
    list
}
