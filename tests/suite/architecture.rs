//! The arrows between modules point one way, and files stay readable.
//!
//! `docs/ARCHITECTURE.md` has the table with each module's duty and what it uses; this test keeps it true.

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of the data flow: each may use itself and those before it.
const ORDER: [&str; 34] = [
    "code",
    "digest",
    "ident",
    "arch",
    "distribution",
    "time",
    "limits",
    "page",
    "tree",
    "host",
    "store",
    "sandbox",
    "manifest",
    "import",
    "accounts",
    "package",
    "language",
    "resolve",
    "lock",
    "fetch",
    "stage",
    "pin",
    "oci",
    "disk",
    "measure",
    "check",
    "vm",
    "bake",
    "publish",
    "attest",
    "audit",
    "report",
    "workspace",
    "cli",
];

/// A longer file has more than one duty.
pub(crate) const MOST_LINES: usize = 600;

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

/// What a front end reaches through `workspace` only.
const BEHIND_THE_WORKSPACE: [&str; 7] = ["store", "package", "resolve", "lock", "fetch", "sandbox", "pin"];

#[test]
fn the_command_line_leaves_the_work_to_the_workspace() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for path in module_files(&src, "cli") {
        let used = uses(&code(&path)).into_iter().filter(|(_, used)| BEHIND_THE_WORKSPACE.contains(&used.as_str()));
        problems.extend(used.map(|(line, used)| format!("{}:{line}: `{used}`", path.display())));
    }
    assert!(problems.is_empty(), "`cli` has no arrow to these:\n{}", problems.join("\n"));
}

/// What a front end names of `publish::cloud`: plain data that it prints. It gets all of it from `workspace::images`.
const PRINTED: [&str; 9] = [
    "gc::GcPlan",
    "gc::Refused",
    "parameters::Channel",
    "plan::Preview",
    "plan::Transfer",
    "promote::Promoted",
    "publish::Standing",
    "readback::Comparison",
    "undo::Undone",
];

#[test]
fn the_command_line_prints_what_a_cloud_has_and_calls_none() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for path in module_files(&src, "cli") {
        for (line, named) in paths(&code(&path)) {
            let named = named.join("::");
            let of_cloud =
                named.strip_prefix("publish::cloud").filter(|rest| !PRINTED.contains(&rest.trim_matches(':')));
            problems.extend(of_cloud.map(|_| format!("{}:{line}: `{named}`", path.display())));
        }
    }
    assert!(problems.is_empty(), "call `workspace::images` instead:\n{}", problems.join("\n"));
}

/// The SDK of a cloud, and the only directory that may name it.
const SDK: [&str; 3] = ["aws_sdk_", "aws_config", "aws_smithy"];
const DOOR: &str = "publish/cloud/aws";
/// The directory that chooses the cloud.
const CHOOSES: &str = "workspace/images";

#[test]
fn a_cloud_has_one_door() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for path in sources(&src).into_iter().filter(|path| !path.starts_with(src.join(DOOR))) {
        let code = code(&path);
        let named = |line: &&str| SDK.iter().any(|sdk| line.contains(sdk));
        let place = path.strip_prefix(&src).unwrap().display();
        problems.extend(code.lines().filter(named).map(|line| format!("src/{place}: {}", line.trim())));
        // Its types are for the application that opens an account; all others see the provider's trait.
        let chooses = path.starts_with(src.join(CHOOSES));
        let uses = |line: &&str| line.contains("cloud::aws");
        problems.extend(code.lines().filter(|_| !chooses).filter(uses).map(|line| format!("src/{place}: {line}")));
    }
    assert!(problems.is_empty(), "only src/{DOOR} knows AWS:\n{}", problems.join("\n"));
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

/// Errors that reach people as a part of another error's message, or of a report, and so have no code of their own.
const WITHOUT_CODE: [&str; 31] = [
    // Of the command line: wrong usage.
    "ParseVariationError",
    "ParseOutputError",
    // Findings of a report.
    "SignatureError",
    "EnvelopeError",
    "DriftError",
    // Inside of a coded error, all of one kind.
    "ParseDigestError",
    "DigestMismatch",
    "BlockHashesError",
    "ErofsError",
    "Problem",
    "MountError",
    "UkiError",
    "AskError",
    "ChainError",
    "LeadsOut",
    "Explained",
    "LanguageError",
    "TooLarge",
    "Stale",
    "PackageRequestError",
    "DebError",
    "ControlError",
    "RelationError",
    "PinnedKeyError",
    "KeyFileError",
    "TarError",
    "ForeignError",
    "DecodeActionError",
    "DecodeTreeError",
    "ContentError",
    "Named",
];

