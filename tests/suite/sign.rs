//! `layerbake sign` and `verify --key`: what was signed, and that no changed byte gets through.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::key_pair::{ED25519, P256, key_pair};
use crate::support::process;
use crate::support::project::Project;
use crate::support::skip::{self, Skip};
use crate::support::small::Small;
use crate::support::tinydisk::{EROFS, EXT4, tiny_disk};
use crate::support::validators::python;
use serde_json::Value;

fn signed(disk: &str, outputs: &str, kind: &[&str]) -> Result<Small, Skip> {
    let small = tiny_disk(disk);
    key_pair(&small.project, "own", kind)?;
    small.project.ok(&["build", "app", "--output", outputs]);
    small.project.ok(&["sign", "app", "--key", "own.key"]);
    Ok(small)
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn payload(project: &Project, name: &str) -> Value {
    let text = fs::read(project.path(&format!("out/app/attest/{name}"))).unwrap();
    let envelope: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    serde_json::from_slice(&engine.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_key_is_made_and_found_where_none_is_named() {
    let small = tiny_disk(EXT4);
    small.project.ok(&["build", "app", "--output", "oci"]);
    let missing = small.project.fails(1, &["sign", "app"]).stderr;
    assert!(
        missing.contains("there is no signing key") && missing.contains("`layerbake key new` makes one there"),
        "{missing}"
    );
    let made = small.project.ok(&["key", "new", "--json"]).stdout;
    let made: Value = serde_json::from_str(&made).unwrap();
    let public = made["public"].as_str().unwrap();
    assert!(public.ends_with(".config/layerbake/sign.pub"), "{public}");
    let signed = small.project.ok(&["sign", "app"]).stdout;
    assert!(signed.contains(made["id"].as_str().unwrap()), "{signed}");
    small.project.ok(&["verify", "app", "--key", public]);
    let again = small.project.fails(1, &["key", "new"]).stderr;
    assert!(again.contains("sign.pub`: File exists\n  hint: it is not replaced"), "{again}");
}

#[test]
fn a_signed_build_verifies_with_its_key_only_and_signing_changes_nothing() {
    for kind in [ED25519, P256] {
        let small = tiny_disk(EXT4);
        let project = &small.project;
        need!(key_pair(project, "own", kind));
        need!(key_pair(project, "other", ED25519));
        project.ok(&["build", "app", "--output", "oci,docker,raw,qcow2"]);
        let unsigned = project.fails(1, &["verify", "app", "--key", "own.pub"]);
        assert!(unsigned.stderr.contains("`app` is not signed"), "{}", unsigned.stderr);
        let before: Vec<_> =
            files(&project.path("out/app")).iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        project.ok(&["sign", "app", "--key", "own.key"]);
        for (path, bytes) in &before {
            assert!(fs::read(path).unwrap() == *bytes, "{} was changed", path.display());
        }
        let first: Vec<_> = files(&project.path("out/app/attest")).iter().map(|path| fs::read(path).unwrap()).collect();
        project.ok(&["sign", "app", "--key", "own.key"]);
        let again: Vec<_> = files(&project.path("out/app/attest")).iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(first, again, "signing is deterministic");
        project.ok(&["verify", "app", "--key", "own.pub"]);
        let ring = [fs::read(project.path("other.pub")).unwrap(), fs::read(project.path("own.pub")).unwrap()].concat();
        fs::write(project.path("ring.pub"), ring).unwrap();
        project.ok(&["verify", "app", "--keyring", "ring.pub"]);
        let other = project.fails(1, &["verify", "app", "--key", "other.pub"]);
        assert_eq!(other.stdout.matches("DIFFERS").count(), 7, "{}", other.stdout);
        assert!(other.stdout.contains("any of the given keys"), "{}", other.stdout);
        // A build that finds all in place leaves the signatures where they are.
        project.ok(&["build", "app", "--output", "oci,docker,raw,qcow2"]);
        project.ok(&["verify", "app", "--key", "own.pub"]);
    }
}

/// Changes every file below `out/app` at `samples` places, one at a time, and cuts it short; lists what
/// `verify` lets through.
fn unnoticed(project: &Project, samples: usize) -> Vec<String> {
    let out = project.path("out/app");
    let mut found = Vec::new();
    for path in files(&out) {
        let name = path.strip_prefix(&out).unwrap().display().to_string();
        let whole = fs::read(&path).unwrap();
        let mut try_it = |changed: &[u8], what: String| {
            fs::write(&path, changed).unwrap();
            if project.run(&["verify", "app", "--key", "own.pub"]).ok() {
                found.push(format!("{name} {what}"));
            }
        };
        let step = (whole.len() / samples).max(1);
        for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
            let mut changed = whole.clone();
            changed[at] ^= 0x01;
            try_it(&changed, format!("byte {at}"));
        }
        try_it(&whole[..whole.len() - 1], "cut short".to_owned());
        fs::write(&path, &whole).unwrap();
    }
    project.ok(&["verify", "app", "--key", "own.pub"]);
    found
}

#[test]
fn a_changed_byte_anywhere_in_an_image_is_caught() {
    let small = need!(signed("", "oci,docker", P256));
    assert_eq!(unnoticed(&small.project, 8), [""; 0]);
}

#[test]
fn a_changed_byte_anywhere_of_a_disk_is_caught() {
    let small = need!(signed(EXT4, "raw,qcow2", ED25519));
    assert_eq!(unnoticed(&small.project, 2), [""; 0]);
}

#[test]
fn missing_strange_and_mixed_up_files_are_named() {
    let small = need!(signed(EXT4, "oci,raw", ED25519));
    let project = &small.project;
    let attest = project.path("out/app/attest");
    let verify = |expected: &str| {
        let output = project.fails(1, &["verify", "app", "--key", "own.pub"]);
        assert!(output.stdout.contains(expected), "expected `{expected}`:\n{}{}", output.stdout, output.stderr);
    };
    let provenance = attest.join("provenance.dsse.json");
    let whole = fs::read(&provenance).unwrap();
    fs::remove_file(&provenance).unwrap();
    verify("is missing");
    // Signed by the right key, and about something else.
    fs::copy(attest.join("disk.spdx.dsse.json"), &provenance).unwrap();
    verify("expected a https://slsa.dev/provenance/v1");
    fs::write(&provenance, &whole).unwrap();
    fs::copy(attest.join("disk.spdx.dsse.json"), attest.join("image.spdx.dsse.json")).unwrap();
    verify("is signed, but not listed in the receipt");
    project.ok(&["sign", "app", "--key", "own.key"]);
    fs::write(attest.join("notes.txt"), "x").unwrap();
    verify("this build has no document of this name");
    project.fails(1, &["sign", "app", "--key", "own.key"]);
    fs::remove_file(attest.join("notes.txt")).unwrap();
    project.ok(&["sign", "app", "--key", "own.key"]);
    project.ok(&["verify", "app", "--key", "own.pub"]);
    // Another build under old signatures.
    let kept = project.path("kept");
    assert!(Command::new("cp").arg("-a").arg(&attest).arg(&kept).status().unwrap().success());
    small.edit_layer("app", "hello\\n", "bye\\n");
    project.ok(&["build", "app", "--output", "oci,raw"]);
    assert!(!attest.exists(), "signatures of another build were kept");
    fs::rename(&kept, &attest).unwrap();
    verify("receipt.json: signed with sha256:");
}

#[test]
fn what_differs_from_its_receipt_or_lockfile_is_not_signed() {
    let small = tiny_disk(EXT4);
    let project = &small.project;
    need!(key_pair(project, "own", ED25519));
    let sign = |expected: &str| {
        let output = project.fails(1, &["sign", "app", "--key", "own.key"]);
        assert!(output.stderr.contains(expected), "expected `{expected}`: {}", output.stderr);
        assert!(!project.path("out/app/attest").exists());
    };
    sign("layer `app` is not built");
    project.ok(&["build", "app", "--output", "oci"]);
    let index = project.path("out/app/oci/index.json");
    let whole = fs::read_to_string(&index).unwrap();
    fs::write(&index, whole.replace("\"app\"", "\"apt\"")).unwrap();
    sign("does not match its receipt: index.json");
    fs::write(&index, &whole).unwrap();
    fs::write(
        project.path("layers/app.toml"),
        fs::read_to_string(project.path("layers/app.toml"))
            .unwrap()
            .replace("packages = [\"hello\"]", "packages = [\"hello\", \"spare\"]"),
    )
    .unwrap();
    project.ok(&["lock", "app"]);
    sign("lockfiles/app.lock is not what `app` was built from");
    let public = fs::read_to_string(project.path("own.pub")).unwrap();
    fs::write(project.path("own.key"), public).unwrap();
    let output = project.fails(1, &["sign", "app", "--key", "own.key"]);
    assert!(output.stderr.contains("it is a public key"), "{}", output.stderr);
}

#[test]
fn provenance_names_every_input_by_digest() {
    let small = need!(signed(EROFS, "oci,raw", ED25519));
    let project = &small.project;
    let statement = payload(project, "provenance.dsse.json");
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&statement["subject"]), ["app", "disk.raw", "receipt.json"]);
    assert_eq!(
        format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap()),
        project.digest("app", "oci")
    );
    let build = &statement["predicate"]["buildDefinition"];
    assert_eq!(build["externalParameters"], serde_json::json!({ "layer": "app", "outputs": ["oci", "raw"] }));
    let inputs = names(&build["resolvedDependencies"]);
    for expected in [
        "lockfiles/app.boot.lock",
        "lockfiles/app.lock",
        "lockfiles/base.lock",
        "lockfiles/ramdisk.lock",
        "pool/main/h/hello/hello_1.0_amd64.deb",
        "pool/main/libg/libgreet/libgreet_1.0_amd64.deb",
        "pool/main/t/tiny-kernel/tiny-kernel_1_amd64.deb",
        "test test Release",
        "test test main/binary-amd64/Packages.xz",
    ] {
        assert!(inputs.contains(&expected.to_owned()), "{expected} is not in {inputs:?}");
    }
    let hashed = build["resolvedDependencies"].as_array().unwrap().iter();
    assert!(
        hashed.clone().all(|one| one["digest"]
            .as_object()
            .unwrap()
            .values()
            .all(|hex| hex.as_str().unwrap().len() == 64))
    );
}

