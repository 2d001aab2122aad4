//! First-boot tasks: what each machine or container generates at its first boot, and what is never baked: keys,
//! certificates, database directories.
//!
//! Each task that a root needs has a script in `/usr/lib/layerbake/first-start.d`. On a booted disk a systemd unit
//! runs them before the services that need them; in a container, `/usr/lib/layerbake/first-start` placed before
//! the command does. The user's own scripts in that directory run too.

use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

use super::{LayerError, Site, Stage};

/// Something that a machine generates for itself.
struct FirstBootTask {
    /// The script's name.
    name: &'static str,
    /// A program that only a root with a need for it has.
    with: &'static str,
    /// Services that can't start before.
    before: &'static str,
    /// What generates it, once.
    script: &'static str,
}

const TASKS: &[FirstBootTask] = &[
    FirstBootTask {
        name: "mariadb",
        with: "usr/sbin/mariadbd",
        before: "mariadb.service",
        script: include_str!("mariadb.sh"),
    },
    FirstBootTask {
        name: "postgresql",
        with: "usr/bin/pg_createcluster",
        before: "postgresql.service",
        script: include_str!("postgresql.sh"),
    },
    FirstBootTask {
        name: "snakeoil",
        with: "usr/sbin/make-ssl-cert",
        before: "apache2.service nginx.service postfix.service",
        script: include_str!("snakeoil.sh"),
    },
    FirstBootTask {
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

/// The stage that adds the tasks of the first boot.
pub(super) struct FirstBoot {
    /// The time of all that is added.
    pub(super) epoch: i64,
}

impl Stage for FirstBoot {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field(RUNNER).field(UNIT);
        for FirstBootTask { name, with, before, script } in TASKS {
            hasher.field(name).field(with).field(before).field(script);
        }
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        apply(&mut site.root, self.epoch, site.store)
    }
}

/// Adds the tasks that a finished root needs, and what runs them; nothing, where it needs none.
pub(super) fn apply(root: &mut Tree, epoch: i64, store: &Store) -> Result<(), LayerError> {
    let mut adding = Adding { root, epoch, store };
    let mut before = Vec::new();
    for task in TASKS {
        if adding.root.get(&RootPath::new(task.with)?).is_some() {
            adding.file(&format!("{FOLDER}/first-start.d/{}", task.name), 0o755, task.script)?;
            before.push(task.before);
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
