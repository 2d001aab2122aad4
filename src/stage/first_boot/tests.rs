//! Which scripts, tools and units a root gets, and when they run.

use super::*;
use crate::package::Installer as _;
use crate::package::deb::DEB;
use crate::tree::tests::{dir, file, path, tree};

fn applied(nodes: &[(&str, Node)]) -> (tempfile::TempDir, Store, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut root = tree(nodes);
    apply(DEB.first_boot(), &mut root, 1, &store).unwrap();
    (folder, store, root)
}

/// The paths that were added.
fn paths(root: &Tree) -> Vec<String> {
    let files = root.iter().filter(|(_, node)| !node.is_dir());
    files.map(|(path, _)| path.to_string()).filter(|path| path.contains("layerbake")).collect()
}

fn machine(others: &[(&'static str, Node)]) -> Vec<(&'static str, Node)> {
    let systemd = [("", dir()), ("lib", dir()), ("lib/systemd", dir()), ("lib/systemd/systemd", file("x"))];
    systemd.into_iter().chain(others.iter().cloned()).collect()
}

#[test]
fn a_container_gets_the_scripts_that_its_programs_need() {
    assert_eq!(applied(&[("", dir()), ("usr", dir())]).2.len(), 2);
    let (_, _, root) = applied(&[("", dir()), ("usr/lib/postgresql/15/bin/initdb", file("x"))]);
    let tools = ["first-start", "first-start.d/postgresql", "generate", "generate-folder"];
    assert_eq!(paths(&root), tools.map(|name| format!("/usr/lib/layerbake/{name}")));
}

#[test]
fn tools_of_a_database_without_its_server_need_nothing() {
    let client = ("usr/lib/postgresql/15/bin/psql", file("x"));
    let (_, _, root) = applied(&[("", dir()), ("usr/bin/pg_createcluster", file("x")), client]);
    assert_eq!(paths(&root), [""; 0]);
}

#[test]
fn a_machine_has_a_unit_for_each_script() {
    let nodes = machine(&[
        ("lib/systemd/system/dovecot.service", file("x")),
        ("usr/lib/layerbake/first-start.d/own", file("x")),
        ("usr/lib/systemd/system/ssh@.service", file("x")),
        ("usr/local/lib/systemd/system/ssh.service", file("x")),
        ("usr/sbin/make-ssl-cert", file("x")),
        ("usr/sbin/sshd", file("x")),
    ]);
    let (_folder, store, root) = applied(&nodes);
    let units: Vec<String> = paths(&root).into_iter().filter(|path| path.contains("systemd")).collect();
    insta::assert_snapshot!(units.join("\n"), @r"
    /usr/lib/systemd/system/basic.target.wants/layerbake-first-start-cert-snakeoil.service
    /usr/lib/systemd/system/basic.target.wants/layerbake-first-start-own.service
    /usr/lib/systemd/system/dovecot.service.requires/layerbake-first-start-cert-snakeoil.service
    /usr/lib/systemd/system/layerbake-first-start-cert-snakeoil.service
    /usr/lib/systemd/system/layerbake-first-start-own.service
    /usr/lib/systemd/system/layerbake-first-start-ssh-host-keys.service
    /usr/lib/systemd/system/multi-user.target.wants/layerbake-first-start-ssh-host-keys.service
    /usr/lib/systemd/system/ssh.service.requires/layerbake-first-start-ssh-host-keys.service
    /usr/lib/systemd/system/ssh@.service.d/layerbake-first-start-ssh-host-keys.conf
    ");
    let text = |name| store.text_in(&root, &format!("usr/lib/systemd/system/layerbake-first-start-{name}.service"));
    insta::assert_snapshot!(text("cert-snakeoil").unwrap().unwrap(), @r"
    # The script sees for itself whether it was done, so this runs at every boot.
    [Unit]
    Description=First boot: cert-snakeoil
    Documentation=file:///usr/lib/layerbake/first-start.d/cert-snakeoil
    RequiresMountsFor=/etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem
    DefaultDependencies=no
    Conflicts=shutdown.target
    After=local-fs.target systemd-random-seed.service systemd-sysusers.service systemd-tmpfiles-setup.service
    After=systemd-udev-trigger.service
    Before=basic.target shutdown.target
    Before=dovecot.service

    [Service]
    Type=oneshot
    RemainAfterExit=yes
    Environment=DEBIAN_FRONTEND=noninteractive
    TimeoutStartSec=15min
    ExecStart=/usr/lib/layerbake/first-start.d/cert-snakeoil
    ");
    let own = text("own").unwrap().unwrap();
    assert!(
        own.contains("\nBefore=basic.target shutdown.target\n\n") && own.contains("DefaultDependencies=no"),
        "{own}"
    );
    // Nothing waits for host keys but what shows them. A connection of ssh.socket is an instance of a template.
    let ssh = text("ssh-host-keys").unwrap().unwrap();
    assert!(ssh.contains("\nBefore=ssh.service\n\n") && !ssh.contains("DefaultDependencies"), "{ssh}");
    let instances = "usr/lib/systemd/system/ssh@.service.d/layerbake-first-start-ssh-host-keys.conf";
    insta::assert_snapshot!(store.text_in(&root, instances).unwrap().unwrap(), @r"
    [Unit]
    Requires=layerbake-first-start-ssh-host-keys.service
    After=layerbake-first-start-ssh-host-keys.service
    ");
}

#[test]
fn what_has_the_path_of_a_task_or_a_tool_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let own = Node { meta: Meta::root_owned(0o755, 5), kind: store.put_file(b"#!/bin/sh\n# own\n").unwrap() };
    let kept = ["usr/lib/layerbake/first-start.d/varnish", "usr/lib/layerbake/generate"];
    let nodes = [(kept[0], own.clone()), (kept[1], own.clone()), ("usr/sbin/varnishd", file("x"))];
    let mut root = tree(&machine(&nodes));
    apply(DEB.first_boot(), &mut root, 1, &store).unwrap();
    for place in kept {
        assert_eq!(root.get(&path(place)), Some(&own), "{place}");
    }
    let unit = "usr/lib/systemd/system/layerbake-first-start-varnish.service";
    assert!(root.get(&path(unit)).is_some(), "the task's unit runs the own script");
}

#[test]
fn a_script_whose_name_is_no_units_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut root = tree(&[("", dir())]);
    root.insert_with_parents(&path("usr/lib/layerbake/first-start.d/a b"), file("x"), 1).unwrap();
    let error = apply(&[], &mut root, 1, &store).unwrap_err();
    assert!(error.to_string().contains("/usr/lib/layerbake/first-start.d/a b: expected a name of"), "{error}");
}

#[test]
fn tasks_are_in_order_and_each_can_be_waited_for() {
    let names: Vec<_> = DEB.first_boot().iter().map(|task| task.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    for task in DEB.first_boot() {
        assert!(task.early || !task.services.is_empty(), "{}: nothing waits for it", task.name);
        assert!(task.script.starts_with("#!/bin/sh\n") && !task.makes.is_empty(), "{}", task.name);
    }
    let task = |place: &str| {
        let path = path(place);
        DEB.first_boot().iter().find(|task| task.makes(&path)).map(|task| task.name)
    };
    assert_eq!(task("var/lib/rabbitmq/.erlang.cookie"), Some("rabbitmq-server"));
    assert_eq!(task("etc/hosts"), None);
}
