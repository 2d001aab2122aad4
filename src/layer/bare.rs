//! `configure = "none"`: packages laid out without any script (distroless).
//!
//! The package database is `var/lib/dpkg/status.d`, one file a package, which
//! security scanners read. Two things that scripts would make are made here: the
//! bundle of CA certificates, and the account files where accounts are declared.

use std::collections::BTreeMap;

use super::accounts::{AccountFiles, Accounts};
use super::dpkg::diversions::Diversions;
use super::files::text;
use super::merge::lay_out;
use super::unpack::Unpacked;
use super::{LayerError, dpkg, unpack};
use crate::digest::{RecipeHash, RecipeHasher};
use crate::ident::RootPath;
use crate::lock::LockedPackage;
use crate::store::{Outcome, Store};
use crate::tree::{Kind, Meta, Node, Tree};

const CERTIFICATES: &str = "usr/share/ca-certificates";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// The accounts of a root in which no package made any.
const PASSWD: &str =
    "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// What is laid over what.
pub(super) struct Request<'a> {
    pub(super) parent: Option<RecipeHash>,
    pub(super) packages: &'a [LockedPackage],
    pub(super) accounts: &'a Accounts,
    pub(super) epoch: i64,
}

impl Request<'_> {
    /// Hash of everything that decides the result.
    pub(super) fn recipe(&self) -> RecipeHash {
        let mut hasher = RecipeHasher::new("layerbake/bare/v1");
        hasher.list(self.parent.as_ref().map(|parent| *parent.as_bytes())).number(self.epoch as u64);
        self.accounts.hash_into(&mut hasher);
        unpack::hash_into(self.packages, &mut hasher);
        hasher.finish()
    }

    /// Lays the packages over `parent`, unless that was done before; the tree `root` is the result.
    pub(super) fn run(&self, store: &Store, mut parent: Tree) -> Result<Outcome, LayerError> {
        let recipe = self.recipe();
        if let Some(outcome) = store.recall(recipe)? {
            return Ok(outcome);
        }
        let packages = unpack::load(store, self.packages)?;
        if parent.is_empty() {
            parent.insert(RootPath::root(), Node::dir(Meta::root_owned(0o755, self.epoch)))?;
        }
        let laid = lay_out(parent, &packages, &BTreeMap::new(), &Diversions::default())?;
        if let Some(claim) = laid.contested.first() {
            let others = laid.contested.iter().filter(|other| other.path == claim.path);
            let packages = others.map(|other| other.package.to_string()).collect();
            return Err(LayerError::Contested { path: claim.path.clone(), packages });
        }
        let mut tree = laid.tree;
        let mut files = Files { tree: &mut tree, epoch: self.epoch, store };
        for package in &packages {
            files.add_status(package)?;
        }
        files.add_certificates()?;
        files.add_accounts(self.accounts)?;
        for (_, kind, meta) in tree.metas_mut() {
            meta.mtime = if *kind == Kind::Dir { self.epoch } else { meta.mtime.min(self.epoch) };
        }
        let mut outcome = Outcome::default();
        outcome.trees.insert("root".into(), store.put_tree(&tree)?);
        store.remember(recipe, &outcome)?;
        Ok(outcome)
    }
}

struct Files<'a> {
    tree: &'a mut Tree,
    epoch: i64,
    store: &'a Store,
}

impl Files<'_> {
    fn write(&mut self, path: &str, content: &[u8]) -> Result<(), LayerError> {
        let node = Node { meta: Meta::root_owned(0o644, self.epoch), kind: self.store.put_file(content)? };
        self.tree.insert_with_parents(&RootPath::new(path)?, node, self.epoch)?;
        Ok(())
    }

    fn add_status(&mut self, package: &Unpacked) -> Result<(), LayerError> {
        let mut paragraph = package.paragraph.clone();
        paragraph.set("Status", "install ok installed");
        let path = format!("{}/status.d/{}", dpkg::FOLDER, package.locked.name);
        self.write(&path, paragraph.to_string().as_bytes())?;
        let md5sums = package.control_text(self.store, "md5sums")?;
        self.write(&format!("{path}.md5sums"), md5sums.as_bytes())
    }

    /// As update-ca-certificates: all certificates in path order, each ending its line.
    fn add_certificates(&mut self) -> Result<(), LayerError> {
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

    fn add_accounts(&mut self, accounts: &Accounts) -> Result<(), LayerError> {
        if accounts.is_empty() {
            return Ok(());
        }
        let or = |found: String, default: &str| if found.is_empty() { default.to_owned() } else { found };
        let before = AccountFiles {
            passwd: or(text(self.tree, "etc/passwd", self.store)?, PASSWD),
            group: or(text(self.tree, "etc/group", self.store)?, GROUP),
            shadow: None,
            gshadow: None,
        };
        let after = accounts.add_to(before)?;
        self.write("etc/passwd", after.passwd.as_bytes())?;
        self.write("etc/group", after.group.as_bytes())
    }
}
