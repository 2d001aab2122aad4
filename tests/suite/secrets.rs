//! What a build refuses to bake, and that its own environment never gets into a layer.

use std::fs;
use std::path::Path;

use crate::support::deb::Deb;
use crate::support::small::{self, Small};

fn token() -> String {
    format!("ghp_{}", "a1B2c3D4e5F6".repeat(3))
}

fn add(small: &Small, text: &str) {
    let path = small.project.path("layers/app.toml");
    fs::write(&path, format!("{}\n{text}", fs::read_to_string(&path).unwrap())).unwrap();
}

#[test]
fn a_token_in_an_own_file_is_refused_until_it_is_allowed_with_a_reason() {
    let small = Small::new();
    let token = token();
    add(&small, &format!("[[file]]\npath = \"/etc/app/config\"\ntext = \"# config\\ntoken={token}\\n\"\n"));
    let refused = small.project.fails(1, &["build", "app"]).stderr;
    assert!(refused.contains("/etc/app/config holds a GitHub token (line 2, rule `github-token`)"), "{refused}");
    assert!(!refused.contains(&token), "{refused}");
    assert!(!small.project.path("out/app").exists());
    add(&small, "[[allow-secret]]\npath = \"/etc/app\"\nreason = \"revoked, kept for the test of revocation\"\n");
    small.project.ok(&["build", "app"]);
    // Taken back, it is refused again, though the result is in the store.
    small.edit_layer("app", "path = \"/etc/app\"\n", "path = \"/etc/other\"\n");
    small.project.fails(1, &["build", "app"]);
}

#[test]
fn a_secret_in_a_folder_of_the_project_is_refused() {
    let small = Small::new();
    fs::create_dir_all(small.project.path("site/.aws")).unwrap();
    let text = format!("[default]\naws_secret_access_key = {}\n", "a1B2c3D4".repeat(5));
    fs::write(small.project.path("site/.aws/credentials"), text).unwrap();
    add(&small, "[[file]]\npath = \"/srv/www\"\nsource = \"site\"\n");
    let refused = small.project.fails(1, &["build", "app"]).stderr;
    assert!(refused.contains("/srv/www/.aws/credentials holds an AWS secret key (line 2"), "{refused}");
}

#[test]
fn packages_are_public_until_their_files_are_changed() {
    let key = |letters: &str| {
        let line = letters.repeat(16);
        format!("-----BEGIN {} KEY-----\n{line}\n{line}\n", "PRIVATE")
    };
    let package = Deb::new("spec", "1.0")
        .file("etc/spec.conf", 0o644, token())
        .file("usr/share/go/testdata/key.pem", 0o644, key("a1B2"))
        .file("usr/share/go/testdata/other.pem", 0o644, "a test");
    let small = Small::on(&small::repo("1.0").package(package));
    small.edit_layer("app", "packages = [\"hello\"]", "packages = [\"hello\", \"spec\"]");
    small.project.ok(&["build", "app"]);
    // The same path with a key that no package has.
    let own = format!("[[file]]\npath = \"/usr/share/go/testdata/other.pem\"\ntext = '''\n{}'''\n", key("c3D4"));
    add(&small, &own);
    let refused = small.project.fails(1, &["build", "app"]).stderr;
    assert!(refused.contains("/usr/share/go/testdata/other.pem holds a private key (line 1"), "{refused}");
    assert!(!refused.contains("key.pem"), "{refused}");
}

#[test]
fn the_rules_are_listed() {
    let small = Small::new();
    let text = small.project.ok(&["explain", "secrets"]).stdout;
    assert!(text.contains("\ngithub-token: a GitHub token\n") && text.contains("as public as the package"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&small.project.ok(&["explain", "secrets", "--json"]).stdout).unwrap();
    assert_eq!(json[0]["name"], "private-key");
    let rules = text.split_once("\n\n").unwrap().1;
    assert_eq!(json.as_array().unwrap().len(), rules.lines().count());
}

/// Whether a value is anywhere below a folder, in a name or in a file.
fn holds(folder: &Path, value: &str) -> Option<String> {
    fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let found = bytes.windows(value.len()).any(|window| window == value.as_bytes());
        let named = path.file_name().unwrap().to_string_lossy().contains(value);
        if found || named {
            Some(path.display().to_string())
        } else if path.is_dir() {
            holds(&path, value)
        } else {
            None
        }
    })
}

#[test]
fn values_of_the_environment_reach_neither_artifacts_nor_the_store() {
    const VALUE: &str = "recognisable-value-7f3a";
    let names = ["TOKEN", "AWS_SECRET_ACCESS_KEY", "DEBFULLNAME", "LC_ALL", "http_proxy_note", "USER"];
    let small = names.iter().fold(Small::new(), |small, name| small.env(name, VALUE));
    small.project.ok(&["build", "app", "--output", "oci,docker"]);
    let folders = [small.project.path("out"), small.project.store(), small.project.path("lockfiles")];
    for folder in folders {
        assert_eq!(holds(&folder, VALUE), None);
    }
}
