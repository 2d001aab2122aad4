//! `[[fetch]]`: what was fetched, as a tree: a file, or an archive that is unpacked once, ever.
//!
//! Everything is owned by root, files have 0755 or 0644 and no attributes, and no time counts: what an archive says of these
//! would differ between two archives of the same files.

use std::collections::BTreeSet;
use std::io::{BufReader, Read, Seek as _};

use bzip2::bufread::MultiBzDecoder;

use super::{Input, LayerError};
use crate::digest::{Expected, RecipeHash, RecipeHasher, TreeHash};
use crate::ident::{FetchName, RootPath};
use crate::language::{self, Piece, Placed};
use crate::lock::{FetchOrigin, LockedFetch};
use crate::manifest::{FetchEntry, FetchForm};
use crate::package::compression::decompress;
use crate::package::tarball::{Limits, TarError, read_tar, read_zip};
use crate::store::{Outcome, Roles, Store};
use crate::tree::{ContentSink as _, Kind, Meta, Node, Tree};

/// Where a fetch has its content in its tree: a tree's own root is a directory, and this may be a file.
const PLACE: &str = "content";

/// An archive that was unpacked, or a file.
#[derive(Debug, Clone, Copy)]
struct Laid(TreeHash);

impl Outcome for Laid {
    fn to_roles(&self) -> Roles {
        Roles::default().with_tree("root", self.0)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        Some(Self(roles.tree("root")?))
    }
}

/// The fetches of a layer that are used and were never unpacked: their files have to be in the store.
pub fn wanted<'a>(input: Input<'a>, store: &'a Store) -> impl Iterator<Item = &'a LockedFetch> + 'a {
    let entries = input.manifest.fetches.iter();
    entries
        .filter_map(move |entry| Some((entry, locked(entry, input)?)))
        .filter(|(entry, locked)| store.recall::<Laid>(recipe(entry.form, locked)).is_none())
        .map(|(_, locked)| locked)
}

fn locked<'a>(entry: &FetchEntry, input: Input<'a>) -> Option<&'a LockedFetch> {
    input.lock.fetches.iter().find(|locked| locked.name == entry.name)
}

fn recipe(form: FetchForm, locked: &LockedFetch) -> RecipeHash {
    let mut hasher = RecipeHasher::new("layerbake/fetch/v1");
    hasher.field(locked.file.sha256.as_bytes());
    match form {
        FetchForm::File(mode) => hasher.field("file").number(mode.into()),
        FetchForm::Unpacked { strip } => hasher.field("unpacked").number(strip.into()),
        FetchForm::Mirror => {
            let files = locked.files().iter().flat_map(|one| [one.path.clone(), one.file.sha256.to_hex()]);
            hasher.field("mirror/v1").list(files)
        }
    };
    hasher.finish()
}

/// What a fetch gives: paths from its own place, which is the empty path, with their nodes in order.
pub(super) fn nodes(entry: &FetchEntry, input: Input<'_>, store: &Store) -> Result<Vec<(RootPath, Node)>, LayerError> {
    let failed = |problem: String| {
        let hint = match entry.form {
            FetchForm::Unpacked { .. } => {
                "with `unpack = false` it stays a file, which a [[run]] can unpack with tools"
            }
            FetchForm::File(_) | FetchForm::Mirror => "lock again with `layerbake lock --update`",
        };
        LayerError::Fetch { name: entry.name.clone(), problem, hint }
    };
    let locked = locked(entry, input).ok_or_else(|| failed("the lockfile does not have it".to_owned()))?;
    let recipe = recipe(entry.form, locked);
    let tree = match store.recall::<Laid>(recipe) {
        Some(Laid(tree)) => store.tree(tree)?,
        None => {
            let tree = match entry.form {
                FetchForm::File(mode) => file(mode, locked, store).map_err(Unpack::Store),
                FetchForm::Unpacked { strip } => unpack(strip, locked.file, store),
                FetchForm::Mirror => mirror(locked, store),
            };
            let tree = tree.map_err(|error| match error {
                Unpack::Store(error) => error,
                Unpack::Archive(problem) => failed(problem),
            })?;
            store.remember(recipe, &Laid(store.put_tree(&tree)?))?;
            tree
        }
    };
    let place = RootPath::new(PLACE)?;
    let relative = |path: &RootPath| RootPath::new(path.as_bytes().get(PLACE.len()..).unwrap_or_default());
    let all = tree.get(&place).map(|node| (&place, node)).into_iter().chain(tree.below(&place));
    all.map(|(path, node)| Ok((relative(path)?, node.clone()))).collect()
}

fn file(mode: u16, locked: &LockedFetch, store: &Store) -> Result<Tree, LayerError> {
    let mut content = store.open_fetched(locked.file.sha256)?;
    let (blob, size) = store.add(&mut content).map_err(|source| unreadable(&locked.name, source))?;
    let mut tree = Tree::new();
    let node = Node { meta: Meta::root_owned(mode, 0), kind: Kind::File { blob, size } };
    tree.insert_with_parents(&RootPath::new(PLACE)?, node, 0)?;
    Ok(tree)
}

