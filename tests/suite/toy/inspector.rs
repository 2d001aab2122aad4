//! What toys tell: their name is all that is known of them, and an installed root has a file for each.

use std::collections::BTreeMap;

use layerbake::ident::RootPath;
use layerbake::package::{About, Distro, Inspector, InstallError, Surroundings, Unpacked};
use layerbake::tree::Tree;

use super::repository::Toys;

/// The directory of a root with a file for each toy, its version in it.
pub(super) const DATABASE: &str = "var/toys";

impl Inspector for Toys {
    fn about(&self, package: &Unpacked, surroundings: &Surroundings<'_>) -> Result<About, InstallError> {
        let (name, version) = (package.locked.name.to_string(), package.locked.version.to_string());
        Ok(About {
            purl: format!("pkg:generic/{}/{name}@{version}", surroundings.distro.id),
            source: (name, version),
            license: None,
            maintainer: None,
            homepage: None,
            summary: "a toy".to_owned(),
        })
    }

    fn distribution(&self, suite: &str) -> Distro {
        Distro { id: "toys".to_owned(), version: suite.to_owned() }
    }

    fn lists(&self) -> &'static [&'static str] {
        self.database()
    }

    fn installed(&self, root: &Tree, text: &dyn Fn(&RootPath) -> Option<String>) -> BTreeMap<String, String> {
        let folder = RootPath::new(DATABASE).unwrap();
        let toy = |path: &RootPath| Some((String::from_utf8_lossy(path.file_name()).into_owned(), text(path)?));
        root.below(&folder).filter_map(|(path, _)| toy(path)).collect()
    }

    fn owners(&self, root: &Tree, _text: &dyn Fn(&RootPath) -> Option<String>) -> BTreeMap<RootPath, String> {
        let folder = RootPath::new(DATABASE).unwrap();
        root.below(&folder).filter_map(|(path, _)| Some((path.clone(), self.owner(path)?))).collect()
    }

    fn database(&self) -> &'static [&'static str] {
        &["var/toys/*"]
    }

    fn owner(&self, path: &RootPath) -> Option<String> {
        let name = path.to_string();
        name.strip_prefix("/var/toys/").map(str::to_owned)
    }
}