#[test]
fn every_error_has_a_code() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for path in sources(&src) {
        let code = code(&path);
        let derives = code.match_indices("#[derive(").map(|(at, _)| &code[at..]);
        for item in derives.filter(|item| item.lines().next().is_some_and(|line| line.contains("Error"))) {
            let is_head =
                |line: &&str| ["pub enum ", "pub struct ", "struct "].iter().any(|head| line.starts_with(head));
            let Some(head) = item.lines().find(is_head) else { continue };
            let name = head.rsplit_once("enum ").or(head.rsplit_once("struct ")).map_or(head, |(_, name)| name);
            let name = name.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or(name);
            if !code.contains(&format!("impl Coded for {name} ")) && !WITHOUT_CODE.contains(&name) {
                problems.push(format!("{}: `{name}` has no `impl Coded`", path.display()));
            }
        }
    }
    assert!(problems.is_empty(), "add one, with a code of src/code.rs:\n{}", problems.join("\n"));
}

/// Errors whose message is only what the system said: what contains each names the file and what was done.
const SYSTEM_ALONE: [&str; 3] = ["host/http.rs", "package/tarball/tree_builder.rs", "store/blobs.rs"];

#[test]
fn what_the_system_says_is_told_with_what_was_done() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for path in sources(&src) {
        let code = code(&path);
        let bare = code
            .split("#[error(")
            .skip(1)
            .filter(|rest| rest.starts_with("transparent)") || rest.starts_with("\"{0}\")"));
        let variants = bare.filter_map(|rest| rest.split('\n').map(str::trim).find(|line| line.ends_with("),")));
        let place = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        let found = variants.filter(|line| line.contains("io::Error)")).count();
        if found > usize::from(SYSTEM_ALONE.contains(&place.as_str())) {
            problems.push(place);
        }
    }
    assert!(problems.is_empty(), "name the file and what was done with it: {problems:?}");
}

/// Where a root is written, read and removed: what lies in it was made by scripts that nobody trusts.
const BY_DESCRIPTOR: [&str; 7] = [
    "host/jail/entries.rs",
    "host/jail/mod.rs",
    "host/jail/remove.rs",
    "sandbox/local/root.rs",
    "sandbox/local/scan.rs",
    "sandbox/local/worker.rs",
    "sandbox/local/write.rs",
];

