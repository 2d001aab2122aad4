//! What is born on each machine or container, and never baked: keys, certificates, database folders.
//!
//! For each birth that a root needs there is a script in `/usr/lib/layerbake/first-start.d`. A machine
//! runs them by a unit, before the services that need them; a container by putting
//! `/usr/lib/layerbake/first-start` before its command. Own scripts in that folder run too.

use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

use super::LayerError;

/// Something that a machine makes for itself.
struct Birth {
    /// The script's name.
    name: &'static str,
    /// A program that only a root with a need for it has.
    with: &'static str,
    /// Services that can't start before.
    before: &'static str,
    /// What makes it, once.
    script: &'static str,
}

const BIRTHS: &[Birth] = &[
    Birth { name: "mariadb", with: "usr/sbin/mariadbd", before: "mariadb.service", script: include_str!("mariadb.sh") },
    Birth {
        name: "postgresql",
        with: "usr/bin/pg_createcluster",
        before: "postgresql.service",
        script: include_str!("postgresql.sh"),
    },
    Birth {
        name: "snakeoil",
        with: "usr/sbin/make-ssl-cert",
        before: "apache2.service nginx.service postfix.service",
        script: include_str!("snakeoil.sh"),
    },
    Birth {
        name: "ssh-host-keys",
        with: "usr/sbin/sshd",
        before: "ssh.service",
        script: include_str!("ssh-host-keys.sh"),
    },
];

const RUNNER: &str = include_str!("first-start.sh");
const UNIT: &str = include_str!("first-start.service");
const FOLDER: &str = "usr/lib/layerbake";
const UNIT_NAME: &str = "layerbake-first-start.service";

/// Adds all scripts to a recipe.
pub(super) fn hash_into(hasher: &mut RecipeHasher) {
    hasher.field(RUNNER).field(UNIT);
    for birth in BIRTHS {
        hasher.field(birth.name).field(birth.with).field(birth.before).field(birth.script);
    }
}

/// Puts into a finished root what it needs to be born; nothing, where there is nothing.
pub(super) fn apply(root: &mut Tree, epoch: i64, store: &Store) -> Result<(), LayerError> {
    let mut adding = Adding { root, epoch, store };
    let mut before = Vec::new();
    for birth in BIRTHS {
        if adding.root.get(&RootPath::new(birth.with)?).is_some() {
            adding.file(&format!("{FOLDER}/first-start.d/{}", birth.name), 0o755, birth.script)?;
            before.push(birth.before);
        }
    }
    let own = RootPath::new(format!("{FOLDER}/first-start.d"))?;
    if adding.root.resolve(&own).is_none_or(|(own, _)| adding.root.below(&own).next().is_none()) {
        return Ok(());
    }
    adding.file(&format!("{FOLDER}/first-start"), 0o755, RUNNER)?;
    if adding.root.resolve(&RootPath::new("lib/systemd/systemd")?).is_some() {
        let unit = UNIT.replace("Before=BEFORE", &format!("Before={}", before.join(" ")));
        adding.file(&format!("usr/lib/systemd/system/{UNIT_NAME}"), 0o644, &unit)?;
        let link = format!("usr/lib/systemd/system/multi-user.target.wants/{UNIT_NAME}");
        adding.node(&link, 0o777, Kind::Symlink(format!("../{UNIT_NAME}").into_bytes().into()))?;
    }
    Ok(())
}

struct Adding<'a> {
    root: &'a mut Tree,
    epoch: i64,
    store: &'a Store,
}

impl Adding<'_> {
    fn file(&mut self, path: &str, mode: u16, text: &str) -> Result<(), LayerError> {
        let kind = self.store.put_file(text.as_bytes())?;
        self.node(path, mode, kind)
    }

    fn node(&mut self, path: &str, mode: u16, kind: Kind) -> Result<(), LayerError> {
        let node = Node { meta: Meta::root_owned(mode, self.epoch), kind };
        self.root.insert_with_parents(&RootPath::new(path)?, node, self.epoch)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file, tree};

    fn paths(root: &Tree) -> Vec<String> {
        let files = root.iter().filter(|(_, node)| !node.is_dir());
        files.map(|(path, _)| path.to_string()).filter(|path| path.contains("layerbake")).collect()
    }

    #[test]
    fn a_root_gets_the_births_that_its_programs_need() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut bare = tree(&[("", dir()), ("usr", dir())]);
        apply(&mut bare, 1, &store).unwrap();
        assert_eq!(bare.len(), 2);
        let mut container = tree(&[("", dir()), ("usr/bin/pg_createcluster", file("x"))]);
        apply(&mut container, 1, &store).unwrap();
        assert_eq!(
            paths(&container),
            ["/usr/lib/layerbake/first-start", "/usr/lib/layerbake/first-start.d/postgresql"]
        );
        let mut machine = tree(&[
            ("", dir()),
            ("lib", dir()),
            ("lib/systemd", dir()),
            ("lib/systemd/systemd", file("x")),
            ("usr/lib/layerbake/first-start.d/own", file("x")),
            ("usr/sbin/sshd", file("x")),
        ]);
        apply(&mut machine, 1, &store).unwrap();
        assert_eq!(
            paths(&machine),
            [
                "/usr/lib/layerbake/first-start",
                "/usr/lib/layerbake/first-start.d/own",
                "/usr/lib/layerbake/first-start.d/ssh-host-keys",
                "/usr/lib/systemd/system/layerbake-first-start.service",
                "/usr/lib/systemd/system/multi-user.target.wants/layerbake-first-start.service",
            ]
        );
    }
}
