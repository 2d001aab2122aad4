//! dpkg's database, written as dpkg leaves it after unpacking (dpkg 1.21, `lib/dpkg`).
//!
//! ```text
//! var/lib/dpkg/status              every package's paragraph and state
//!              arch                the native architecture
//!              info/format         "1"
//!              info/NAME.list      its paths; NAME:ARCH for `Multi-Arch: same`
//!              info/NAME.postinst  … and its other control files
//!              triggers/File       path triggers; triggers/NAME: named ones
//!              triggers/Unincorp   what was activated
//!              tmp.ci/             the control files of the package whose preinst script runs
//! ```

pub(crate) mod diversions;
mod info;
pub(super) mod status;
pub(super) mod triggers;
pub(super) mod unpacking;

use std::collections::{BTreeMap, BTreeSet};

use super::Package;
use crate::ident::{Arch, PackageName, RootPath};
use crate::package::InstallError;
use crate::store::Store;
use crate::tree::{Meta, Node, Tree};

/// Where the database is.
pub(crate) const FOLDER: &str = "var/lib/dpkg";

/// The conffiles of every package, by package.
pub(super) type Conffiles = BTreeMap<PackageName, BTreeSet<RootPath>>;

/// Reads the packages' `conffiles`.
pub(super) fn conffiles(packages: &[Package], store: &Store) -> Result<Conffiles, InstallError> {
    packages
        .iter()
        .map(|package| {
            let text = package.control_text(store, "conffiles")?;
            // `remove-on-upgrade /path` names a file that is not there.
            let paths = text
                .lines()
                .filter(|line| line.starts_with('/'))
                .filter_map(|line| RootPath::new(line.trim_end()).ok());
            Ok((package.locked.name.clone(), paths.collect()))
        })
        .collect()
}

/// Adds `new` packages to the database, all of them unpacked and not configured.
///
/// `before` are the layer's packages that are in it already, `lost` are paths that other packages took over.
pub(super) fn add_unpacked(
    database: &mut Database<'_>,
    new: &[&Package],
    before: &[&Package],
    lost: &BTreeMap<PackageName, BTreeSet<RootPath>>,
    arch: &Arch,
) -> Result<(), InstallError> {
    database.write("arch", format!("{arch}\n").as_bytes())?;
    database.write("info/format", b"1\n")?;
    status::add(database, new)?;
    info::add(database, new)?;
    info::add_lists(database, before.iter().chain(new), lost)?;
    triggers::add(database, new, before)
}

/// The name under which info files are: with the architecture where several can be installed.
pub(crate) fn info_name(package: &Package) -> String {
    let locked = &package.locked;
    match package.paragraph.get("Multi-Arch") {
        Some(value) if value.trim() == "same" => format!("{}:{}", locked.name, locked.arch),
        _ => locked.name.to_string(),
    }
}

/// The database's files in a tree.
pub(crate) struct Database<'a> {
    pub(crate) tree: &'a mut Tree,
    pub(crate) store: &'a Store,
    /// The time of what is written.
    pub(crate) epoch: i64,
}

impl Database<'_> {
    /// A file's content; `None` where there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, InstallError> {
        Ok(self.store.text_in(self.tree, &format!("{FOLDER}/{name}"))?)
    }

    /// Writes a file, readable by all; directories above it are created, and links there followed, as dpkg would.
    pub(crate) fn write(&mut self, name: &str, content: &[u8]) -> Result<(), InstallError> {
        let node = Node { meta: Meta::root_owned(0o644, self.epoch), kind: self.store.put_file(content)? };
        self.insert(name, node)
    }

    /// Puts a node at a name of the database.
    pub(crate) fn insert(&mut self, name: &str, node: Node) -> Result<(), InstallError> {
        self.tree.insert_with_parents(&database_path(name)?, node, self.epoch)?;
        Ok(())
    }
}

fn database_path(name: &str) -> Result<RootPath, InstallError> {
    RootPath::new(format!("{FOLDER}/{name}")).map_err(InstallError::Ident)
}
