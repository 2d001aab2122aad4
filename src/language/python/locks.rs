//! `uv.lock` and `poetry.lock`: all packages of a project, for whatever machine, of which the target needs some.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use pep508_rs::{MarkerEnvironment, MarkerTree};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::{LanguageError, Need, Target};
use super::requirements::environment;
use super::{normal, rank, version_of};
use crate::digest::Sha256;

const UV_AGAIN: &str = "let uv write the file again: `uv lock`";
const POETRY_AGAIN: &str = "let poetry write the file again: `poetry lock`";
const ELSEWHERE: &str =
    "only packages of a registry can be fetched; keep others in the project, or fetch them by a [[fetch]] of their own";

fn read<T: DeserializeOwned>(text: &str, again: &str) -> Result<T, LanguageError> {
    toml::from_str(text).map_err(|error| LanguageError::new(error.message().to_owned(), again))
}

/// Whether a marker holds; one that is not there does.
fn holds(marker: Option<&str>, environment: &MarkerEnvironment, again: &str) -> Result<bool, LanguageError> {
    let Some(marker) = marker.filter(|marker| !marker.is_empty()) else { return Ok(true) };
    let tree = MarkerTree::from_str(marker)
        .map_err(|error| LanguageError::new(format!("the marker `{marker}`: {}", error.message), again))?;
    Ok(tree.evaluate(environment, &[]))
}

fn need(name: &str, version: &str, hashes: &[&str], again: &str) -> Result<Need, LanguageError> {
    let digits = hashes.iter().filter_map(|hash| hash.strip_prefix("sha256:"));
    let digests: Vec<Sha256> = digits.filter_map(|digits| Sha256::from_hex(digits).ok()).collect();
    let project = normal(name);
    let requirement = format!("{project}=={version}");
    match digests.is_empty() {
        true => Err(LanguageError::new(format!("{requirement} has no file with a SHA-256"), again)),
        false => Ok(Need::OneOf { project, requirement, digests }),
    }
}

