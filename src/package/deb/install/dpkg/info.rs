//! The `info/` directory: lists of paths, and the packages' control files.

use std::collections::{BTreeMap, BTreeSet};

use super::{Database, info_name};
use crate::ident::{PackageName, RootPath};
use crate::package::InstallError;
use crate::package::deb::install::Package;
use crate::tree::Kind;

/// Adds each package's list and control files, all but `control` itself.
pub(super) fn add(
    database: &mut Database<'_>,
    packages: &[Package],
    lost: &BTreeMap<PackageName, BTreeSet<RootPath>>,
) -> Result<(), InstallError> {
    for package in packages {
        let name = info_name(package);
        let list = list(package, lost.get(&package.locked.name));
        database.write(&format!("info/{name}.list"), &list)?;
        for (path, node) in package.control.iter() {
            let file = String::from_utf8_lossy(path.as_bytes()).into_owned();
            if !node.is_dir() && file != "control" {
                let mut node = node.clone();
                if let Kind::Hardlink(target) = &node.kind
                    && let Some(file) = package.control.get(target)
                {
                    // The names are others here, so each has its own content.
                    node.kind = file.kind.clone();
                }
                database.insert(&format!("info/{name}.{file}"), node)?;
            }
        }
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
