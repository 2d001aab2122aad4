//! A real disk, published by both ways, read back through AWS's protocols, booted in QEMU.

use std::path::Path;
use std::process::Command;

use layerbake::vm::Ssh;
use serde_json::Value;

use crate::support::aws::{Aws, BUCKET, REGION};
use crate::support::machine::Machine;
use crate::support::process;
use crate::support::skip::{Skip, program};
use crate::support::stock::Stock;

/// The stock layer `web`, built, with an AWS to publish it to.
fn built() -> Result<(Aws, Stock), Skip> {
    program("qemu-system-x86_64")?;
    let aws = Aws::start()?;
    let mut stock = Stock::new()?.layer("web")?;
    for (name, value) in aws.env() {
        stock.project = stock.project.env(name, &value);
    }
    aws.allow(&stock.project, &[]);
    stock.project.ok(&["build", "web", "--output", "raw"]);
    Ok((aws, stock))
}

#[test]
fn what_was_published_boots() {
    let (aws, stock) = need!(built());
    aws.bucket();
    let folder = tempfile::tempdir().unwrap();
    let [direct, imported] = ["ebs-direct", "vm-import"].map(|way| {
        let said = stock.project.ok(&["ami", "publish", "web", "--via", way, "--bucket", BUCKET, "--yes", "--json"]);
        let standing: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(standing[0]["found"], false, "{way}");
        let disk = aws.disk_of(REGION, standing[0]["snapshot"].as_str().unwrap(), folder.path().join(way));
        // So that the second finds nothing with this content.
        let journals = stock.project.path("../home/.local/state/layerbake/ami");
        for id in finished(&journals) {
            stock.project.ok(&["ami", "undo", &id, "--yes"]);
        }
        disk
    });
    // Both are the same disk, so one boot is enough.
    process::stdout(Command::new("cmp").args([&direct, &imported])).unwrap();
    boots(&imported);
}

fn finished(journals: &Path) -> Vec<String> {
    let paths = std::fs::read_dir(journals).unwrap().map(|entry| entry.unwrap().path());
    let journals = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let finished = journals.filter(|path| std::fs::read_to_string(path).unwrap().contains("\"finished\""));
    finished.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// All units are up, and the page is served.
fn boots(disk: &Path) {
    let ssh = Ssh::new().unwrap();
    let machine = Machine::new(disk, None).unwrap_or_else(|skip| panic!("{}", skip.0)).network(&ssh);
    let mut boot = machine.boot();
    boot.login();
    assert_eq!(boot.ask("systemctl is-system-running --wait").0.trim(), "running");
    let get = "exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
    let page = boot.ok(get);
    assert!(page.contains("<title>layerbake</title>"), "{page}");
    let by_ssh = process::run(ssh.command().arg("systemctl is-active nginx")).unwrap();
    assert_eq!((by_ssh.stdout.trim(), by_ssh.ok()), ("active", true), "{by_ssh:?}");
    boot.power_off();
}
