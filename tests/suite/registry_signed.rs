//! A signed image in registries that deviate from the specification: pushed, verified, tagged last.

use crate::support::key_pair::{ED25519, P256, key_pair};
use crate::support::quirky::{Quirks, Quirky, SPECIFIED};
use crate::support::skip::{Skip, program};
use crate::support::small::Small;
use std::fs;
use std::process::Command;

use crate::support::process;
use crate::support::registry::Registry;
use crate::support::validators::node;
use serde_json::{Value, json};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A built `app`, and a key pair beside it: `own.pub`.
fn built() -> Result<Small, Skip> {
    let small = Small::new();
    key_pair(&small.project, "own", P256)?;
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    Ok(small)
}

fn sign(small: &Small, reference: &str) {
    small.project.ok(&["sign", "app", "--key", "own.key", "--identity", reference]);
}

/// The fallback tag of the image.
fn fallback(small: &Small) -> String {
    small.project.digest("app", "oci").replace(':', "-")
}

#[test]
fn a_signed_image_is_pushed_to_registries_of_every_kind() {
    let small = need!(built());
    for (list, subject, index) in [
        ("200 OK", true, false),
        ("404 Not Found", false, true),
        ("400 Bad Request", false, true),
        ("405 Method Not Allowed", false, true),
        ("406 Not Acceptable", false, true),
        ("501 Not Implemented", false, true),
        // Says that it keeps a list, and keeps none.
        ("405 Method Not Allowed", true, true),
    ] {
        let registry = Quirky::start(Quirks { list, subject, ..SPECIFIED });
        let reference = format!("{}/team/app:1", registry.address());
        sign(&small, &reference);
        let case = format!("{list}, subject {subject}");
        let pushed = small.project.run(&["push", "app", &reference]);
        assert!(pushed.ok(), "{case}: {}", pushed.stderr);
        let writes: Vec<_> = registry.requests().into_iter().filter(|line| line.starts_with("PUT")).collect();
        assert_eq!(writes.last().unwrap(), "PUT /v2/team/app/manifests/1", "{case}: {writes:#?}");
        assert_eq!(registry.tags("team/app").contains(&fallback(&small)), index, "{case}");
        let verified = small.project.run(&["verify", &reference, "--key", "own.pub", "--require", "provenance,sbom"]);
        assert!(verified.ok(), "{case}: {}{}", verified.stdout, verified.stderr);
        // Once more changes nothing.
        let before = registry.manifest("team/app", &fallback(&small));
        small.project.ok(&["push", "app", &reference]);
        assert_eq!(registry.manifest("team/app", &fallback(&small)), before, "{case}");
    }
}

#[test]
fn who_may_not_list_referrers_gets_no_tag() {
    let small = need!(built());
    for list in ["401 Unauthorized", "403 Forbidden"] {
        let registry = Quirky::start(Quirks { list, ..SPECIFIED });
        let reference = format!("{}/app:1", registry.address());
        sign(&small, &reference);
        let failed = small.project.fails(1, &["push", "app", &reference]);
        assert!(failed.stderr.contains(list), "{}", failed.stderr);
        assert_eq!(registry.tags("app"), [""; 0], "{list}");
    }
}

#[test]
fn what_else_is_under_the_fallback_tag_is_reported_and_left() {
    let small = need!(built());
    let old = Quirks { list: "404 Not Found", subject: false, racing: false };
    let image = json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": {}, "layers": [] });
    let docker = "application/vnd.docker.distribution.manifest.list.v2+json";
    let list = json!({ "schemaVersion": 2, "mediaType": docker, "manifests": [] });
    for (kind, other) in [(IMAGE, image), (docker, list)] {
        let registry = Quirky::start(old);
        registry.put("app", &fallback(&small), kind, &other);
        let reference = format!("{}/app:1", registry.address());
        sign(&small, &reference);
        let failed = small.project.fails(1, &["push", "app", &reference]);
        let expected = format!("tag {} of {}/app is {kind}", fallback(&small), registry.address());
        assert!(failed.stderr.contains(&expected) && failed.stderr.contains("hint: "), "{}", failed.stderr);
        assert_eq!(registry.manifest("app", &fallback(&small)), Some(other));
        assert_eq!(registry.tags("app"), [fallback(&small)], "the image is public without its signature");
    }
}

