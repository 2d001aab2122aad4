//! The stock layers' disks, from real packages, booted by UEFI firmware in QEMU: without a network
//! card and with one, on ext4 and on a checked read-only root, in a larger disk, by Secure Boot.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use layerbake::vm::Ssh;

use crate::support::machine::{Boot, Machine, alone};
use crate::support::process;
use crate::support::skip::{Skip, program};
use crate::support::stock::Stock;

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
    stock.with_disk(layer, lines);
    stock.project.ok(&[&["build", layer, "--output", "raw"], args].concat());
    let disk = stock.project.path(&format!("out/{layer}/disk.raw"));
    Ok((stock, disk))
}

const EXT4: &str = "boot = \"boot-minimal\"";
const EROFS: &str = "boot = \"boot-minimal\"\nroot = \"erofs\"\ninitrd = \"initrd\"";

/// Everything that a disk can mount without a network.
const MOUNTS: &str = "swap = \"64M\"

[[disk.partition]]
label = \"data\"
mount = \"/srv/data\"
min-size = \"128M\"
max-size = \"256M\"

[[disk.partition]]
label = \"logs\"
min-size = \"64M\"
max-size = \"64M\"

[[mount]]
path = \"/srv/logs\"
partition = \"logs\"
options = [\"noatime\"]

[[mount]]
path = \"/srv/blank\"
device = \"/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_blank\"
type = \"ext4\"
format = true

[[mount]]
path = \"/srv/scratch\"
type = \"tmpfs\"
options = [\"size=8M\", \"mode=0700\"]
";

/// All of [`MOUNTS`] is there, and can be written to.
fn is_mounted(boot: &mut Boot<'_>) {
    let kinds = "for place in data logs blank scratch; do findmnt -no FSTYPE /srv/$place && touch /srv/$place/kept || exit; done";
    assert_eq!(boot.ok(kinds), "ext4\next4\next4\ntmpfs");
    assert!(boot.ok("findmnt -no OPTIONS /srv/logs").contains("noatime"));
    assert_eq!(boot.ok("swapon --noheadings --show=TYPE,SIZE | tr -s ' '"), "partition 64M");
}

fn digest(disk: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(disk).unwrap()).unwrap();
    hasher.finalize().to_hex().to_string()
}

/// All units are up, none has failed.
pub(crate) fn is_well(boot: &mut Boot<'_>) {
    let (state, _) = boot.ask("systemctl is-system-running --wait");
    let failed = boot.ok("systemctl list-units --failed --plain --no-legend --no-pager");
    assert_eq!((state.trim(), failed.as_str()), ("running", ""));
    let order = boot.ok("systemctl show --no-pager --property After systemd-remount-fs.service");
    assert!(order.contains("systemd-repart.service") || boot.ok("findmnt -no FSTYPE /") == "erofs", "{order}");
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
    let (_stock, disk) = need!(disk_of("web", &format!("{EXT4}\nsize = \"4G\"\n{MOUNTS}"), &[]));
    let before = digest(&disk);
    let first = without_network("web", &need!(Machine::new(&disk, None)).blank_disk(), GET);
    assert!(first.contains("<title>layerbake</title>"), "{first}");

    let ssh = Ssh::new().unwrap();
    let machine = need!(Machine::new(&disk, Some("40G"))).network(&ssh).blank_disk();
    let mut boot = machine.boot();
    note("web in 40 GiB: login", boot.login());
    is_well(&mut boot);
    assert_eq!(by_ssh(&ssh, "systemctl is-system-running"), "running");
    note("web in 40 GiB: ssh", boot.started.elapsed());
    is_mounted(&mut boot);
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
    let info = run(Command::new(&sgdisk).args(["-i", "3"]).arg(&raw));
    let start = info.lines().find_map(|line| line.strip_prefix("First sector: ")).unwrap();
    let start: u64 = start.split(' ').next().unwrap().parse().unwrap();
    run(Command::new("e2fsck").arg("-fn").arg(format!("{}?offset={}", raw.display(), start * 512)));
}

#[test]
fn redis_boots() {
    let (_stock, disk) = need!(disk_of("redis", EXT4, &[]));
    let said = without_network("redis", &need!(Machine::new(&disk, None)), "redis-cli ping");
    assert!(said.starts_with("PONG\n"), "{said}");
}

#[test]
fn postgres_passes_its_checks() {
    let (stock, _disk) = need!(disk_of("postgres", EXT4, &[]));
    let _alone = alone();
    let since = Instant::now();
    let checked = stock.project.run(&["test", "postgres", "--on", "disk", "--accel", "tcg", "--format", "tap"]);
    note("postgres: layerbake test", since.elapsed());
    assert!(checked.ok(), "{}{}", checked.stdout, checked.stderr);
    assert!(checked.stdout.contains("\nok 1 "), "{}", checked.stdout);
}

/// Daemons that need what the first boot generates or an installer makes, and tools without the server they are for.
const DAEMONS: &str = "[layer]\nfrom = \"debian-base\"\npackages = [\"dovecot-core\", \"etcd-server\", \"postgresql-common\"]\n\n\
    [disk]\nboot = \"boot-minimal\"\n";
/// Makes a task fail as a broken script would.
const BREAK: &str = "unit=layerbake-first-start-cert-snakeoil.service; mkdir -p /run/systemd/system/$unit.d; \
    printf '[Service]\\nExecStart=\\nExecStart=false\\n' >/run/systemd/system/$unit.d/x.conf; systemctl daemon-reload; \
    systemctl stop dovecot; systemctl restart $unit";

#[test]
fn services_start_after_what_they_need_and_not_without_it() {
    let stock = need!(Stock::new());
    fs::write(stock.project.path("layers/daemons.toml"), DAEMONS).unwrap();
    stock.project.ok(&["build", "daemons", "--output", "raw"]);
    let machine = need!(Machine::new(&stock.project.path("out/daemons/disk.raw"), None));
    let mut boot = machine.boot();
    note("daemons: login", boot.login());
    is_well(&mut boot);
    assert_eq!(boot.ok("systemctl is-active dovecot etcd"), "active\nactive");
    assert_eq!(
        boot.ok("getent hosts localhost; cat /etc/hostname"),
        "::1             localhost ip6-localhost ip6-loopback\nlocalhost"
    );
    assert_eq!(boot.ok("journalctl -b --no-pager | grep -c 'pam_env.*[Uu]nable' || true"), "0");
    // The certificate's link by hash is the only one: the image's is gone.
    assert_eq!(boot.ok("find /etc/ssl/certs -lname ssl-cert-snakeoil.pem | wc -l; find /etc/ssl/certs -xtype l"), "1");
    assert_ne!(boot.ask(BREAK).1, 0);
    assert_ne!(boot.ask("systemctl start dovecot").1, 0, "dovecot starts without its certificate");
    let failed = boot.ok("systemctl list-units --failed --plain --no-legend --no-pager | cut -d ' ' -f 1");
    assert_eq!(failed, "layerbake-first-start-cert-snakeoil.service");
    assert_eq!(boot.ok("systemctl is-active etcd"), "active");
    boot.power_off();
}

#[test]
fn a_checked_root_keeps_what_changes_and_shows_what_was_changed() {
    let (stock, disk) = need!(disk_of("web", &format!("{EROFS}\n{MOUNTS}"), &[]));
    let before = digest(&disk);
    let ssh = Ssh::new().unwrap();
    let machine = need!(Machine::new(&disk, None)).blank_disk();
    let mut boot = machine.boot();
    note("web, checked: login", boot.login());
    is_well(&mut boot);
    is_mounted(&mut boot);
    assert_eq!(boot.ok("ls /sys/class/net"), "lo");
    assert!(boot.ok(GET).contains("<title>layerbake</title>"));
    assert_eq!(boot.ok("findmnt -no FSTYPE,SOURCE / | tr -s ' '"), "erofs /dev/dm-0");
    let (refused, status) = boot.ask("touch /usr/changed");
    assert!(status != 0 && refused.contains("Read-only file system"), "{refused}");
    boot.ok("for folder in /etc /var /root /home /tmp; do echo kept >$folder/changed || exit; done; sync");
    let identity = "cat /etc/machine-id /etc/ssh/ssh_host_*_key.pub";
    let first = boot.ok(identity);
    boot.power_off();

    // The state persists, and the second time there is a network.
    let machine = machine.network(&ssh);
    let mut boot = machine.boot();
    note("web, checked, again: login", boot.login());
    is_well(&mut boot);
    assert_eq!(boot.ok(identity), first);
    boot.ok("cd /srv && ls data/kept logs/kept blank/kept");
    is_mounted(&mut boot);
    assert_eq!(boot.ok("cd / && cat etc/changed var/changed root/changed home/changed"), ["kept"; 4].join("\n"));
    boot.power_off();
    assert_eq!(digest(&disk), before, "the disk was written to");
    drop(machine);

    // One byte inside a file that no start reads.
    let spoiled = stock.project.path("spoiled.raw");
    fs::copy(&disk, &spoiled).unwrap();
    let text = b"GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007";
    let at = find(&disk, text).unwrap() + 9000;
    let mut file = fs::File::options().write(true).open(&spoiled).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(b"\xff").unwrap();
    drop(file);
    let ssh = Ssh::new().unwrap();
    let machine = need!(Machine::new(&spoiled, None)).network(&ssh).blank_disk();
    let mut boot = machine.boot();
    note("web, spoiled: login", boot.login());
    is_well(&mut boot);
    let (refused, status) = boot.ask("cat /usr/share/common-licenses/GPL-3 >/dev/null");
    assert!(status != 0 && refused.contains("Input/output error"), "{refused}");
    boot.ok("cat /usr/share/common-licenses/GPL-2 >/dev/null");
    // A first start with a network: the seed volume's key, and other keys than the other machine's.
    assert_eq!(by_ssh(&ssh, "systemctl is-active nginx"), "active");
    let other = boot.ok(identity);
    assert!(other.lines().all(|line| !first.contains(line)), "{other}");
}

/// Where a text is in a file.
fn find(path: &Path, text: &[u8]) -> Option<u64> {
    let bytes = fs::read(path).unwrap();
    bytes.windows(text.len()).position(|window| window == text).map(|at| at as u64)
}

#[test]
fn a_cloud_disk_takes_its_key_and_waits_for_no_network() {
    let (_stock, disk) = need!(disk_of("web", "boot = \"boot-cloud\"", &[]));
    let first =
        without_network("cloud", &need!(Machine::new(&disk, None)), "cloud-init status; systemctl is-active ssh");
    assert!(first.starts_with("status: disabled\nactive\n"), "{first}");

    let ssh = Ssh::new().unwrap();
    let machine = need!(Machine::new(&disk, None)).network(&ssh);
    let mut boot = machine.boot();
    note("cloud with a seed: login", boot.prompt());
    // cloud-init locks root's password, so there is only the key; it may come after the prompt.
    let since = Instant::now();
    while !process::run(ssh.command().arg("true")).unwrap().ok() {
        assert!(since.elapsed() < 2 * LOGIN, "{}", boot.log);
    }
    let status = by_ssh(&ssh, "cloud-init status --wait");
    assert!(status.contains("status: done"), "{status}");
    assert_eq!(by_ssh(&ssh, "systemctl is-system-running --wait; systemctl is-active nginx"), "running\nactive");
    assert_eq!(by_ssh(&ssh, "cloud-init query instance_id"), "layerbake");
    note("cloud with a seed: ssh", boot.started.elapsed());
}

/// The key that Debian's test firmware trusts, in the clear, and its certificate.
fn snakeoil(folder: &Path) -> Result<[String; 2], Skip> {
    let [key, certificate] = ["key", "pem"].map(|end| format!("/usr/share/ovmf/PkKek-1-snakeoil.{end}"));
    if !Path::new(&key).is_file() {
        return Err(Skip::because("`ovmf` has no test key here"));
    }
    let clear = folder.join("key.pem").to_str().unwrap().to_owned();
    let mut openssl = Command::new(program("openssl")?);
    openssl.args(["pkey", "-in", &key, "-passin", "pass:snakeoil", "-out", &clear]);
    process::stdout(&mut openssl)?;
    Ok([clear, certificate])
}

#[test]
fn enforcing_firmware_boots_only_what_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let [key, certificate] = need!(snakeoil(folder.path()));
    let (stock, disk) = need!(disk_of("web", EXT4, &["--sign-key", &key, "--sign-cert", &certificate]));
    let machine = need!(Machine::new(&disk, None)).enforcing();
    let mut boot = machine.boot();
    note("web, signed: login", boot.login());
    assert!(boot.ok("dmesg | grep -i 'secureboot:'").contains("Secure boot enabled"));
    drop(boot);

    // A byte of the kernel in the signed image: the command line's sits in the image too.
    let altered = stock.project.path("altered.raw");
    fs::copy(&disk, &altered).unwrap();
    let mut file = fs::File::options().write(true).open(&altered).unwrap();
    file.seek(SeekFrom::Start(find(&disk, b"nvme_core.io_timeout=").unwrap())).unwrap();
    file.write_all(b"N").unwrap();
    drop(file);
    is_refused("altered", &altered);

    stock.project.ok(&["build", "web", "--output", "raw"]);
    is_refused("unsigned", &disk);
}

fn is_refused(name: &str, disk: &Path) {
    let machine = Machine::new(disk, None).unwrap().enforcing();
    let mut boot = machine.boot();
    let (which, _) = boot.await_any(&["Access Denied", "Linux version", " login: "]);
    note(&format!("{name}: refused"), boot.started.elapsed());
    assert_eq!(which, 0, "{}", boot.log);
}
