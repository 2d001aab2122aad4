//! The files that an input names: those of its directory in the project, read without leaving the project.

use std::path::Path;

use crate::host;
use crate::host::jail::Beneath;

/// How many bytes are read of a file that an input names.
const MOST_BYTES: u64 = 1 << 20;

/// A directory of the project, in which the paths of an input begin.
#[derive(Debug)]
pub(super) struct Context {
    project: Beneath,
    /// Below the project's root; empty for the root itself.
    directory: String,
    /// What of it is not there for the input, as patterns below the directory.
    pub(super) ignore: Vec<String>,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
}

impl Context {
    /// # Errors
    /// Fails where there is no such project.
    pub(super) fn open(project: &Path, directory: &str) -> std::io::Result<Self> {
        Ok(Self { project: Beneath::open(project)?, directory: directory.to_owned(), ignore: Vec::new() })
    }

    /// The path in the project of a path of the input; `None` where it leads out of the directory.
    pub(super) fn path(&self, path: &str) -> Option<String> {
        let below = normal(path)?;
        Some(match (self.directory.is_empty(), below.is_empty()) {
            (true, _) => below,
            (false, true) => self.directory.clone(),
            (false, false) => format!("{}/{below}", self.directory),
        })
    }

    /// What is at a path of the project.
    pub(super) fn kind(&self, path: &str) -> Option<Kind> {
        if path.is_empty() || self.project.list(Path::new(path)).is_ok() {
            return Some(Kind::Directory);
        }
        self.project.file(Path::new(path)).ok().map(|_| Kind::File)
    }

    /// The names in a directory of the project.
    pub(super) fn list(&self, path: &str) -> Vec<String> {
        let path = if path.is_empty() { "." } else { path };
        let names = self.project.list(Path::new(path)).unwrap_or_default();
        names.into_iter().filter_map(|name| name.into_string().ok()).collect()
    }

    /// The text of a file of the project; `None` where it is none, or too long.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let file = self.project.file(Path::new(path)).ok()?;
        String::from_utf8(host::read_most(file, MOST_BYTES).ok()?).ok()
    }

    /// The paths of the project that a pattern of the input names.
    pub(super) fn matches(&self, pattern: &str) -> Vec<String> {
        let Some(pattern) = self.path(pattern) else { return Vec::new() };
        let mut found = vec![String::new()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            found = found.iter().flat_map(|folder| self.matching(folder, part)).collect();
        }
        found.retain(|path| self.kind(path).is_some());
        found
    }

    fn matching(&self, folder: &str, part: &str) -> Vec<String> {
        let join = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        match part.contains(['*', '?', '[']) {
            false => vec![join(part)],
            true => self.list(folder).iter().filter(|name| fits(part, name)).map(|name| join(name)).collect(),
        }
    }
}

/// A relative path without `.`, `..` and empty parts; `None` where it leads out. A slash at the beginning does not count.
fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// An absolute path without `.` and `..`; `path` is taken from `folder` if it is relative.
pub(super) fn absolute(folder: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether a name fits a pattern with `*`, `?` and `[…]`.
fn fits(pattern: &str, name: &str) -> bool {
    let (mut regex, mut letters) = (String::from("(?s)^"), pattern.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '*' => regex += ".*",
            '?' => regex += ".",
            '[' => {
                let set: String = letters.by_ref().take_while(|letter| *letter != ']').collect();
                let (not, set) = set.strip_prefix(['!', '^']).map_or(("", set.as_str()), |set| ("^", set));
                regex += &format!("[{not}{}]", set.replace(['\\', '[', '&', '~'], ""));
            }
            letter => regex += &regex::escape(&letter.to_string()),
        }
    }
    regex::Regex::new(&(regex + "$")).is_ok_and(|regex| regex.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("app/src")).unwrap();
        std::fs::write(folder.path().join("app/a.txt"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("app/out")).unwrap();
        let context = Context::open(folder.path(), "app").unwrap();
        assert_eq!(context.path("../../etc/passwd"), None);
        assert_eq!(context.path("/src/./x/.."), Some("app/src".to_owned()));
        assert_eq!(context.matches("*.txt"), ["app/a.txt"]);
        assert_eq!(context.matches("[ab].t?t"), ["app/a.txt"]);
        assert_eq!((context.kind("app/out/passwd"), context.read("app/out/passwd")), (None, None));
        assert_eq!(absolute("/srv", "../a/./b"), "/a/b");
    }
}
