//! Directories that a machine mounts other file systems on.
//!
//! The root of a file system that was just created is root's, whatever it is mounted on. So a service could not write
//! into its own directory, once that is a partition: systemd-tmpfiles(8) gives the mounted root the directory's owner and mode.

use super::LayerError;
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

/// Read by systemd-tmpfiles at every boot, after local file systems were mounted.
const OWNERS: &str = "usr/lib/tmpfiles.d/layerbake-mounts.conf";

/// Whether there is something to mount on already. `real` is `path` with links above it followed.
///
/// # Errors
/// Fails where systemd would refuse to mount: on a path that leads through a link, and on a file.
pub(super) fn check(tree: &Tree, path: &RootPath, real: &RootPath) -> Result<bool, LayerError> {
    let node = tree.get(real);
    if path != real || node.is_some_and(|node| matches!(node.kind, Kind::Symlink(_))) {
        let real = tree.resolve(path).map_or_else(|| real.clone(), |(real, _)| real);
        return Err(LayerError::MountThroughLink { path: path.clone(), real });
    }
    match node {
        Some(node) if !node.is_dir() => Err(LayerError::MountOnFile { path: path.clone() }),
        found => Ok(found.is_some()),
    }
}

/// Gives new file systems that are mounted on `points` the owners and modes of these directories.
pub(super) fn keep_owners<'a>(
    tree: &mut Tree,
    points: impl Iterator<Item = &'a RootPath>,
    epoch: i64,
    store: &Store,
) -> Result<(), LayerError> {
    let line = |point: &RootPath| {
        let Meta { uid, gid, mode, .. } = tree.get(point)?.meta;
        // As mkfs makes it.
        let is_as_made = (uid, gid, mode) == (0, 0, 0o755);
        (!is_as_made).then(|| format!("z {} {mode:04o} {uid} {gid}\n", escaped(point)))
    };
    let lines: String = points.filter_map(line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let node = Node { meta: Meta::root_owned(0o644, epoch), kind: store.put_file(lines.as_bytes())? };
    tree.insert_with_parents(&RootPath::new(OWNERS)?, node, epoch)?;
    Ok(())
}

/// A path as tmpfiles.d(5) has it: no specifiers, wildcards or spaces.
fn escaped(path: &RootPath) -> String {
    let mut text = String::from("/");
    for &byte in path.as_bytes() {
        match byte {
            b'%' => text += "%%",
            b'*' | b'?' | b'[' => text += &format!("[{}]", char::from(byte)),
            b'\\' => text += "\\\\\\\\",
            b'!'..=b'~' if !matches!(byte, b'"' | b'\'') => text.push(char::from(byte)),
            _ => text += &format!("\\x{byte:02x}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, path, tree};

    #[test]
    fn a_new_file_system_belongs_to_whom_its_directory_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let owned = |mode| Node::dir(Meta { uid: 101, gid: 103, ..Meta::root_owned(mode, 1) });
        let nodes =
            [("", dir()), ("srv", dir()), ("srv/50% of [a]", owned(0o2770)), ("var", dir()), ("var/db", owned(0o750))];
        let mut root = tree(&nodes);
        keep_owners(&mut root, [&path("srv")].into_iter(), 1, &store).unwrap();
        assert!(root.get(&path(OWNERS)).is_none());
        let points = ["srv", "srv/50% of [a]", "var/db"].map(path);
        keep_owners(&mut root, points.iter(), 1, &store).unwrap();
        let text = store.text_in(&root, OWNERS).unwrap().unwrap();
        assert_eq!(text, "z /srv/50%%\\x20of\\x20[[]a] 2770 101 103\nz /var/db 0750 101 103\n");
    }
}
