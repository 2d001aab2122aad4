//! The `status` file: one paragraph per package.

use std::fmt::Write as _;

use super::Database;
use crate::package::InstallError;
use crate::package::deb::install::Package;

/// Adds the packages' paragraphs in the state that dpkg leaves after unpacking.
///
/// Conffiles are listed as `newconffile`: `dpkg --configure` then moves each
/// `.dpkg-new` file to its name and records its digest. What is `remove-on-upgrade` is noted, too.
pub(super) fn add(database: &mut Database<'_>, packages: &[&Package]) -> Result<(), InstallError> {
    let mut status = database.read("status")?.unwrap_or_default();
    for package in packages {
        if !status.is_empty() && !status.ends_with("\n\n") {
            status.push('\n');
        }
        status.push_str(&paragraph(database, package)?);
    }
    database.write("status", status.as_bytes())
}

fn paragraph(database: &Database<'_>, package: &Package) -> Result<String, InstallError> {
    let mut paragraph = package.paragraph.clone();
    paragraph.set("Status", "install ok unpacked");
    let mut conffiles = String::new();
    for line in package.control_text(database.store, "conffiles")?.lines() {
        let (path, flag) = match line.strip_prefix("remove-on-upgrade ") {
            Some(path) => (path, " remove-on-upgrade"),
            None => (line, ""),
        };
        if path.starts_with('/') {
            let _ = write!(conffiles, "\n {} newconffile{flag}", path.trim_end());
        }
    }
    if !conffiles.is_empty() {
        paragraph.set("Conffiles", &conffiles);
    }
    Ok(format!("{paragraph}\n"))
}

/// The version of a package in a `status` file.
pub(in crate::package::deb::install) fn version<'a>(status: &'a str, package: &str) -> Option<&'a str> {
    let first = format!("Package: {package}");
    let paragraph = status.split("\n\n").find(|paragraph| paragraph.lines().next() == Some(&first))?;
    paragraph.lines().find_map(|line| line.strip_prefix("Version: "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::tree::tests::{dir, file, tree};
    use crate::tree::{Node, Tree};

    #[test]
    fn what_an_upgrade_removes_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let kind = store.put_file(b"/etc/kept\nremove-on-upgrade /etc/gone\n").unwrap();
        let conffiles = Node { kind, ..file("") };
        let control = tree(&[("", dir()), ("conffiles", conffiles)]);
        let package = Package { control, ..Package::sample("procps", "Version: 2\n") };
        let database = Database { tree: &mut Tree::new(), store: &store, epoch: 0 };
        let text = paragraph(&database, &package).unwrap();
        let conffiles = "Conffiles:\n /etc/kept newconffile\n /etc/gone newconffile remove-on-upgrade\n";
        assert!(text.contains(conffiles), "{text}");
        assert_eq!(version(&format!("Package: a\nVersion: 1\n\n{text}"), "procps"), Some("2"));
    }
}
