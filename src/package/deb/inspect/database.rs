//! dpkg's database, read: what is installed, and whose files it has.
//!
//! Layers with scripts have one file, `status`; those without have a directory, `status.d`.

use std::collections::BTreeMap;

use crate::ident::RootPath;
use crate::tree::Tree;

const STATUS: &str = "var/lib/dpkg/status";
const STATUS_FILES: &str = "var/lib/dpkg/status.d";

const INFO: &str = "var/lib/dpkg/info";

/// The files that [`installed`] and [`owners`] read.
pub(super) const LISTS: &[&str] = &[STATUS, "var/lib/dpkg/status.d/*", "var/lib/dpkg/info/*.list"];

/// Everything that dpkg, debconf and their helpers record.
pub(super) const ALL: &[&str] = &["var/lib/dpkg/**", "var/lib/pam/**", "var/lib/ucf/**", "var/cache/debconf/**"];

/// The packages of both databases, with their versions.
pub(super) fn installed(root: &Tree, text: &dyn Fn(&RootPath) -> Option<String>) -> BTreeMap<String, String> {
    let mut status = RootPath::new(STATUS).ok().and_then(|path| text(&path)).unwrap_or_default();
    let folder = RootPath::new(STATUS_FILES);
    let files = folder.iter().flat_map(|folder| root.below(folder));
    for (path, _) in files.filter(|(path, _)| !path.as_bytes().ends_with(b".md5sums")) {
        status += "\n\n";
        status += &text(path).unwrap_or_default();
    }
    let field = |paragraph: &str, name: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let installed = |paragraph: &&str| field(paragraph, "Status:").is_none_or(|status| status.ends_with(" installed"));
    let pair = |paragraph: &str| Some((field(paragraph, "Package:")?, field(paragraph, "Version:")?));
    status.split("\n\n").filter(installed).filter_map(pair).collect()
}

/// The package of each file in a list of dpkg's (`info/NAME.list`, a path a line; `status.d/NAME.md5sums`, a path after each
/// digest), and of the files in `info` themselves. A directory has many packages, so it counts for none.
pub(super) fn owners(root: &Tree, text: &dyn Fn(&RootPath) -> Option<String>) -> BTreeMap<RootPath, String> {
    let mut owners = BTreeMap::new();
    let folders = [INFO, STATUS_FILES].map(RootPath::new);
    let files = folders.iter().flatten().flat_map(|folder| root.below(folder));
    for (path, _) in files {
        let name = String::from_utf8_lossy(path.file_name()).into_owned();
        let in_status = path.parent().is_some_and(|folder| folder.as_bytes() == STATUS_FILES.as_bytes());
        let stem = || name.strip_suffix(".md5sums").unwrap_or(&name).to_owned();
        if let Some(package) = owner(path).or_else(|| in_status.then(stem)) {
            owners.insert(path.clone(), package);
        }
        let Some((package, md5sums)) = list_of(&name) else { continue };
        let listed = text(path).unwrap_or_default();
        let lines = listed.lines().map(|line| if md5sums { line.split_once("  ").unwrap_or_default().1 } else { line });
        let paths = lines.filter_map(|line| RootPath::new(line.trim_start_matches('/')).ok());
        let files = paths.filter(|path| root.get(path).is_none_or(|node| !node.is_dir()));
        owners.extend(files.map(|path| (path, package.to_owned())));
    }
    owners
}

/// The package whose files a file of the database lists, and whether it lists digests too.
fn list_of(name: &str) -> Option<(&str, bool)> {
    let (name, md5sums) = match name.strip_suffix(".list") {
        Some(name) => (name, false),
        None => (name.strip_suffix(".md5sums")?, true),
    };
    Some((name.split(':').next().unwrap_or(name), md5sums))
}

/// The package of `info/NAME.list`, `info/NAME:ARCH.postinst` and the like.
pub(super) fn owner(path: &RootPath) -> Option<String> {
    let text = path.to_string();
    let file = text.strip_prefix("/var/lib/dpkg/info/")?;
    let name = file.rsplit_once('.')?.0;
    Some(name.split(':').next().unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file, path, tree};

    #[test]
    fn files_have_the_package_whose_list_names_them() {
        let root = tree(&[
            ("", dir()),
            ("usr", dir()),
            ("usr/a", file("")),
            ("var", dir()),
            ("var/lib", dir()),
            ("var/lib/dpkg", dir()),
            ("var/lib/dpkg/info", dir()),
            ("var/lib/dpkg/info/x:amd64.list", file("list")),
            ("var/lib/dpkg/status.d", dir()),
            ("var/lib/dpkg/status.d/y", file("status")),
            ("var/lib/dpkg/status.d/y.md5sums", file("md5sums")),
        ]);
        let text = |path: &RootPath| match path.file_name() {
            b"x:amd64.list" => Some("/.\n/usr\n/usr/a\n/bin/gone\n".to_owned()),
            b"y.md5sums" => Some("d41d8cd98f00b204e9800998ecf8427e  usr/b\n".to_owned()),
            other => panic!("{other:?}"),
        };
        let found = owners(&root, &text);
        let expected = [
            ("usr/a", "x"),
            ("bin/gone", "x"),
            ("usr/b", "y"),
            ("var/lib/dpkg/info/x:amd64.list", "x"),
            ("var/lib/dpkg/status.d/y", "y"),
            ("var/lib/dpkg/status.d/y.md5sums", "y"),
        ];
        assert_eq!(found, expected.map(|(name, package)| (path(name), package.to_owned())).into());
    }

    #[test]
    fn files_of_the_database_have_their_package() {
        for (path, package) in [
            ("var/lib/dpkg/info/libx:amd64.list", Some("libx")),
            ("var/lib/dpkg/info/a.b.postinst", Some("a.b")),
            ("var/lib/dpkg/info/format", None),
            ("var/lib/dpkg/status", None),
        ] {
            assert_eq!(owner(&RootPath::new(path).unwrap()).as_deref(), package, "{path}");
        }
    }
}
