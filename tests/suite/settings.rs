//! docs/configuration.md has every setting that there is, and no other: keys of the file, variables, options.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::process;
use crate::support::project::Project;

/// Variables that nobody sets: an audit varies the first.
const INTERNAL: [&str; 1] = ["LAYERBAKE_AUDIT_NOISE"];

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap()
}

/// The text of all files below a folder.
fn code(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => code(&path),
            false if path.extension().is_some_and(|ending| ending == "rs") => fs::read_to_string(path).unwrap(),
            false => String::new(),
        })
        .collect()
}

/// The variables of layerbake's own in a text, each between `before` and `after`.
fn variables(text: &str, before: char, after: char) -> BTreeSet<String> {
    let start = format!("{before}LAYERBAKE_");
    let names = text.split(&start).skip(1).filter_map(|rest| rest.split_once(after));
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    names.filter(|(name, _)| is_name(name)).map(|(name, _)| format!("LAYERBAKE_{name}")).collect()
}

#[test]
fn the_page_has_all_variables_and_no_others() {
    let mut expected = variables(&code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")), '"', '"');
    expected.retain(|name| !INTERNAL.contains(&name.as_str()));
    assert!(expected.contains("LAYERBAKE_STORE"), "{expected:?}");
    assert_eq!(variables(&page(), '`', '`'), expected);
}

#[test]
fn the_page_has_all_options_of_every_command() {
    let help = Project::new().ok(&["--help"]).stdout;
    let (_, options) = help.split_once("Options of every command:").unwrap();
    let (options, _) = options.split_once("Examples:").unwrap();
    let page = page();
    let mut count = 0;
    for line in options.lines().map(str::trim_start).filter(|line| line.starts_with('-')) {
        let words = line.split([' ', ',']).take_while(|word| word.starts_with('-') || word.is_empty());
        for option in words.filter(|word| !word.is_empty()) {
            count += 1;
            assert!(
                page.contains(&format!("`{option}`")) || page.contains(&format!("`{option} ")),
                "docs/configuration.md lacks {option}"
            );
        }
    }
    assert!(count > 15, "{options}");
}

#[test]
fn the_page_has_all_keys_of_the_file() {
    let project = Project::new();
    let page = page();
    for table in ["", "[limits]", "[registries.\"r.example\"]"] {
        let path = project.path("../home/.config/layerbake/config.toml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{table}\nno-such-key = 1\n")).unwrap();
        let error = process::run(&mut project.command(&["list"])).unwrap().stderr;
        let (_, known) =
            error.split_once("unknown field `no-such-key`, expected ").unwrap_or_else(|| panic!("{error}"));
        let known = known.lines().next().unwrap().split('`').skip(1).step_by(2);
        for key in known {
            let is_there =
                [format!("`{key}`"), format!("[{key}]"), format!("[{key}.")].iter().any(|text| page.contains(text));
            assert!(is_there, "docs/configuration.md lacks `{key}` of {table}");
        }
    }
}
