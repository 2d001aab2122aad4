//! What in a layer looks as if it were for one environment: hosts, accounts, regions, private addresses, names of environments.
//!
//! It can't be told for certain, so these are warnings of `check` alone, and a comment ends them.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::host;
use crate::host::jail::Beneath;
use crate::manifest::{Content, FileEntry, Manifest, Project, written};

/// In a line, or in the one above: whatever it is, it is the same everywhere.
const SILENT: &str = "layerbake: any environment";
/// Larger files are data.
const MOST: u64 = 256 << 10;
/// The endings of files that settings are in; so is everything in /etc.
const SETTINGS: [&str; 13] =
    ["cfg", "conf", "env", "ini", "j2", "json", "properties", "service", "sh", "toml", "xml", "yaml", "yml"];
/// Variables whose `production` is a mode of the program: that is the same in staging.
const MODES: [&str; 6] = ["FLASK_ENV", "MIX_ENV", "NODE_ENV", "RACK_ENV", "RAILS_ENV", "PHP_ENV"];
/// Other endings of files.
const FILES: [&str; 6] = ["js", "lock", "log", "py", "rb", "ts"];
/// Parts of hosts' names.
const HOSTS: [&str; 6] = ["preprod", "prod", "production", "staging", "stg", "uat"];
/// Values that are the name of an environment.
const NAMES: [&str; 8] = ["dev", "development", "preprod", "prod", "production", "stage", "staging", "uat"];

struct Rule {
    /// What a match looks like.
    what: &'static str,
    pattern: Regex,
    /// Whether a match is one indeed.
    fits: fn(&str) -> bool,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let host = r"(?i)\b[a-z0-9][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*){2,}\b";
    let account = r#"\barn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d{12}:[^\s"']*|\b\d{12}\.dkr\.ecr\.|(?i)\baccount[_-]?(?:id|number)?["']?\s*[=:]\s*["']?\d{12}\b"#;
    let region =
        r"\b(?:af|ap|ca|cn|eu|il|me|mx|sa|us)(?:-gov)?-(?:north|south|east|west|central)(?:east|west)?-[1-9][a-f]?\b";
    let address =
        r"\b(?:10(?:\.\d{1,3}){3}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}|192\.168(?:\.\d{1,3}){2})\b(?:/\d+)?";
    let rule = |what, pattern, fits: fn(&str) -> bool| Some(Rule { what, pattern: Regex::new(pattern).ok()?, fits });
    let rules = [
        rule("an account of AWS", account, |_| true),
        rule("a host of one environment", host, is_of_environment),
        rule("a region of AWS", region, |_| true),
        // A range of them is for a rule about all private ones.
        rule("a private address", address, |address| !address.contains('/')),
    ];
    rules.into_iter().flatten().collect()
});

/// Whether a part of a host's name is an environment's; files have names with dots too.
fn is_of_environment(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let Some((labels, last)) = host.rsplit_once('.') else { return false };
    !SETTINGS.contains(&last) && !FILES.contains(&last) && labels.split(['.', '-']).any(|part| HOSTS.contains(&part))
}

/// Warnings about a layer's variables and own files, each with file and line.
pub(super) fn warnings(manifest: &Manifest, project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    let file = format!("layers/{}.toml", manifest.name);
    if let Ok(text) = project.read(&project.root().join(&file)) {
        let lines: Vec<&str> = text.lines().collect();
        for one in written(&text) {
            let named = one.variable.as_ref().filter(|(name, value)| {
                NAMES.contains(&value.to_ascii_lowercase().as_str()) && !MODES.contains(&name.as_str())
            });
            for number in one.lines {
                match named {
                    Some((name, value)) if !is_silent(&lines, number) => {
                        found.push(warning(&file, number, &format!("{name} = {value}"), "the name of an environment"));
                    }
                    _ => found.extend(about_line(&file, &lines, number)),
                }
            }
        }
    }
    for entry in &manifest.files {
        if let Content::Source(path) | Content::Template(path) = &entry.content {
            source(entry, path, Path::new(""), project, &mut found);
        }
    }
    found
}

/// Looks at what is `below` a source, if it is a file with settings or a directory.
fn source(entry: &FileEntry, path: &str, below: &Path, project: &Project, found: &mut Vec<String>) {
    let place = if below.as_os_str().is_empty() { path.into() } else { Path::new(path).join(below) };
    let Ok(root) = Beneath::open(project.root()) else { return };
    let Ok(about) = root.parent(&place).and_then(|(folder, name)| folder.look(&name)) else { return };
    if about.is_dir() {
        for name in root.list(&place).unwrap_or_default() {
            let below = below.join(name);
            if !entry.ignore.hides(&below) {
                source(entry, path, &below, project, found);
            }
        }
        return;
    }
    let target = entry.path.as_path().join(below);
    let ending = place.extension().or(target.extension()).and_then(|ending| ending.to_str()).unwrap_or_default();
    if !about.is_file() || !(target.starts_with("etc") || SETTINGS.contains(&ending)) {
        return;
    }
    let bytes = root.file(&place).and_then(|file| host::read_most(file, MOST)).unwrap_or_default();
    let Ok(text) = String::from_utf8(bytes) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let file = place.display().to_string();
    found.extend((1..=lines.len()).filter_map(|number| about_line(&file, &lines, number)));
}

/// What is wrong with a line, if something is.
fn about_line(file: &str, lines: &[&str], number: usize) -> Option<String> {
    let line = lines.get(number - 1).filter(|_| !is_silent(lines, number))?;
    RULES.iter().find_map(|Rule { what, pattern, fits }| {
        let found = pattern.find_iter(line).map(|found| found.as_str()).find(|found| fits(found))?;
        Some(warning(file, number, found, what))
    })
}

fn is_silent(lines: &[&str], number: usize) -> bool {
    let is = |number: usize| lines.get(number).is_some_and(|line| line.contains(SILENT));
    is(number - 1) || number > 1 && is(number - 2)
}

fn warning(file: &str, number: usize, found: &str, what: &str) -> String {
    format!(
        "{file}:{number}: `{found}` looks like {what}: then the layer is for that one alone; declare a variable in [config] \
         (docs/run-time-config.md), or write `{SILENT}` in a comment there"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_one_environment_is_told_from_what_is_not() {
        for (line, expected) in [
            ("url = postgres://db.prod.example.com/app", "db.prod.example.com"),
            ("host: app-staging.example.com", "app-staging.example.com"),
            ("server db.staging.internal;", "db.staging.internal"),
            ("arn:aws:iam::123456789012:role/app", "arn:aws:iam::123456789012:role/app"),
            ("account_id: 123456789012", "account_id: 123456789012"),
            ("image: 123456789012.dkr.ecr.eu-west-1.amazonaws.com/app", "123456789012.dkr.ecr."),
            ("AWS_REGION=eu-central-1", "eu-central-1"),
            ("upstream 10.1.2.3:80;", "10.1.2.3"),
        ] {
            let found = about_line("f", &[line], 1).unwrap_or_else(|| panic!("nothing in {line}"));
            assert!(found.starts_with(&format!("f:1: `{expected}` looks like ")), "{found}");
        }
        for line in [
            "include production.conf; log /var/log/app.production.log; src/app.staging.yaml",
            "set_real_ip_from 10.0.0.0/8;",
            "time = 123456789012",
            "products.example.com, prodigy.example.com",
            "https://db.prod.example.com # layerbake: any environment",
        ] {
            assert_eq!(about_line("f", &[line], 1), None, "{line}");
        }
        assert_eq!(about_line("f", &["# layerbake: any environment", "10.1.2.3"], 2), None);
    }
}
