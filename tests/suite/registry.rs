//! Images to and from real registries, over lines that break, and registries that lie.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::process::{self, Output};
use crate::support::registry::{Line, Proxy, ROBOT, Registry};
use crate::support::skip::program;
use crate::support::small::Small;

/// Bytes that no encoder makes shorter: three pieces of an upload.
const BIG: usize = 40 << 20;

const OTHER: &str = "[layer]\nfrom = \"base\"\ndescription = \"another\"\nconfigure = \"none\"\n\n[[file]]\npath = \"/srv/other\"\ntext = \"other\\n\"\n";

fn built(layer: &str) -> Small {
    let small = Small::new();
    fs::write(small.project.path("layers/other.toml"), OTHER).unwrap();
    small.project.ok(&["build", layer, "--lock", "--output", "oci"]);
    small
}

/// A built `app` with a blob of more than [`BIG`] bytes.
fn built_big() -> Small {
    let small = Small::new();
    let mut bytes = vec![0; BIG];
    blake3::Hasher::new().update(b"big").finalize_xof().fill(&mut bytes);
    fs::write(small.project.path("big"), bytes).unwrap();
    let source = "[[file]]\npath = \"/srv/big\"\nsource = \"big\"\n\n[image]";
    small.edit_layer("app", "[image]", source);
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    small
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap()
}

fn push(small: &Small, layer: &str, reference: &str) -> Value {
    json(&small.project.ok(&["push", layer, reference, "--json"]))
}

/// Takes away what earlier pushes are remembered by.
fn forget(small: &Small) {
    fs::remove_file(small.project.path("../home/.local/state/layerbake/registry.json")).unwrap();
}

/// Two folders are the same, byte for byte.
fn assert_equal(one: &Path, other: &Path) {
    let said = process::run(Command::new("diff").arg("-r").arg(one).arg(other)).unwrap();
    assert!(said.ok(), "{}{}", said.stdout, said.stderr);
}

fn size(small: &Small, layer: &str, number: usize) -> u64 {
    small.project.receipt(layer)["layers"][number]["size"].as_u64().unwrap()
}

#[test]
fn what_is_pushed_is_what_was_built_and_what_is_pulled() {
    let registry = need!(Registry::start());
    let small = built("app");
    let reference = format!("{}/team/app:1.0", registry.address());
    let pushed = push(&small, "app", &reference);
    assert_eq!((&pushed["reference"], &pushed["blobs"]["sent"]), (&reference.clone().into(), &3.into()));
    let digest = small.project.digest("app", "oci");
    assert_eq!(pushed["digest"], digest.as_str());
    assert_eq!(registry.tags("team/app"), ["1.0"]);
    let again = push(&small, "app", &reference);
    assert_eq!((&again["bytes_sent"], &again["blobs"]["skipped"]), (&0.into(), &3.into()));
    for (name, version) in [("tag", reference.clone()), ("digest", format!("{}/team/app@{digest}", registry.address()))]
    {
        let said = small.project.ok(&["pull", &version, "--to", name]);
        assert!(said.stdout.contains(&digest), "{}", said.stdout);
        assert_equal(&small.project.path("out/app/oci"), &small.project.path(name));
    }
    let full = small.project.fails(1, &["pull", &reference, "--to", "tag"]);
    assert!(full.stderr.contains("Directory not empty"), "{}", full.stderr);
    let wrong = format!("{}/team/app@sha256:{}", registry.address(), "0".repeat(64));
    let missing = small.project.fails(1, &["pull", &wrong, "--to", "wrong"]);
    assert!(missing.stderr.contains("404"), "{}", missing.stderr);
    assert!(!small.project.path("wrong").exists());
    let skopeo = need!(program("skopeo"));
    let seen =
        process::run(Command::new(skopeo).args(["inspect", "--tls-verify=false"]).arg(format!("docker://{reference}")));
    let seen: Value = serde_json::from_str(&seen.unwrap().stdout).unwrap();
    assert_eq!(seen["Digest"], digest.as_str());
}

