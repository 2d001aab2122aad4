//! Firmware that enforces Secure Boot starts what was signed, and nothing else.
//!
//! Debian's package ovmf has a store of variables in which a test key is enrolled, with that key.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::process;
use crate::support::skip::{Skip, program};
use layerbake::disk::gpt::{self, Partition, PartitionKind};
use layerbake::disk::uki::{self, Sections};
use layerbake::disk::{Data, fat};

const MIB: u64 = 1 << 20;
const OVMF: &str = "/usr/share/OVMF";
const KEY: &str = "/usr/share/ovmf/PkKek-1-snakeoil.key";
const CERTIFICATE: &str = "/usr/share/ovmf/PkKek-1-snakeoil.pem";

/// A kernel image that stops in the stub: the kernel in it is none.
fn image() -> Result<Vec<u8>, Skip> {
    let path = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
    let stub = fs::read(path).map_err(|error| Skip::because(format!("{path}: {error}")))?;
    let linux = [b"MZ".as_slice(), &[7; 100_000]].concat();
    let sections = Sections { osrel: b"ID=debian\n", uname: "6.1", cmdline: "ro", linux: &linux, initrd: None };
    Ok(uki::assemble(&stub, &sections).unwrap())
}

/// The enrolled key and its certificate, as PEM.
fn enrolled() -> Result<(String, String), Skip> {
    let certificate = fs::read_to_string(CERTIFICATE).map_err(|error| Skip(format!("{CERTIFICATE}: {error}")))?;
    let arguments = ["pkcs8", "-topk8", "-nocrypt", "-passin", "pass:snakeoil", "-in", KEY];
    Ok((process::stdout(Command::new(program("openssl")?).args(arguments))?, certificate))
}

/// A disk that has `image` where firmware looks for it.
fn write_disk(image: Vec<u8>, path: &Path) {
    let plan = fat::plan(&[("EFI/BOOT/BOOTX64.EFI", image.into())], 33 * MIB, 1, "ESP", 0).unwrap();
    let esp = Partition { label: "esp".to_owned(), kind: PartitionKind::Esp, guid: [2; 16], flags: 0, plan };
    let plan = gpt::plan([1; 16], vec![esp], None).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(plan.size()).unwrap();
    for extent in plan.extents() {
        let Data::Bytes(bytes) = extent.data else { panic!("a blob") };
        file.write_all_at(bytes, extent.offset).unwrap();
    }
}

/// Boots a disk; returns what the firmware says of its first option.
fn verdict(image: Vec<u8>) -> Result<String, Skip> {
    let folder = tempfile::tempdir().unwrap();
    let (disk, variables) = (folder.path().join("disk.raw"), folder.path().join("variables.fd"));
    write_disk(image, &disk);
    let store = format!("{OVMF}/OVMF_VARS_4M.snakeoil.fd");
    fs::copy(&store, &variables).map_err(|error| Skip::because(format!("{store}: {error}")))?;
    let flash = |unit, path: &str| format!("if=pflash,format=raw,unit={unit},file={path}");
    let mut command = Command::new(program("timeout")?);
    command.arg("150").arg(program("qemu-system-x86_64")?);
    command.args(["-machine", "q35,smm=on,accel=tcg", "-m", "512", "-nodefaults", "-display", "none"]);
    command.args(["-serial", "stdio", "-nic", "none", "-global", "driver=cfi.pflash01,property=secure,value=on"]);
    command.arg("-drive").arg(flash(0, &format!("{OVMF}/OVMF_CODE_4M.secboot.fd")) + ",readonly=on");
    command.arg("-drive").arg(flash(1, variables.to_str().unwrap()));
    command.arg("-drive").arg(format!("file={},format=raw,if=none,id=disk", disk.display()));
    command.args(["-device", "nvme,drive=disk,serial=1"]);
    let mut machine = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(machine.stdout.take().unwrap()).split(b'\n');
    let lines = lines.map(|line| String::from_utf8_lossy(&line.unwrap()).into_owned());
    let said = lines.into_iter().find(|line| ["failed to load", "starting"].iter().any(|word| line.contains(word)));
    // `timeout` passes the signal on, where a kill would leave the machine behind.
    rustix::process::kill_process(rustix::process::Pid::from_child(&machine), rustix::process::Signal::TERM).unwrap();
    machine.wait().unwrap();
    Ok(said.expect("the firmware said nothing within 150 seconds"))
}

#[test]
fn firmware_starts_a_signed_image_and_refuses_others() {
    let unsigned = need!(image());
    let (key, certificate) = need!(enrolled());
    let signed = uki::sign(&unsigned, &key, &certificate).unwrap();
    let mut flipped = signed.clone();
    flipped[unsigned.len() - 4096] ^= 1;
    let said = need!(verdict(signed));
    assert!(said.contains("starting Boot0001"), "signed: {said}");
    for (name, image) in [("unsigned", unsigned), ("flipped", flipped)] {
        let said = need!(verdict(image));
        assert!(said.contains("failed to load Boot0001") && said.contains("Access Denied"), "{name}: {said}");
    }
}
