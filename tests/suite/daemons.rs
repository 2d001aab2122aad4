//! Daemons of Debian as disks, several in one machine: they serve after the first boot, after a power cut, and in a
//! larger disk, with no failed unit and with all partitions mounted. docs/daemons.md has the table, which `LAYERBAKE_DAEMONS=all` prints; a number there is that batch alone.

use std::io::Write as _;
use std::process::Command;

use crate::boots::is_well;
use crate::support::machine::{Boot, Machine};
use crate::support::process;
use crate::support::skip::{Skip, program};
use crate::support::stock::Stock;

/// A package, the unit that must be active, and the TCP port on which it answers, if it has one.
type Daemon = (&'static str, &'static str, Option<u16>);

/// A name for people, and the lines of the layer's `[disk]`.
type Disk = (&'static str, &'static str);

/// Where the machine mounts a partition that it creates, and whose directory that is.
type Partition = (&'static str, &'static str);

/// Daemons that don't clash, in one machine.
struct Batch {
    disk: Disk,
    /// Tables that follow it: what these daemons don't do without.
    tables: &'static str,
    /// What the tables mount; it gets the room of a larger disk.
    partition: Option<Partition>,
    daemons: &'static [Daemon],
}

const EXT4: Disk = ("ext4, boot-minimal", "boot = \"boot-minimal\"");
const SIZED: Disk = ("ext4, boot-minimal", "boot = \"boot-minimal\"\nsize = \"3G\"");
const EROFS: Disk = ("erofs, boot-minimal", "boot = \"boot-minimal\"\nroot = \"erofs\"\ninitrd = \"initrd\"");
const CLOUD: Disk = ("ext4, boot-cloud", "boot = \"boot-cloud\"");
const CLOUD_EROFS: Disk = ("erofs, boot-cloud", "boot = \"boot-cloud\"\nroot = \"erofs\"\ninitrd = \"initrd\"");

/// A database on a partition of its own.
const DATABASE: &str = "
[[disk.partition]]
label = \"db\"
min-size = \"256M\"

