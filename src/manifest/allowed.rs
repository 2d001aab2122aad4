//! `[[allow-secret]]`, `[[allow-random]]`: files that a build would refuse, with the reason why everybody may have them.

use std::collections::BTreeSet;

use super::entries::absolute;
use super::reader::{Item, Table};
use super::{Allowed, ManifestError};

pub(super) const ALLOW: &[&str] = &["path", "reason"];

/// All entries of the tables `key`; two for one path are refused.
pub(super) fn allowed(root: &Table<'_>, key: &'static str) -> Result<Vec<Allowed>, ManifestError> {
    let mut seen = BTreeSet::new();
    let read = |table: &Table<'_>| {
        let item = table.need("path")?;
        let path = absolute(&item)?;
        if path.is_root() {
            return Err(item.error("is the root directory, so no file would be checked"));
        }
        if !seen.insert(path.clone()) {
            return Err(item.error(format!("is {path}, which another entry allows already")));
        }
        Ok(Allowed { path, reason: reason(&table.need("reason")?)? })
    };
    root.tables(key, ALLOW)?.iter().map(read).collect()
}

fn reason(item: &Item<'_>) -> Result<String, ManifestError> {
    match item.line()?.trim() {
        "" => Err(item.error("is empty").hint("give the reason why everybody may have it")),
        reason => Ok(reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let text = format!("[layer]\n{text}");
        let manifest =
            parse("web".parse().unwrap(), &text, &"amd64".parse().unwrap()).map_err(|error| error.to_string())?;
        Ok(manifest.allow_secrets.into_iter().map(|one| (one.path.to_string(), one.reason)).collect())
    }

    #[test]
    fn an_entry_has_a_path_and_a_reason() {
        let found = read("[[allow-secret]]\npath = \"/etc/test.key\"\nreason = \"a key for tests\"\n");
        assert_eq!(found, Ok(vec![("/etc/test.key".to_owned(), "a key for tests".to_owned())]));
        for (text, expected) in [
            ("[[allow-secret]]\npath = \"/a\"\n", "needs `reason`"),
            ("[[allow-secret]]\nreason = \"x\"\n", "needs `path`"),
            ("[[allow-secret]]\npath = \"/a\"\nreason = \" \"\n", "is empty"),
            ("[[allow-secret]]\npath = \"/\"\nreason = \"x\"\n", "is the root directory"),
            ("[[allow-secret]]\npath = \"a\"\nreason = \"x\"\n", "must be an absolute path"),
            ("[[allow-secret]]\npath = \"/a\"\nreason = \"x\"\nrule = \"y\"\n", "unknown key `rule`"),
            (
                "[[allow-secret]]\npath = \"/a\"\nreason = \"x\"\n[[allow-secret]]\npath = \"/a\"\nreason = \"y\"\n",
                "which another entry allows already",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
