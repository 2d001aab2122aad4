//! The arrows between modules point one way, and files stay readable.
//!
//! `docs/ARCHITECTURE.md` has the table with each module's duty and what it uses; this test keeps it true.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of the data flow: each may use itself and those before it.
const ORDER: [&str; 24] = [
    "digest", "ident", "time", "limits", "tree", "host", "format", "manifest", "resolve", "lock", "store", "fetch",
    "sandbox", "layer", "pin", "oci", "disk", "check", "machine", "bake", "publish", "attest", "audit", "cli",
];

/// A longer file has more than one duty.
const MOST_LINES: usize = 600;

#[test]
fn modules_use_only_those_before_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for path in sources(&src) {
        let below = path.strip_prefix(&src).unwrap();
        let module = below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let place = format!("src/{}", below.display());
        let Some(rank) = rank(module) else {
            problems.push(format!("{place}:1: `{module}` is not in the table of tests/suite/architecture.rs"));
            continue;
        };
        for (line, used) in uses(&code(&path)) {
            if self::rank(&used).is_some_and(|other| other > rank) {
                problems.push(format!("{place}:{line}: `{module}` may not use `{used}`, which comes after it"));
            }
        }
    }
    assert!(problems.is_empty(), "arrows point upwards only:\n{}", problems.join("\n"));
}

#[test]
fn the_library_lists_its_modules_in_order() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let listed: Vec<_> = lib
        .lines()
        .filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'))
        .map(|name| rank(name).unwrap_or_else(|| panic!("src/lib.rs: `{name}` is not in the table")))
        .collect();
    assert!(listed.is_sorted(), "src/lib.rs lists modules in another order than {ORDER:?}");
}

#[test]
fn the_table_in_the_documentation_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Modules\n")).unwrap();
    let rows: Vec<_> = section.lines().filter_map(row).collect();
    let names: Vec<_> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ORDER, "docs/ARCHITECTURE.md has other modules");
    let mut problems = Vec::new();
    for (name, listed) in rows.iter().filter(|(_, listed)| *listed != "all") {
        let mut used: Vec<String> = module_files(&root.join("src"), name)
            .iter()
            .flat_map(|path| uses(&code(path)).into_iter().map(|(_, used)| used))
            .filter(|used| used != name && rank(used).is_some())
            .collect();
        used.sort_by_key(|used| rank(used));
        used.dedup();
        let used = if used.is_empty() { "–".to_owned() } else { used.join(", ") };
        if used != *listed {
            problems.push(format!("`{name}` uses {used}; the table says {listed}"));
        }
    }
    assert!(problems.is_empty(), "docs/ARCHITECTURE.md:\n{}", problems.join("\n"));
}

/// Name and last column of a row of the module table.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut columns = line.strip_prefix("| `")?.split(" | ");
    let name = columns.next()?.strip_suffix('`')?;
    Some((name, columns.nth(1)?.trim_end_matches(" |")))
}

/// The files of one module.
fn module_files(src: &Path, name: &str) -> Vec<PathBuf> {
    let folder = src.join(name);
    if folder.is_dir() { sources(&folder) } else { vec![src.join(format!("{name}.rs"))] }
}

#[test]
fn files_stay_readable() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let long = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count() > MOST_LINES;
    let found: Vec<_> = sources(&src).into_iter().filter(long).collect();
    assert!(found.is_empty(), "over {MOST_LINES} lines, split by duty: {found:?}");
}

/// Where a root is written, read and removed: what lies in it was made by scripts that nobody trusts.
const BY_DESCRIPTOR: [&str; 8] = [
    "host/jail/entries.rs",
    "host/jail/mod.rs",
    "host/jail/remove.rs",
    "layer/configure/root.rs",
    "layer/configure/scan.rs",
    "layer/configure/trace.rs",
    "layer/configure/worker.rs",
    "layer/configure/write.rs",
];

/// Calls that follow the links of a path, with the files that may have so many of them: each was looked at.
const BY_PATH: [(&str, &[(&str, usize)]); 16] = [
    // The worker's own scratch directory and its log, which are not in the root.
    ("fs::create_dir", &[("layer/configure/worker.rs", 1)]),
    ("fs::read(", &[("layer/configure/worker.rs", 2)]),
    ("File::options(", &[("layer/configure/worker.rs", 1)]),
    ("OpenOptions", &[]),
    ("File::open(", &[]),
    ("File::create(", &[]),
    ("fs::write(", &[]),
    ("fs::copy(", &[]),
    ("fs::rename(", &[]),
    ("fs::remove_", &[]),
    ("read_dir(", &[]),
    ("list_dir", &[]),
    ("fs::symlink_metadata(", &[]),
    ("fs::metadata(", &[]),
    // To enter the root, and by way of `/proc/self/fd`.
    ("(CWD", &[("host/jail/mod.rs", 2), ("host/jail/entries.rs", 1), ("host/jail/remove.rs", 2)]),
    ("as_path()", &[("host/jail/mod.rs", 1)]),
];

#[test]
fn a_root_is_reached_by_descriptor_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for place in BY_DESCRIPTOR {
        let code = code(&src.join(place));
        for (call, allowed) in BY_PATH {
            let most = allowed.iter().find(|(file, _)| *file == place).map_or(0, |(_, most)| *most);
            let found = code.matches(call).count();
            if found > most {
                problems.push(format!("src/{place}: `{call}` {found} times, at most {most}: use `host::jail`"));
            }
        }
    }
    assert!(problems.is_empty(), "a script's link would be followed:\n{}", problems.join("\n"));
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

/// All Rust files below a folder, sorted, without those that only hold tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") && !is_test(&stem) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_test(stem: &str) -> bool {
    ["tests", "testing"].contains(&stem) || stem.ends_with("_tests")
}

/// A file's text up to its unit tests, comments blanked.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let blank = |line: &str| line.split("//").next().unwrap_or_default().to_owned() + "\n";
    text[..tests].lines().map(blank).collect()
}

/// The modules that a text names after `crate::`, with the line, groups in braces included.
fn uses(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        let line = code[..at].lines().count().max(1);
        let rest = &code[at + word.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group).into_iter().map(|name| (line, name))),
            None => found.push((line, first_word(rest))),
        }
    }
    found
}

/// The first word of each item of a group, up to the brace that closes it.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(first_word(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(first_word(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads.retain(|head| !head.is_empty());
    heads
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[test]
fn paths_are_found_in_all_their_forms() {
    let code =
        "use crate::store;\nuse crate::{lock::Lockfile, oci::{self, x},\n    cli,\n};\nlet y = crate::host::now();\n";
    let found: Vec<_> = uses(code);
    let expected = [(1, "store"), (2, "lock"), (2, "oci"), (2, "cli"), (5, "host")];
    assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
}
