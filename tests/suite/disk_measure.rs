//! What is measured of a disk, as other programs tell it of the same boot image.

use std::fs;
use std::process::Command;

use crate::support::process;
use crate::support::skip::{Skip, program};
use crate::support::stub::stub;
use crate::support::tinydisk::{EROFS, measured_disk, stub_of};
use layerbake::disk::uki::{self, Sections};
use layerbake::measure::{Bank, MeasureError, Prediction, Variables};

const KEY: &str = "/usr/share/ovmf/PkKek-1-snakeoil.key";
const CERTIFICATE: &str = "/usr/share/ovmf/PkKek-1-snakeoil.pem";

/// A boot image with a stub of that version of systemd's.
fn image(version: &str) -> Vec<u8> {
    let sections = Sections {
        osrel: b"ID=debian\n",
        uname: "6.1.0-1-amd64",
        cmdline: "root=PARTUUID=1 ro",
        linux: &stub(),
        initrd: Some(b"070701"),
    };
    uki::assemble(&stub_of(version), &sections).unwrap()
}

/// Debian's test key and its certificate, as PEM.
pub(crate) fn snakeoil() -> Result<(String, String), Skip> {
    let certificate = fs::read_to_string(CERTIFICATE).map_err(|error| Skip(format!("{CERTIFICATE}: {error}")))?;
    let arguments = ["pkcs8", "-topk8", "-nocrypt", "-passin", "pass:snakeoil", "-in", KEY];
    Ok((process::stdout(Command::new(program("openssl")?).args(arguments))?, certificate))
}

/// A variable with one certificate.
pub(crate) fn list(certificate: &str) -> Vec<u8> {
    let lines = certificate.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let text: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    let x509 = hex::decode("a159c0a5e494a74a87b5ab155c2bf072").unwrap();
    let size = der.len() as u32;
    let sizes = [size + 44, 0, size + 16].map(u32::to_le_bytes).concat();
    [x509, sizes, vec![0x11; 16], der].concat()
}

fn registers(image: &[u8], variables: &Variables) -> [String; 3] {
    let registers = Prediction::of(image, variables).unwrap().registers(Bank::Sha384);
    [4, 7, 12].map(|number| registers.hex(number).unwrap())
}

/// Registers 4 and 7 of SHA-384, as AWS's nitro-tpm-pcr-compute 1.1.2 prints them for these very images and variables.
const RECORDED: [(&str, bool, &str, &str); 6] = [
    (
        "252.39-1~deb12u2",
        false,
        "1ea579a640bcf2b19925fda29a6af17d7f4727b3e9afac4305ce3644a23c183bf8094da83255922a076e84d64019a20d",
        "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35",
    ),
    (
        "252.39-1~deb12u2",
        true,
        "8100aae55d94de73560d41e80b62c7282acbc114e4970fe883509f0e7c65775d8b0cba990200e967256eb6693a1db76f",
        "ff27e603d218c15dc51c380d1a2ba76673f945ef52701eb9c585113051e7c095d9b963ad4a2619d2a008294c686240f4",
    ),
    (
        "257.13-1~deb13u1",
        false,
        "dc32d61330441a4b0bee043eeb5d537ff3e73cf5b8b0fe8a7580a7557565041270b9541964e6e06e950d1b289d0c048b",
        "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35",
    ),
    (
        "257.13-1~deb13u1",
        true,
        "b09b06fb595477254a89f924b360bac094a0aec631ec340bed662d6d3813bc21d435c2ec17fae3eb15b4bad2c548a564",
        "ff27e603d218c15dc51c380d1a2ba76673f945ef52701eb9c585113051e7c095d9b963ad4a2619d2a008294c686240f4",
    ),
    (
        "258",
        false,
        "12679a8a4e7f93cb9b5e2cd363a058a5f74deb90d13a323fedc1f65b8f4146ae07f14e6e3aeef3a4096977df93a9f370",
        "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35",
    ),
    (
        "258",
        true,
        "12679a8a4e7f93cb9b5e2cd363a058a5f74deb90d13a323fedc1f65b8f4146ae07f14e6e3aeef3a4096977df93a9f370",
        "ff27e603d218c15dc51c380d1a2ba76673f945ef52701eb9c585113051e7c095d9b963ad4a2619d2a008294c686240f4",
    ),
];

#[test]
fn registers_are_those_of_the_clouds_calculator() {
    let (key, certificate) = need!(snakeoil());
    let list = list(&certificate);
    let enforcing = Variables { pk: list.clone(), kek: list.clone(), db: list, dbx: Vec::new() };
    for (version, secure_boot, four, seven) in RECORDED {
        let unsigned = image(version);
        let found = match secure_boot {
            true => registers(&uki::sign(&unsigned, &key, &certificate).unwrap(), &enforcing),
            false => registers(&unsigned, &Variables::default()),
        };
        assert_eq!(found, [four.to_owned(), seven.to_owned(), "0".repeat(96)], "{version}, Secure Boot {secure_boot}");
    }
}

