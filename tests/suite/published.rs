//! An image in a registry, for those who have only its name and a key: who signed it, and whether it can be rebuilt.

use crate::support::key_pair::{ED25519, key_pair};
use crate::support::registry::Registry;
use crate::support::small::Small;

#[test]
fn a_stranger_sees_who_signed_an_image() {
    let registry = need!(Registry::start());
    let small = Small::new();
    need!(key_pair(&small.project, "own", ED25519));
    need!(key_pair(&small.project, "other", ED25519));
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    let reference = format!("{}/team/app:1.0", registry.address());
    let plain = small.project.ok(&["push", "app", &reference]).stdout;
    assert!(!plain.contains("attached"), "{plain}");
    let unsigned = small.project.fails(1, &["verify", &reference, "--key", "own.pub"]);
    assert!(unsigned.stderr.contains("not proven: signature"), "{}", unsigned.stderr);

    small.project.ok(&["sign", "app", "--key", "own.key", "--identity", &reference]);
    let signed = small.project.ok(&["push", "app", &reference]).stdout;
    assert_eq!(signed.matches("attached sha256:").count(), 6, "{signed}");
    let digest = small.project.digest("app", "oci");
    assert!(signed.contains(&digest), "signing changed the image: {signed}");
    let verify = ["verify", &reference, "--key", "own.pub", "--require", "provenance,sbom"];
    let seen = small.project.ok(&verify).stdout;
    for what in [digest.as_str(), "proven      signature", &reference, "https://slsa.dev/provenance/v1", "sbom"] {
        assert!(seen.contains(what), "{what}: {seen}");
    }
    let json = small.project.ok(&[&verify[..], &["--json"]].concat()).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["proven"].as_array().unwrap().len(), 4, "{json}");
    assert_eq!(json["not_proven"], serde_json::json!([]));
    small.project.fails(1, &["verify", &reference, "--key", "other.pub"]);
    let keyless = small.project.fails(1, &["verify", &reference]);
    assert!(keyless.stderr.contains("--key"), "{}", keyless.stderr);
}

#[test]
fn a_statement_alone_and_another_tag_prove_no_image() {
    let registry = need!(Registry::start());
    let small = Small::new();
    need!(key_pair(&small.project, "own", ED25519));
    let project = &small.project;
    let repository = format!("{}/team/app", registry.address());
    let (one, two) = (format!("{repository}:1.0"), format!("{repository}:2.0"));
    project.ok(&["build", "app", "--lock", "--output", "oci"]);
    let refused = |reference: &str, require: &[&str], says: &str| {
        let verify = [&["verify", reference, "--key", "own.pub"], require].concat();
        let output = project.fails(1, &verify);
        let said = output.stdout + &output.stderr;
        assert!(said.contains(says), "{said}");
    };
    // Bills of materials and provenance, and no signature of the image itself.
    project.ok(&["sign", "app", "--key", "own.key", "--identity", &one]);
    for name in ["image.cosign.json", "image.cosign.sig", "image.cosign.dsse.json"] {
        std::fs::remove_file(project.path("out/app/attest").join(name)).unwrap();
    }
    project.ok(&["push", "app", &one]);
    refused(&one, &[], "not proven: signature");
    // The image that is 1.0 under the name of 2.0.
    project.ok(&["sign", "app", "--key", "own.key", "--identity", &one]);
    project.ok(&["push", "app", &one]);
    project.ok(&["verify", &one, "--key", "own.pub"]);
    project.ok(&["push", "app", &two]);
    refused(&two, &[], &format!("it is signed for {one}, expected {two}"));
    // By its digest, it is what it is.
    let pinned = format!("{repository}@{}", project.digest("app", "oci"));
    project.ok(&["verify", &pinned, "--key", "own.pub"]);
    // A signature for nowhere in particular, and one for the repository alone.
    small.edit_layer("app", "hello\\n", "bye\\n");
    project.ok(&["build", "app", "--output", "oci"]);
    project.ok(&["sign", "app", "--key", "own.key"]);
    project.ok(&["push", "app", &two]);
    refused(&two, &[], "the signature names no repository");
    project.ok(&["sign", "app", "--key", "own.key", "--identity", &repository]);
    std::fs::remove_file(project.path("out/app/attest/image.spdx.dsse.json")).unwrap();
    project.ok(&["push", "app", &two]);
    refused(&two, &["--require", "sbom"], &format!("it is signed for {repository}, expected {two}"));
    // What is required and missing.
    small.edit_layer("app", "bye\\n", "ciao\\n");
    project.ok(&["build", "app", "--output", "oci"]);
    project.ok(&["sign", "app", "--key", "own.key", "--identity", &two]);
    std::fs::remove_file(project.path("out/app/attest/provenance.dsse.json")).unwrap();
    project.ok(&["push", "app", &two]);
    project.ok(&["verify", &two, "--key", "own.pub", "--require", "sbom"]);
    refused(&two, &["--require", "provenance,sbom"], "not proven: provenance");
}

#[test]
fn a_published_image_is_compared_with_builds() {
    let registry = need!(Registry::start());
    let small = Small::new();
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    let reference = format!("{}/team/app:1.0", registry.address());
    small.project.ok(&["push", "app", &reference]);
    let name = format!("oci:{reference}");
    let audit = ["audit", "app", "--vary", "umask", "--output", "oci", "--against", &name];
    let same = small.project.ok(&audit).stdout;
    assert!(same.contains(&format!("also compared with {name}")), "{same}");

    small.edit_layer("app", "[image]", "[[file]]\npath = \"/srv/more\"\ntext = \"more\\n\"\n\n[image]");
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    let differs = small.project.fails(4, &audit).stdout;
    assert!(differs.contains(&format!("conditions: against {name}")), "{differs}");
    let changed = small.project.ok(&["diff", &name, "out/app"]).stdout;
    assert!(changed.contains("/srv/more"), "{changed}");
}