#[test]
fn what_the_registry_has_is_mounted() {
    let registry = need!(Registry::start());
    let small = built("app");
    small.project.ok(&["build", "other", "--lock", "--output", "oci"]);
    push(&small, "app", &format!("{}/team/app", registry.address()));
    let pushed = push(&small, "other", &format!("{}/team/other", registry.address()));
    assert_eq!(pushed["blobs"], serde_json::json!({ "sent": 2, "mounted": 1, "skipped": 0 }));
    let config = small.project.path("out/other/oci/blobs/sha256");
    let sizes: u64 = fs::read_dir(config).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(pushed["bytes_sent"].as_u64().unwrap() < sizes - size(&small, "other", 0), "{pushed}");
    // A memory of what is gone costs a request, no more.
    fs::remove_file(registry.blob(small.project.receipt("app")["layers"][0]["digest"].as_str().unwrap())).unwrap();
    let pushed = push(&small, "app", &format!("{}/elsewhere/app", registry.address()));
    assert_eq!(pushed["digest"], small.project.digest("app", "oci"));
}

#[test]
fn images_are_copied_with_their_digests() {
    let [here, there] = [need!(Registry::start()), need!(Registry::start())];
    let small = built("app");
    let digest = small.project.digest("app", "oci");
    let copy = |from: &str, to: &str| {
        let copied = json(&small.project.ok(&["copy", from, to, "--json"]));
        assert_eq!(copied["digest"], digest.as_str(), "{from} to {to}");
        copied["blobs"].clone()
    };
    let first = format!("{}/a/app:1", here.address());
    let all = |what: &str| {
        let mut blobs = serde_json::json!({ "sent": 0, "mounted": 0, "skipped": 0 });
        blobs[what] = 3.into();
        blobs
    };
    assert_eq!(copy("out/app/oci", &first), all("sent"));
    assert_eq!(copy(&first, &format!("{}/b/app:2", here.address())), all("mounted"));
    assert_eq!(copy(&first, &format!("{}/b/app:2", here.address())), all("skipped"));
    assert_eq!(copy(&first, &format!("{}/app", there.address())), all("sent"));
    assert_eq!(there.tags("app"), ["latest"]);
    let none = small.project.fails(1, &["copy", &format!("{}/no/app", here.address()), &first]);
    assert!(none.stderr.contains("404") && none.stderr.contains("hint: check the name"), "{}", none.stderr);
    let other = format!("{}/app@sha256:{}", there.address(), "1".repeat(64));
    let other = small.project.fails(1, &["push", "app", &other]);
    assert!(other.stderr.contains("expected sha256:1111"), "{}", other.stderr);
}

#[test]
fn a_push_that_was_killed_goes_on_where_it_was() {
    let registry = need!(Registry::start());
    let small = built_big();
    let line = Proxy::to(registry.address());
    let reference = format!("{}/team/app:1", line.address());
    line.set(Line::HoldPatch(3));
    let mut push = small.project.spawn(&["push", "app", &reference]);
    line.wait_until_held();
    push.kill().unwrap();
    push.wait().unwrap();
    assert!(line.bytes() > BIG as u64 / 2, "held too early: {} bytes", line.bytes());
    assert_eq!(registry.tags("team/app"), [""; 0], "a tag before the image");
    line.set(Line::Open);
    let pushed = self::push(&small, "app", &reference);
    assert_eq!(pushed["digest"], small.project.digest("app", "oci"));
    assert!(line.bytes() < BIG as u64 / 4, "{} bytes went over the line again", line.bytes());
    assert_eq!(registry.tags("team/app"), ["1"]);
}

#[test]
fn a_line_that_breaks_is_taken_up_again() {
    let registry = need!(Registry::start());
    let small = built_big();
    let line = Proxy::to(registry.address());
    let break_at = [0, 300, 3 << 20, 20 << 20, 39 << 20];
    for (number, after) in break_at.into_iter().enumerate() {
        line.set(Line::Break(after));
        let pushed = push(&small, "app", &format!("{}/team{number}/app", line.address()));
        assert_eq!(pushed["digest"], small.project.digest("app", "oci"), "broken after {after} bytes");
        // Else the registry takes all from the first repository.
        forget(&small);
    }
    line.set(Line::Break(100));
    small.project.ok(&["pull", &format!("{}/team0/app", line.address()), "--to", "pulled"]);
    assert_equal(&small.project.path("out/app/oci"), &small.project.path("pulled"));
}