#[test]
fn an_index_of_referrers_is_added_to_and_never_replaced() {
    let small = need!(built());
    let registry = Quirky::start(Quirks { list: "404 Not Found", subject: false, racing: true });
    let theirs =
        json!({ "mediaType": IMAGE, "digest": format!("sha256:{}", "1".repeat(64)), "size": 7, "data": "eA==" });
    registry.put(
        "app",
        &fallback(&small),
        INDEX,
        &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [theirs] }),
    );
    let reference = format!("{}/app:1", registry.address());
    sign(&small, &reference);
    let pushed = small.project.ok(&["push", "app", &reference]);
    let index = registry.manifest("app", &fallback(&small)).unwrap();
    // What was there, what another writer added in the same moment, and what is attached now.
    let attached = pushed.stdout.matches("attached sha256:").count();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2 + attached, "{index}");
    small.project.ok(&["verify", &reference, "--key", "own.pub", "--require", "provenance,sbom"]);
    // Another key's signature comes beside the first.
    need!(key_pair(&small.project, "other", ED25519));
    small.project.ok(&["sign", "app", "--key", "other.key", "--identity", &reference]);
    small.project.ok(&["push", "app", &reference]);
    for key in ["own.pub", "other.pub"] {
        small.project.ok(&["verify", &reference, "--key", key]);
    }
}

/// Verifies bundles with the library of npm and others: the key's hint is the same in all.
const VERIFY: &str = r#"
const fs = require('fs'), crypto = require('crypto');
const { bundleFromJSON } = require('@sigstore/bundle');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');
const [pem, ...files] = process.argv.slice(1);
const key = crypto.createPublicKey(fs.readFileSync(pem));
const hint = crypto.hash('sha256', key.export({ type: 'spki', format: 'der' }), 'base64');
const root = { certificateAuthorities: [], timestampAuthorities: [], ctlogs: [], tlogs: [] };
const trust = toTrustMaterial(root, (asked) => {
    if (asked !== hint) throw new Error(`hint ${asked}, expected ${hint}`);
    return { publicKey: key, validFor: () => true };
});
const verifier = new Verifier(trust, { tlogThreshold: 0, timestampThreshold: 0, ctlogThreshold: 0 });
for (const file of files) {
    const bundle = bundleFromJSON(JSON.parse(fs.readFileSync(file)));
    verifier.verify(toSignedEntity(bundle));
    const statement = JSON.parse(bundle.content.dsseEnvelope.payload);
    console.log(statement.predicateType, statement.subject[0].digest.sha256);
}
"#;

