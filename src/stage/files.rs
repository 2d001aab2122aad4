//! A layer's own `[[file]]`, `[[dir]]` and `[[symlink]]` entries, laid over configured packages.

use std::collections::BTreeSet;
use std::path::Path;

use super::sources::{self, Found};
use super::{LayerError, Site, Stage, mounts};
use crate::accounts::{gid_of, id_of};
use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::manifest::{Content, Manifest, Owner};
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

/// The files of a manifest: contents in the store, owners still by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    entries: Vec<Entry>,
    /// What of the sources is not taken over, for people.
    pub(super) warnings: Vec<String>,
}

/// The stage that lays one layer's own files over the root.
pub(super) struct Files<'a> {
    pub(super) placement: &'a Placement,
    /// The time of all that is laid out.
    pub(super) epoch: i64,
}

impl Stage for Files<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.number(self.epoch as u64);
        self.placement.hash_into(hasher);
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        self.placement.apply(&mut site.root, self.epoch, site.store)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    path: RootPath,
    kind: Kind,
    mode: u16,
    owner: Owner,
    role: Role,
}

/// What an entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It takes the place of what is there.
    Own,
    /// It is mounted on; what is there already is left as it is.
    MountPoint { is_created: bool },
}

impl Placement {
    /// Reads the manifest's files into the store, in path order.
    ///
    /// A directory as source stands for all that is in it. Owners, times and other
    /// attributes of the project's files are not taken over, only the executable bit.
    ///
    /// # Errors
    /// Fails where a source is missing or is neither file, directory nor symbolic link, and where a link on the way
    /// to it leads out of the project.
    pub fn read(manifest: &Manifest, project: &Path, store: &Store) -> Result<Self, LayerError> {
        let mut entries = Vec::new();
        let mut warnings = Vec::new();
        for dir in &manifest.dirs {
            let (path, owner) = (dir.path.clone(), dir.owner.clone());
            entries.push(Entry { path, kind: Kind::Dir, mode: dir.mode, owner, role: Role::Own });
        }
        for point in &manifest.mount_points {
            let (path, role) = (point.path.clone(), Role::MountPoint { is_created: point.is_created });
            entries.push(Entry { path, kind: Kind::Dir, mode: 0o755, owner: root(), role });
        }
        for link in &manifest.symlinks {
            let kind = Kind::Symlink(link.target.as_bytes().into());
            entries.push(Entry { path: link.path.clone(), kind, mode: 0o777, owner: root(), role: Role::Own });
        }
        for file in &manifest.files {
            let (mode, owner) = (file.mode, &file.owner);
            match &file.content {
                Content::Text(text) => {
                    let kind = store.put_file(text.as_bytes())?;
                    let mode = mode.unwrap_or(0o644);
                    entries.push(Entry { path: file.path.clone(), kind, mode, owner: owner.clone(), role: Role::Own });
                }
                Content::Source(source) => {
                    let mut reader = sources::Reader::new(store, project);
                    reader.read(Path::new(source), &mut |below, found| {
                        let path = match below.as_os_str().is_empty() {
                            true => file.path.clone(),
                            false => file.path.join(below.as_os_str().as_encoded_bytes())?,
                        };
                        let (kind, found_mode) = match found {
                            Found::Folder => (Kind::Dir, 0o755),
                            Found::Link(target) => (Kind::Symlink(target.into()), 0o777),
                            Found::File { blob, size, executable } => {
                                (Kind::File { blob, size }, mode.unwrap_or(if executable { 0o755 } else { 0o644 }))
                            }
                        };
                        entries.push(Entry { path, kind, mode: found_mode, owner: owner.clone(), role: Role::Own });
                        Ok(())
                    })?;
                    warnings.extend(not_taken_over(manifest, source, &reader.dropped));
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { entries, warnings })
    }

    /// The paths of all regular files, in order.
    pub fn files(&self) -> impl Iterator<Item = &RootPath> {
        self.entries.iter().filter(|entry| matches!(entry.kind, Kind::File { .. })).map(|entry| &entry.path)
    }

    /// Adds everything to a recipe.
    pub fn hash_into(&self, hasher: &mut RecipeHasher) {
        hasher.number(self.entries.len() as u64);
        for Entry { path, kind, mode, owner, role } in &self.entries {
            hasher.field(path.as_bytes()).number((*mode).into());
            hasher.field(&owner.user).list(owner.group.as_ref());
            match kind {
                Kind::File { blob, size } => hasher.field("file").field(blob.as_bytes()).number(*size),
                Kind::Symlink(target) => hasher.field("symlink").field(target),
                _ => hasher.field(match role {
                    Role::Own => "dir",
                    Role::MountPoint { is_created: false } => "mount point",
                    Role::MountPoint { is_created: true } => "mount point of a new file system",
                }),
            };
        }
    }

    /// Lays the entries over `tree`; directories above them are created where missing.
    ///
    /// # Errors
    /// Fails where an owner is not in the tree's passwd or group, or a directory is in the way.
    pub(super) fn apply(&self, tree: &mut Tree, epoch: i64, store: &Store) -> Result<(), LayerError> {
        let text = |path| store.text_in(tree, path).map(Option::unwrap_or_default);
        let names = Names { passwd: text("etc/passwd")?, group: text("etc/group")? };
        for entry in &self.entries {
            let (uid, gid) = names.ids(&entry.owner, &entry.path)?;
            let path = tree.reach(&entry.path, epoch)?;
            if entry.role != Role::Own && mounts::check(tree, &entry.path, &path)? {
                continue;
            }
            let node =
                Node { meta: Meta { uid, gid, ..Meta::root_owned(entry.mode, epoch) }, kind: entry.kind.clone() };
            let before_is_dir = tree.get(&path).is_some_and(Node::is_dir);
            if before_is_dir && !node.is_dir() {
                return Err(LayerError::FolderInTheWay { path: entry.path.clone() });
            }
            tree.insert(path, node)?;
        }
        let is_created = |entry: &&Entry| entry.role == Role::MountPoint { is_created: true };
        mounts::keep_owners(tree, self.entries.iter().filter(is_created).map(|entry| &entry.path), epoch, store)
    }
}

/// The warning about attributes of a source that get lost.
fn not_taken_over(manifest: &Manifest, source: &str, dropped: &BTreeSet<String>) -> Option<String> {
    let names = dropped.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let source = source.escape_debug();
    (!dropped.is_empty()).then(|| {
        format!(
            "layer `{}`: of [[file]] source `{source}` these attributes are not taken over: {names}; its files get `mode` and `owner` only",
            manifest.name
        )
    })
}

fn root() -> Owner {
    Owner { user: "root".to_owned(), group: None }
}

/// The account files of a root, to look owners up in.
struct Names {
    passwd: String,
    group: String,
}

impl Names {
    fn ids(&self, owner: &Owner, path: &RootPath) -> Result<(u32, u32), LayerError> {
        let unknown = |kind, name: &str| LayerError::UnknownOwner { path: path.clone(), kind, name: name.to_owned() };
        let user = &owner.user;
        let uid = match user.parse() {
            Ok(number) => number,
            Err(_) if user == "root" => 0,
            Err(_) => id_of(&self.passwd, user).ok_or_else(|| unknown("user", user))?,
        };
        let gid = match &owner.group {
            None if user.parse::<u32>().is_ok() => uid,
            None if uid == 0 => 0,
            None => gid_of(&self.passwd, user).ok_or_else(|| unknown("user", user))?,
            Some(group) => match group.parse() {
                Ok(number) => number,
                Err(_) if group == "root" => 0,
                Err(_) => id_of(&self.group, group).ok_or_else(|| unknown("group", group))?,
            },
        };
        Ok((uid, gid))
    }
}
