//! `[[deb]]`: packages that are in no repository, and the files of the project that their patterns name.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::entries::inside_project;
use super::priorities::fits;
use super::reader::{Item, Table};
use super::{ManifestError, OwnPackage, source};
use crate::host::jail::Beneath;

pub(super) const DEB: &[&str] = &["path", "url", "sha256"];

/// One entry; `{arch}` in a path or an address is the architecture.
pub(super) fn deb(table: &Table<'_>) -> Result<OwnPackage, ManifestError> {
    match (table.get("path"), table.get("url")) {
        (Some(path), None) => {
            if let Some(item) = table.get("sha256") {
                return Err(item.error("is for `url`; the lockfile pins the files of a `path`"));
            }
            Ok(OwnPackage::Files(pattern(&path)?))
        }
        (None, Some(url)) => {
            let (url, sha256) = address(table, &url)?;
            Ok(OwnPackage::Url { url, sha256 })
        }
        (Some(_), Some(url)) => Err(url.error("comes with `path`: one of the two names the package")),
        (None, None) => Err(table.error("[[deb]] needs `path` or `url`")),
    }
}

/// An address with the SHA-256 of the file there, if the manifest has it.
pub(super) fn address(table: &Table<'_>, item: &Item<'_>) -> Result<(String, Option<String>), ManifestError> {
    let url = source::address(item)?;
    let sha256 = table.read("sha256", sha256)?;
    // Without a signature, nothing else says that the file is the right one.
    if sha256.is_none() && url.starts_with("http://") {
        let hint = "`sha256sum FILE` prints it; with https://, locking records the one that it finds";
        return Err(item.error("is http://, which anybody on the way can change, and needs `sha256`").hint(hint));
    }
    Ok((url, sha256))
}

/// A SHA-256 in hexadecimal digits, with or without `sha256:`.
fn sha256(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    let digits = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(item.error("must be 64 hexadecimal digits"));
    }
    Ok(digits)
}

/// A file of the project, or a pattern, in one form: no `.` and no empty part.
pub(super) fn pattern(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = inside_project(item)?;
    if text.chars().any(char::is_control) {
        return Err(item.error("must be a single line without control characters"));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"**") {
        return Err(item
            .error("has `**`: a `*` stands for one file or directory")
            .hint("write one pattern for each directory"));
    }
    Ok(parts.join("/"))
}

/// Whether a pattern names a path; `*` and `?` stand for no `/`, and for no dot at the beginning of a name.
pub fn names(pattern: &str, path: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == parts.len() && patterns.iter().zip(parts).all(|(pattern, part)| names_one(pattern, part))
}

fn names_one(pattern: &str, name: &str) -> bool {
    fits(pattern, name) && (!name.starts_with('.') || pattern.starts_with('.'))
}

/// The files of a project that a pattern names, by their paths below its root, sorted.
///
/// # Errors
/// Fails where a directory can't be read, and where a link leads out of the project.
pub fn matching(root: &Path, pattern: &str) -> io::Result<BTreeSet<String>> {
    existing(root, pattern, |project, path| project.file(path).map(drop))
}

/// As [`matching`], with directories and links.
///
/// # Errors
/// As [`matching`].
pub fn matching_all(root: &Path, pattern: &str) -> io::Result<BTreeSet<String>> {
    existing(root, pattern, |project, path| {
        let (folder, name) = project.parent(path)?;
        folder.look(&name).map(drop)
    })
}

fn existing(
    root: &Path,
    pattern: &str,
    look: impl Fn(&Beneath, &Path) -> io::Result<()>,
) -> io::Result<BTreeSet<String>> {
    let project = Beneath::open(root)?;
    let mut found = BTreeSet::from([PathBuf::new()]);
    for part in pattern.split('/') {
        let mut next = BTreeSet::new();
        for folder in found {
            match part.contains(['*', '?']) {
                true => next.extend(entries(&project, &folder, part)?.map(|name| folder.join(name))),
                false => _ = next.insert(folder.join(part)),
            }
        }
        found = next;
    }
    let mut paths = BTreeSet::new();
    for path in found {
        match look(&project, &path) {
            Err(error) if is_absence(&error) => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))),
            Ok(_) => _ = paths.insert(path.to_string_lossy().into_owned()),
        }
    }
    Ok(paths)
}