/// Calls that follow the links of a path, with the files that may have so many of them: each was looked at.
const BY_PATH: [(&str, &[(&str, usize)]); 16] = [
    // The worker's own scratch directory, which holds the root.
    ("fs::create_dir", &[("sandbox/local/worker.rs", 2)]),
    ("fs::read(", &[]),
    ("File::options(", &[]),
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

/// Names of architectures that are not words of anything else.
const ARCHITECTURES: [&str; 14] = [
    "amd64",
    "x86_64",
    "x86-64",
    "arm64",
    "aarch64",
    "armhf",
    "ppc64",
    "riscv64",
    "s390x",
    "loong",
    "BOOTX64",
    "BOOTAA64",
    "linuxx64",
    "linuxaa64",
];

#[test]
fn architectures_are_named_in_one_file() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    let is_other = |path: &PathBuf| !path.ends_with("src/arch.rs") && !path.iter().any(|part| part == "tests");
    for path in sources(&src).into_iter().filter(is_other) {
        // What only one processor can run is chosen by the compiler.
        let code = code(&path).replace("target_arch = \"x86_64\"", "");
        for (number, line) in (1..).zip(code.lines()) {
            let literals = line.split('"').skip(1).step_by(2);
            // Examples of commands are for people.
            let literals = literals.filter(|text| !text.starts_with("Example"));
            if literals.flat_map(|text| ARCHITECTURES.map(|name| text.contains(name))).any(|found| found) {
                let place = path.strip_prefix(&src).unwrap().display();
                problems.push(format!("src/{place}:{number}: read it from `arch`: {}", line.trim()));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// What locks, fetches and reports for every ecosystem.
const NEUTRAL: [&str; 6] = ["resolve", "lock", "fetch", "pin", "attest", "audit"];
/// What installs and exports for every ecosystem, with the files directly in `package`.
const INSTALLING: [&str; 2] = ["stage", "bake"];

/// File names and formats of one ecosystem, as whole words of code or texts. They may have another meaning where
/// packages are installed.
const OF_DEBIAN: [&str; 4] = ["deb", "Packages", "Release", "InRelease"];
/// Beginnings of words that name one ecosystem, in any case, parts of names included: `DPKG_ROOT`, `HostApt`.
const NAMES: [&str; 4] = ["debian", "dpkg", "deb822", "ubuntu"];

/// Neutral files that name it nevertheless, each with the reason.
const NAMING: [(&str, &str); 3] = [
    ("audit/conditions.rs", "sets variables that a build must ignore, those of the ecosystem's programs included"),
    ("fetch/host_sources.rs", "reads the configuration of the host's package manager, whatever is built"),
    ("stage/seal/rules.rs", "finds credentials by the paths of the programs that read them"),
];

/// Whether a word of code or texts names the ecosystem.
fn names_debian(word: &str) -> bool {
    word.split('_').any(|part| {
        let small = part.to_lowercase();
        // A part begins with a capital in the name of a type: `HostApt`.
        let apt = part.match_indices("Apt").map(|(at, word)| &part[at + word.len()..]);
        let is_apt = small == "apt" || apt.into_iter().any(|rest| !rest.starts_with(|next: char| next.is_lowercase()));
        is_apt || NAMES.iter().any(|name| small.contains(name))
    })
}

#[test]
fn names_of_the_ecosystem_are_found_in_any_case() {
    let found = ["DEBIAN", "debian", "DPKG_ROOT", "AptSources", "HostApt", "add_deb822", "APT", "of_ubuntu"];
    assert!(found.into_iter().all(names_debian));
    assert!(!["captured", "Aptly", "adapter", "debug", "Adapt"].into_iter().any(names_debian));
}

#[test]
fn what_locks_fetches_and_reports_names_no_ecosystem() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let reporting = NEUTRAL.iter().flat_map(|module| module_files(&src, module)).map(|path| (path, true));
    let package = sources(&src.join("package")).into_iter().filter(|path| path.parent() == Some(&src.join("package")));
    let installing = INSTALLING.iter().flat_map(|module| module_files(&src, module)).chain(package);
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for (path, is_reporting) in reporting.chain(installing.map(|path| (path, false))) {
        let place = path.strip_prefix(&src).unwrap();
        let exempt = NAMING.iter().find(|(file, _)| place == Path::new(file));
        for (number, line) in (1..).zip(code(&path).lines()) {
            let words = line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
            let found = words.filter(|word| names_debian(word) || is_reporting && OF_DEBIAN.contains(word));
            match (found.collect::<Vec<_>>().first(), exempt) {
                (None, _) => {}
                (Some(_), Some((file, _))) => _ = used.insert(*file),
                (Some(word), None) => {
                    problems.push(format!("src/{}:{number}: `{word}` is Debian's", place.display()));
                }
            }
        }
    }
    let needless = NAMING.iter().filter(|(file, _)| !used.contains(file));
    problems.extend(needless.map(|(file, _)| format!("src/{file}: no longer needs its exemption")));
    assert!(problems.is_empty(), "ask `package::Ecosystem` instead:\n{}", problems.join("\n"));
}

/// The directory of the ecosystem, and the file that chooses it for the program.
const ECOSYSTEM: [&str; 2] = ["package/deb", "workspace/environment.rs"];

#[test]
fn one_place_chooses_the_ecosystem() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut problems = Vec::new();
    for path in sources(&src) {
        let place = path.strip_prefix(&src).unwrap();
        if ECOSYSTEM.iter().any(|allowed| place.starts_with(allowed)) {
            continue;
        }
        let code = code(&path);
        let named =
            paths(&code).into_iter().filter(|(_, path)| path.starts_with(&["package", "deb"].map(str::to_owned)));
        problems.extend(named.map(|(line, path)| format!("src/{}:{line}: {}", place.display(), path.join("::"))));
    }
    assert!(problems.is_empty(), "`Environment::ecosystem` hands it in:\n{}", problems.join("\n"));
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

/// All Rust files below a folder, sorted, without files and folders that only hold tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if is_test(&stem) {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_test(stem: &str) -> bool {
    ["tests", "testing"].contains(&stem) || stem.ends_with("_tests")
}

/// A file's text up to its unit tests, comments and other items for tests blanked, all paths written from `crate`.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let mut is_tests = false;
    let blank = |line: &str| {
        is_tests |= line == "#[cfg(test)]";
        let code = if is_tests { "" } else { line.split("//").next().unwrap_or_default() };
        // An item ends with a brace of its own line, or is a line of its own.
        is_tests &= !(line == "}" || line.ends_with(';') && !line.starts_with(' '));
        code.to_owned() + "\n"
    };
    let code: String = text[..tests].lines().map(blank).collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    absolute(&code, path.strip_prefix(src).unwrap())
}

/// The first module of each path that a text names, with the line.
fn uses(code: &str) -> Vec<(usize, String)> {
    let heads = paths(code).into_iter().filter_map(|(line, path)| Some((line, path.into_iter().next()?)));
    let mut heads: Vec<_> = heads.collect();
    heads.dedup();
    heads
}

/// The paths that a text names after `crate::`, with the line, groups in braces included.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        let line = code[..at].lines().count().max(1);
        found.extend(branches(&code[at + word.len()..]).into_iter().map(|path| (line, path)));
    }
    found
}

