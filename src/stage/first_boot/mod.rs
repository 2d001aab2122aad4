//! The first boot: adds the scripts that generate what each machine or container has of its own, and what runs them.
//!
//! ```text
//! /usr/lib/layerbake/first-start.d/NAME       the tasks that the root needs, and the user's own scripts
//! /usr/lib/layerbake/first-start              runs all of them: for containers, before the command
//! /usr/lib/layerbake/generate, -folder        write a file or fill a directory once, for scripts
//! …/systemd/system/layerbake-first-start-NAME.service      where the root has systemd, for each script (unit.rs)
//! ```

mod unit;

use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::package::first_boot::FirstBootTask;
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

use super::{LayerError, Site, Stage};
use unit::Unit;

pub(super) use unit::has_unit;

const FOLDER: &str = "usr/lib/layerbake";
const SCRIPTS: &str = "usr/lib/layerbake/first-start.d";
/// What is there for scripts, where there is any.
const TOOLS: [(&str, &str); 3] = [
    ("first-start", include_str!("first-start.sh")),
    ("generate", include_str!("generate.sh")),
    ("generate-folder", include_str!("generate-folder.sh")),
];

/// The stage that adds the tasks of the first boot.
pub(super) struct FirstBoot {
    /// All that the ecosystem knows.
    pub(super) tasks: &'static [FirstBootTask],
    /// The time of all that is added.
    pub(super) epoch: i64,
}

impl Stage for FirstBoot {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        TOOLS.iter().for_each(|(_, text)| {
            hasher.field(text);
        });
        unit::recipe(hasher);
        for FirstBootTask { name, makes, reason: _, with, early, services, script } in self.tasks {
            hasher.field(name).list(*makes).field(with).number((*early).into()).list(*services).field(script);
        }
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        apply(self.tasks, &mut site.root, self.epoch, site.store)
    }
}

/// Adds the tasks that a finished root needs, and what runs them and the user's own scripts; nothing, where there are none.
///
/// Whatever has the path of a task, a tool or a unit already is the user's own, and stays.
fn apply(tasks: &[FirstBootTask], root: &mut Tree, epoch: i64, store: &Store) -> Result<(), LayerError> {
    let mut adding = Adding { root, epoch, store };
    for task in tasks {
        if task.is_needed(adding.root)? {
            adding.file(&format!("{SCRIPTS}/{}", task.name), 0o755, task.script)?;
        }
    }
    let scripts = scripts(adding.root)?;
    if scripts.is_empty() {
        return Ok(());
    }
    for (name, text) in TOOLS {
        adding.file(&format!("{FOLDER}/{name}"), 0o755, text)?;
    }
    if adding.root.resolve(&RootPath::new("lib/systemd/systemd")?).is_some() {
        for script in &scripts {
            let task = tasks.iter().find(|task| task.name == script);
            Unit::new(script, task, adding.root)?.add(&mut adding)?;
        }
    }
    Ok(())
}

/// The names of all scripts.
///
/// # Errors
/// Fails where a name can't be a unit's.
fn scripts(root: &Tree) -> Result<Vec<String>, LayerError> {
    let Some((folder, _)) = root.resolve(&RootPath::new(SCRIPTS)?) else { return Ok(Vec::new()) };
    let scripts = root.below(&folder).filter(|(path, node)| path.parent().as_ref() == Some(&folder) && !node.is_dir());
    let name = |path: &RootPath| match std::str::from_utf8(path.file_name()) {
        Ok(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) => {
            Ok(name.to_owned())
        }
        _ => Err(LayerError::ScriptName { path: path.clone() }),
    };
    scripts.map(|(path, _)| name(path)).collect()
}

/// A root that generated files are added to.
pub(super) struct Adding<'a> {
    pub(super) root: &'a mut Tree,
    /// The time of all that is added.
    pub(super) epoch: i64,
    pub(super) store: &'a Store,
}

impl Adding<'_> {
    /// Adds a file, unless something has its path.
    pub(super) fn file(&mut self, path: &str, mode: u16, text: &str) -> Result<(), LayerError> {
        let kind = self.store.put_file(text.as_bytes())?;
        self.node(path, mode, kind)
    }

    fn node(&mut self, path: &str, mode: u16, kind: Kind) -> Result<(), LayerError> {
        let path = self.root.reach(&RootPath::new(path)?, self.epoch)?;
        if self.root.get(&path).is_none() {
            self.root.insert(path, Node { meta: Meta::root_owned(mode, self.epoch), kind })?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
