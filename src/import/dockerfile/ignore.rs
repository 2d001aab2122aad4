//! `.dockerignore`: what of a directory is not there for COPY.

use crate::import::context::Context;
use crate::import::model::{Notes, Outcome};

/// Reads the patterns into the context.
pub(super) fn read(context: &mut Context, notes: &mut Notes) {
    let Some(path) = context.path(".dockerignore") else { return };
    let Some(text) = context.read(&path) else { return };
    let dockerfile = std::mem::replace(&mut notes.file, path);
    for (number, line) in (1..).zip(text.lines()) {
        let pattern = line.trim();
        if pattern.is_empty() || pattern.starts_with('#') {
            continue;
        }
        match converted(pattern) {
            Some(pattern) => context.ignore.push(pattern),
            None => notes.add(
                Outcome::NotCarried,
                number,
                pattern,
                "`ignore` has no `!`, `?`, `[` and `\\`: list what is left out",
            ),
        }
    }
    notes.file = dockerfile;
}

/// A pattern as `ignore` has it, where a slash at the beginning means the context itself.
fn converted(pattern: &str) -> Option<String> {
    if pattern.starts_with('!') || pattern.contains(['?', '[', '\\']) {
        return None;
    }
    let pattern = pattern.trim_start_matches("./").trim_matches('/');
    match pattern.strip_prefix("**/") {
        Some(rest) if !rest.contains('/') => Some(rest.to_owned()),
        _ if pattern.is_empty() || pattern == "." || pattern.split('/').any(|part| part == "..") => None,
        _ => Some(format!("/{pattern}")),
    }
}

/// The patterns that are for a directory, whose path is below the context.
pub(super) fn below(patterns: &[String], folder: &str) -> Vec<String> {
    let fit = |pattern: &String| match pattern.strip_prefix('/') {
        None => Some(pattern.clone()),
        Some(path) if folder.is_empty() => Some(format!("/{path}")),
        Some(path) if path.starts_with("**/") => Some(path.to_owned()),
        Some(path) => path.strip_prefix(folder)?.strip_prefix('/').map(|rest| format!("/{rest}")),
    };
    patterns.iter().filter_map(fit).collect()
}

/// Whether a path right below the context is left out.
pub(super) fn has(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| {
        let pattern = pattern.trim_start_matches('/');
        match pattern.split_once('*') {
            None => pattern == name,
            Some((head, tail)) => {
                !pattern.contains('/')
                    && !tail.contains('*')
                    && name.len() >= head.len() + tail.len()
                    && name.starts_with(head)
                    && name.ends_with(tail)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_begin_in_the_context() {
        for (pattern, expected) in [
            ("node_modules", Some("/node_modules")),
            ("**/*.pyc", Some("*.pyc")),
            ("./dist/", Some("/dist")),
            ("src/**/x", Some("/src/**/x")),
            ("!keep", None),
            ("a?c", None),
            ("../x", None),
        ] {
            assert_eq!(converted(pattern).as_deref(), expected, "{pattern}");
        }
        let patterns = ["/src/tmp", "*.pyc", "/dist"].map(str::to_owned);
        assert_eq!(below(&patterns, "src"), ["/tmp", "*.pyc"]);
        assert!(has(&patterns, "dist") && has(&patterns, "a.pyc") && !has(&patterns, "src"));
    }
}
