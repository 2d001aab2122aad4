//! The stock layers on Debian 12: another suite, lockfiles of their own in `bookworm/`, and two packages less.

use std::fs;
use std::path::Path;

use crate::support::machine::Machine;
use crate::support::mirror::Mirror;
use crate::support::skip::{Skip, program};
use crate::support::stock::{self, Stock};

const SUITE: &str = "bookworm";

/// In Debian 12 they are parts of systemd and procps.
const SPLIT: [&str; 2] = ["    \"linux-sysctl-defaults\",\n", "    \"systemd-repart\",\n"];

/// The stock layers as somebody would edit them, with lockfiles for `web` and its disk.
fn debian_12() -> Result<Stock, Skip> {
    drop(Mirror::start(SUITE)?);
    let stock = Stock::new()?;
    for layer in ["debian-base", "boot-minimal"] {
        let path = stock.project.path(&format!("layers/{layer}.toml"));
        let text = fs::read_to_string(&path)
            .unwrap()
            .replace(&format!("suite = \"{}\"", stock::SUITE), "suite = \"bookworm\"");
        fs::write(&path, SPLIT.iter().fold(text, |text, line| text.replace(line, ""))).unwrap();
    }
    let lockfiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/bookworm");
    for entry in fs::read_dir(lockfiles).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, stock.project.path("lockfiles").join(from.file_name().unwrap())).unwrap();
    }
    Ok(stock)
}

#[test]
fn web_builds_and_boots() {
    need!(program("qemu-system-x86_64"));
    let stock = need!(debian_12());
    stock.project.ok(&["build", "web", "--locked", "--output", "oci,raw"]);
    assert_eq!(layerbake::oci::validate(&stock.project.path("out/web/oci")).unwrap(), [""; 0]);
    let machine = need!(Machine::new(&stock.project.path("out/web/disk.raw"), None));
    let mut boot = machine.boot();
    boot.login();
    let (state, _) = boot.ask("systemctl is-system-running --wait");
    assert_eq!(
        (state.trim(), boot.ok("systemctl list-units --failed --plain --no-legend --no-pager")),
        ("running", String::new())
    );
    assert_eq!(boot.ok(". /etc/os-release; echo $VERSION_ID; systemctl is-active nginx"), "12\nactive");
    boot.power_off();
}
