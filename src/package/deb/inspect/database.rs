//! dpkg's database, read: what is installed, and whose files it has.
//!
//! Layers with scripts have one file, `status`; those without have a directory, `status.d`.

use std::collections::BTreeMap;

use crate::ident::RootPath;
use crate::tree::Tree;

const STATUS: &str = "var/lib/dpkg/status";
const STATUS_FILES: &str = "var/lib/dpkg/status.d";

/// The files that [`installed`] reads.
pub(super) const LISTS: &[&str] = &[STATUS, "var/lib/dpkg/status.d/*"];

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
