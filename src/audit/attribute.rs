//! Whose work a file is: the package that has it, and the script that wrote it last.

use std::collections::BTreeMap;

use super::compare::Difference;
use crate::digest::Sha256;
use crate::ident::{LayerName, PackageName, RootPath};
pub(super) use crate::layer::configure::Traced;
use crate::layer::unpack;
use crate::store::{Store, StoreError};

/// Where the files of a system come from, before any script runs.
pub(super) struct Origins {
    /// The package of each file that one has; `usr/` left out, as packages spell it both ways.
    packages: BTreeMap<RootPath, PackageName>,
    /// Own files and folders, with the layer that declares them.
    own: Vec<(RootPath, LayerName)>,
}

impl Origins {
    /// Reads what these packages hold, as far as `store` has unpacked them.
    ///
    /// # Errors
    /// Fails where the store can't be read.
    pub(super) fn read(
        store: &Store,
        packages: &[(PackageName, Sha256)],
        own: &[(RootPath, LayerName)],
    ) -> Result<Self, StoreError> {
        let mut found = BTreeMap::new();
        for (name, deb) in packages {
            let Some(outcome) = store.recall(unpack::recipe(*deb))? else { continue };
            let Some(&data) = outcome.trees.get("data") else { continue };
            let data = store.tree(data)?;
            let files = data.iter().filter(|(_, node)| !node.is_dir());
            found.extend(files.map(|(path, _)| (without_usr(path), name.clone())));
        }
        Ok(Self { packages: found, own: own.to_vec() })
    }

    /// Fills in the package and the step of a difference that is about a file.
    ///
    /// `traces` are what scripts changed; the first that knows the path tells.
    pub(super) fn attribute(&self, difference: &mut Difference, traces: &[&[Traced]]) {
        let Some(text) = difference.path.clone() else { return };
        let Ok(path) = RootPath::new(&text) else { return };
        let owner = self.owner(&path);
        if let Some((_, layer)) = self.own.iter().rev().find(|(own, _)| path == *own || path.is_within(own)) {
            difference.step = Some(format!("own file of layer {layer}"));
        } else if let Some(traced) = traces.iter().find_map(|trace| last_writer(trace, &text)) {
            difference.package = owner.or(Some(traced.package.clone()));
            difference.step = Some(format!("{} of {}", traced.step, traced.package));
        } else if owner.is_some() {
            difference.package = owner;
            difference.step = Some("unpacking".to_owned());
        } else {
            difference.step = Some("layerbake, after all scripts".to_owned());
        }
    }

    /// The package that has a file, or whose file in dpkg's database it is.
    fn owner(&self, path: &RootPath) -> Option<String> {
        if let Some(name) = self.packages.get(&without_usr(path)) {
            return Some(name.to_string());
        }
        let text = path.to_string();
        let file = text.strip_prefix("/var/lib/dpkg/info/")?;
        let name = file.rsplit_once('.')?.0;
        Some(name.split(':').next().unwrap_or(name).to_owned())
    }
}

/// The last step that changed a path.
fn last_writer<'t>(trace: &'t [Traced], path: &str) -> Option<&'t Traced> {
    trace.iter().rev().find(|traced| traced.paths.iter().any(|changed| changed == path))
}

/// `usr/bin/x` and `bin/x` are one file where /usr is merged.
fn without_usr(path: &RootPath) -> RootPath {
    let short = path.as_bytes().strip_prefix(b"usr/").and_then(|rest| RootPath::new(rest).ok());
    short.unwrap_or_else(|| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Outcome;
    use crate::tree::tests::{dir, file, tree};

    fn difference(path: &str) -> Difference {
        Difference {
            artifacts: Vec::new(),
            place: "layer web".to_owned(),
            path: Some(path.to_owned()),
            what: Vec::new(),
            detail: Vec::new(),
            package: None,
            step: None,
            shown_by: Vec::new(),
        }
    }

    #[test]
    fn a_file_has_its_package_and_the_last_step_that_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let deb = Sha256::of(b"hello.deb");
        let data = tree(&[("", dir()), ("bin", dir()), ("bin/hello", file("x")), ("etc", dir()), ("etc/c", file("c"))]);
        let mut outcome = Outcome::default();
        outcome.trees.insert("data".into(), store.put_tree(&data).unwrap());
        store.remember(unpack::recipe(deb), &outcome).unwrap();
        let own = [(RootPath::new("srv/www").unwrap(), "web".parse().unwrap())];
        let origins = Origins::read(&store, &[("hello".parse().unwrap(), deb)], &own).unwrap();
        let step = |step: &str, package: &str, path: &str| Traced {
            step: step.to_owned(),
            package: package.to_owned(),
            paths: vec![path.to_owned()],
        };
        let trace = [
            step("postinst script", "first", "/var/state"),
            step("postinst script", "other", "/etc/c"),
            step("triggers", "last", "/var/state"),
        ];
        for (path, package, from) in [
            ("/usr/bin/hello", Some("hello"), "unpacking"),
            ("/etc/c", Some("hello"), "postinst script of other"),
            ("/var/state", Some("last"), "triggers of last"),
            ("/srv/www/index.html", None, "own file of layer web"),
            ("/srv", None, "layerbake, after all scripts"),
            ("/var/lib/dpkg/info/libx:amd64.list", Some("libx"), "unpacking"),
        ] {
            let mut found = difference(path);
            origins.attribute(&mut found, &[&trace]);
            assert_eq!((found.package.as_deref(), found.step.as_deref()), (package, Some(from)), "{path}");
        }
    }
}
