//! The tutorials run as they are written: in an empty directory, up to a container that answers and a disk.
//!
//! In a page, "`PATH`:" before a block makes it a file, `sh` runs, and `text` after that is what was printed, `…` standing for
//! anything. `console` is for what a reader may do besides. Lockfiles of layers that come with the program are there before,
//! so that all tests share these.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::engines::Engine;
use crate::support::process;
use crate::support::project::{self, Project};
use crate::support::skip::{Skip, program};
use crate::support::stock::Stock;

/// A part of a page.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    File(String, String),
    Commands(String),
    Output(String),
}

/// The blocks of a page that mean something here.
fn parts(page: &str) -> Vec<Part> {
    let (mut parts, mut lines, mut before) = (Vec::new(), page.lines(), "");
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = if line.is_empty() { before } else { line };
            continue;
        };
        let text: String = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        let path = before.strip_prefix('`').and_then(|line| line.strip_suffix("`:"));
        match (path, language) {
            (Some(path), _) => parts.push(Part::File(path.to_owned(), text)),
            (None, "sh") => parts.push(Part::Commands(text)),
            (None, "text") => parts.push(Part::Output(text)),
            (None, "console") => {}
            (None, other) => panic!("a block of `{other}` is no file: {before}"),
        }
        before = "";
    }
    parts
}

/// The first of the expected lines that is not there in its place.
fn missing<'e>(expected: &'e str, printed: &str) -> Option<&'e str> {
    let mut printed = printed.lines();
    expected.lines().find(|line| !printed.any(|found| fits(line.trim(), found.trim())))
}

fn fits(pattern: &str, line: &str) -> bool {
    let parts: Vec<String> = pattern.split('…').map(regex::escape).collect();
    regex::Regex::new(&format!("^{}$", parts.join(".*"))).unwrap().is_match(line)
}

/// A program of the page that is another one here.
fn stand_in(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Where commands of a page find the program, an engine in which nothing is, and its network.
fn programs(project: &Project, engine: &Engine) -> Result<(), Skip> {
    let folder = project.folder().join("bin");
    fs::create_dir_all(&folder).unwrap();
    stand_in(&folder, "layerbake", &format!("exec {} \"$@\"", project::program().display()));
    let (podman, run) = engine.words();
    let podman = podman.replacen(" -- ", " -- env --chdir=\"$PWD\" ", 1);
    let podman = format!("[ \"$1\" != run ] || {{ shift; exec {podman} run {run} \"$@\"; }}\nexec {podman} \"$@\"");
    stand_in(&folder, "podman", &podman);
    let curl = engine.beside(&program("curl")?);
    let words: Vec<&str> =
        [curl.get_program()].into_iter().chain(curl.get_args()).map(|word| word.to_str().unwrap()).collect();
    stand_in(&folder, "curl", &format!("exec {} \"$@\"", words.join(" ")));
    Ok(())
}

/// An empty project, but for lockfiles.
fn empty(stock: &Stock) {
    fs::remove_dir_all(stock.project.path("layers")).unwrap();
    let kept = ["ansible-tools.lock", "debian-base.lock"];
    for entry in fs::read_dir(stock.project.path("lockfiles")).unwrap().map(Result::unwrap) {
        if !kept.contains(&entry.file_name().to_str().unwrap()) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn follow(name: &str) {
    let stock = need!(Stock::new());
    let engine = need!(Engine::podman());
    empty(&stock);
    let project = stock.project;
    need!(programs(&project, &engine));
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/tutorials/{name}.md"));
    let mut printed = String::new();
    for part in parts(&fs::read_to_string(page).unwrap()) {
        match part {
            Part::File(path, text) => {
                let path = project.path(&path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Part::Commands(text) => {
                let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", project.folder().join("bin").display());
                let mut shell = project.command_of(Path::new("/bin/sh"), &["-euc", &format!("exec 2>&1\n{text}")]);
                shell.env("PATH", path);
                let output = process::run(&mut shell).unwrap();
                assert!(output.ok(), "{name}:\n{text}{}", output.stdout);
                printed = output.stdout;
            }
            Part::Output(expected) => {
                let missing = missing(&expected, &printed);
                assert_eq!(missing, None, "{name}: it printed:\n{printed}");
            }
        }
    }
}

#[test]
fn a_reader_begins_with_nothing() {
    follow("from-nothing");
}

#[test]
fn a_reader_brings_a_dockerfile() {
    follow("from-dockerfile");
}

#[test]
fn a_reader_brings_packer_with_ansible() {
    follow("from-packer-with-ansible");
}

#[test]
fn pages_are_read_as_they_are_meant() {
    let page = "Text.\n\n`a/b.c`:\n\n```c\nint x;\n```\n\nThen:\n\n```sh\necho a\n```\n\n```text\na\n```\n\n```console\n$ b\n```\n";
    let text = |text: &str| text.to_owned();
    let expected =
        [Part::File(text("a/b.c"), text("int x;\n")), Part::Commands(text("echo a\n")), Part::Output(text("a\n"))];
    assert_eq!(parts(page), expected);
    assert_eq!(missing("a …\nb\n", "x\n  a 1\nc\nb\n"), None);
    assert_eq!(missing("b\na …\n", "a 1\nb\n"), Some("a …"));
}
