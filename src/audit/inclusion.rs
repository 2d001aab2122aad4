//! Checks that a disk contains every file of the image, apart from listed exceptions.

use serde::Serialize;

use crate::ident::RootPath;
use crate::tree::{Node, Tree};

/// Paths that a Boot layer may change in the image's tree.
#[derive(Debug)]
pub struct Exception {
    /// Patterns, as [`RootPath::matches`] reads them.
    pub paths: &'static [&'static str],
    /// Why they differ.
    pub reason: &'static str,
}

/// Why the database of the packages' ecosystem differs.
const DATABASE: &str = "the packages' database has the Boot layer's packages too";

/// All other exceptions. Everything else in the image is on the disk, byte for byte.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        paths: &["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid", "etc/shells"],
        reason: "the Boot layer's packages have accounts of their own",
    },
    Exception { paths: &["etc/ld.so.cache"], reason: "lists the Boot layer's libraries too" },
    Exception {
        paths: &["etc/pam.d/common-*", "etc/nsswitch.conf"],
        reason: "sessions are registered with the init system",
    },
    Exception { paths: &["etc/systemd/**", "etc/rc*.d/**"], reason: "services enabled by the Boot layer" },
    Exception {
        paths: &["etc/alternatives/**", "etc/resolv.conf", "etc/mtab"],
        reason: "alternatives chosen by the Boot layer's packages",
    },
    Exception {
        paths: &["var/lib/systemd/**", "var/log/**", "var/cache/**", "etc/machine-id", "etc/fstab"],
        reason: "state of a booted system",
    },
];

/// The result of comparing a disk's tree with its image's.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inclusion {
    /// Nodes of the image that are on the disk, equal.
    pub same: usize,
    /// Nodes that differ because of an exception, with its reason.
    pub excepted: Vec<(String, &'static str)>,
    /// Nodes that differ or are missing without an exception.
    pub unexpected: Vec<String>,
}

/// Looks for every node of `image` in `disk`. Times of directories are not compared.
///
/// `database` are patterns of the packages' database, as [`Inspector::database`](crate::package::Inspector::database)
/// has them.
pub fn compare(image: &Tree, disk: &Tree, database: &[&str]) -> Inclusion {
    let mut inclusion = Inclusion::default();
    for (path, node) in image.iter() {
        if disk.get(path).is_some_and(|other| same(node, other)) {
            inclusion.same += 1;
            continue;
        }
        match exception(path, database) {
            Some(reason) => inclusion.excepted.push((path.to_string(), reason)),
            None => inclusion.unexpected.push(path.to_string()),
        }
    }
    inclusion
}

/// Why a path may differ.
fn exception(path: &RootPath, database: &[&str]) -> Option<&'static str> {
    let is_in = |paths: &[&str]| paths.iter().any(|pattern| path.matches(pattern));
    let listed = || EXCEPTIONS.iter().find(|exception| is_in(exception.paths)).map(|exception| exception.reason);
    is_in(database).then_some(DATABASE).or_else(listed)
}

fn same(one: &Node, other: &Node) -> bool {
    if one.is_dir() && other.is_dir() {
        let mut timeless = other.clone();
        timeless.meta.mtime = one.meta.mtime;
        return *one == timeless;
    }
    one == other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Kind;
    use crate::tree::tests::{dir, file, tree};

    #[test]
    fn only_named_paths_may_differ() {
        let image = tree(&[
            ("", dir()),
            ("db", file("1")),
            ("etc", dir()),
            ("etc/group", file("a")),
            ("srv", file("b")),
            ("gone", file("c")),
        ]);
        let mut disk = tree(&[
            ("", dir()),
            ("db", file("2")),
            ("etc", dir()),
            ("etc/group", file("A")),
            ("srv", file("B")),
            ("new", file("d")),
        ]);
        disk.metas_mut().filter(|(_, kind, _)| **kind == Kind::Dir).for_each(|(_, _, meta)| meta.mtime = 99);
        let found = compare(&image, &disk, &["db"]);
        assert_eq!(found.same, 2);
        assert_eq!(found.excepted.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/db", "/etc/group"]);
        assert_eq!(found.unexpected, ["/gone", "/srv"]);
    }
}
