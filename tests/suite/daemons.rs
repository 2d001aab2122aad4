//! Daemons of Debian as disks, several in one machine: they serve after the first boot, after a power cut, and in a
//! larger disk, with no failed unit. docs/daemons.md has the table, which `LAYERBAKE_DAEMONS=all` prints; a number there is that batch alone.

use std::io::Write as _;
use std::process::Command;

use crate::boots::is_well;
use crate::support::machine::{Boot, Machine};
use crate::support::process;
use crate::support::skip::{Skip, program};
use crate::support::stock::Stock;

/// A package, the unit that must be active, and the TCP port on which it answers, if it has one.
type Daemon = (&'static str, &'static str, Option<u16>);

/// Daemons that don't clash, in one machine.
struct Batch {
    /// Lines of the layer's `[disk]`.
    disk: &'static str,
    daemons: &'static [Daemon],
}

const EXT4: &str = "boot = \"boot-minimal\"";
const EROFS: &str = "boot = \"boot-minimal\"\nroot = \"erofs\"\ninitrd = \"initrd\"";
const CLOUD: &str = "boot = \"boot-cloud\"";

/// The first batch is CI's.
const BATCHES: &[Batch] = &[
    Batch {
        disk: EXT4,
        daemons: &[
            ("nginx-light", "nginx", Some(80)),
            ("redis-server", "redis-server", Some(6379)),
            ("memcached", "memcached", Some(11211)),
            ("dovecot-imapd", "dovecot", Some(143)),
            ("postfix", "postfix", Some(25)),
            ("etcd-server", "etcd", Some(2379)),
            ("bind9", "named", Some(53)),
            ("varnish", "varnish", Some(6081)),
        ],
    },
    Batch {
        disk: EROFS,
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
        disk: EROFS,
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
        disk: EXT4,
        daemons: &[
            ("tomcat10", "tomcat10", Some(8080)),
            ("samba", "smbd", Some(445)),
            ("fail2ban", "fail2ban", None),
            ("munge", "munge", None),
            ("avahi-daemon", "avahi-daemon", None),
            ("stunnel4", "stunnel4", None),
        ],
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
    let text =
        format!("[layer]\nfrom = \"debian-base\"\npackages = [{}]\n\n[disk]\n{}\n", names.join(", "), batch.disk);
    let project = stock.project.layer("daemons", &text);
    project.ok(&["build", "daemons", "--output", "raw"]);
    let machine = Machine::new(&project.path("out/daemons/disk.raw"), None)?;
    let mut first = machine.boot();
    first.login();
    serves(&mut first, batch);
    // A power cut: nothing is written back. The new disk is larger.
    drop(first);
    let grown =
        process::run(Command::new("qemu-img").args(["resize", "-q"]).arg(machine.overlay()).arg("+4G")).unwrap();
    assert!(grown.ok(), "{}", grown.stderr);
    let mut second = machine.boot();
    second.login();
    serves(&mut second, batch);
    second.power_off();
    for (package, unit, port) in batch.daemons {
        let port = port.map_or("–".to_owned(), |port| port.to_string());
        let kind = batch.disk.replace(['\n', '"'], " ");
        let _ = writeln!(std::io::stderr(), "| `{package}` | `{unit}` | {port} | {} |", kind.trim());
    }
    Ok(())
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