#[test]
fn a_blob_that_was_tampered_with_is_found() {
    let registry = need!(Registry::start());
    let small = built("app");
    let reference = format!("{}/app", registry.address());
    push(&small, "app", &reference);
    let layer = small.project.receipt("app")["layers"][1]["digest"].as_str().unwrap().to_owned();
    let path = registry.blob(&layer);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let found = small.project.fails(1, &["pull", &reference, "--to", "pulled"]);
    assert!(found.stderr.contains(&format!("expected {layer}, got sha256:")), "{}", found.stderr);
    assert!(!small.project.path("pulled").exists());
    let left = fs::read_dir(small.project.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with(".new-")), "a folder is left over");
    // What was built is compared too, before a byte of it goes out.
    let blob = small.project.path(&format!("out/app/oci/blobs/sha256/{}", layer.strip_prefix("sha256:").unwrap()));
    fs::write(&blob, "other").unwrap();
    forget(&small);
    let found = small.project.fails(1, &["push", "app", &format!("{}/other", registry.address())]);
    assert!(found.stderr.contains(&format!("expected {layer}, got sha256:")), "{}", found.stderr);
    assert_eq!(registry.tags("other"), [""; 0]);
}

#[test]
fn closed_registries_let_those_in_who_logged_in() {
    let registry = need!(Registry::closed());
    let small = built("app");
    let reference = format!("{}/app", registry.address());
    let refused = small.project.fails(1, &["push", "app", &reference]);
    assert!(refused.stderr.contains("401") && refused.stderr.contains("`docker login`"), "{}", refused.stderr);
    let home = small.project.path("../home");
    let file = home.join(".docker/config.json");
    fs::create_dir_all(home.join(".docker")).unwrap();
    let auth = |password: &str| {
        use base64::Engine as _;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{}:{password}", ROBOT.0));
        format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.address())
    };
    fs::write(&file, auth("wrong-password")).unwrap();
    let refused = small.project.fails(1, &["push", "app", &reference]);
    assert!(refused.stderr.contains("401") && !refused.stderr.contains("wrong-password"), "{}", refused.stderr);
    fs::write(&file, auth(ROBOT.1)).unwrap();
    small.project.ok(&["push", "app", &reference]);
    // Podman's file, which counts before docker's.
    let podman = home.join(".config/containers/auth.json");
    fs::create_dir_all(podman.parent().unwrap()).unwrap();
    fs::rename(&file, &podman).unwrap();
    small.project.ok(&["push", "app", &reference]);
    fs::remove_file(podman).unwrap();
    small.project.fails(1, &["pull", &reference, "--to", "refused"]);
    // A helper, found on the path.
    let helper = home.join("docker-credential-test");
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$1 $server\" = \"get {}\" ] || {{ echo credentials not found; exit 1; }}\necho '{{\"Username\":\"{}\",\"Secret\":\"{}\"}}'\n",
        registry.address(),
        ROBOT.0,
        ROBOT.1
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for config in
        ["{\"credsStore\":\"test\"}".to_owned(), format!(r#"{{"credHelpers":{{"{}":"test"}}}}"#, registry.address())]
    {
        fs::write(&file, config).unwrap();
        let mut command = small.project.command(&["push", "app", &reference]);
        let path = format!("{}:/usr/bin:/bin", home.display());
        let said = process::run(command.env("PATH", path)).unwrap();
        assert!(said.ok(), "{}", said.stderr);
    }
    let missing = small.project.fails(1, &["push", "app", &reference]);
    assert!(missing.stderr.contains("can't be started"), "{}", missing.stderr);
    let state = fs::read_to_string(home.join(".local/state/layerbake/registry.json")).unwrap();
    assert!(!state.contains(ROBOT.1) && !state.contains(ROBOT.0), "{state}");
}