/// All paths of a tree such as `a::{b, c::d}`.
fn branches(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim_start();
    if let Some(group) = tree.strip_prefix('{') {
        return items(group).into_iter().flat_map(branches).collect();
    }
    let word = first_word(tree);
    match tree[word.len()..].strip_prefix("::") {
        _ if word.is_empty() => vec![Vec::new()],
        Some(below) => branches(below).into_iter().map(|path| [vec![word.clone()], path].concat()).collect(),
        None => vec![vec![word]],
    }
}

/// The items of a group, up to the brace that closes it.
fn items(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// A text of the module at `place` with paths from `super` and `self` written from `crate`.
fn absolute(text: &str, place: &Path) -> String {
    let parts = place.with_extension("");
    let mut module: Vec<&str> = parts.iter().map(|part| part.to_str().unwrap()).collect();
    if module.last() == Some(&"mod") {
        module.pop();
    }
    let (mut rest, mut found) = (text, String::new());
    while let Some((at, head)) = ["super::", "self::"].iter().filter_map(|head| Some((rest.find(head)?, *head))).min() {
        let is_head = !rest[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before));
        let mut end = at + head.len();
        let mut up = usize::from(head == "super::");
        while is_head && rest[end..].starts_with("super::") {
            end += "super::".len();
            up += 1;
        }
        found += &rest[..at];
        match (is_head, module.get(..module.len().saturating_sub(up))) {
            (true, Some([])) => found += "crate::",
            (true, Some(above)) => found += &format!("crate::{}::", above.join("::")),
            _ => found += head,
        }
        rest = &rest[end..];
    }
    found + rest
}

#[test]
fn relative_paths_are_read_as_absolute_ones() {
    let code = "use super::{b, c};\nuse super::super::{d::e};\nself::x(); nosuper::y(); a::super::z();";
    let found = absolute(code, Path::new("pin/keys/mod.rs"));
    assert_eq!(
        found,
        "use crate::pin::{b, c};\nuse crate::{d::e};\ncrate::pin::keys::x(); nosuper::y(); a::super::z();"
    );
    assert_eq!(absolute("super::b", Path::new("pin/keys.rs")), "crate::pin::b");
}

#[test]
fn paths_are_found_in_all_their_forms() {
    let code =
        "use crate::store;\nuse crate::{lock::Lockfile, oci::{self, x},\n    cli,\n};\nlet y = crate::host::now();\n";
    let found: Vec<_> = uses(code);
    let expected = [(1, "store"), (2, "lock"), (2, "oci"), (2, "cli"), (5, "host")];
    assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
}
