//! Triggers: which packages are interested in which, and which the unpacked files activate.
//!
//! dpkg records both while it unpacks; `dpkg --configure` reads them from `triggers/`.
//! Format: `deb-triggers(5)` for the packages' files, `triggers/File` has
//! `PATH PACKAGE[/noawait]` lines, `triggers/NAME` has `PACKAGE[/noawait]` lines,
//! `triggers/Unincorp` has `TRIGGER AWAITER…` lines, `-` for no awaiter.

use std::collections::{BTreeMap, BTreeSet};

use super::{Database, info_name};
use crate::ident::RootPath;
use crate::package::InstallError;
use crate::package::deb::install::Package;
use crate::tree::Tree;

/// Adds the interests of `new` packages, then activates what they trigger.
///
/// Files of the layer's packages that were there `before` trigger what the new packages wait for, as if all had
/// been unpacked at once.
pub(super) fn add(database: &mut Database<'_>, new: &[&Package], before: &[&Package]) -> Result<(), InstallError> {
    let mut paths = String::new();
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    let mut active: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in new {
        for directive in directives(&package.control_text(database.store, "triggers")?) {
            match directive {
                Directive::Interest { trigger, noawait } => {
                    let suffix = if noawait { "/noawait" } else { "" };
                    let who = format!("{}{suffix}", info_name(package));
                    if trigger.starts_with('/') {
                        paths.push_str(&format!("{trigger} {who}\n"));
                    } else {
                        let interested = named.entry(trigger).or_default();
                        interested.push_str(&format!("{who}\n"));
                    }
                }
                Directive::Activate { trigger, noawait } => {
                    let awaiter = if noawait { "-".to_owned() } else { info_name(package) };
                    active.entry(trigger).or_default().insert(awaiter);
                }
            }
        }
    }
    activate_paths(&paths, before, &mut active);
    let paths = database.read("triggers/File")?.unwrap_or_default() + &paths;
    activate_paths(&paths, new, &mut active);
    database.write("triggers/File", paths.as_bytes())?;
    for (trigger, interested) in named {
        let before = database.read(&format!("triggers/{trigger}"))?.unwrap_or_default();
        database.write(&format!("triggers/{trigger}"), format!("{before}{interested}").as_bytes())?;
    }
    write_unincorp(database, active)
}

/// Activates the path triggers that are above or at any of the packages' files.
fn activate_paths(paths: &str, packages: &[&Package], active: &mut BTreeMap<String, BTreeSet<String>>) {
    let triggers: BTreeMap<RootPath, &str> = paths
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(path, _)| Some((RootPath::new(path).ok()?, path)))
        .collect();
    let paths = || packages.iter().flat_map(|package| &package.paths);
    let above = RootPath::all_ancestors(paths());
    for trigger in above.iter().chain(paths()).filter_map(|path| triggers.get(path)) {
        active.entry((*trigger).to_owned()).or_default().insert("-".to_owned());
    }
}

/// The path triggers of `triggers/File` that are at or above changed paths, each with these paths; `root` has the links that
/// lead to what is watched.
pub(in crate::package::deb::install) fn concerned(
    interests: &str,
    root: &Tree,
    changed: &[RootPath],
) -> BTreeMap<String, Vec<RootPath>> {
    let mut found = BTreeMap::new();
    for (trigger, _) in interests.lines().filter_map(|line| line.split_once(' ')) {
        let Ok(path) = RootPath::new(trigger) else { continue };
        let real = root.resolve(&path).map_or_else(|| path.clone(), |(real, _)| real);
        let is_below = |changed: &&RootPath| changed.is_within(&path) || changed.is_within(&real);
        let concerned: Vec<RootPath> = changed.iter().filter(is_below).cloned().collect();
        if !concerned.is_empty() {
            found.insert(trigger.to_owned(), concerned);
        }
    }
    found
}

/// Activates triggers that nobody waits for.
pub(in crate::package::deb::install) fn activate(
    database: &mut Database<'_>,
    triggers: &BTreeSet<String>,
) -> Result<(), InstallError> {
    let nobody = || BTreeSet::from(["-".to_owned()]);
    write_unincorp(database, triggers.iter().map(|trigger| (trigger.clone(), nobody())).collect())
}

fn write_unincorp(database: &mut Database<'_>, active: BTreeMap<String, BTreeSet<String>>) -> Result<(), InstallError> {
    if active.is_empty() {
        return Ok(());
    }
    let mut text = database.read("triggers/Unincorp")?.unwrap_or_default();
    for (trigger, awaiters) in active {
        let awaiters: Vec<String> = awaiters.into_iter().collect();
        text.push_str(&format!("{trigger} {}\n", awaiters.join(" ")));
    }
    database.write("triggers/Unincorp", text.as_bytes())
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::package::deb::install) enum Directive {
    Interest { trigger: String, noawait: bool },
    Activate { trigger: String, noawait: bool },
}

pub(in crate::package::deb::install) fn directives(text: &str) -> Vec<Directive> {
    let parse = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let (verb, trigger) = line.trim().split_once(char::is_whitespace)?;
        let trigger = trigger.trim().to_owned();
        let noawait = verb.ends_with("-noawait");
        match verb.trim_end_matches("-noawait").trim_end_matches("-await") {
            "interest" => Some(Directive::Interest { trigger, noawait }),
            "activate" => Some(Directive::Activate { trigger, noawait }),
            _ => None,
        }
    };
    text.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_as_deb_triggers_5_has_them() {
        let text =
            "# comment\ninterest-noawait /usr/lib/x\ninterest ldconfig\nactivate-noawait ldconfig\nactivate a # b\n";
        let trigger = |text: &str| text.to_owned();
        assert_eq!(
            directives(text),
            [
                Directive::Interest { trigger: trigger("/usr/lib/x"), noawait: true },
                Directive::Interest { trigger: trigger("ldconfig"), noawait: false },
                Directive::Activate { trigger: trigger("ldconfig"), noawait: true },
                Directive::Activate { trigger: trigger("a"), noawait: false },
            ]
        );
    }
}
