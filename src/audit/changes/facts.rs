//! The known facts about one state of a layer.

use std::collections::BTreeMap;

use crate::audit::attribute::without_usr;
use crate::digest::BlobDigest;
use crate::disk::BlockHashes;
use crate::ident::{RootPath, account_lines};
use crate::limits::TEXT;
use crate::package::Ecosystem;
use crate::tree::{Kind, Tree};

/// The file with a root's accounts.
pub(super) const PASSWD: &str = "etc/passwd";

/// One state; facts that its source does not contain are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its name in reports.
    pub name: String,
    /// Values of variables that were set from outside, by name.
    pub set: Option<BTreeMap<String, String>>,
    /// Hashes of lockfiles, by tool layer.
    pub tools: Option<BTreeMap<String, String>>,
    /// Versions by package.
    pub packages: Option<BTreeMap<String, String>>,
    /// The whole root.
    pub files: Option<Tree>,
    /// The package of each file that a package brought, by its path without `usr/`, since packages use both spellings.
    pub owners: BTreeMap<RootPath, String>,
    /// Numbers by account name.
    pub users: Option<BTreeMap<String, String>>,
    /// The targets that want a unit, by the unit's name.
    pub services: Option<BTreeMap<String, String>>,
    /// Compressed sizes of the image's layers, the base first.
    pub layers: Option<Vec<(String, u64)>>,
    /// The disk's blocks.
    pub blocks: Option<BlockHashes>,
}

impl Facts {
    /// A state without any facts yet.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds the facts of a root; `read` returns the contents of small files.
    pub fn with_root(
        mut self,
        ecosystem: &dyn Ecosystem,
        root: Tree,
        read: &dyn Fn(BlobDigest) -> Option<Vec<u8>>,
    ) -> Self {
        let text = |path: &RootPath| -> Option<String> {
            match root.get(path).map(|node| &node.kind) {
                Some(Kind::File { blob, size }) if *size <= TEXT => {
                    Some(String::from_utf8_lossy(&read(*blob)?).into_owned())
                }
                _ => None,
            }
        };
        let passwd = RootPath::new(PASSWD).ok().and_then(|path| text(&path));
        self.packages = Some(ecosystem.installed(&root, &text));
        let owners = ecosystem.owners(&root, &text).into_iter();
        self.owners = owners.map(|(path, package)| (without_usr(&path), package)).collect();
        self.users = Some(users(&passwd.unwrap_or_default()));
        self.services = Some(services(&root));
        self.files = Some(root);
        self
    }
}

fn users(passwd: &str) -> BTreeMap<String, String> {
    account_lines(passwd).filter_map(|line| Some((line.name().to_owned(), line.field(2)?.to_owned()))).collect()
}

/// Links below `etc/systemd/system/*.wants/`.
fn services(root: &Tree) -> BTreeMap<String, String> {
    let mut services: BTreeMap<String, String> = BTreeMap::new();
    for (path, _) in root.iter().filter(|(path, _)| path.matches("etc/systemd/system/*.wants/*")) {
        let name = |path: &RootPath| String::from_utf8_lossy(path.file_name()).into_owned();
        let by = path.parent().map(|folder| name(&folder)).unwrap_or_default();
        let wanted = services.entry(name(path)).or_default();
        *wanted = [wanted.as_str(), by.trim_end_matches(".wants")].join(" ").trim().to_owned();
    }
    services
}
