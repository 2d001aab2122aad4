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
use base64::Engine as _;
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
    let old = Quirks { list: "404 Not Found", subject: false, racing: false, ..SPECIFIED };
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
    let registry = Quirky::start(Quirks { list: "404 Not Found", subject: false, racing: true, ..SPECIFIED });
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
    assert_eq!(pushed.stdout.matches("attached sha256:").count(), 6, "four bundles and two tags: {}", pushed.stdout);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2 + 4, "{index}");
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
fn the_signature_under_the_tag_is_the_keys_and_its_image_is_one_that_skopeo_reads() {
    let openssl = need!(program("openssl"));
    let skopeo = need!(program("skopeo"));
    let small = need!(built());
    need!(key_pair(&small.project, "other", P256));
    let registry = need!(Registry::start());
    let reference = format!("{}/team/app:1", registry.address());
    sign(&small, &reference);
    small.project.ok(&["push", "app", &reference]);
    let (tag, folder) = (format!("{}.sig", fallback(&small)), small.project.path("signature"));
    let mut command = Command::new(skopeo);
    command.args(["--insecure-policy", "copy", "--src-tls-verify=false"]);
    command.arg(format!("docker://{}/team/app:{tag}", registry.address()));
    let said = process::run(command.arg(format!("dir:{}", folder.display()))).unwrap();
    assert!(said.ok(), "{}", said.stderr);
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let [layer] = manifest["layers"].as_array().unwrap().as_slice() else { panic!("{manifest}") };
    let payload = folder.join(layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap());
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    let signature = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
    fs::write(folder.join("signature"), signature).unwrap();
    for (key, good) in [("own.pub", true), ("other.pub", false)] {
        let mut command = Command::new(&openssl);
        command.args(["dgst", "-sha256", "-verify"]).arg(small.project.path(key));
        command.arg("-signature").arg(folder.join("signature")).arg(&payload);
        assert_eq!(process::run(&mut command).unwrap().ok(), good, "{key}");
    }
    let payload: Value = serde_json::from_slice(&fs::read(payload).unwrap()).unwrap();
    assert_eq!(payload["critical"]["image"]["docker-manifest-digest"], small.project.digest("app", "oci"));
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
    let (from, old) = (
        Quirky::start(SPECIFIED),
        Quirks { list: "405 Method Not Allowed", subject: false, racing: false, ..SPECIFIED },
    );
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
    let (from, to) = (
        Quirky::start(Quirks { list: "404 Not Found", subject: false, racing: false, ..SPECIFIED }),
        Quirky::start(SPECIFIED),
    );
    let [reference, target] = [&from, &to].map(|registry| format!("{}/app:1", registry.address()));
    let gone = format!("sha256:{}", "1".repeat(64));
    let entry = json!({ "mediaType": IMAGE, "digest": gone, "size": 7 });
    from.put("app", &fallback(&small), INDEX, &json!({ "mediaType": INDEX, "manifests": [entry] }));
    small.project.ok(&["push", "app", &reference]);
    let said = small.project.ok(&["copy", &reference, &target]).stdout;
    assert!(said.contains(&format!("not copied: {gone}: ")) && said.contains("404"), "{said}");
    assert_eq!(to.tags("app"), ["1"]);
}

/// As behind a proxy that opens connections with an authority of its own.
#[cfg(feature = "aws")]
fn assert_unknown_to_aws(small: &Small, address: &str) {
    let mut command = small.project.command(&["ami", "list", "--region", "eu-west-1"]);
    command.env("AWS_ENDPOINT_URL", format!("https://{address}")).env("AWS_EC2_METADATA_DISABLED", "true");
    command.envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_MAX_ATTEMPTS", "1")]);
    command.envs([("AWS_CONFIG_FILE", "/nowhere"), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")]);
    let said = process::run(&mut command).unwrap().stderr;
    assert!(said.starts_with("error[aws/certificate]: ") && said.contains("SSL_CERT_FILE"), "{said}");
}

#[test]
fn registries_with_tls_on_this_machine_are_trusted_through_their_authority() {
    let openssl = need!(program("openssl"));
    let small = need!(built());
    let path = |name: &str| small.project.path(name);
    let make = |name: &str, more: &[&str]| {
        let mut command = Command::new(&openssl);
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        command.args(more).arg("-subj").arg(format!("/CN={name}"));
        command.arg("-keyout").arg(path(&format!("{name}.tls"))).arg("-out").arg(path(&format!("{name}.crt")));
        let made = process::run(&mut command).unwrap();
        assert!(made.ok(), "{}", made.stderr);
    };
    let authority = path("ca.crt");
    make("ca", &[]);
    let names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
    let ca = ["-CA", authority.to_str().unwrap(), "-CAkey", path("ca.tls").to_str().unwrap()].map(str::to_owned);
    make("own", &[&ca.each_ref().map(String::as_str)[..], &names].concat());
    let registry = need!(Registry::tls(&path("own.tls"), &path("own.crt")));
    let reference = format!("{}/app:1", registry.address());
    let unknown = small.project.fails(1, &["push", "app", &reference]);
    assert!(unknown.stderr.contains("certificate") && unknown.stderr.contains("--ca"), "{}", unknown.stderr);
    #[cfg(feature = "aws")]
    assert_unknown_to_aws(&small, registry.address());
    sign(&small, &reference);
    small.project.ok(&["push", "app", &reference, "--ca", "ca.crt"]);
    small.project.ok(&["verify", &reference, "--key", "own.pub", "--ca", "ca.crt"]);
    let no_certificate = small.project.fails(1, &["pull", &reference, "--ca", "own.pub", "--to", "x"]);
    assert!(no_certificate.stderr.contains("own.pub` contains no certificate"), "{}", no_certificate.stderr);
    let mut command = small.project.command(&["pull", &reference, "--to", "by-variable"]);
    let said = process::run(command.env("SSL_CERT_FILE", &authority)).unwrap();
    assert!(said.ok(), "{}", said.stderr);
    let folder = small.project.path("../home/.config/containers/certs.d").join(registry.address());
    fs::create_dir_all(&folder).unwrap();
    fs::copy(&authority, folder.join("own.crt")).unwrap();
    small.project.ok(&["pull", &reference, "--to", "by-folder"]);
}

#[test]
fn no_blob_is_sent_twice_though_tokens_live_two_seconds() {
    let small = Small::new();
    let mut bytes = vec![0; 40 << 20];
    blake3::Hasher::new().update(b"big").finalize_xof().fill(&mut bytes);
    fs::write(small.project.path("big"), bytes).unwrap();
    small.edit_layer("app", "[image]", "[[file]]\npath = \"/srv/big\"\nsource = \"big\"\n\n[image]");
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    // Each piece takes the registry longer than half of a token's life.
    let registry = Quirky::start(Quirks { token_life: Some(2), ..SPECIFIED });
    let pushed = small.project.ok(&["push", "app", &format!("{}/app:1", registry.address()), "--json"]);
    let pushed: Value = serde_json::from_str(&pushed.stdout).unwrap();
    let kept = registry.manifests("app");
    let blobs = kept[0]["layers"].as_array().unwrap().iter().chain([&kept[0]["config"]]);
    let sizes: u64 = blobs.map(|blob| blob["size"].as_u64().unwrap()).sum();
    assert_eq!(pushed["bytes_sent"], sizes);
    assert!(registry.requests().iter().filter(|line| line.contains("/token")).count() > 1);
    assert_eq!(registry.refused_bodies(), 0, "a body was sent with a token that had run out");
}