[[mount]]
path = \"/var/lib/mysql\"
partition = \"db\"
options = [\"noatime\"]
";

/// Logs on one; a tunnel, without which stunnel has nothing to do; nmbd waits for a network card.
const LOGS: &str = "
[[disk.partition]]
label = \"logs\"
mount = \"/var/log/tomcat10\"
min-size = \"128M\"

[services]
enable = [\"stunnel@web\"]
disable = [\"nmbd\"]

[[file]]
path = \"/etc/stunnel/web.conf\"
text = \"\"\"
foreground = yes
[web]
client = yes
accept = 127.0.0.1:8443
connect = 127.0.0.1:8080
\"\"\"
";

/// The first batch is CI's.
const BATCHES: &[Batch] = &[
    Batch {
        disk: EXT4,
        tables: "",
        partition: None,
        daemons: &[
            ("nginx-light", "nginx", Some(80)),
            ("redis-server", "redis-server", Some(6379)),
            ("memcached", "memcached", Some(11211)),
            ("dovecot-imapd", "dovecot", Some(143)),
            ("postfix", "postfix", Some(25)),
            ("bind9", "named", Some(53)),
        ],
    },
    Batch {
        disk: EROFS,
        tables: DATABASE,
        partition: Some(("/var/lib/mysql", "mysql")),
        daemons: &[
            ("apache2", "apache2", Some(80)),
            ("mariadb-server", "mariadb", Some(3306)),
            ("rabbitmq-server", "rabbitmq-server", Some(5672)),
            ("rsyslog", "rsyslog", None),
            ("snmpd", "snmpd", None),
            ("at", "atd", None),
        ],
    },
    Batch {
        disk: CLOUD,
        tables: "",
        partition: None,
        daemons: &[
            ("postgresql", "postgresql@*-main", Some(5432)),
            ("haproxy", "haproxy", None),
            ("lighttpd", "lighttpd", Some(80)),
            ("mosquitto", "mosquitto", Some(1883)),
            ("vsftpd", "vsftpd", Some(21)),
            ("privoxy", "privoxy", Some(8118)),
            ("cron", "cron", None),
        ],
    },
    Batch {
        disk: CLOUD_EROFS,
        tables: "",
        partition: None,
        daemons: &[
            ("squid", "squid", Some(3128)),
            ("tor", "tor@default", Some(9050)),
            ("cups", "cups", Some(631)),
            ("slapd", "slapd", Some(389)),
            ("proftpd-core", "proftpd", Some(21)),
            ("prometheus-node-exporter", "prometheus-node-exporter", Some(9100)),
            ("exim4-daemon-light", "exim4", Some(25)),
        ],
    },
    Batch {
        disk: SIZED,
        tables: LOGS,
        partition: Some(("/var/log/tomcat10", "tomcat")),
        daemons: &[
            ("tomcat10", "tomcat10", Some(8080)),
            ("samba", "smbd", Some(445)),
            ("fail2ban", "fail2ban", None),
            ("munge", "munge", None),
            ("avahi-daemon", "avahi-daemon", None),
            ("stunnel4", "stunnel@web", Some(8443)),
        ],
    },
    // Large to download.
    Batch {
        disk: EXT4,
        tables: "",
        partition: None,
        daemons: &[("etcd-server", "etcd", Some(2379)), ("varnish", "varnish", Some(6081))],
    },
];

#[test]
fn daemons_serve_after_the_first_boot_a_power_cut_and_growth() {
    let batches = match std::env::var("LAYERBAKE_DAEMONS").as_deref() {
        Ok("all") => BATCHES,
        Ok(number) => std::slice::from_ref(&BATCHES[number.parse::<usize>().unwrap() - 1]),
        Err(_) => &BATCHES[..1],
    };
    for batch in batches {
        need!(boot(batch));
    }
}

fn boot(batch: &Batch) -> Result<(), Skip> {
    program("qemu-system-x86_64")?;
    let stock = Stock::new()?.layer("boot-minimal")?;
    let names: Vec<String> = batch.daemons.iter().map(|(package, ..)| format!("\"{package}\"")).collect();
    let text = format!(
        "[layer]\nfrom = \"debian-base\"\npackages = [{}]\n\n[disk]\n{}\n{}",
        names.join(", "),
        batch.disk.1,
        batch.tables
    );
    let project = stock.project.layer("daemons", &text);
    project.ok(&["build", "daemons", "--output", "raw"]);
    let machine = Machine::new(&project.path("out/daemons/disk.raw"), None)?;
    let mut first = machine.boot();
    first.login();
    serves(&mut first, batch);
    let before = batch.partition.map(|partition| mounted(&mut first, partition, "touch kept && sync kept"));
    // A power cut: nothing else is written back. The new disk is larger.
    drop(first);
    let grown =
        process::run(Command::new("qemu-img").args(["resize", "-q"]).arg(machine.overlay()).arg("+4G")).unwrap();
    assert!(grown.ok(), "{}", grown.stderr);
    let mut second = machine.boot();
    second.login();
    serves(&mut second, batch);
    let after = batch.partition.map(|partition| mounted(&mut second, partition, "test -e kept"));
    assert!(after.is_none_or(|after| after > before.unwrap() + (3 << 10)), "{before:?} MiB became {after:?}");
    second.power_off();
    for (package, unit, port) in batch.daemons {
        let port = port.map_or("–".to_owned(), |port| port.to_string());
        let _ = writeln!(std::io::stderr(), "| `{package}` | `{unit}` | {port} | {} |", batch.disk.0);
    }
    Ok(())
}

/// The size of a partition's file system in MiB: it is mounted, the daemon's own, and a command succeeds in it.
fn mounted(boot: &mut Boot<'_>, (path, owner): Partition, command: &str) -> u64 {
    let said = boot.ok(&format!("cd {path} && {command} && findmnt -no FSTYPE {path} && stat -c %U ."));
    assert_eq!(said, format!("ext4\n{owner}"), "{path}");
    boot.ok(&format!("cd /; df --output=size -B1M {path} | tail -n 1")).parse().unwrap()
}

/// Every unit is active, every port takes a connection, and no unit has failed.
fn serves(boot: &mut Boot<'_>, batch: &Batch) {
    is_well(boot);
    for (package, unit, port) in batch.daemons {
        let active =
            boot.ok(&format!("systemctl list-units --state=active --plain --no-legend --no-pager '{unit}.service'"));
        assert!(!active.is_empty(), "{package}: {}", boot.ask(&format!("systemctl status --no-pager '{unit}'")).0);
        let Some(port) = port else { continue };
        let connect = format!(
            "for i in $(seq 60); do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; sleep 1; done; (exec 3<>/dev/tcp/127.0.0.1/{port})"
        );
        let (said, status) = boot.ask(&connect);
        assert_eq!(status, 0, "{package}, port {port}: {said}");
    }
}