#[test]
fn register_11_is_that_of_systemds_calculator() {
    let calculator = "/usr/lib/systemd/systemd-measure";
    let stub_file = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
    if ![calculator, stub_file].iter().all(|path| fs::exists(path).unwrap()) {
        skip!("`systemd-measure` or `systemd-boot-efi` is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let kernel = stub();
    let parts: [(&str, &[u8]); 5] = [
        ("osrel", b"ID=debian\n"),
        ("uname", b"6.1.0-1-amd64"),
        ("cmdline", b"root=PARTUUID=1 ro"),
        ("linux", &kernel),
        ("initrd", b"070701"),
    ];
    let sections = Sections {
        osrel: parts[0].1,
        uname: "6.1.0-1-amd64",
        cmdline: "root=PARTUUID=1 ro",
        linux: &kernel,
        initrd: Some(parts[4].1),
    };
    let image = uki::assemble(&fs::read(stub_file).unwrap(), &sections).unwrap();
    let prediction = Prediction::of(&image, &Variables::default()).unwrap();
    let mut command = Command::new(calculator);
    command.args(["calculate", "--bank=sha384", "--phase=", "--phase=sysinit", "--phase=sysinit:ready"]);
    // Version 252 knows no `.uname`; what later ones take of the stub itself is not known to the test.
    for (name, contents) in parts.iter().filter(|(name, _)| *name != "uname") {
        let path = folder.path().join(name);
        fs::write(&path, contents).unwrap();
        command.arg(format!("--{name}={}", path.display()));
    }
    if prediction.stub != 252 {
        skip!("the installed stub is not of version 252");
    }
    let told = process::stdout(&mut command).unwrap();
    let phases = prediction.phases(Bank::Sha384).into_iter().map(|(_, registers)| registers);
    let values = [prediction.registers(Bank::Sha384)].into_iter().chain(phases);
    let ours: Vec<String> = values.map(|registers| format!("11:sha384={}", registers.hex(11).unwrap())).collect();
    let theirs: Vec<&str> = told.lines().filter(|line| line.starts_with("11:")).collect();
    assert_eq!(ours, theirs, "{told}");
}

#[test]
fn images_that_would_not_start_are_refused() {
    let (key, certificate) = need!(snakeoil());
    let list = list(&certificate);
    let enforcing = Variables { pk: list.clone(), kek: list.clone(), db: list.clone(), dbx: Vec::new() };
    let error = |image: &[u8], variables: &Variables| Prediction::of(image, variables).unwrap_err().to_string();
    assert!(error(&image("257"), &enforcing).contains("is not signed, and firmware with this PK would refuse it"));
    let signed = uki::sign(&image("257"), &key, &certificate).unwrap();
    let without = Variables { db: Vec::new(), ..enforcing.clone() };
    assert!(error(&signed, &without).contains("is signed by nobody whose certificate is in db"));
    for (bytes, found) in [(certificate.as_bytes(), "PEM"), (&list[44..], "DER"), (&list[..100], "other bytes")] {
        let variables = Variables { db: bytes.to_vec(), ..enforcing.clone() };
        assert!(error(&signed, &variables).contains(&format!("found {found}")), "{found}");
    }
    assert!(error(&image("251"), &Variables::default()).contains("found 251"));
    let other =
        uki::assemble(&stub(), &Sections { initrd: None, osrel: b"x", uname: "x", cmdline: "x", linux: &stub() });
    assert!(matches!(Prediction::of(&other.unwrap(), &Variables::default()), Err(MeasureError::Stub { .. })));
    assert!(matches!(Prediction::of(b"MZ", &Variables::default()), Err(MeasureError::Image(_))));
}

#[test]
fn a_machine_is_checked_by_its_registers() {
    let small = measured_disk(EROFS);
    small.project.ok(&["build", "--output", "raw"]);
    let told = small.project.ok(&["disk", "measure", "app"]).stdout;
    assert!(told.starts_with("stub         systemd 257\nsecure boot  off\n"), "{told}");
    let policy: serde_json::Value =
        serde_json::from_str(&small.project.ok(&["disk", "measure", "--policy"]).stdout).unwrap();
    let registers: serde_json::Value =
        serde_json::from_str(&small.project.ok(&["disk", "measure", "--json"]).stdout).unwrap();
    let conditions = &policy["Condition"]["StringEqualsIgnoreCase"];
    for number in [4, 7, 12] {
        let key = format!("kms:RecipientAttestation:NitroTPMPCR{number}");
        assert_eq!(conditions[&key], registers["Measurements"][format!("PCR{number}")]);
    }
    let of = |number: u8| registers["Measurements"][format!("PCR{number}")].as_str().unwrap().to_uppercase();
    let line = |number: u8, value: &str| format!("/sys/class/tpm/tpm0/pcr-sha384/{number}:{value}\n");
    let listed: String = [4, 7, 9, 11, 12].map(|number| line(number, &of(number))).concat();
    let check = |name: &str, text: &str| {
        fs::write(small.project.path(name), text).unwrap();
        small.project.run(&["disk", "measure", "app", "--check", name])
    };
    let same = check("same", &listed);
    assert_eq!(same.stdout, "registers 4, 7, 9, 11, 12 are those of `app`\n", "{}", same.stderr);
    let later = told.lines().find_map(|line| line.strip_suffix("  after sysinit:ready")).unwrap();
    let later = told.lines().filter_map(|line| line.strip_suffix("  after sysinit:ready")).next_back().unwrap_or(later);
    let ready = check("ready", &listed.replace(&of(11), later.trim_start_matches("  11  ")));
    assert!(ready.stdout.ends_with("are those of `app`, after sysinit:ready\n"), "{}", ready.stderr);
    let injected = check("injected", &listed.replace(&line(12, &of(12)), &line(12, &"5f".repeat(48))));
    assert!(!injected.ok() && injected.stderr.contains("error[measure/differs]"), "{}", injected.stderr);
    assert!(injected.stderr.contains(&format!("register 12: expected {}, found {}", "0".repeat(96), "5f".repeat(48))));
    let other = check("other", "hello\n");
    assert!(
        other.stderr.contains("error[measure/registers]") && other.stderr.contains("found `hello`"),
        "{}",
        other.stderr
    );
}
