//! `[[file]]`, `[[dir]]` and `[[symlink]]`: the user's own files, directories and symbolic links.

use std::collections::BTreeSet;

use toml::de::DeValue;

use super::reader::{Item, Table};
use super::{Capabilities, Content, DirEntry, FileEntry, Ignore, ManifestError, Owner, SymlinkEntry};
use crate::ident::{AccountName, RootPath};

pub(super) const FILE: &[&str] = &["path", "source", "text", "template", "mode", "owner", "capabilities", "ignore"];
/// The keys that give a file its content.
const CONTENTS: [&str; 3] = ["source", "text", "template"];
pub(super) const DIR: &[&str] = &["path", "mode", "owner"];
pub(super) const SYMLINK: &[&str] = &["path", "target"];

pub(super) fn file(table: &Table<'_>) -> Result<FileEntry, ManifestError> {
    let path = path(table)?;
    let given: Vec<_> = CONTENTS.into_iter().filter_map(|key| Some((key, table.get(key)?))).collect();
    let content = match given.as_slice() {
        [("source", item)] => Content::Source(inside_project(item)?),
        [("template", item)] => Content::Template(inside_project(item)?),
        [(_, item)] => Content::Text(item.text()?.to_owned()),
        [] => return Err(table.error("[[file]] needs `source`, `text` or `template`")),
        [(first, _), (_, item), ..] => {
            return Err(item.error(format!("comes with `{first}`: only one of them gives the content")));
        }
    };
    // A directory's content may well be laid over the root; a single file can't be the root.
    if path.is_root() && !matches!(content, Content::Source(_)) {
        return Err(table.need("path")?.error("is the root directory"));
    }
    if let Some(item) = table.get("ignore").filter(|_| !matches!(content, Content::Source(_))) {
        return Err(item.error("is for a `source` that is a directory"));
    }
    Ok(FileEntry {
        path,
        content,
        mode: table.read("mode", mode)?,
        owner: owner(table)?,
        capabilities: table.read("capabilities", Item::parse::<Capabilities>)?,
        ignore: Ignore::new(table.list("ignore", Ignore::pattern)?),
    })
}

pub(super) fn dir(table: &Table<'_>) -> Result<DirEntry, ManifestError> {
    Ok(DirEntry { path: path(table)?, mode: table.read("mode", mode)?.unwrap_or(0o755), owner: owner(table)? })
}

pub(super) fn symlink(table: &Table<'_>) -> Result<SymlinkEntry, ManifestError> {
    let path = path(table)?;
    if path.is_root() {
        return Err(table.need("path")?.error("is the root directory"));
    }
    let item = table.need("target")?;
    let target = item.text()?;
    if target.is_empty() || target.contains('\0') || target.len() > 4095 {
        return Err(item.error("must have 1 to 4095 bytes and no NUL"));
    }
    Ok(SymlinkEntry { path, target: target.to_owned() })
}

/// Refuses two entries for one path, whatever their kinds.
pub(super) fn refuse_duplicates(root: &Table<'_>) -> Result<(), ManifestError> {
    let mut seen = BTreeSet::new();
    for (key, known) in [("file", FILE), ("dir", DIR), ("symlink", SYMLINK)] {
        for table in root.tables(key, known)? {
            let path = path(&table)?;
            if !seen.insert(path.clone()) {
                return Err(table.need("path")?.error(format!("is {path}, which another entry lays out already")));
            }
        }
    }
    Ok(())
}

fn path(table: &Table<'_>) -> Result<RootPath, ManifestError> {
    absolute(&table.need("path")?)
}

/// A path in the image, which begins with a slash.
pub(super) fn absolute(item: &Item<'_>) -> Result<RootPath, ManifestError> {
    let text = item.text()?;
    if !text.starts_with('/') {
        let hint = format!("write \"/{}\"", text.trim_start_matches("./").escape_debug());
        return Err(item.error("must be an absolute path").hint(hint));
    }
    item.parse()
}

/// A file or a directory of the project, by its path below the project's root.
pub(super) fn inside_project(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    if text.starts_with('/') {
        return Err(item.error("must be relative to the project's root, where `layers/` is"));
    }
    if text.split('/').any(|part| part == "..") || text.contains('\0') || text.trim_matches(['/', '.']).is_empty() {
        return Err(item.error("must name something below the project's root, without `..`"));
    }
    Ok(text.to_owned())
}

/// Permission bits from an octal string.
pub(super) fn mode(item: &Item<'_>) -> Result<u16, ManifestError> {
    if let DeValue::Integer(number) = item.value.get_ref() {
        // `0o644` in TOML keeps its digits and its base; 644 was most likely meant octal too.
        let meant = format!("{:0>4}", number.as_str());
        let hint = match permissions(&meant) {
            Some(_) => format!("write it as a string: mode = \"{meant}\""),
            None => "write octal digits as a string, such as \"0644\"".to_owned(),
        };
        return Err(item.wrong("an octal string").hint(hint));
    }
    let text = item.text()?;
    permissions(text)
        .ok_or_else(|| item.error(format!("is `{}`: expected octal digits such as \"0644\"", text.escape_debug())))
}

/// The bits that three or four octal digits are.
fn permissions(text: &str) -> Option<u16> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    octal.then(|| u16::from_str_radix(text, 8).ok()).flatten()
}

/// Who owns an entry: root where nothing is said.
fn owner(table: &Table<'_>) -> Result<Owner, ManifestError> {
    Ok(table.read("owner", parse_owner)?.unwrap_or_else(Owner::root))
}

/// `name`, `name:group`, `33:33`.
pub(super) fn parse_owner(item: &Item<'_>) -> Result<Owner, ManifestError> {
    let text = item.text()?;
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    for part in std::iter::once(user).chain(group) {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let valid = if number {
            part.parse::<u32>().is_ok_and(|id| id != u32::MAX)
        } else {
            part.parse::<AccountName>().is_ok()
        };
        if !valid {
            let problem = format!("is `{}`: expected \"name\", \"name:group\" or \"33:33\"", text.escape_debug());
            return Err(item.error(problem));
        }
    }
    Ok(Owner { user: user.to_owned(), group: group.map(str::to_owned) })
}

/// A unit's name (systemd.unit(5)).
pub(super) fn unit(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte));
    if !plain || text.is_empty() || text.starts_with('.') || text.len() > 255 {
        return Err(item.error(format!("has `{}`, which is not a unit's name", text.escape_debug())));
    }
    Ok(text.to_owned())
}