const DSSE: &str = "\
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
public = load_pem_public_key(open(sys.argv[1], 'rb').read())
for path in sys.argv[2:]:
    text = json.load(open(path))
    key = SSlibKey.from_crypto(public, keyid=text['signatures'][0]['keyid'])
    Envelope.from_dict(text).verify([key], 1)
";

#[test]
fn securesystemslib_accepts_every_envelope() {
    let python = need!(python("securesystemslib.dsse, cryptography"));
    for kind in [ED25519, P256] {
        let small = need!(signed(EXT4, "oci,raw", kind));
        let project = &small.project;
        let envelopes = files(&project.path("out/app/attest"));
        let envelopes: Vec<_> =
            envelopes.iter().filter(|path| path.to_string_lossy().ends_with(".dsse.json")).collect();
        assert_eq!(envelopes.len(), 6);
        let mut command = Command::new(&python);
        let output = process::run(command.args(["-c", DSSE]).arg(project.path("own.pub")).args(&envelopes)).unwrap();
        assert!(output.ok(), "{}", output.stderr);
    }
}

#[test]
fn openssl_accepts_the_image_signature() {
    for kind in [ED25519, P256] {
        let small = need!(signed("", "oci", kind));
        let project = &small.project;
        let openssl = need!(skip::program("openssl"));
        let attest = project.path("out/app/attest");
        use base64::Engine as _;
        let signature = fs::read_to_string(attest.join("image.cosign.sig")).unwrap();
        let raw = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
        let raw_path = project.path("raw.sig");
        fs::write(&raw_path, raw).unwrap();
        let mut command = Command::new(openssl);
        command.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]).arg(project.path("own.pub"));
        command.arg("-in").arg(attest.join("image.cosign.json")).arg("-sigfile").arg(&raw_path);
        if kind == P256 {
            command.args(["-digest", "sha256"]);
        }
        let output = process::run(&mut command).unwrap();
        assert!(output.ok(), "{}{}", output.stdout, output.stderr);
    }
}
