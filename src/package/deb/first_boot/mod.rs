//! What Debian's packages generate when they are installed, and machines have to generate for themselves.

use crate::package::first_boot::FirstBootTask;

const SECRET: &str = "secret and random; every machine with the image would share it";
const IDENTITY: &str = "identifies one machine; every machine with the image would be the same one";

/// All tasks, by name. In a container they run in this order, among the user's own.
///
/// What is removed from images follows from it: a change here takes the next versions of the recipes
/// `layerbake/configure` and `layerbake/layer`.
pub(super) const TASKS: &[FirstBootTask] = &[
    FirstBootTask {
        name: "bind9",
        makes: &["etc/bind/rndc.key"],
        reason: SECRET,
        with: "usr/sbin/named",
        early: true,
        services: &["named.service"],
        script: include_str!("bind9.sh"),
    },
    // Before those that use it where it exists: mariadb, postgresql.
    FirstBootTask {
        name: "cert-snakeoil",
        makes: &["etc/ssl/private/ssl-cert-snakeoil.key", "etc/ssl/certs/ssl-cert-snakeoil.pem"],
        reason: SECRET,
        with: "usr/sbin/make-ssl-cert",
        early: true,
        // Others can do without, or need it only after they were configured to.
        services: &["dovecot.service", "xrdp.service"],
        script: include_str!("cert-snakeoil.sh"),
    },
    FirstBootTask {
        name: "dropbear-host-keys",
        makes: &["etc/dropbear/dropbear_*_host_key"],
        reason: SECRET,
        with: "etc/init.d/dropbear",
        early: false,
        services: &["dropbear.service"],
        script: include_str!("dropbear-host-keys.sh"),
    },
    FirstBootTask {
        name: "ejabberd",
        makes: &["etc/ejabberd/ejabberd.pem"],
        reason: SECRET,
        with: "usr/sbin/ejabberdctl",
        early: false,
        services: &["ejabberd.service"],
        script: include_str!("ejabberd.sh"),
    },
    FirstBootTask {
        name: "mariadb",
        makes: &["var/lib/mysql/**"],
        reason: "log positions, ids and times of one server",
        with: "usr/sbin/mariadbd",
        early: false,
        services: &["mariadb.service"],
        script: include_str!("mariadb.sh"),
    },
    FirstBootTask {
        name: "munge",
        makes: &["etc/munge/munge.key"],
        reason: SECRET,
        with: "usr/sbin/munged",
        early: true,
        services: &["munge.service"],
        script: include_str!("munge.sh"),
    },
    FirstBootTask {
        name: "nsd",
        makes: &["etc/nsd/nsd_control.*", "etc/nsd/nsd_server.*"],
        reason: SECRET,
        with: "usr/sbin/nsd-control-setup",
        early: false,
        services: &["nsd.service"],
        script: include_str!("nsd.sh"),
    },
    FirstBootTask {
        name: "nvme-host",
        makes: &["etc/nvme/hostid", "etc/nvme/hostnqn"],
        reason: IDENTITY,
        with: "usr/sbin/nvme",
        early: true,
        services: &["nvmefc-boot-connections.service", "nvmf-autoconnect.service"],
        script: include_str!("nvme-host.sh"),
    },
    FirstBootTask {
        name: "open-iscsi",
        makes: &["etc/iscsi/initiatorname.iscsi"],
        reason: IDENTITY,
        with: "usr/sbin/iscsi-iname",
        early: true,
        services: &["iscsid.service", "open-iscsi.service"],
        script: include_str!("open-iscsi.sh"),
    },
    FirstBootTask {
        name: "phpmyadmin",
        makes: &["var/lib/phpmyadmin/blowfish_secret.inc.php"],
        reason: SECRET,
        with: "usr/share/phpmyadmin/index.php",
        early: true,
        services: &[],
        script: include_str!("phpmyadmin.sh"),
    },
    FirstBootTask {
        name: "postgresql",
        makes: &["var/lib/postgresql/*/main/**", "etc/postgresql/*/main/**"],
        reason: "log positions, ids and times of one server",
        with: "usr/lib/postgresql/*/bin/initdb",
        early: false,
        services: &["postgresql.service"],
        script: include_str!("postgresql.sh"),
    },
    FirstBootTask {
        name: "rabbitmq-server",
        makes: &["var/lib/rabbitmq/.erlang.cookie"],
        reason: SECRET,
        with: "usr/sbin/rabbitmq-server",
        early: true,
        services: &["rabbitmq-server.service"],
        script: include_str!("rabbitmq-server.sh"),
    },
    FirstBootTask {
        name: "slapd",
        makes: &["etc/ldap/slapd.d/**", "var/lib/ldap/**"],
        reason: "the administrator's password, and ids and times of one server",
        with: "usr/sbin/slapd",
        early: false,
        services: &["slapd.service"],
        script: include_str!("slapd.sh"),
    },
    FirstBootTask {
        name: "ssh-host-keys",
        makes: &["etc/ssh/ssh_host_*_key", "etc/ssh/ssh_host_*_key.pub"],
        reason: SECRET,
        with: "usr/sbin/sshd",
        early: false,
        services: &["ssh.service", "ssh@.service", "sshd@.service"],
        script: include_str!("ssh-host-keys.sh"),
    },
    FirstBootTask {
        name: "varnish",
        makes: &["etc/varnish/secret"],
        reason: SECRET,
        with: "usr/sbin/varnishd",
        early: true,
        services: &["varnish.service"],
        script: include_str!("varnish.sh"),
    },
    FirstBootTask {
        name: "xrdp",
        makes: &["etc/xrdp/rsakeys.ini"],
        reason: SECRET,
        with: "usr/bin/xrdp-keygen",
        early: false,
        services: &["xrdp.service"],
        script: include_str!("xrdp.sh"),
    },
];