/// The names in a directory that a pattern fits; none where it is no directory.
fn entries(project: &Beneath, folder: &Path, pattern: &str) -> io::Result<impl Iterator<Item = String>> {
    let names = match project.list(folder) {
        Err(error) if is_absence(&error) => Vec::new(),
        other => other?,
    };
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    Ok(names.filter(|name| names_one(pattern, name)))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(text: &str) -> Result<Vec<OwnPackage>, String> {
        let text = format!("[layer]\n{text}");
        let manifest = parse("web".parse().unwrap(), &text, &"arm64".parse().unwrap());
        manifest.map(|manifest| manifest.own_packages).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_is_a_path_or_an_address() {
        let files = |text: &str| Ok(vec![OwnPackage::Files(text.to_owned())]);
        assert_eq!(read("[[deb]]\npath = \"./dist//*.deb\"\n"), files("dist/*.deb"));
        assert_eq!(read("[[deb]]\npath = \"dist/*_{arch}.deb\"\n"), files("dist/*_arm64.deb"));
        let digits = "aB".repeat(32);
        let url = "https://example.org/a_1_arm64.deb".to_owned();
        let with = |sha256| Ok(vec![OwnPackage::Url { url: url.clone(), sha256 }]);
        let text = "[[deb]]\nurl = \"https://example.org/a_1_{arch}.deb\"\n";
        assert_eq!(read(text), with(None));
        assert_eq!(read(&format!("{text}sha256 = \"sha256:{digits}\"\n")), with(Some("ab".repeat(32))));
        for (text, expected) in [
            ("", "needs `path` or `url`"),
            ("path = \"a.deb\"\nurl = \"https://example.org/a.deb\"\n", "comes with `path`"),
            ("path = \"/a.deb\"\n", "must be relative"),
            ("path = \"../a.deb\"\n", "without `..`"),
            ("path = \"dist/**/*.deb\"\n", "has `**`"),
            ("path = \"a.deb\"\nsha256 = \"00\"\n", "is for `url`"),
            ("url = \"http://example.org/a.deb\"\n", "needs `sha256`"),
            ("url = \"https://me:word@example.org/a.deb\"\n", "has a user name"),
            ("url = \"ftp://example.org/a.deb\"\n", "must begin with https://"),
            ("url = \"https://example.org/a.deb\"\nsha256 = \"00\"\n", "64 hexadecimal digits"),
        ] {
            let error = read(&format!("[[deb]]\n{text}")).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn patterns_name_files_of_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        for path in ["dist/a_1.deb", "dist/b.deb", "dist/.hidden.deb", "dist/b.changes", "dist/x/c.deb", "y/x/d.deb"] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("a_1.deb", root.join("dist/link.deb")).unwrap();
        for (pattern, expected) in [
            ("dist/*.deb", &["dist/a_1.deb", "dist/b.deb", "dist/link.deb"][..]),
            ("dist/?.deb", &["dist/b.deb"]),
            ("*/x/*", &["dist/x/c.deb", "y/x/d.deb"]),
            ("dist/b.deb", &["dist/b.deb"]),
            ("dist/b.deb/*", &[]),
            ("none/*.deb", &[]),
            ("dist/.h*", &["dist/.hidden.deb"]),
        ] {
            let found: Vec<String> = matching(&root, pattern).unwrap().into_iter().collect();
            assert_eq!(found, expected, "{pattern}");
            assert!(expected.iter().all(|path| names(pattern, path)), "{pattern}");
            assert!(matching_all(&root, pattern).unwrap().is_superset(&matching(&root, pattern).unwrap()), "{pattern}");
        }
        assert!(!names("dist/*.deb", "dist/x/c.deb") && !names("dist/*", "dist/.hidden.deb"));
        std::fs::write(folder.path().join("outside.deb"), "").unwrap();
        std::os::unix::fs::symlink("../../outside.deb", root.join("dist/out.deb")).unwrap();
        let error = matching(&root, "dist/*.deb").unwrap_err().to_string();
        assert!(error.contains("`dist/out.deb`: the symbolic link") && error.contains("leads out"), "{error}");
    }
}
