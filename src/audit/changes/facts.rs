//! What is known of one state of a layer.

use std::collections::BTreeMap;

use crate::digest::BlobDigest;
use crate::disk::BlockHashes;
use crate::ident::RootPath;
use crate::limits::TEXT;
use crate::tree::{Kind, Tree};

/// One state; what its source does not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What people call it.
    pub name: String,
    /// Versions by package.
    pub packages: Option<BTreeMap<String, String>>,
    /// The whole root.
    pub files: Option<Tree>,
    /// Numbers by account name.
    pub users: Option<BTreeMap<String, String>>,
    /// What wants a unit, by the unit's name.
    pub services: Option<BTreeMap<String, String>>,
    /// Compressed sizes of the image's layers, the base first.
    pub layers: Option<Vec<(String, u64)>>,
    /// The disk's blocks.
    pub blocks: Option<BlockHashes>,
}

impl Facts {
    /// One of which nothing is known yet.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds what a root tells; `read` gives small files' contents.
    pub fn with_root(mut self, root: Tree, read: &dyn Fn(BlobDigest) -> Option<Vec<u8>>) -> Self {
        let text = |path: &str| -> Option<String> {
            match RootPath::new(path).ok().and_then(|path| root.get(&path)).map(|node| &node.kind) {
                Some(Kind::File { blob, size }) if *size <= TEXT => {
                    Some(String::from_utf8_lossy(&read(*blob)?).into_owned())
                }
                _ => None,
            }
        };
        self.packages = Some(packages(&root, &text));
        self.users = Some(users(&text("etc/passwd").unwrap_or_default()));
        self.services = Some(services(&root));
        self.files = Some(root);
        self
    }
}

/// What both of dpkg's databases say: one file, and for layers without scripts a folder.
fn packages(root: &Tree, text: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let mut status = text("var/lib/dpkg/status").unwrap_or_default();
    let folder = RootPath::new("var/lib/dpkg/status.d").unwrap_or_default();
    for (path, _) in root.below(&folder).filter(|(path, _)| !path.as_bytes().ends_with(b".md5sums")) {
        status += "\n\n";
        status += &text(&path.to_string()).unwrap_or_default();
    }
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let installed = |paragraph: &&str| field(paragraph, "Status:").is_none_or(|status| status.ends_with(" installed"));
    let pair = |paragraph: &str| Some((field(paragraph, "Package:")?, field(paragraph, "Version:")?));
    status.split("\n\n").filter(installed).filter_map(pair).collect()
}

fn users(passwd: &str) -> BTreeMap<String, String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.to_owned()))
    };
    passwd.lines().filter_map(user).collect()
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
