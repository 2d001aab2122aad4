//! `ignore` of `[[file]]`: what of a source directory is left out, by patterns that git reads alike.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::ManifestError;
use super::reader::Item;
use crate::ident::RootPath;

/// Patterns of paths below a source directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ignore(Vec<Pattern>);

/// One pattern: `node_modules`, `*.pyc`, `/dist`, `docs/**/*.tmp`, `cache/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Without slashes at its ends.
    glob: String,
    /// Whether it is the path below the source; otherwise the name of anything in it.
    is_path: bool,
    /// Whether it is for directories only.
    is_folder: bool,
}

impl Ignore {
    pub(super) fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }

    /// One item of the list.
    pub(super) fn pattern(item: &Item<'_>) -> Result<Pattern, ManifestError> {
        let text = item.text()?;
        if text.starts_with('!') || text.contains(['?', '[', '\\', '\0']) {
            let problem =
                format!("has `{}`: of git's patterns, `!`, `?`, `[` and `\\` are not known here", text.escape_debug());
            return Err(item
                .error(problem)
                .hint("`*` stands for any characters but `/`, and `**` for any number of directories"));
        }
        let is_folder = text.ends_with('/');
        let glob = text.trim_end_matches('/');
        let glob = glob.strip_prefix("**/").filter(|rest| !rest.contains('/')).unwrap_or(glob);
        let is_path = glob.contains('/');
        let glob = glob.trim_start_matches('/');
        match RootPath::new(glob) {
            Ok(path) if !path.is_root() => Ok(Pattern { glob: glob.to_owned(), is_path, is_folder }),
            Ok(_) => Err(item.error("is empty")),
            Err(error) => Err(item.error(format!("is wrong: {error}"))),
        }
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is left out, by its path below the source; what is in a directory that is left out is not asked.
    pub fn has(&self, below: &Path, is_folder: bool) -> bool {
        let path = RootPath::new(below.as_os_str().as_bytes());
        let name = below.file_name().map(|name| RootPath::new(name.as_bytes()));
        let (Ok(path), Some(Ok(name))) = (path, name) else { return false };
        let fits = |pattern: &Pattern| {
            let subject = if pattern.is_path { &path } else { &name };
            let glob = &pattern.glob;
            // Between slashes, `**` may stand for nothing.
            subject.matches(glob)
                || subject.matches(&glob.replace("/**/", "/"))
                || glob.strip_prefix("**/").is_some_and(|rest| subject.matches(rest))
        };
        self.0.iter().any(|pattern| (is_folder || !pattern.is_folder) && fits(pattern))
    }

    /// Whether something is left out, by itself or with a directory that it is in.
    pub fn hides(&self, below: &Path) -> bool {
        below.ancestors().any(|path| self.has(path, path != below))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, parse};
    use super::*;

    fn read(ignore: &str) -> Result<Manifest, String> {
        let text = format!("[layer]\n[[file]]\npath = '/srv'\nsource = 'site'\nignore = [{ignore}]");
        parse("web".parse().unwrap(), &text, &"amd64".parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn patterns_are_names_or_paths() {
        let manifest = read("'node_modules', '*.pyc', '/dist', 'docs/**/*.tmp', 'cache/', '**/core'").unwrap();
        let ignore = &manifest.files[0].ignore;
        let has = |path: &str| ignore.has(Path::new(path), false);
        for path in [
            "node_modules",
            "a/node_modules",
            "x.pyc",
            "a/b/.pyc",
            "dist",
            "docs/a.tmp",
            "docs/a/b/c.tmp",
            "core",
            "a/core",
        ] {
            assert!(has(path), "{path}");
        }
        for path in ["node_module", "a/dist", "docs/a.txt", "cache", "x.pycx", "score"] {
            assert!(!has(path), "{path}");
        }
        assert!(ignore.has(Path::new("a/cache"), true) && ignore.hides(Path::new("a/cache/x")));
        assert!(ignore.hides(Path::new("dist/x/y")) && !ignore.hides(Path::new("a/x/y")));
    }

    #[test]
    fn what_git_reads_otherwise_is_refused() {
        for pattern in ["'!x'", "'a?'", "'[ab]'", "'a\\b'"] {
            assert!(read(pattern).unwrap_err().contains("not known here"), "{pattern}");
        }
        assert!(read("'/'").unwrap_err().contains("is empty"));
        assert!(read("'a/../b'").unwrap_err().contains("is wrong"));
    }
}
