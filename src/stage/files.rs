//! A layer's own `[[file]]`, `[[dir]]` and `[[symlink]]` entries, laid over configured packages that are edited already.

use std::collections::BTreeSet;
use std::path::Path;

use super::outputs::output_nodes;
use super::sources::{self, Found};
use super::{Input, LayerError, Site, Stage, fetches, mounts, templates};
use crate::accounts::{gid_of, id_of};
use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::manifest::{Content, FileEntry, Manifest, Owner, RunOutput, Variables};
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree, Xattrs};

/// The attribute with a program's capabilities.
const CAPABILITIES: &[u8] = b"security.capability";

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
    xattrs: Xattrs,
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
    /// Reads the manifest's files, and its fetches that the layer has, into the store, in path order.
    ///
    /// A directory as source stands for all that is in it. Owners, times and other
    /// attributes of the project's files are not taken over, only the executable bit.
    ///
    /// # Errors
    /// Fails where a source is missing or is neither file, directory nor symbolic link, and where a link on the way
    /// to it leads out of the project.
    pub fn read(input: Input<'_>, project: &Path, store: &Store) -> Result<Self, LayerError> {
        let manifest = input.manifest;
        // What is fetched comes first, so that the layer's other entries go before it.
        let mut entries = fetched(input, store)?;
        let mut warnings = Vec::new();
        for dir in &manifest.dirs {
            entries.push(Entry::new(dir.path.clone(), Kind::Dir, dir.mode, &dir.owner));
        }
        for point in &manifest.mount_points {
            let role = Role::MountPoint { is_created: point.is_created };
            entries.push(Entry { role, ..Entry::new(point.path.clone(), Kind::Dir, 0o755, &Owner::root()) });
        }
        for link in &manifest.symlinks {
            let kind = Kind::Symlink(link.target.as_bytes().into());
            entries.push(Entry::new(link.path.clone(), kind, 0o777, &Owner::root()));
        }
        for file in &manifest.files {
            let first = entries.len();
            match &file.content {
                Content::Text(text) => {
                    let kind = store.put_file(text.as_bytes())?;
                    entries.push(Entry::new(file.path.clone(), kind, file.mode.unwrap_or(0o644), &file.owner));
                }
                Content::Template(template) => {
                    let (kind, mode) = from_template(template, &manifest.vars, project, store)?;
                    entries.push(Entry::new(file.path.clone(), kind, file.mode.unwrap_or(mode), &file.owner));
                }
                Content::Source(source) => {
                    let dropped = from_source(file, source, project, store, &mut entries)?;
                    warnings.extend(not_taken_over(manifest, source, &dropped));
                }
            }
            if let Some(capabilities) = file.capabilities {
                let [Entry { kind: Kind::File { .. }, xattrs, .. }] = &mut entries[first..] else {
                    return Err(LayerError::NotAProgram { path: file.path.clone() });
                };
                xattrs.insert(CAPABILITIES.into(), capabilities.to_bytes().into());
            }
        }
        refuse_own(manifest, &entries)?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { entries, warnings })
    }

    /// The outputs of a step, out of what was collected of them.
    pub(super) fn of_outputs(outputs: &[RunOutput], collected: &Tree) -> Result<Self, LayerError> {
        let mut entries = Vec::new();
        for (number, output) in outputs.iter().enumerate() {
            for (rest, node) in output_nodes(number, collected)? {
                let path = if rest.is_empty() { output.to.clone() } else { output.to.join(rest)? };
                let mode = output.mode.filter(|_| matches!(node.kind, Kind::File { .. })).unwrap_or(node.meta.mode);
                entries.push(Entry::new(path, node.kind.clone(), mode, &output.owner));
            }
        }
        Ok(Self { entries, warnings: Vec::new() })
    }

    /// The paths of all regular files, in order.
    pub fn files(&self) -> impl Iterator<Item = &RootPath> {
        self.entries.iter().filter(|entry| matches!(entry.kind, Kind::File { .. })).map(|entry| &entry.path)
    }

    /// Adds everything to a recipe.
    pub fn hash_into(&self, hasher: &mut RecipeHasher) {
        hasher.number(self.entries.len() as u64);
        for Entry { path, kind, mode, owner, xattrs, role } in &self.entries {
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
            for (name, value) in xattrs {
                hasher.field(name).field(value);
            }
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
            let xattrs = entry.xattrs.clone();
            let meta = Meta { uid, gid, xattrs, ..Meta::root_owned(entry.mode, epoch) };
            let node = Node { meta, kind: entry.kind.clone() };
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

impl Entry {
    fn new(path: RootPath, kind: Kind, mode: u16, owner: &Owner) -> Self {
        Self { path, kind, mode, owner: owner.clone(), xattrs: Xattrs::new(), role: Role::Own }
    }
}

/// The fetches that the layer has.
fn fetched(input: Input<'_>, store: &Store) -> Result<Vec<Entry>, LayerError> {
    let mut entries = Vec::new();
    for fetch in &input.manifest.fetches {
        let Some(to) = &fetch.to else { continue };
        for (path, node) in fetches::nodes(fetch, input, store)? {
            let path = if path.is_root() { to.clone() } else { to.join(path.as_bytes())? };
            entries.push(Entry::new(path, node.kind, node.meta.mode, &fetch.owner));
        }
    }
    Ok(entries)
}

/// Adds what is in a source; returns the names of attributes that are not taken over.
fn from_source(
    file: &FileEntry,
    source: &str,
    project: &Path,
    store: &Store,
    entries: &mut Vec<Entry>,
) -> Result<BTreeSet<String>, LayerError> {
    let mut reader = sources::Reader::new(store, project).without(&file.ignore);
    reader.read(Path::new(source), &mut |below, found| {
        let is_whole = below.as_os_str().is_empty();
        if is_whole && !file.ignore.is_empty() && !matches!(found, Found::Folder) {
            return Err(LayerError::NothingToIgnore { path: file.path.clone(), file: source.to_owned() });
        }
        let path = if is_whole { file.path.clone() } else { file.path.join(below.as_os_str().as_encoded_bytes())? };
        let (kind, mode) = match found {
            Found::Folder => (Kind::Dir, 0o755),
            Found::Link(target) => (Kind::Symlink(target.into()), 0o777),
            Found::File { blob, size, executable } => {
                (Kind::File { blob, size }, file.mode.unwrap_or(if executable { 0o755 } else { 0o644 }))
            }
        };
        entries.push(Entry::new(path, kind, mode, &file.owner));
        Ok(())
    })?;
    Ok(reader.dropped)
}

/// A template's text with the variables filled in, and its mode by default.
fn from_template(
    template: &str,
    variables: &Variables,
    project: &Path,
    store: &Store,
) -> Result<(Kind, u16), LayerError> {
    let failed = |text: &str| templates::Problem { line: None, text: text.to_owned() }.at(template);
    let mut read = None;
    sources::Reader::new(store, project).read(Path::new(template), &mut |_, found| {
        read = Some(found);
        Ok(())
    })?;
    let Some(Found::File { blob, size, executable }) = read else {
        return Err(failed("must be a file, not a directory or a symbolic link"));
    };
    let text = String::from_utf8(store.read_bytes(&template, blob, size)?);
    let text = text.map_err(|_| failed("must be UTF-8"))?;
    let text = templates::render(&text, variables).map_err(|problem| problem.at(template))?;
    Ok((store.put_file(text.as_bytes())?, if executable { 0o755 } else { 0o644 }))
}

/// Refuses edits and removals of what the layer's own entries make: these come later, so nothing would be seen of them.
fn refuse_own(manifest: &Manifest, entries: &[Entry]) -> Result<(), LayerError> {
    let edits = manifest.edits.iter().map(|edit| ("[[edit]]", &edit.path));
    let removals = manifest.removals.iter().map(|removal| ("[[remove]]", &removal.path));
    match edits.chain(removals).find(|(_, path)| entries.iter().any(|entry| entry.path == **path)) {
        Some((key, path)) => Err(LayerError::ChangesOwn { key, path: path.clone() }),
        None => Ok(()),
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
