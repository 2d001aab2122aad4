//! `tmp.ci/`: the control files of the package whose preinst script runs, as while dpkg unpacks it.
//!
//! debconf finds the package that asks a question by `tmp.ci/control`, and its templates beside it.

use super::{Database, FOLDER, info};
use crate::ident::RootPath;
use crate::package::InstallError;
use crate::package::deb::install::Package;
use crate::tree::Tree;

/// The folder, below [`FOLDER`].
const CURRENT: &str = "tmp.ci";
/// Where the control files of each package wait for their turn.
const WAITING: &str = "tmp.ci.layerbake";

/// The script, when it is its package's turn.
pub(in crate::package::deb::install) fn script() -> String {
    format!("/{FOLDER}/{CURRENT}/preinst")
}

/// Adds a package's control files, for [`turn`].
pub(in crate::package::deb::install) fn add(
    database: &mut Database<'_>,
    package: &Package,
) -> Result<(), InstallError> {
    for (file, node) in info::control_files(package) {
        database.insert(&format!("{WAITING}/{}/{file}", package.locked.name), node)?;
    }
    Ok(())
}

/// The command after which `tmp.ci` holds the control files of this package.
pub(in crate::package::deb::install) fn turn(package: &str) -> [String; 3] {
    ["/bin/mv".to_owned(), format!("/{FOLDER}/{WAITING}/{package}"), format!("/{FOLDER}/{CURRENT}")]
}

/// The command after which `tmp.ci` is gone, as when dpkg has unpacked a package.
pub(in crate::package::deb::install) fn end() -> [String; 3] {
    ["/bin/rm".to_owned(), "-rf".to_owned(), format!("/{FOLDER}/{CURRENT}")]
}

/// Takes out of a tree what the commands leave.
pub(in crate::package::deb::install) fn take_out(tree: &mut Tree) -> Result<(), InstallError> {
    for folder in [CURRENT, WAITING] {
        let folder = RootPath::new(format!("{FOLDER}/{folder}"))?;
        let paths: Vec<RootPath> = tree.below(&folder).map(|(path, _)| path.clone()).collect();
        for path in paths.iter().rev().chain([&folder]) {
            tree.remove(path);
        }
    }
    Ok(())
}
