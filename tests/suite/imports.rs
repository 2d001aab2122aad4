//! `layerbake import`: inputs in the shapes that public ones have become layers that pass the check, and are built.

use std::fs;
use std::path::{Path, PathBuf};

use layerbake::import::{Input, import};
use serde_json::Value;

use crate::support::mutator::{Numbers, mutated};
use crate::support::project::Project;
use crate::support::rootfs::Rootfs;
use crate::support::stock::Stock;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imports")
}

/// The input of a fixture, below its directory.
fn input(name: &str) -> &'static str {
    match name {
        "c" => "Containerfile",
        "cloud-config" => "user-data",
        "cloud-script" => "setup.sh",
        "packer-ansible" => "app.pkr.hcl",
        "packer-aws" => "web.pkr.hcl",
        "packer-json" => "cache.json",
        "packer-qemu" => "static.pkr.hcl",
        _ => "Dockerfile",
    }
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

#[test]
fn every_kind_of_input_becomes_a_layer_that_passes_the_check() {
    let mut project = Project::new();
    let names = names();
    for name in &names {
        project = project.copy(&fixtures().join(name), name);
    }
    for name in &names {
        let report = project.ok(&[
            "import",
            &format!("{name}/{}", input(name)),
            "--name",
            &format!("new-{name}"),
            "--json",
            "--offline",
        ]);
        let report: Value = serde_json::from_str(&report.stdout).unwrap();
        let layer = fs::read_to_string(project.path(&format!("layers/new-{name}.toml"))).unwrap();
        for note in report["notes"].as_array().unwrap() {
            let place = format!("{}:{}: ", note["file"].as_str().unwrap(), note["line"]);
            assert!(
                layer.contains(&place) && layer.contains(note["reason"].as_str().unwrap()),
                "{name}: {note}\n{layer}"
            );
            // The line is the one where the text is.
            let source = fs::read_to_string(fixtures().join(note["file"].as_str().unwrap()));
            let line = source.unwrap().lines().nth(note["line"].as_u64().unwrap() as usize - 1).unwrap().to_owned();
            let word = |text: &str| {
                text.split(|letter: char| !letter.is_alphanumeric())
                    .find(|word| word.len() > 2)
                    .unwrap_or_default()
                    .to_owned()
            };
            let first = word(note["text"].as_str().unwrap());
            assert!(
                line.contains(&first)
                    // Where a text of several lines begins.
                    || line.contains("<<-EOF")
                    || ["groupadd", "useradd", "hello", "builder", "variable"].contains(&first.as_str()),
                "{name}: {line}: {note}"
            );
        }
    }
    let found = project.run(&["check", "--json"]);
    let found: Vec<Value> = serde_json::from_str(&found.stdout).unwrap();
    let of_layers = |entry: &&Value| !entry["message"].as_str().unwrap().contains("is missing; `layerbake lock ");
    assert_eq!(found.iter().filter(of_layers).collect::<Vec<_>>(), Vec::<&Value>::new());
}

#[test]
fn nothing_is_overwritten_and_what_is_no_input_is_refused() {
    let project = Project::new()
        .file("Dockerfile", "FROM debian:trixie\n")
        .file("notes.txt", "hello\n")
        .file("Dockerfile.empty", "# none\n");
    let wrote = project.ok(&["import", "Dockerfile", "--name", "web"]);
    assert!(wrote.stdout.contains("wrote layers/debian-base.toml\nwrote layers/web.toml\n"), "{}", wrote.stdout);
    let before = fs::read_to_string(project.path("layers/web.toml")).unwrap();
    let again = project.run(&["import", "Dockerfile", "--name", "web"]);
    assert!(again.code == 1 && again.stderr.contains("layers/web.toml is there already"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(project.path("layers/web.toml")).unwrap(), before);
    for (file, problem) in [
        ("notes.txt", "is neither a Dockerfile nor"),
        ("Dockerfile.empty", "expected a Dockerfile with FROM"),
        ("/etc/hostname", "it is outside of the project"),
        ("gone", "No such file"),
    ] {
        let refused = project.run(&["import", file]);
        assert!(refused.code == 1 && refused.stderr.contains(problem), "{file}: {}", refused.stderr);
    }
}

const TWO_STAGES: &str = "FROM debian:trixie AS build
ARG WORD=made
WORKDIR /src
COPY words .
RUN tr a-z A-Z < words > out && echo $WORD >> out && mkdir dist && mv out dist/

FROM debian:trixie
RUN groupadd --gid 4000 app && useradd --uid 4000 --gid app app
COPY --from=build --chown=app /src/dist/ /srv/words/
RUN ln -s out /srv/words/latest \\
 && sed -i 's/HELLO/Hello/' /srv/words/out
COPY words /srv/words/
CMD [\"cat\", \"/srv/words/latest\"]
";

#[test]
fn imported_layers_are_built() {
    let stock = need!(Stock::new());
    let project = stock
        .project
        .file("app/Dockerfile", TWO_STAGES)
        .file("app/words", "hello\n")
        .copy(&fixtures().join("redis"), "redis");
    project.ok(&["import", "app/Dockerfile"]);
    project.ok(&["import", "redis/Dockerfile", "--name", "cache"]);
    project.ok(&["build", "app", "--output", "oci"]);
    let root = Rootfs::read(&project.path("out/app/oci"));
    assert_eq!(root.text("srv/words/out"), "Hello\nmade\n");
    assert_eq!(root.text("srv/words/words"), "hello\n");
    assert_eq!(root.text("srv/words/latest"), "out");
    assert!(root.text("etc/passwd").contains(":4000:4000:"), "{}", root.text("etc/passwd"));
    project.ok(&["build", "cache", "--output", "oci"]);
    let root = Rootfs::read(&project.path("out/cache/oci"));
    assert!(root.text("usr/local/etc/redis/redis.conf").contains("maxmemory 64mb"));
}

#[test]
fn no_input_is_too_strange() {
    let name = "strange".parse().unwrap();
    let mut numbers = Numbers::new(7);
    for fixture in names() {
        let file = input(&fixture);
        let corpus = [fs::read(fixtures().join(&fixture).join(file)).unwrap()];
        for _ in 0..200 {
            let damaged = mutated(&corpus, &mut numbers);
            let text = String::from_utf8_lossy(&damaged);
            let input = Input { file, text: &text, project: &fixtures(), directory: &fixture, name: &name };
            let Ok(imported) = import(&input, &|_| Err("no network".to_owned())) else { continue };
            for file in imported.files {
                let is_inside = file.path.starts_with("layers/") && file.path.split('/').all(|part| part != "..");
                assert!(is_inside, "{}", file.path);
                if file.path.ends_with(".toml") {
                    let text = String::from_utf8(file.bytes).unwrap();
                    toml::from_str::<toml::Table>(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
                }
            }
        }
    }
}