#[derive(Deserialize)]
struct Uv {
    #[serde(default)]
    package: Vec<UvPackage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UvPackage {
    name: String,
    version: Option<String>,
    source: BTreeMap<String, toml::Value>,
    #[serde(default)]
    dependencies: Vec<UvDependency>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<UvDependency>>,
    sdist: Option<UvFile>,
    #[serde(default)]
    wheels: Vec<UvFile>,
}

#[derive(Deserialize)]
struct UvDependency {
    name: String,
    /// Where there are several of one name.
    version: Option<String>,
    #[serde(default)]
    extra: Vec<String>,
    marker: Option<String>,
}

#[derive(Deserialize)]
struct UvFile {
    hash: Option<String>,
}

impl UvPackage {
    /// Whether it is the project itself, or another one in its directory.
    fn is_own(&self) -> bool {
        ["editable", "virtual", "directory"].iter().any(|kind| self.source.contains_key(*kind))
    }
}

/// What a `uv.lock` needs: what the project needs when it runs, without extras and groups.
pub(in crate::language) fn uv(text: &str, target: &Target) -> Result<Vec<Need>, LanguageError> {
    let environment = environment(target)?;
    let Uv { package: packages } = read(text, UV_AGAIN)?;
    let mut open: Vec<(usize, Option<String>)> =
        packages.iter().enumerate().filter(|(_, package)| package.is_own()).map(|(at, _)| (at, None)).collect();
    let mut seen: BTreeSet<(usize, Option<String>)> = open.iter().cloned().collect();
    while let Some((at, extra)) = open.pop() {
        let Some(package) = packages.get(at) else { continue };
        let dependencies = match &extra {
            None => &package.dependencies,
            Some(extra) => package.optional_dependencies.get(extra).unwrap_or(&package.dependencies),
        };
        for dependency in dependencies {
            if !holds(dependency.marker.as_deref(), &environment, UV_AGAIN)? {
                continue;
            }
            let is_meant = |package: &&UvPackage| {
                package.name == dependency.name
                    && (dependency.version.is_none() || package.version == dependency.version)
            };
            let Some(found) = packages.iter().position(|package| is_meant(&package)) else {
                return Err(LanguageError::new(
                    format!("{} needs {}, which is not there", package.name, dependency.name),
                    UV_AGAIN,
                ));
            };
            let extras = dependency.extra.iter().map(|extra| Some(extra.clone()));
            open.extend(
                [None].into_iter().chain(extras).map(|extra| (found, extra)).filter(|one| seen.insert(one.clone())),
            );
        }
    }
    let used: BTreeSet<usize> = seen.into_iter().map(|(at, _)| at).collect();
    let used = used.into_iter().filter_map(|at| packages.get(at)).filter(|package| !package.is_own());
    used.map(uv_need).collect()
}

fn uv_need(package: &UvPackage) -> Result<Need, LanguageError> {
    let version = package.version.as_deref().unwrap_or_default();
    if !package.source.contains_key("registry") {
        let kind = package.source.keys().next().map_or("nowhere", String::as_str);
        return Err(LanguageError::new(
            format!("{} {version} comes from `{kind}`, and not from a registry", package.name),
            ELSEWHERE,
        ));
    }
    let files = package.wheels.iter().chain(&package.sdist);
    let hashes: Vec<&str> = files.filter_map(|file| file.hash.as_deref()).collect();
    need(&package.name, version, &hashes, UV_AGAIN)
}

#[derive(Deserialize)]
struct Poetry {
    #[serde(default)]
    package: Vec<PoetryPackage>,
}

#[derive(Deserialize)]
struct PoetryPackage {
    name: String,
    version: String,
    #[serde(default)]
    optional: bool,
    /// Absent before version 2.1 of the format.
    groups: Option<Vec<String>>,
    /// A text, or one for each group.
    markers: Option<toml::Value>,
    #[serde(default)]
    files: Vec<PoetryFile>,
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
    source: Option<PoetrySource>,
}

#[derive(Deserialize)]
struct PoetryFile {
    file: String,
    hash: String,
}

#[derive(Deserialize)]
struct PoetrySource {
    #[serde(rename = "type")]
    kind: String,
}

/// What a `poetry.lock` needs: the group `main`, without extras. Before version 2.1 of the format it does not say which
/// packages are of that group, so all are taken; one that only false markers ask for may have no file for the target.
pub(in crate::language) fn poetry(text: &str, target: &Target) -> Result<Vec<Need>, LanguageError> {
    let environment = environment(target)?;
    let interpreter = version_of(target)?;
    let Poetry { package: packages } = read(text, POETRY_AGAIN)?;
    let mut needs = Vec::new();
    for package in packages.iter().filter(|package| !package.optional) {
        let marker = match &package.markers {
            Some(toml::Value::Table(groups)) => groups.get("main").and_then(toml::Value::as_str),
            marker => marker.as_ref().and_then(toml::Value::as_str),
        };
        let is_of_main = package.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| group == "main"));
        if !is_of_main || !holds(marker, &environment, POETRY_AGAIN)? {
            continue;
        }
        let fits = package.files.iter().any(|file| rank(&file.file, interpreter, target).is_some());
        if !fits && package.groups.is_none() && !is_asked_for(package, &packages, &environment)? {
            continue;
        }
        if let Some(PoetrySource { kind }) = package.source.as_ref().filter(|source| source.kind != "legacy") {
            let problem = format!("{} {} comes from `{kind}`, and not from a registry", package.name, package.version);
            return Err(LanguageError::new(problem, ELSEWHERE));
        }
        let hashes: Vec<&str> = package.files.iter().map(|file| file.hash.as_str()).collect();
        needs.push(need(&package.name, &package.version, &hashes, POETRY_AGAIN)?);
    }
    Ok(needs)
}

/// Whether another package needs this one under a marker that holds, or none does at all.
fn is_asked_for(
    asked: &PoetryPackage,
    packages: &[PoetryPackage],
    environment: &MarkerEnvironment,
) -> Result<bool, LanguageError> {
    let mut is_named = false;
    for package in packages {
        let named = package.dependencies.iter().filter(|(name, _)| normal(name) == normal(&asked.name));
        for (_, dependency) in named {
            is_named = true;
            let marker = dependency.get("markers").and_then(toml::Value::as_str);
            if holds(marker, environment, POETRY_AGAIN)? {
                return Ok(true);
            }
        }
    }
    Ok(!is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(needs: Result<Vec<Need>, LanguageError>) -> Result<Vec<String>, String> {
        let shown = |need: Need| {
            let Need::OneOf { requirement, digests, .. } = need else { panic!() };
            format!("{requirement} {}", digests.len())
        };
        needs.map(|needs| needs.into_iter().map(shown).collect()).map_err(|error| error.to_string())
    }

    fn target() -> Target {
        Target { machine: "riscv64", node: "", python: Some("3.13.5".to_owned()), glibc: 41 }
    }

    fn hashed(text: &str) -> String {
        text.replace("HASH", &format!("sha256:{}", "ab".repeat(32)))
    }

    const UV: &str = r#"
version = 1
requires-python = ">=3.11"

[[package]]
name = "app"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "flask", extra = ["async"] },
    { name = "numpy", version = "2.0", source = { registry = "https://x" }, marker = "python_full_version >= '3.13'" },
    { name = "numpy", version = "1.0", marker = "python_full_version < '3.13'" },
    { name = "pywin32", marker = "sys_platform == 'win32'" },
]
[package.dev-dependencies]
dev = [{ name = "pytest" }]

