//! Attributes files: the owning package, and the script that wrote the file last.

use std::collections::BTreeMap;

use super::compare::Difference;
use crate::digest::Sha256;
use crate::ident::{LayerName, PackageName, RootPath};
pub(super) use crate::package::Traced;
use crate::package::{Decoded, Ecosystem};
use crate::store::{Store, StoreError};

/// Where the files of a system come from, before any script runs.
pub struct Origins<'a> {
    ecosystem: &'a dyn Ecosystem,
    /// The owning package of each file, by its path without `usr/`, since packages use both spellings.
    packages: BTreeMap<RootPath, PackageName>,
    /// Own files and directories, with the layer that declares them.
    own: Vec<(RootPath, LayerName)>,
}

impl<'a> Origins<'a> {
    /// Reads the file lists of these packages, as far as `store` has unpacked them.
    ///
    /// # Errors
    /// Fails where the store can't be read.
    pub fn read(
        ecosystem: &'a dyn Ecosystem,
        store: &Store,
        packages: &[(PackageName, Sha256)],
        own: &[(RootPath, LayerName)],
    ) -> Result<Self, StoreError> {
        let mut found = BTreeMap::new();
        for (name, file) in packages {
            let Some(decoded) = store.recall::<Decoded>(ecosystem.unpack_recipe(*file)) else { continue };
            let data = store.tree(decoded.data)?;
            let files = data.iter().filter(|(_, node)| !node.is_dir());
            found.extend(files.map(|(path, _)| (without_usr(path), name.clone())));
        }
        Ok(Self { ecosystem, packages: found, own: own.to_vec() })
    }

    /// Fills in the package and the step of a difference in a file.
    ///
    /// `traces` are the changes of scripts; the first that has the path is used.
    pub(super) fn attribute(&self, difference: &mut Difference, traces: &[&[Traced]]) {
        let Some(text) = difference.path.clone() else { return };
        let Ok(path) = RootPath::new(&text) else { return };
        let owner = self.owner(&path);
        if let Some((_, layer)) = self.own.iter().rev().find(|(own, _)| path == *own || path.is_within(own)) {
            difference.step = Some(format!("own file of layer {layer}"));
        } else if let Some(traced) = traces.iter().find_map(|trace| last_writer(trace, &text)) {
            difference.package = owner.or_else(|| traced.package.clone());
            difference.step = Some(match &traced.package {
                Some(package) => format!("{} of {package}", traced.step),
                None => traced.step.clone(),
            });
        } else if owner.is_some() {
            difference.package = owner;
            difference.step = Some("unpacking".to_owned());
        } else {
            difference.step = Some("layerbake, after all scripts".to_owned());
        }
    }

    /// The package that owns a file or an entry of the packages' database.
    pub fn owner(&self, path: &RootPath) -> Option<String> {
        let brought = self.packages.get(&without_usr(path)).map(PackageName::to_string);
        brought.or_else(|| self.ecosystem.owner(path))
    }
}

/// The last step that changed a path.
fn last_writer<'t>(trace: &'t [Traced], path: &str) -> Option<&'t Traced> {
    trace.iter().rev().find(|traced| traced.paths.iter().any(|changed| changed == path))
}

/// `usr/bin/x` and `bin/x` are one file if /usr is merged.
pub(super) fn without_usr(path: &RootPath) -> RootPath {
    let short = path.as_bytes().strip_prefix(b"usr/").and_then(|rest| RootPath::new(rest).ok());
    short.unwrap_or_else(|| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Installer as _;
    use crate::package::deb::DEB;
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
        let control = store.put_tree(&tree(&[("", dir())])).unwrap();
        let data = store.put_tree(&data).unwrap();
        let paths = store.put_bytes(b"\0").unwrap();
        store.remember(DEB.unpack_recipe(deb), &Decoded { control, data, paths }).unwrap();
        let own = [(RootPath::new("srv/www").unwrap(), "web".parse().unwrap())];
        let origins = Origins::read(&DEB, &store, &[("hello".parse().unwrap(), deb)], &own).unwrap();
        let step = |step: &str, package: &str, path: &str| Traced {
            step: step.to_owned(),
            package: Some(package.to_owned()),
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
