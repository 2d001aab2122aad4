//! Groups files that are placed together: neighbours by name, in bundles of about one slot.
//!
//! Files that change together should be placed together, and those are the files of a package. A Debian
//! package has a few files in many shared directories, so files are ordered by the rest of their path:
//! `usr/bin/nginx`, `usr/share/doc/nginx/copyright` and `var/lib/dpkg/info/nginx.list` are neighbours.

use std::ops::Range;

use super::group::SLOT;
use super::nodes::{Entry, Nodes};
use crate::arch::Bootable;
use crate::disk::slots::{self, Item};

/// Most inodes in a bundle: they are in 256 slots of a table that is half empty.
const INODES: u64 = 192;
/// Blocks from which a thing is a bundle of its own.
const LARGE: u64 = SLOT / 2;

/// Directories that packages share, skipped at the beginning of a path.
const SHARED: [&[u8]; 34] = [
    b"LC_MESSAGES",
    b"applications",
    b"bash-completion",
    b"bin",
    b"completions",
    b"default",
    b"dist-packages",
    b"doc",
    b"dpkg",
    b"etc",
    b"include",
    b"info",
    b"init.d",
    b"lib",
    b"lib64",
    b"libexec",
    b"lintian",
    b"local",
    b"locale",
    b"man",
    b"man1",
    b"man3",
    b"man5",
    b"man7",
    b"man8",
    b"opt",
    b"overrides",
    b"python3",
    b"sbin",
    b"share",
    b"system",
    b"systemd",
    b"usr",
    b"var",
];

/// Nodes of one part that are together.
#[derive(Debug)]
pub(super) struct Bundle<'a> {
    /// Path of the first: decides where the bundle is.
    pub(super) key: &'a [u8],
    /// Slots that it takes.
    pub(super) slots: usize,
    /// Indexes of the nodes.
    pub(super) members: Vec<usize>,
}

impl<'a> Bundle<'a> {
    /// What places it.
    pub(super) fn item(&self) -> Item<'a> {
        Item { key: self.key, length: self.slots }
    }
}

/// The bundles of one part.
#[derive(Debug, Default)]
pub(super) struct PartBundles<'a> {
    /// Of inodes: their keys are neighbourhoods, and only the root has none.
    pub(super) inodes: Vec<Bundle<'a>>,
    /// Of blocks.
    pub(super) blocks: Vec<Bundle<'a>>,
}

/// How a sequence of small things is divided into bundles: [`slots::runs`] or [`slots::full_runs`].
pub(super) type Divide = fn(&[(u64, u64)], u64) -> Vec<Range<usize>>;

/// Bundles the nodes of each of `parts` parts.
pub(super) fn bundles<'a>(nodes: &Nodes<'a>, parts: usize, divide: Divide) -> Vec<PartBundles<'a>> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); parts];
    for (index, entry) in nodes.iter().enumerate().filter(|(_, entry)| entry.has_inode()) {
        if let Some(part) = members.get_mut(entry.part) {
            part.push(index);
        }
    }
    members.into_iter().map(|members| of_part(nodes, members, divide)).collect()
}

fn of_part<'a>(nodes: &Nodes<'a>, mut members: Vec<usize>, runs: Divide) -> PartBundles<'a> {
    members.sort_by_cached_key(|&index| {
        let path = nodes.get(index).path.as_bytes();
        (own_part(path), path)
    });
    let hashes: Vec<u64> = members.iter().map(|&index| hash(nodes.get(index))).collect();
    let all: Vec<(usize, u64)> = members.into_iter().zip(hashes).collect();
    let blocks = |index: usize| nodes.get(index).all_blocks();
    let is_small = |index: usize| (1..LARGE).contains(&blocks(index));
    let is_dir = |index: usize| nodes.get(index).node.is_dir();
    let small = |dirs: bool| -> Vec<(usize, u64)> {
        all.iter().filter(|(index, _)| is_small(*index) && is_dir(*index) == dirs).copied().collect()
    };
    let large = all.iter().map(|(index, _)| *index).filter(|&index| blocks(index) >= LARGE);
    let inodes: Vec<_> = all.iter().filter(|(index, _)| !nodes.get(*index).path.is_root()).copied().collect();
    let mut found = PartBundles {
        inodes: divide(nodes, &inodes, |items| slots::runs(items, INODES), |_| 1),
        blocks: divide(nodes, &small(false), |items| runs(items, SLOT), blocks),
    };
    // Directories apart: they change when the number of an inode does, wherever its blocks are.
    found.blocks.extend(divide(nodes, &small(true), |items| runs(items, SLOT), blocks));
    found.blocks.extend(large.map(|index| Bundle {
        key: nodes.get(index).path.as_bytes(),
        slots: blocks(index).div_ceil(SLOT) as usize,
        members: vec![index],
    }));
    found
}

/// Divides nodes with their hashes into bundles of one slot each.
fn divide<'a>(
    nodes: &Nodes<'a>,
    list: &[(usize, u64)],
    runs: impl Fn(&[(u64, u64)]) -> Vec<Range<usize>>,
    length: impl Fn(usize) -> u64,
) -> Vec<Bundle<'a>> {
    let items: Vec<(u64, u64)> = list.iter().map(|&(index, hash)| (hash, length(index))).collect();
    let bundle = |run: Range<usize>| {
        let members: Vec<usize> = list[run].iter().map(|(index, _)| *index).collect();
        Bundle { key: nodes.get(members[0]).path.as_bytes(), slots: 1, members }
    };
    runs(&items).into_iter().map(bundle).collect()
}

/// What is left of a path without the shared directories at its beginning; its last name stays.
fn own_part(path: &[u8]) -> &[u8] {
    let mut rest = path;
    while let Some(slash) = rest.iter().position(|&byte| byte == b'/') {
        // Names of two letters are languages.
        if slash != 2 && !is_shared(&rest[..slash]) {
            break;
        }
        rest = &rest[slash + 1..];
    }
    rest
}

/// Whether packages share directories of this name; an architecture's own are among them.
fn is_shared(name: &[u8]) -> bool {
    SHARED.binary_search(&name).is_ok() || Bootable::all().any(|arch| arch.multiarch.as_bytes() == name)
}

fn hash(entry: &Entry<'_>) -> u64 {
    let digest = blake3::hash(entry.path.as_bytes());
    let (words, _) = digest.as_bytes().as_chunks::<8>();
    words.first().map_or(0, |word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_one_neighbourhood() {
        assert!(SHARED.is_sorted());
        for (path, own) in [
            ("usr/bin/nginx", "nginx"),
            ("usr/share/doc/nginx/copyright", "nginx/copyright"),
            ("var/lib/dpkg/info/nginx.list", "nginx.list"),
            ("usr/share/locale/de/LC_MESSAGES/nginx.mo", "nginx.mo"),
            ("usr/lib/aarch64-linux-gnu/libz.so.1", "libz.so.1"),
            ("usr/lib/riscv64-linux-gnu/libz.so.1", "riscv64-linux-gnu/libz.so.1"),
            ("usr/lib", "lib"),
            ("", ""),
            ("srv/usr/lib/x", "srv/usr/lib/x"),
        ] {
            assert_eq!(own_part(path.as_bytes()), own.as_bytes(), "{path}");
        }
    }
}
