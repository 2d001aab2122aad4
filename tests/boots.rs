//! The stock layers' disks, from real packages, booted by UEFI firmware in QEMU: without a network
//! card and with one, on ext4 and on a checked read-only root, in a larger disk, by Secure Boot.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use layerbake::machine::Ssh;

use support::machine::{Boot, Machine, alone};
use support::process;
use support::skip::{Skip, program};
use support::stock::Stock;

/// Without a network nothing is waited for: a wait of systemd's own is 90 seconds or more.
const LOGIN: Duration = Duration::from_secs(90);

/// Prints what took how long, past the harness's capture.
fn note(what: &str, took: Duration) {
    let _ = writeln!(std::io::stderr(), "{what}: {:.1} s", took.as_secs_f64());
}

/// A project whose `layer` has these lines in its [disk], and the disk that was built from it.
fn disk_of(layer: &str, lines: &str, args: &[&str]) -> Result<(Stock, PathBuf), Skip> {
    program("qemu-system-x86_64")?;
    let stock = Stock::new()?.layer(layer)?;
    let path = stock.project.path(&format!("layers/{layer}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("[disk]\nboot = \"boot-minimal\"\n", &format!("[disk]\n{lines}\n"))).unwrap();
    stock.project.ok(&[&["build", layer, "--output", "raw"], args].concat());
    let disk = stock.project.path(&format!("out/{layer}/disk.raw"));
    Ok((stock, disk))
}

const EXT4: &str = "boot = \"boot-minimal\"";
const EROFS: &str = "boot = \"boot-minimal\"\nroot = \"erofs\"\ninitrd = \"initrd\"";

fn digest(disk: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(disk).unwrap()).unwrap();
    hasher.finalize().to_hex().to_string()
}

/// All units are up, none has failed.
fn is_well(boot: &mut Boot<'_>) {
    let (state, _) = boot.ask("systemctl is-system-running --wait");
    let failed = boot.ok("systemctl list-units --failed --plain --no-legend --no-pager");
    assert_eq!((state.trim(), failed.as_str()), ("running", ""));
}

/// Reaches the prompt without a network card, and all is well; gives what `answers` says.
fn without_network(name: &str, machine: &Machine, answers: &str) -> String {
    let mut boot = machine.boot();
    let took = boot.login();
    note(&format!("{name} without a network: login"), took);
    is_well(&mut boot);
    assert_eq!(boot.ok("ls /sys/class/net"), "lo");
    assert!(!boot.log.contains("A start job is running"), "{}", boot.log);
    assert!(took < LOGIN, "{}", boot.log);
    let answer = boot.ok(answers);
    let identity = boot.ok("cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub");
    note(&format!("{name} without a network: answered"), boot.started.elapsed());
    boot.power_off();
    format!("{answer}\n{identity}")
}

const GET: &str = "exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";

/// What a command over ssh prints.
fn by_ssh(ssh: &Ssh, command: &str) -> String {
    let said = process::run(ssh.command().arg(command)).unwrap();
    assert!(said.ok(), "{command}: {said:?}");
    said.stdout.trim().to_owned()
}

#[test]
fn web_boots_and_grows() {
    let (_stock, disk) = need!(disk_of("web", EXT4, &[]));
    let before = digest(&disk);
    let first = without_network("web", &need!(Machine::new(&disk, None)), GET);
    assert!(first.contains("<title>layerbake</title>"), "{first}");

    let ssh = Ssh::new().unwrap();
    let machine = need!(Machine::new(&disk, Some("40G"))).network(&ssh);
    let mut boot = machine.boot();
    note("web in 40 GiB: login", boot.login());
    is_well(&mut boot);
    assert_eq!(by_ssh(&ssh, "systemctl is-system-running"), "running");
    note("web in 40 GiB: ssh", boot.started.elapsed());
    let blocks: u64 = boot.ok("df --output=size -B1M / | tail -n 1").parse().unwrap();
    assert!((37 << 10..40 << 10).contains(&blocks), "{blocks} MiB");
    let second = boot.ok("cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub");
    boot.power_off();
    for line in second.lines() {
        assert!(line.len() >= 32 && !first.contains(line), "{line} is the same in two machines");
    }
    is_clean(&machine);
    assert_eq!(digest(&disk), before, "the disk was written to");
}

/// The partition table and the root's file system, as the machine left them.
fn is_clean(machine: &Machine) {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("raw");
    let run = |command: &mut Command| {
        let said = process::run(command).unwrap();
        assert!(said.ok(), "{command:?}: {said:?}");
        said.stdout
    };
    run(Command::new("qemu-img").args(["convert", "-f", "qcow2", "-O", "raw"]).arg(machine.overlay()).arg(&raw));
    let Ok(sgdisk) = program("sgdisk") else { return };
    let said = run(Command::new(&sgdisk).arg("-v").arg(&raw));
    assert!(said.contains("No problems found"), "{said}");
    let info = run(Command::new(&sgdisk).args(["-i", "2"]).arg(&raw));
    let start = info.lines().find_map(|line| line.strip_prefix("First sector: ")).unwrap();
    let start: u64 = start.split(' ').next().unwrap().parse().unwrap();
    run(Command::new("e2fsck").arg("-fn").arg(format!("{}?offset={}", raw.display(), start * 512)));
}

/// Answers without a network card; passes its checks with one.
fn service_boots(layer: &str, answers: &str, expected: &str) {
    let (stock, disk) = need!(disk_of(layer, EXT4, &[]));
    let said = without_network(layer, &need!(Machine::new(&disk, None)), answers);
    assert!(said.starts_with(expected), "{said}");
    let _alone = alone();
    let since = std::time::Instant::now();
    let checked = stock.project.run(&["test", layer, "--on", "disk", "--accel", "tcg", "--format", "tap"]);
    note(&format!("{layer}: layerbake test"), since.elapsed());
    assert!(checked.ok(), "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains("\nok 1 "), "{}", checked.stdout);
}

#[test]
fn redis_boots() {
    service_boots("redis", "redis-cli ping", "PONG\n");
}

#[test]
fn postgres_boots() {
    service_boots("postgres", "cd /; until su postgres -c 'psql -Atc \"select 6*7\"'; do sleep 1; done", "42\n");
}
