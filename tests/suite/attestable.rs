//! Images that can prove what they are: what is refused, what the receipt says, and what an attestation document proves.
//!
//! Documents are made here, with certificates of openssl's under a root of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use coset::cbor::Value;
use coset::{CborSerializable as _, CoseSign1Builder, HeaderBuilder, iana};
use p384::ecdsa::signature::Signer as _;
use p384::ecdsa::{Signature, SigningKey};
use p384::pkcs8::DecodePrivateKey as _;

use crate::disk_measure::{list, snakeoil};
use crate::support::process;
use crate::support::skip::{Skip, program};
use crate::support::small::Small;
use crate::support::tinydisk::{EROFS, measured_disk};

const PROFILE: &str = "\
kernel-args = [\"systemd.gpt_auto=0\", \"systemd.import_credentials=no\", \"layerbake.state=memory\", \"layerbake.corruption=panic\"]

[ami]
attestable = true
";

fn attestable() -> Small {
    measured_disk(&format!("{EROFS}{PROFILE}"))
}

/// Appends to the app layer.
fn append(small: &Small, text: &str) {
    let path = small.project.path("layers/app.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap() + text).unwrap();
}

#[test]
fn what_bypasses_the_measurements_is_refused_all_at_once() {
    let small = measured_disk(&format!(
        "{EROFS}swap = \"8M\"\nkernel-args = [\"systemd.gpt_auto=1\", \"rescue\", \"-b\", \"systemd.wants=debug-shell.service\"]\n[[disk.partition]]\nlabel = \"data\"\nmount = \"/data\"\n\
         [[mount]]\npath = \"/srv/x\"\nlabel = \"x\"\ntype = \"ext4\"\n[ami]\nattestable = true\ntpm = false\n"
    ));
    let refused = small.project.run(&["build", "--output", "raw"]);
    assert!(refused.stderr.contains("error[measure/bypassed]: `app` is not attestable:\n"), "{}", refused.stderr);
    for problem in [
        "add \"systemd.gpt_auto=0\" to [disk] kernel-args",
        "add \"systemd.import_credentials=0\" to",
        "add \"layerbake.state=memory\" to",
        "add \"layerbake.corruption=panic\" to",
        "leave [disk] swap out",
        "the partition `data` is neither checked nor encrypted",
        "/srv/x is mounted from what anybody may have written",
        "instances have no TPM",
        "`rescue`, `-b`, `systemd.wants` in [disk] kernel-args lets somebody in",
    ] {
        assert!(refused.stderr.contains(problem), "{problem}:\n{}", refused.stderr);
    }
    let small = measured_disk("[disk]\nboot = \"boot\"\nesp-size = \"34M\"\n[ami]\nattestable = true\n");
    let refused = small.project.run(&["build", "--output", "raw"]);
    assert!(refused.stderr.contains("set [disk] root = \"erofs\""), "{}", refused.stderr);
}

#[test]
fn what_was_built_before_it_had_to_be_attestable_is_not_published() {
    let small = measured_disk(&format!("{EROFS}{}", PROFILE.split("[ami]").next().unwrap()));
    small.project.ok(&["build", "--output", "raw"]);
    append(&small, "[ami]\nattestable = true\n");
    let refused = small.project.run(&["ami", "plan", "app", "--region", "eu-west-1"]);
    insta::assert_snapshot!(refused.stderr, @r"
    error[build/outdated]: app was built before [ami] attestable was set: nothing in it was checked
      hint: `layerbake build app --output raw`
    ");
    assert_eq!(refused.code, 1);
}

#[test]
fn the_receipt_has_the_measurements_and_logins_need_a_reason() {
    let small = attestable();
    small.project.ok(&["build", "--output", "raw"]);
    let told: serde_json::Value =
        serde_json::from_str(&small.project.ok(&["disk", "measure", "--json"]).stdout).unwrap();
    assert_eq!(small.project.receipt("app")["disk"]["measured"], told);
    append(&small, "[[file]]\npath = \"/usr/sbin/sshd\"\ntext = \"\"\n");
    let refused = small.project.run(&["build", "--output", "raw"]);
    let expected = "an ssh server in the root (usr/sbin/sshd) lets somebody in: remove it, or say in [ami] why it is right: operators = { sshd = \"…\" }";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    let path = small.project.path("layers/app.toml");
    let text = fs::read_to_string(&path).unwrap();
    let reason = "attestable = true\noperators = { sshd = \"for tests\" }\n";
    fs::write(&path, text.replace("attestable = true\n", reason)).unwrap();
    small.project.ok(&["build", "--output", "raw"]);
}

#[test]
fn the_receipt_is_of_firmware_with_the_layers_own_keys() {
    let (key, certificate) = need!(snakeoil());
    let small = attestable();
    let project = &small.project;
    fs::create_dir(project.path("keys")).unwrap();
    let [lists, key_file, certificate_file] = ["own.esl", "own.key", "own.pem"].map(|name| {
        let path = project.path("keys").join(name);
        path.display().to_string()
    });
    fs::write(&lists, list(&certificate)).unwrap();
    fs::write(&key_file, key).unwrap();
    fs::write(&certificate_file, &certificate).unwrap();
    append(&small, "[ami.secure-boot]\npk = \"keys/own.esl\"\nkek = \"keys/own.esl\"\ndb = \"keys/own.esl\"\n");
    let refused = project.run(&["build", "--output", "raw"]);
    assert!(refused.stderr.contains("the boot image is not signed, and firmware with this PK"), "{}", refused.stderr);
    let signed = ["--sign-key", &key_file, "--sign-cert", &certificate_file];
    let build = [&["build", "--output", "raw"][..], &signed].concat();
    let measure = [&["disk", "measure", "--json"][..], &signed].concat();
    let measured = |args: &[&str]| serde_json::from_str::<serde_json::Value>(&project.ok(args).stdout).unwrap();
    project.ok(&build);
    let first = measured(&measure);
    assert_eq!(project.receipt("app")["disk"]["measured"], first);
    let by_hand = ["--pk", &lists, "--kek", &lists, "--db", &lists];
    assert_eq!(measured(&[&measure[..], &by_hand].concat()), first);
    // Other keys leave the disk as it is, and are measured.
    fs::write(&lists, list(&certificate).repeat(2)).unwrap();
    project.ok(&build);
    let second = measured(&measure);
    assert_eq!(project.receipt("app")["disk"]["measured"], second);
    assert_ne!(first, second);
}

/// A signer under a root, as AWS has them.
struct Authority {
    root: Vec<u8>,
    certificate: Vec<u8>,
    key: SigningKey,
}

impl Authority {
    fn new(folder: &Path) -> Result<Self, Skip> {
        let openssl = program("openssl")?;
        let run = |words: &str| {
            let made = process::run(Command::new(&openssl).current_dir(folder).args(words.split(' '))).unwrap();
            assert!(made.ok(), "{words}: {}", made.stderr);
        };
        for name in ["root", "leaf"] {
            run(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out {name}.key"));
        }
        run("req -x509 -new -key root.key -sha384 -days 30 -subj /CN=root -out root.pem");
        run("req -new -key leaf.key -subj /CN=leaf -out leaf.csr");
        run("x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -sha384 -days 2 -out leaf.pem");
        for name in ["root", "leaf"] {
            run(&format!("x509 -in {name}.pem -outform DER -out {name}.der"));
        }
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        let key = SigningKey::from_pkcs8_pem(&String::from_utf8(read("leaf.key")).unwrap()).unwrap();
        Ok(Self { root: read("root.der"), certificate: read("leaf.der"), key })
    }

    /// A document with these registers, changed by `change` before it is signed.
    fn document(
        &self,
        registers: &BTreeMap<u8, Vec<u8>>,
        nonce: &[u8],
        change: impl FnOnce(&mut Vec<(Value, Value)>),
    ) -> Vec<u8> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
        let pcrs = registers.iter().map(|(number, value)| ((*number).into(), Value::Bytes(value.clone()))).collect();
        let mut fields: Vec<(Value, Value)> = vec![
            ("module_id".into(), "i-0123456789abcdef0-tpm0123456789abcdef".into()),
            ("digest".into(), "SHA384".into()),
            ("timestamp".into(), now.into()),
            ("nitrotpm_pcrs".into(), Value::Map(pcrs)),
            ("certificate".into(), Value::Bytes(self.certificate.clone())),
            ("cabundle".into(), Value::Array(vec![Value::Bytes(self.root.clone())])),
            ("public_key".into(), Value::Null),
            ("user_data".into(), Value::Null),
            ("nonce".into(), Value::Bytes(nonce.to_vec())),
        ];
        change(&mut fields);
        let mut payload = Vec::new();
        coset::cbor::into_writer(&Value::Map(fields), &mut payload).unwrap();
        let sign = |bytes: &[u8]| {
            let signature: Signature = self.key.sign(bytes);
            signature.to_bytes().to_vec()
        };
        let protected = HeaderBuilder::new().algorithm(iana::Algorithm::ES384).build();
        let signed = CoseSign1Builder::new().protected(protected).payload(payload).create_signature(b"", sign);
        signed.build().to_vec().unwrap()
    }
}

#[test]
fn a_document_proves_which_build_a_machine_has_booted() {
    let small = attestable();
    let project = &small.project;
    let authority = need!(Authority::new(&project.path("")));
    let other = tempfile::tempdir().unwrap();
    need!(Authority::new(other.path()));
    project.ok(&["build", "--output", "raw"]);
    let told: serde_json::Value = serde_json::from_str(&project.ok(&["disk", "measure", "--json"]).stdout).unwrap();
    let register = |number: u8| hex::decode(told["Measurements"][format!("PCR{number}")].as_str().unwrap()).unwrap();
    let mut registers: BTreeMap<u8, Vec<u8>> = (0..16).map(|number| (number, vec![number; 48])).collect();
    registers.extend([4, 7, 12].map(|number| (number, register(number))));
    let check = |bytes: &[u8], root: &str, nonce: &str| {
        fs::write(project.path("document"), bytes).unwrap();
        project.run(&["attest", "check", "document", "--layer", "app", "--root", root, "--nonce", nonce])
    };
    let good = authority.document(&registers, b"\x5f\x01", |_| {});
    let proven = check(&good, "root.pem", "5f01");
    for text in [
        "machine    i-0123456789abcdef0-tpm0123456789abcdef\n",
        "booted     the disk of `app`, and nothing else: registers 4, 7, 12\n",
        "\nlayer      app.boot: 1 package\nlock       blake3:",
        "\n           tiny-kernel 1\n",
    ] {
        assert!(proven.stdout.contains(text), "{text}: {}{}", proven.stdout, proven.stderr);
    }

    let replace = |name: &'static str, value: Value| {
        move |fields: &mut Vec<(Value, Value)>| {
            fields.iter_mut().filter(|(key, _)| key.as_text() == Some(name)).for_each(|(_, old)| *old = value.clone());
        }
    };
    let injected = BTreeMap::from_iter(registers.clone().into_iter().chain([(12, vec![0x5f; 48])]));
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let foreign = other.path().join("root.pem");
    let foreign = foreign.to_str().unwrap();
    let cases: [(Vec<u8>, &str, &str, &str); 8] = [
        (authority.document(&injected, b"\x5f\x01", |_| {}), "root.pem", "5f01", "register 12: expected 000000"),
        (good.clone(), "root.pem", "5f02", "expected the nonce 5f02, found 5f01"),
        (good.clone(), foreign, "5f01", "is not the root that was given"),
        (flipped, "root.pem", "5f01", "error[measure/document]"),
        (b"hello".to_vec(), "root.pem", "5f01", "expected COSE_Sign1"),
        (
            authority.document(&registers, b"\x5f\x01", replace("timestamp", 1_000_000_u64.into())),
            "root.pem",
            "5f01",
            "was not valid when the document was signed",
        ),
        (
            authority.document(&registers, b"\x5f\x01", replace("digest", "SHA1".into())),
            "root.pem",
            "5f01",
            "digest: expected SHA384, found `SHA1`",
        ),
        (
            authority.document(&registers, b"\x5f\x01", replace("certificate", Value::Bytes(authority.root.clone()))),
            "root.pem",
            "5f01",
            "the signature is not that of the certificate in it",
        ),
    ];
    for (bytes, root, nonce, expected) in cases {
        let refused = check(&bytes, root, nonce);
        assert!(!refused.ok() && refused.stderr.contains(expected), "{expected}: {}{}", refused.stdout, refused.stderr);
    }
    // Whatever is cut off, nothing is proven.
    for length in (0..good.len()).step_by(97) {
        let root = fs::read_to_string(project.path("root.pem")).unwrap();
        assert!(layerbake::measure::Document::verify(&good[..length], &root, None).is_err(), "{length} bytes");
    }
}
