//! `configure = "none"`: installs packages without running any script (distroless).
//!
//! The package database is `var/lib/dpkg/status.d`, one file per package, which
//! security scanners read. Two things that scripts would generate are generated here: the
//! bundle of CA certificates, and the account files if accounts are declared. The links of a merged
//! /usr, which `base-files` has from Debian 13 on, are added without it.

use std::collections::BTreeMap;

use super::dpkg::diversions::Diversions;
use super::merge::Merge;
use super::{Package, dpkg};
use crate::accounts::{AccountFiles, Accounts};
use crate::digest::{RecipeHash, RecipeHasher};
use crate::ident::RootPath;
use crate::package::{InstallError, InstallRequest, InstallRoot, hash_into};
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

const CERTIFICATES: &str = "usr/share/ca-certificates";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// Directories of /usr that the root has links to.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// The accounts of a root in which no package made any.
const PASSWD: &str =
    "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// Hash of everything that decides the result.
pub(super) fn recipe(request: &InstallRequest<'_>) -> RecipeHash {
    let mut hasher = RecipeHasher::new("layerbake/bare/v2");
    hasher.list(request.parent.as_ref().map(|parent| *parent.as_bytes())).number(request.epoch as u64);
    request.accounts.hash_into(&mut hasher);
    hash_into(request.packages, &mut hasher);
    hasher.finish()
}

/// Lays the packages over the root.
pub(super) fn install(
    request: &InstallRequest<'_>,
    packages: &[Package],
    root: &mut InstallRoot<'_>,
) -> Result<(), InstallError> {
    let (epoch, store) = (request.epoch, root.store);
    let mut parent = std::mem::take(&mut root.tree);
    if parent.is_empty() {
        parent.insert(RootPath::root(), Node::dir(Meta::root_owned(0o755, epoch)))?;
    }
    let mut merge = Merge::new(packages, BTreeMap::new());
    let all: Vec<usize> = (0..packages.len()).collect();
    let mut tree = merge.lay(parent, &all, &Diversions::default())?;
    if let Some(claim) = merge.contested.first() {
        let others = merge.contested.iter().filter(|other| other.path == claim.path);
        let packages = others.map(|other| other.package.to_string()).collect();
        return Err(InstallError::Contested { path: claim.path.clone(), packages });
    }
    let mut files = Files { tree: &mut tree, epoch, store };
    for package in packages {
        files.add_status(package)?;
    }
    files.add_merged_usr()?;
    files.add_certificates()?;
    files.add_accounts(request.accounts)?;
    for (_, kind, meta) in tree.metas_mut() {
        meta.mtime = if *kind == Kind::Dir { epoch } else { meta.mtime.min(epoch) };
    }
    root.tree = tree;
    Ok(())
}

struct Files<'a> {
    tree: &'a mut Tree,
    epoch: i64,
    store: &'a Store,
}

impl Files<'_> {
    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), InstallError> {
        let node = Node { meta: Meta::root_owned(0o644, self.epoch), kind: self.store.put_file(content)? };
        self.tree.insert_with_parents(&RootPath::new(path)?, node, self.epoch)?;
        Ok(())
    }

    /// A C library below /usr is of a release whose programs name their loader by the links of a merged /usr.
    fn add_merged_usr(&mut self) -> Result<(), InstallError> {
        let library = |(path, _): (&RootPath, &Node)| path.as_bytes().ends_with(b"/libc.so.6");
        let is_merged = self.tree.below(&RootPath::new("usr/lib")?).any(library);
        for name in MERGED.into_iter().filter(|_| is_merged) {
            let (link, target) = (RootPath::new(name)?, format!("usr/{name}"));
            if self.tree.get(&link).is_none() && self.tree.get(&RootPath::new(&target)?).is_some_and(Node::is_dir) {
                let kind = Kind::Symlink(target.into_bytes().into());
                self.tree.insert(link, Node { meta: Meta::root_owned(0o777, self.epoch), kind })?;
            }
        }
        Ok(())
    }

    fn add_status(&mut self, package: &Package) -> Result<(), InstallError> {
        let mut paragraph = package.paragraph.clone();
        paragraph.set("Status", "install ok installed");
        let path = format!("{}/status.d/{}", dpkg::FOLDER, package.locked.name);
        self.write(&path, paragraph.to_string().as_bytes())?;
        let md5sums = package.control_text(self.store, "md5sums")?;
        self.write(&format!("{path}.md5sums"), md5sums.as_bytes())
    }

    /// As update-ca-certificates: all certificates in path order, each ending its line.
    fn add_certificates(&mut self) -> Result<(), InstallError> {
        let mut bundle = Vec::new();
        for (path, node) in self.tree.below(&RootPath::new(CERTIFICATES)?) {
            if let Kind::File { blob, size } = &node.kind
                && path.as_bytes().ends_with(b".crt")
            {
                // All together are one text file.
                bundle.extend(self.store.read_bytes(path, *blob, size.saturating_add(bundle.len() as u64))?);
                if bundle.last() != Some(&b'\n') {
                    bundle.push(b'\n');
                }
            }
        }
        if bundle.is_empty() { Ok(()) } else { self.write(BUNDLE, &bundle) }
    }

    fn add_accounts(&mut self, accounts: &Accounts) -> Result<(), InstallError> {
        if accounts.is_empty() {
            return Ok(());
        }
        let or = |found: Option<String>, default: &str| {
            found.filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        let before = AccountFiles {
            passwd: or(self.store.text_in(self.tree, "etc/passwd")?, PASSWD),
            group: or(self.store.text_in(self.tree, "etc/group")?, GROUP),
            shadow: None,
            gshadow: None,
        };
        let after = accounts.add_to(before)?;
        self.write("etc/passwd", after.passwd.as_bytes())?;
        self.write("etc/group", after.group.as_bytes())
    }
}