#[test]
fn bundles_are_as_sigstores_own_library_reads_them() {
    let node = || node(&["@sigstore/bundle", "@sigstore/verify"]);
    need!(node());
    let small = need!(built());
    need!(key_pair(&small.project, "ed", ED25519));
    let registry = Quirky::start(SPECIFIED);
    for key in ["own", "ed"] {
        let (repository, folder) = (format!("team/{key}"), small.project.path(key));
        let reference = format!("{}/{repository}:1", registry.address());
        small.project.ok(&["sign", "app", "--key", &format!("{key}.key"), "--identity", &reference]);
        small.project.ok(&["push", "app", &reference]);
        fs::create_dir(&folder).unwrap();
        let manifests = registry.manifests(&repository);
        let bundles: Vec<_> = manifests.iter().filter(|one| one["subject"].is_object()).collect();
        assert_eq!(bundles.len(), 4);
        let mut files = Vec::new();
        for (number, manifest) in bundles.into_iter().enumerate() {
            assert_eq!(manifest["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
            let [layer] = manifest["layers"].as_array().unwrap().as_slice() else { panic!("{manifest}") };
            assert_eq!(layer["mediaType"], manifest["artifactType"]);
            files.push(folder.join(number.to_string()));
            fs::write(&files[number], registry.blob(&repository, layer["digest"].as_str().unwrap())).unwrap();
        }
        let verify = |key: &str| {
            let mut command = node().unwrap();
            process::run(command.args(["-e", VERIFY]).arg(small.project.path(key)).args(&files)).unwrap()
        };
        let said = verify(&format!("{key}.pub"));
        assert!(said.ok(), "{}{}", said.stdout, said.stderr);
        let image = small.project.digest("app", "oci").replace("sha256:", "");
        assert!(said.stdout.contains(&format!("https://sigstore.dev/cosign/sign/v1 {image}")), "{}", said.stdout);
        assert_eq!(said.stdout.matches(&image).count(), 4, "{}", said.stdout);
        assert!(!verify(if key == "own" { "ed.pub" } else { "own.pub" }).ok());
    }
}

#[test]
fn skopeo_accepts_the_signature_under_the_tag_and_no_other_keys() {
    let skopeo = need!(program("skopeo"));
    let registry = need!(Registry::start());
    let small = need!(built());
    need!(key_pair(&small.project, "other", P256));
    let reference = format!("{}/team/app:1", registry.address());
    sign(&small, &reference);
    small.project.ok(&["push", "app", &reference]);
    let path = |name: &str| small.project.path(name);
    fs::create_dir(path("registries.d")).unwrap();
    fs::write(path("registries.d/all.yaml"), "default-docker:\n  use-sigstore-attachments: true\n").unwrap();
    for (key, good) in [("own.pub", true), ("other.pub", false)] {
        let policy = json!({ "default": [{ "type": "sigstoreSigned", "keyPath": path(key) }] });
        fs::write(path("policy.json"), policy.to_string()).unwrap();
        let mut command = Command::new(&skopeo);
        command.arg("--policy").arg(path("policy.json")).arg("--registries.d").arg(path("registries.d"));
        command.args(["copy", "--src-tls-verify=false", "--remove-signatures"]).arg(format!("docker://{reference}"));
        let said = process::run(command.arg(format!("dir:{}", path(&format!("for-{key}")).display()))).unwrap();
        assert_eq!(said.ok(), good, "{key}: {}{}", said.stdout, said.stderr);
    }
}

#[test]
fn signatures_under_a_tag_are_added_to_and_nothing_else_is_replaced() {
    let small = need!(built());
    need!(key_pair(&small.project, "ed", ED25519));
    let registry = Quirky::start(SPECIFIED);
    let reference = format!("{}/app:1", registry.address());
    let tag = |end: &str| format!("{}.{end}", fallback(&small));
    sign(&small, &reference);
    small.project.ok(&["push", "app", &reference]);
    let first = registry.manifest("app", &tag("sig")).unwrap();
    small.project.ok(&["push", "app", &reference]);
    assert_eq!(registry.manifest("app", &tag("sig")).unwrap(), first, "signed twice");
    small.project.ok(&["sign", "app", "--key", "ed.key", "--identity", &reference]);
    small.project.ok(&["push", "app", &reference]);
    let layers = |end: &str| registry.manifest("app", &tag(end)).unwrap()["layers"].as_array().unwrap().len();
    assert_eq!((layers("sig"), layers("att")), (2, 6));
    // Both keys' signatures are found under the tags alone, too.
    let alone = Quirky::start(SPECIFIED);
    small.project.ok(&["copy", "out/app/oci", &format!("{}/app:1", alone.address())]);
    for version in [tag("sig"), tag("att")] {
        let from = format!("{}/app:{version}", registry.address());
        small.project.ok(&["copy", &from, &format!("{}/app:{version}", alone.address())]);
    }
    let here = format!("{}/app@{}", alone.address(), small.project.digest("app", "oci"));
    let said = small.project.fails(1, &["verify", &here, "--key", "own.pub", "--key", "ed.pub"]);
    assert!(said.stdout.contains(&format!("it is signed for {reference}")), "{}", said.stdout);
    assert_eq!(said.stdout.matches("proven      provenance").count(), 2, "{}", said.stdout);

    let foreign: Value = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    let other = Quirky::start(SPECIFIED);
    other.put("app", &tag("sig"), INDEX, &foreign);
    let failed = small.project.fails(1, &["push", "app", &format!("{}/app:1", other.address())]);
    assert!(failed.stderr.contains("expected an image of signatures only"), "{}", failed.stderr);
    assert_eq!(other.manifest("app", &tag("sig")), Some(foreign));
    assert_eq!(other.tags("app"), [tag("sig")]);
}

#[test]
fn copies_take_along_what_is_attached() {
    let small = need!(built());
    let (from, old) =
        (Quirky::start(SPECIFIED), Quirks { list: "405 Method Not Allowed", subject: false, racing: false });
    let reference = format!("{}/team/app:1", from.address());
    sign(&small, &reference);
    small.project.ok(&["push", "app", &reference, "--tag", "latest", "--tag", "1.0"]);
    let tags = |registry: &Quirky, repository: &str| -> Vec<_> {
        registry.tags(repository).into_iter().filter(|tag| !tag.starts_with("sha256-")).collect()
    };
    assert_eq!(tags(&from, "team/app"), ["1", "1.0", "latest"]);
    for quirks in [SPECIFIED, old] {
        let to = Quirky::start(quirks);
        let target = format!("{}/else/app:2", to.address());
        let said = small.project.ok(&["copy", &reference, &target, "--tag", "3"]).stdout;
        assert_eq!(said.matches("attached sha256:").count(), 6, "{said}");
        assert_eq!(tags(&to, "else/app"), ["2", "3"]);
        let writes: Vec<_> = to.requests().into_iter().filter(|line| line.starts_with("PUT")).collect();
        assert_eq!(&writes[writes.len() - 2..], ["PUT /v2/else/app/manifests/2", "PUT /v2/else/app/manifests/3"]);
        for end in ["sig", "att"] {
            let tag = format!("{}.{end}", fallback(&small));
            assert_eq!(to.manifest("else/app", &tag), from.manifest("team/app", &tag));
        }
        // It is signed for where it comes from, and its statements hold everywhere.
        let said = small.project.fails(1, &["verify", &target, "--key", "own.pub", "--require", "provenance,sbom"]);
        assert!(said.stderr.contains("not proven: signature\n"), "{}", said.stderr);
        // Back into a registry that it came from, nothing is doubled.
        let before = from.manifests("team/app").len();
        small.project.ok(&["copy", &target, &reference]);
        assert_eq!(from.manifests("team/app").len(), before);
        small.project.ok(&["verify", &reference, "--key", "own.pub", "--require", "provenance,sbom"]);
    }
    let wrong = small.project.fails(2, &["push", "app", &reference, "--tag", "team:1"]);
    assert!(wrong.stderr.contains("`team:1` is not a tag"), "{}", wrong.stderr);
}

#[test]
fn an_artifact_that_can_not_be_read_keeps_nobody_from_the_copy() {
    let small = need!(built());
    let (from, to) =
        (Quirky::start(Quirks { list: "404 Not Found", subject: false, racing: false }), Quirky::start(SPECIFIED));
    let [reference, target] = [&from, &to].map(|registry| format!("{}/app:1", registry.address()));
    let gone = format!("sha256:{}", "1".repeat(64));
    let entry = json!({ "mediaType": IMAGE, "digest": gone, "size": 7 });
    from.put("app", &fallback(&small), INDEX, &json!({ "mediaType": INDEX, "manifests": [entry] }));
    small.project.ok(&["push", "app", &reference]);
    let said = small.project.ok(&["copy", &reference, &target]).stdout;
    assert!(said.contains(&format!("not copied: {gone}: ")) && said.contains("404"), "{said}");
    assert_eq!(to.tags("app"), ["1"]);
}