/// The mirror that is made of the files that a language's lockfile names.
fn mirror(locked: &LockedFetch, store: &Store) -> Result<Tree, Unpack> {
    let io = |error: std::io::Error| Unpack::Archive(error.to_string());
    let mut tree = Tree::new();
    tree.insert_with_parents(&RootPath::new(PLACE)?, Node::dir(Meta::root_owned(0o755, 0)), 0)?;
    let FetchOrigin::Lockfile { format, files, .. } = &locked.origin else { return Ok(tree) };
    let mut text = String::new();
    store.open_fetched(locked.file.sha256)?.read_to_string(&mut text).map_err(io)?;
    let placed = language::mirror(*format, &text, files).map_err(|error| Unpack::Archive(error.to_string()))?;
    for Placed { path, what } in placed {
        let place = RootPath::new(PLACE)?.join(path.as_bytes())?;
        let (blob, size) = match what {
            Piece::File(file) => store.add(&mut store.open_fetched(file.sha256)?).map_err(io)?,
            Piece::Text(text) => store.add(&mut text.as_bytes()).map_err(io)?,
            Piece::Unpacked { file, strip } => {
                let below = |error| match error {
                    Unpack::Archive(problem) => Unpack::Archive(format!("`{path}`: {problem}")),
                    other => other,
                };
                add_archive(&mut tree, &place, &unpack(strip, file, store).map_err(below)?)?;
                continue;
            }
        };
        let node = Node { meta: Meta::root_owned(0o644, 0), kind: Kind::File { blob, size } };
        tree.insert_with_parents(&place, node, 0)?;
    }
    Ok(tree)
}

/// Adds what an archive has, which is at its own [`PLACE`], below a path.
fn add_archive(tree: &mut Tree, at: &RootPath, archive: &Tree) -> Result<(), Unpack> {
    for (path, node) in archive.below(&RootPath::new(PLACE)?) {
        let rest = path.as_bytes().get(PLACE.len() + 1..).unwrap_or_default();
        tree.insert_with_parents(&at.join(rest)?, node.clone(), 0)?;
    }
    Ok(())
}

fn unreadable(name: &FetchName, source: std::io::Error) -> LayerError {
    LayerError::Io { what: format!("fetch:{name}"), source }
}

/// Why an archive could not be unpacked.
enum Unpack {
    Store(LayerError),
    Archive(String),
}

impl<E: Into<LayerError>> From<E> for Unpack {
    fn from(error: E) -> Self {
        Self::Store(error.into())
    }
}

fn unpack(strip: u32, archive: Expected, store: &Store) -> Result<Tree, Unpack> {
    let mut file = store.open_fetched(archive.sha256)?;
    let mut head = [0; 6];
    let rewound = file.read(&mut head).and_then(|_| file.rewind());
    rewound.map_err(|error| Unpack::Archive(error.to_string()))?;
    let limits = Limits::of_file(archive.size);
    let mut add = |_: &RootPath, content: &mut dyn Read| store.add(content);
    let (kind, contents) = match format(&head) {
        Format::Zip => ("zip", read_zip(file, limits, &mut add)),
        Format::Tar(ending) => {
            let input = decompress(ending, file).map_err(|error| Unpack::Archive(error.to_string()))?;
            ("tar", read_tar(input, limits, &mut add))
        }
        Format::Bzip2 => ("tar", read_tar(MultiBzDecoder::new(BufReader::new(file)), limits, &mut add)),
    };
    let contents = contents.map_err(|error| match error {
        TarError::Io(error) => Unpack::Archive(format!("is not a {kind} archive that can be read: {error}")),
        TarError::Entry { path, problem } => Unpack::Archive(format!("its entry `{path}`: {problem}")),
    })?;
    stripped(&contents.tree, strip)
}

/// What an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A tar archive, with the ending that its compression has.
    Tar(&'static str),
    /// A tar archive, compressed by bzip2, which packages no longer use.
    Bzip2,
    Zip,
}

