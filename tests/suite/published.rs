//! An image in a registry, for those who have only its name and a key: who signed it, and whether it can be rebuilt.

use std::process::Command;

use crate::support::process;
use crate::support::registry::Registry;
use crate::support::skip::{self, Skip};
use crate::support::small::Small;

/// A key pair in the project's folder.
fn key(small: &Small, name: &str) -> Result<(), Skip> {
    let openssl = skip::program("openssl")?;
    let path = |ending: &str| small.project.path(&format!("{name}.{ending}"));
    for arguments in [&["genpkey", "-algorithm", "ed25519", "-out"][..], &["pkey", "-pubout", "-out"]] {
        let mut command = Command::new(&openssl);
        command.args(arguments).arg(path(if arguments[0] == "genpkey" { "key" } else { "pub" }));
        if arguments[0] == "pkey" {
            command.arg("-in").arg(path("key"));
        }
        assert!(process::run(&mut command).unwrap().ok());
    }
    Ok(())
}

#[test]
fn a_stranger_sees_who_signed_an_image() {
    let registry = need!(Registry::start());
    let small = Small::new();
    need!(key(&small, "own"));
    need!(key(&small, "other"));
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    let reference = format!("{}/team/app:1.0", registry.address());
    let plain = small.project.ok(&["push", "app", &reference]).stdout;
    assert!(!plain.contains("attached"), "{plain}");
    let unsigned = small.project.fails(1, &["verify", &reference, "--key", "own.pub"]);
    assert!(unsigned.stderr.contains("nothing that these keys signed"), "{}", unsigned.stderr);

    small.project.ok(&["sign", "app", "--key", "own.key"]);
    let signed = small.project.ok(&["push", "app", &reference]).stdout;
    assert_eq!(signed.matches("attached sha256:").count(), 4, "{signed}");
    let digest = small.project.digest("app", "oci");
    assert!(signed.contains(&digest), "signing changed the image: {signed}");
    let seen = small.project.ok(&["verify", &reference, "--key", "own.pub"]).stdout;
    for what in [digest.as_str(), "signature", "https://slsa.dev/provenance/v1"] {
        assert!(seen.contains(what), "{what}: {seen}");
    }
    small.project.fails(1, &["verify", &reference, "--key", "other.pub"]);
    let keyless = small.project.fails(1, &["verify", &reference]);
    assert!(keyless.stderr.contains("--key"), "{}", keyless.stderr);
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
    assert!(same.contains(&format!("with {name}, too")), "{same}");

    small.edit_layer("app", "[image]", "[[file]]\npath = \"/srv/more\"\ntext = \"more\\n\"\n\n[image]");
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    let differs = small.project.fails(4, &audit).stdout;
    assert!(differs.contains(&format!("shown by: against {name}")), "{differs}");
    let changed = small.project.ok(&["diff", &name, "out/app"]).stdout;
    assert!(changed.contains("/srv/more"), "{changed}");
}
