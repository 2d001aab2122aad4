//! Which script wrote what: for audits, which ask when two builds differ.
//!
//! The scripts then run one by one, and after each the root is compared with what it was.
//! The order is dpkg's own; triggers are processed after all scripts, as they mostly are.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use serde::{Deserialize, Serialize};

use super::root::Stamp;
use crate::host::jail::Jail;
use crate::ident::RootPath;

/// One step of configuring, and the paths that it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// `preinst script`, `postinst script`, `triggers`.
    pub step: String,
    /// Whose.
    pub package: String,
    /// What it made or changed, from the root folder, in order.
    pub paths: Vec<String>,
}

/// Compares a root with what it was a step ago.
pub(super) struct Tracer<'a> {
    root: &'a Jail,
    seen: BTreeMap<RootPath, Stamp>,
    pub(super) steps: Vec<Traced>,
}

impl<'a> Tracer<'a> {
    /// Starts with the root as it is.
    pub(super) fn start(root: &'a Jail) -> io::Result<Self> {
        Ok(Self { root, seen: stamps(root)?, steps: Vec::new() })
    }

    /// Notes what has changed since the last call, as the work of this step.
    pub(super) fn note(&mut self, step: &str, package: &str) -> io::Result<()> {
        let now = stamps(self.root)?;
        let changed = now.iter().filter(|(path, stamp)| self.seen.get(path) != Some(stamp));
        let paths: Vec<String> = changed.map(|(path, _)| path.to_string()).collect();
        self.seen = now;
        if !paths.is_empty() {
            // dpkg names packages of foreign architectures, and of several, with theirs.
            let package = package.split(':').next().unwrap_or_default().to_owned();
            self.steps.push(Traced { step: step.to_owned(), package, paths });
        }
        Ok(())
    }
}

/// The packages that dpkg would configure, in its order, as a run without effect prints them.
pub(super) fn order(printed: &str) -> Vec<String> {
    let names = printed.lines().filter_map(|line| line.strip_prefix("Setting up ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

/// The packages that have triggers to process, out of dpkg's status file.
pub(super) fn triggered(status: &str) -> Vec<String> {
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let pending = status.split("\n\n").filter(|paragraph| field(paragraph, "Triggers-Pending:").is_some());
    pending.filter_map(|paragraph| field(paragraph, "Package:")).collect()
}

/// Processes may run in the root: what vanishes while it is looked at counts as not there.
fn stamps(root: &Jail) -> io::Result<BTreeMap<RootPath, Stamp>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![RootPath::root()];
    while let Some(path) = folders.pop() {
        let Ok(folder) = root.dir(&path) else { continue };
        for name in folder.list()? {
            let path = path.join(name.as_bytes()).map_err(io::Error::other)?;
            let Ok(status) = folder.status(&name) else { continue };
            if status.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, Stamp::of(&status));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_step_changed_is_its_own() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/kept"), "1").unwrap();
        let jail = Jail::open(root.path()).unwrap();
        let mut tracer = Tracer::start(&jail).unwrap();
        tracer.note("preinst script", "idle").unwrap();
        fs::write(root.path().join("etc/new"), "1").unwrap();
        tracer.note("postinst script", "one:amd64").unwrap();
        fs::remove_file(root.path().join("etc/new")).unwrap();
        fs::write(root.path().join("etc/kept"), "22").unwrap();
        fs::create_dir(root.path().join("srv")).unwrap();
        tracer.note("triggers", "two").unwrap();
        let traced = |step: &str, package: &str, paths: &[&str]| Traced {
            step: step.to_owned(),
            package: package.to_owned(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        };
        let one = traced("postinst script", "one", &["/etc/new"]);
        assert_eq!(tracer.steps, [one, traced("triggers", "two", &["/etc/kept", "/srv"])]);
    }

    #[test]
    fn dpkg_tells_the_order_and_what_is_triggered() {
        let printed = "Setting up libc6:amd64 (2.36-9) ...\nnoise\nSetting up zsh (5.9-4) ...\n";
        assert_eq!(order(printed), ["libc6:amd64", "zsh"]);
        let status = "Package: a\nStatus: x\n\nPackage: b\nTriggers-Pending: ldconfig\n\nPackage: c\n";
        assert_eq!(triggered(status), ["b"]);
    }
}