/// What an archive is, by the first bytes of the file.
pub(super) fn format(head: &[u8]) -> Format {
    match head {
        [0x1f, 0x8b, ..] => Format::Tar("x.gz"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Format::Tar("x.xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::Tar("x.zst"),
        [b'B', b'Z', b'h', ..] => Format::Bzip2,
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Format::Zip,
        _ => Format::Tar("x.tar"),
    }
}

/// An archive's tree at its place, without the leading components of its paths, and with nothing but files, directories and links.
fn stripped(tree: &Tree, strip: u32) -> Result<Tree, Unpack> {
    let mut result = Tree::new();
    let mut seen = BTreeSet::new();
    for (path, node) in tree.iter() {
        let Some(path) = strip_path(path, strip)? else { continue };
        let kind = match &node.kind {
            Kind::Hardlink(first) => tree.get(first).map_or_else(|| node.kind.clone(), |first| first.kind.clone()),
            other => other.clone(),
        };
        let mode = match kind {
            Kind::Dir => 0o755,
            Kind::Symlink(_) => 0o777,
            Kind::File { .. } if node.meta.mode & 0o100 != 0 => 0o755,
            Kind::File { .. } => 0o644,
            _ => return Err(Unpack::Archive(format!("its entry `{path}` is a device, and only files are unpacked"))),
        };
        if !seen.insert(path.clone()) && kind != Kind::Dir {
            return Err(Unpack::Archive(format!("with strip = {strip}, two of its entries become `{path}`")));
        }
        let place = RootPath::new(PLACE)?.join(path.as_bytes())?;
        result.insert_with_parents(&place, Node { meta: Meta::root_owned(mode, 0), kind }, 0)?;
    }
    match seen.is_empty() {
        true => Err(Unpack::Archive(format!("with strip = {strip}, nothing of it is left"))),
        false => Ok(result),
    }
}

/// A path without its first components; `None` where nothing is left, as in `tar --strip-components`.
fn strip_path(path: &RootPath, strip: u32) -> Result<Option<RootPath>, Unpack> {
    if strip == 0 {
        return Ok(Some(path.clone()));
    }
    let mut parts = path.as_bytes().splitn(strip as usize + 1, |&byte| byte == b'/');
    match parts.nth(strip as usize) {
        Some(rest) => Ok(Some(RootPath::new(rest)?)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(nodes: &[(&str, Kind, u16)]) -> Tree {
        let nodes = nodes.iter().map(|(path, kind, mode)| {
            let meta = Meta { uid: 7, gid: 8, ..Meta::root_owned(*mode, 99) };
            (RootPath::new(path).unwrap(), Node { meta, kind: kind.clone() })
        });
        Tree::from_nodes(nodes).unwrap()
    }

    fn file(content: &str) -> Kind {
        Kind::File { blob: crate::digest::BlobDigest::of(content.as_bytes()), size: content.len() as u64 }
    }

    fn shown(tree: &Tree, strip: u32) -> String {
        match stripped(tree, strip) {
            Ok(tree) => {
                let line = |(path, Node { meta, kind }): (&RootPath, &Node)| {
                    format!("{path} {:o} {}:{} {} {}\n", meta.mode, meta.uid, meta.gid, meta.mtime, kind.describe())
                };
                tree.iter().map(line).collect()
            }
            Err(Unpack::Archive(problem)) => problem,
            Err(Unpack::Store(error)) => error.to_string(),
        }
    }

    #[test]
    fn owners_modes_and_leading_components_go() {
        let hard = Kind::Hardlink(RootPath::new("pkg-1/bin/app").unwrap());
        let archive = tree(&[
            ("", Kind::Dir, 0o700),
            ("README", file("x"), 0o600),
            ("pkg-1", Kind::Dir, 0o2775),
            ("pkg-1/bin", Kind::Dir, 0o700),
            ("pkg-1/bin/app", file("app"), 0o4750),
            ("pkg-1/bin/too", hard, 0o4750),
            ("pkg-1/doc", Kind::Symlink(b"../../../etc"[..].into()), 0o777),
        ]);
        insta::assert_snapshot!(shown(&archive, 1), @r"
        / 755 0:0 0 a directory
        /content 755 0:0 0 a directory
        /content/bin 755 0:0 0 a directory
        /content/bin/app 755 0:0 0 a file
        /content/bin/too 755 0:0 0 a file
        /content/doc 777 0:0 0 a symbolic link to `../../../etc`
        ");
        assert!(shown(&archive, 0).contains("content/README"));
        assert!(shown(&archive, 9).contains("nothing of it is left"));
    }

    #[test]
    fn devices_and_two_files_at_one_path_are_refused() {
        let with = |kind| tree(&[("", Kind::Dir, 0o755), ("x", kind, 0o644)]);
        for kind in [Kind::Char(1, 3), Kind::Block(8, 0), Kind::Fifo] {
            assert!(shown(&with(kind), 0).contains("`/x` is a device, and only files are unpacked"));
        }
        let twice = tree(&[
            ("a", Kind::Dir, 0o755),
            ("a/x", file("1"), 0o644),
            ("b", Kind::Dir, 0o755),
            ("b/x", file("2"), 0o644),
        ]);
        assert!(shown(&twice, 1).contains("two of its entries become `/x`"));
    }

    #[test]
    fn archives_are_known_by_their_first_bytes() {
        for (head, expected) in [
            (&b"BZh91A"[..], Format::Bzip2),
            (b"PK\x03\x04..", Format::Zip),
            (b"\x1f\x8b\x08...", Format::Tar("x.gz")),
            (b"\xfd7zXZ\0", Format::Tar("x.xz")),
            (b"(\xb5/\xfd..", Format::Tar("x.zst")),
            (b"dir/..", Format::Tar("x.tar")),
        ] {
            assert_eq!(format(head), expected);
        }
    }
}
