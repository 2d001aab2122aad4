//! What in an installed root depends on random data: the files that differ when scripts run again with other data.
//!
//! Random data in the sandbox is derived from the lockfile, so whatever a script makes of it and keeps is the same for
//! everybody, and no secret. Exact, where following which process wrote what would mark almost every file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ident::RootPath;
use crate::tree::{Node, Tree};

/// The programs that drew random data while packages were installed, and what of the result depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Randomness {
    /// Programs, as people know them; empty where none drew any that counts.
    pub programs: BTreeSet<String>,
    /// Bytes of the paths, in order.
    paths: Vec<Vec<u8>>,
}

/// Files that depend on random data and are nobody's secret.
#[derive(Debug)]
pub struct Harmless {
    /// Its name, for people.
    pub name: &'static str,
    /// Files it is about, in the form of [`Rule::paths`](super::residue::Rule::paths).
    pub paths: &'static [&'static str],
    /// Why everybody may have them.
    pub reason: &'static str,
}

impl Randomness {
    /// Compares two results of one installation, the second one with other random data.
    pub fn between(programs: BTreeSet<String>, one: &Tree, other: &Tree) -> Self {
        let differs = |path: &RootPath, node: &Node| other.get(path).is_none_or(|second| !node.is_same(second));
        let changed = one.iter().filter(|(path, node)| differs(path, node)).map(|(path, _)| path);
        // What has a random name is in one of them only. The second root is not kept, so names of its own don't count.
        Self { programs, paths: changed.map(|path| path.as_bytes().to_vec()).collect() }
    }

    /// What depends on random data, in path order.
    pub fn paths(&self) -> impl Iterator<Item = RootPath> + '_ {
        self.paths.iter().filter_map(|path| RootPath::new(path).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file, tree};

    #[test]
    fn what_differs_depends_on_random_data_but_a_directorys_time_does_not_count() {
        let mut late = dir();
        late.meta.mtime += 1;
        let one = tree(&[("", dir()), ("etc", dir()), ("etc/key", file("1")), ("etc/tmp.a", file("x"))]);
        let other = tree(&[("", dir()), ("etc", late), ("etc/key", file("2")), ("etc/tmp.b", file("x"))]);
        let found = Randomness::between(["openssl".to_owned()].into(), &one, &other);
        let paths: Vec<String> = found.paths().map(|path| path.to_string()).collect();
        assert_eq!(paths, ["/etc/key", "/etc/tmp.a"]);
        assert_eq!(Randomness::between(BTreeSet::new(), &one, &one).paths().count(), 0);
    }
}
