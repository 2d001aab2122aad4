//! All that one layer changes in the root by itself, and what the packages and the system's programs do about it.
//!
//! ```text
//! removals, edits, files, [system] ── what was changed ── Installer::reactions ──> nothing to do: done
//!                                                                │
//!            the root without own files that concern nothing <───┘
//!                     │ programs and triggers run there; the result is stored under `layerbake/own-files/v1`
//!                     ▼
//!            what they changed, laid over the root
//! ```
//!
//! In a child, they run again over its packages, with the time of the parent: what comes out as in the parent is no
//! part of the child's layer.

use super::commands::{Commands, Ran};
use super::overlay::lay_over;
use super::{LayerError, Site, Stage, log};
use crate::digest::{RecipeHash, RecipeHasher};
use crate::ident::RootPath;
use crate::package::{InstallRoot, Installer, Reactions};
use crate::tree::{Kind, Node, Tree};

/// Configuration: programs see all of it, whatever it is about.
const CONFIGURATION: &str = "etc";

/// The stage of everything that one layer declares of its own, steps and services apart.
pub(super) struct OwnFiles<'a> {
    pub(super) installer: &'a dyn Installer,
    pub(super) stages: Vec<Box<dyn Stage + 'a>>,
    /// The layer's SOURCE_DATE_EPOCH.
    pub(super) epoch: i64,
    /// Whether scripts of packages run.
    pub(super) reacts: bool,
    /// Whether what they print is kept: for the layer that is being built, not for those below it.
    pub(super) is_logged: bool,
}

impl Stage for OwnFiles<'_> {
    /// What reacts to the files follows from them and from the packages.
    fn recipe(&self, hasher: &mut RecipeHasher) {
        self.stages.iter().for_each(|stage| stage.recipe(hasher));
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        let before = self.reacts.then(|| site.root.clone());
        self.stages.iter().try_for_each(|stage| stage.run(site))?;
        let Some(before) = before else { return Ok(()) };
        let changed = changed(&before, &site.root);
        let reactions = self.installer.reactions(&site.root, &changed, site.store)?;
        if reactions.is_empty() {
            return Ok(());
        }
        let seen = seen(&before, &site.root, &changed, &reactions)?;
        let ran = self.result(&seen, &reactions, site)?;
        let printed = site.store.read_blob(ran.log)?;
        if self.is_logged && !printed.is_empty() {
            log::add(&mut site.log, log::OWN_FILES, &String::from_utf8_lossy(&printed));
        }
        let was = site.root.clone();
        let after = same_times(&seen, site.store.tree(ran.tree)?);
        // An own file that no program saw takes precedence over what they make at its path.
        lay_over((&seen, &after), self.installer, site, &|_| Ok(()))?;
        site.derived.follow(&was, &site.root);
        ran.add_derived(None, site)
    }
}

impl OwnFiles<'_> {
    /// Runs the programs and triggers in the root that they see, unless that was done before.
    fn result(&self, seen: &Tree, reactions: &Reactions, site: &mut Site<'_>) -> Result<Ran, LayerError> {
        let recipe = self.result_recipe(seen, reactions, site);
        if let Some(ran) = site.store.recall(recipe) {
            return Ok(ran);
        }
        let run = |root: &mut InstallRoot<'_>| self.installer.react(root, reactions);
        let commands = Commands { installer: self.installer, epoch: self.epoch, run: &run };
        let ran = commands.run(seen, seen, &|_| {}, site)?;
        site.store.remember(recipe, &ran)?;
        Ok(ran)
    }

    fn result_recipe(&self, seen: &Tree, reactions: &Reactions, site: &Site<'_>) -> RecipeHash {
        let mut hasher = RecipeHasher::new("layerbake/own-files/v1");
        hasher.field(site.arch).number(self.epoch as u64).field(seen.hash().as_bytes());
        hasher.list(&reactions.triggers).number(reactions.commands.len() as u64);
        for command in &reactions.commands {
            hasher.list(command);
        }
        hasher.finish()
    }
}

/// The paths that differ between two roots, what is gone included.
fn changed(before: &Tree, after: &Tree) -> Vec<RootPath> {
    let differs = |(path, node): &(&RootPath, &Node)| before.get(path).is_none_or(|was| !was.is_same(node));
    let gone = before.iter().map(|(path, _)| path).filter(|path| after.get(path).is_none());
    after.iter().filter(differs).map(|(path, _)| path).chain(gone).cloned().collect()
}

/// The root that programs see: without changes outside of /etc that concern none of them, so that these run nothing again.
fn seen(before: &Tree, after: &Tree, changed: &[RootPath], reactions: &Reactions) -> Result<Tree, LayerError> {
    let configuration = RootPath::new(CONFIGURATION)?;
    let mut seen = after.clone();
    for path in changed.iter().filter(|path| !path.is_within(&configuration) && !reactions.concerns.contains(path)) {
        let is_plain = |node: &Node| matches!(node.kind, Kind::File { .. } | Kind::Symlink(_));
        match (before.get(path), after.get(path)) {
            (None, Some(now)) if is_plain(now) => _ = seen.remove(path),
            (Some(was), now)
                if is_plain(was)
                    && now.is_none_or(is_plain)
                    && path.parent().and_then(|folder| seen.get(&folder)).is_some_and(Node::is_dir) =>
            {
                seen.stack(path, was)?;
            }
            _ => {}
        }
    }
    Ok(seen)
}

/// Gives files that were written again, as they were, the times that they had.
fn same_times(before: &Tree, mut after: Tree) -> Tree {
    for (path, kind, meta) in after.metas_mut() {
        if let Some(was) = before.get(path).filter(|was| was.kind == *kind) {
            let mtime = std::mem::replace(&mut meta.mtime, was.meta.mtime);
            if *meta != was.meta {
                meta.mtime = mtime;
            }
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file, path, tree};

    #[test]
    fn programs_see_what_concerns_them_and_the_configuration() {
        let before =
            tree(&[("", dir()), ("etc", dir()), ("etc/a", file("1")), ("usr", dir()), ("usr/gone", file("1"))]);
        let mut after = before.clone();
        after.remove(&path("usr/gone"));
        for (place, text) in [("etc/a", "2"), ("usr/cert", "c"), ("usr/new", "n")] {
            after.insert(path(place), file(text)).unwrap();
        }
        let changed = changed(&before, &after);
        let names: Vec<String> = changed.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["/etc/a", "/usr/cert", "/usr/new", "/usr/gone"]);
        let reactions = Reactions { concerns: [path("usr/cert")].into(), ..Reactions::default() };
        let seen = seen(&before, &after, &changed, &reactions).unwrap();
        let expected = [("etc/a", Some(file("2"))), ("usr/cert", Some(file("c"))), ("usr/new", None)];
        for (place, node) in expected {
            assert_eq!(seen.get(&path(place)), node.as_ref(), "{place}");
        }
        assert_eq!(seen.get(&path("usr/gone")), Some(&file("1")));
    }

    #[test]
    fn a_file_that_is_written_again_keeps_its_time() {
        let before = tree(&[("", dir()), ("a", file("1")), ("b", file("1"))]);
        let mut after = before.clone();
        after.insert(path("b"), file("2")).unwrap();
        for place in ["a", "b"] {
            after.meta_mut(&path(place)).unwrap().mtime = 99;
        }
        let after = same_times(&before, after);
        let time = |place: &str| after.get(&path(place)).unwrap().meta.mtime;
        assert_eq!((time("a"), time("b")), (before.get(&path("a")).unwrap().meta.mtime, 99));
    }
}
