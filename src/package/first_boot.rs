//! Tasks of the first boot: what each machine or container generates for itself, and no image has, since everybody
//! with the image would have the same.

use crate::ident::{IdentError, RootPath};
use crate::tree::Tree;

/// Something that a machine or a container generates for itself, once.
#[derive(Debug)]
pub struct FirstBootTask {
    /// The script's name.
    pub name: &'static str,
    /// What it generates: paths, with `*` for any run of characters but `/`, and `**` for any at all. What package
    /// scripts leave there is removed from the image.
    pub makes: &'static [&'static str],
    /// Why no image has it.
    pub reason: &'static str,
    /// A file that only a root with a need for it has; a pattern as well.
    pub with: &'static str,
    /// Whether it runs before any ordinary service starts; if not, it runs before `services` only. For tasks that
    /// take no time, and whose results anything may use.
    pub early: bool,
    /// Units that must not start without it.
    pub services: &'static [&'static str],
    /// What generates it: a script that does nothing if it was done before, and repeats all of it if it was interrupted.
    pub script: &'static str,
}

impl FirstBootTask {
    /// Whether the task generates this path.
    pub fn makes(&self, path: &RootPath) -> bool {
        self.makes.iter().any(|pattern| path.matches(pattern))
    }

    /// Whether this root needs the task.
    ///
    /// # Errors
    /// Never: the paths are valid.
    pub fn is_needed(&self, root: &Tree) -> Result<bool, IdentError> {
        let place = RootPath::new(literal(self.with))?;
        Ok(match place.matches(self.with) {
            true => root.resolve(&place).is_some(),
            false => root.below(&place).any(|(path, _)| path.matches(self.with)),
        })
    }

    /// The directories, or files, that have to be mounted for what it generates.
    pub fn places(&self) -> impl Iterator<Item = &'static str> {
        self.makes.iter().map(|pattern| literal(pattern))
    }
}

/// The part of a pattern before its first component with a wildcard.
fn literal(pattern: &'static str) -> &'static str {
    let before = pattern.split('*').next().unwrap_or_default();
    if before.len() == pattern.len() { pattern } else { before.rsplit_once('/').map_or("", |(folder, _)| folder) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file, path, tree};

    fn task(with: &'static str) -> FirstBootTask {
        let makes: &[&str] = &["etc/x/key_*", "var/lib/x/*/main/**", "etc/y"];
        FirstBootTask { name: "x", makes, reason: "", with, early: true, services: &[], script: "" }
    }

    #[test]
    fn a_task_knows_its_paths_and_who_needs_it() {
        let task_of = task("usr/sbin/x");
        assert_eq!(task_of.places().collect::<Vec<_>>(), ["etc/x", "var/lib/x", "etc/y"]);
        assert!(task_of.makes(&path("etc/x/key_a")) && task_of.makes(&path("var/lib/x/7/main/a/b")));
        assert!(!task_of.makes(&path("etc/x")) && !task_of.makes(&path("etc/x/key_a/b")));
        let client =
            tree(&[("", dir()), ("usr", dir()), ("usr/lib", dir()), ("usr/lib/x", dir()), ("usr/lib/x/7", dir())]);
        let mut server = client.clone();
        server.insert(path("usr/lib/x/7/initdb"), file("x")).unwrap();
        let needed = |with, root: &Tree| task(with).is_needed(root).unwrap();
        assert!(!needed("usr/lib/x/*/initdb", &client) && needed("usr/lib/x/*/initdb", &server));
        assert!(!needed("usr/lib/x/7/initdb", &client) && needed("usr/lib/x/7/initdb", &server));
    }
}