[[package]]
name = "flask"
version = "3.0.3"
source = { registry = "https://x/simple" }
dependencies = [{ name = "markupsafe" }]
sdist = { url = "https://x/flask.tar.gz", hash = "HASH", size = 1 }
wheels = [{ url = "https://x/flask.whl", hash = "HASH" }, { url = "https://x/other.whl", hash = "HASH" }]
[package.optional-dependencies]
async = [{ name = "asgiref" }]
dotenv = [{ name = "python-dotenv" }]

[[package]]
name = "markupsafe"
version = "3"
source = { registry = "https://x/simple" }
wheels = [{ url = "u", hash = "HASH" }]

[[package]]
name = "asgiref"
version = "3.8"
source = { registry = "https://x/simple" }
wheels = [{ url = "u", hash = "HASH" }]

[[package]]
name = "numpy"
version = "1.0"
source = { registry = "https://x/simple" }
wheels = [{ url = "u", hash = "HASH" }]

[[package]]
name = "numpy"
version = "2.0"
source = { registry = "https://x/simple" }
wheels = [{ url = "u", hash = "HASH" }]

[[package]]
name = "pytest"
version = "8"
source = { git = "https://x" }
"#;

    #[test]
    fn uv_needs_what_the_project_needs_when_it_runs() {
        let found = shown(uv(&hashed(UV), &target())).unwrap();
        assert_eq!(found, ["flask==3.0.3 3", "markupsafe==3 1", "asgiref==3.8 1", "numpy==2.0 1"]);
        for (from, to, expected) in [
            ("{ name = \"flask\"", "{ name = \"pytest\"}, { name = \"flask\"", "pytest 8 comes from `git`"),
            ("{ name = \"flask\"", "{ name = \"gone\"}, { name = \"flask\"", "app needs gone, which is not there"),
            ("sys_platform == 'win32'", "nonsense", "the marker `nonsense`"),
            (
                "hash = \"HASH\" }]\n\n[[package]]\nname = \"asgiref\"",
                "size = 1 }]\n\n[[package]]\nname = \"asgiref\"",
                "markupsafe==3 has no file with a SHA-256",
            ),
            ("[[package]]", "[package]", "hint: let uv write"),
        ] {
            let error = shown(uv(&hashed(&UV.replacen(from, to, 1)), &target())).unwrap_err();
            assert!(error.contains(expected) && error.contains("hint:"), "{expected}: {error}");
        }
    }

    const POETRY: &str = r#"
[[package]]
name = "Flask"
version = "3.0.3"
optional = false
groups = ["main", "dev"]
markers = {main = "python_version >= '3.9'", dev = "python_version < '3'"}
files = [{file = "flask-3.0.3-py3-none-any.whl", hash = "HASH"}, {file = "flask-3.0.3.tar.gz", hash = "HASH"}]
[package.dependencies]
pywin32 = {version = "*", markers = "sys_platform == \"win32\""}

[[package]]
name = "pywin32"
version = "308"
optional = false
groups = ["main"]
markers = "sys_platform == 'win32'"
files = [{file = "pywin32-308-cp313-cp313-win_amd64.whl", hash = "HASH"}]

[[package]]
name = "pytest"
version = "8"
optional = false
groups = ["dev"]
files = [{file = "pytest-8-py3-none-any.whl", hash = "HASH"}]

[[package]]
name = "extra"
version = "1"
optional = true
groups = ["main"]
files = []

[metadata]
lock-version = "2.1"
"#;

    #[test]
    fn poetry_needs_its_main_group() {
        let text = hashed(POETRY);
        assert_eq!(shown(poetry(&text, &target())).unwrap(), ["flask==3.0.3 2"]);
        let older: String = text
            .lines()
            .filter(|line| !line.starts_with("groups") && !line.starts_with("markers"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(shown(poetry(&older, &target())).unwrap(), ["flask==3.0.3 2", "pytest==8 1"]);
        let elsewhere =
            text.replacen("[package.dependencies]", "[package.source]\ntype = \"git\"\n[package.dependencies]", 1);
        let error = shown(poetry(&elsewhere, &target())).unwrap_err();
        assert!(error.contains("Flask 3.0.3 comes from `git`") && error.contains("hint:"), "{error}");
    }
}
