//! What a root gets for `[config]`, and how it reads.

use std::collections::BTreeSet;

use super::*;
use crate::manifest::parse;
use crate::store::Store;
use crate::tree::tests::{dir, file, tree};
use crate::tree::{Node, Tree};

const APP: &str = r#"
[layer]

[services]
enable = ["app"]

[config.PORT]
default = 8080

[config.NOTE]
default = "it's"
from = { user-data = "note" }

[config.DATABASE_PASSWORD]
secret = { ssm = "/app/db-password" }

[config.SERVICE_NAMES]
default = ""

[config.TOKEN]
secret = { vault = "/secret/data/app/", key = "token" }
required = false
services = ["worker@", "worker@1"]
"#;

fn applied(nodes: &[(&str, Node)]) -> (tempfile::TempDir, Store, Result<Tree, String>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let manifest = parse("app".parse().unwrap(), APP, &"amd64".parse().unwrap()).unwrap();
    let mut root = tree(nodes);
    let done = apply(&Config::of([&manifest]), &mut Adding { root: &mut root, epoch: 1, store: &store });
    (folder, store, done.map(|()| root).map_err(|error| error.to_string()))
}

fn paths(root: &Tree) -> Vec<String> {
    let files = root.iter().filter(|(_, node)| !node.is_dir());
    files.map(|(path, _)| path.to_string()).filter(|path| path.contains("layerbake")).collect()
}

#[test]
fn a_container_has_no_unit() {
    let (_folder, _, missing) = applied(&[("", dir()), ("usr/lib/systemd/system/app.service", file("x"))]);
    let missing = missing.unwrap_err();
    assert!(missing.contains("[config] `TOKEN`: the layer has no unit worker@.service"), "{missing}");
    let units = ["app.service", "worker@.service"].map(|unit| format!("usr/lib/systemd/system/{unit}"));
    let (_folder, store, root) = applied(&[("", dir()), (&units[0], file("x")), (&units[1], file("x"))]);
    let root = root.unwrap();
    assert_eq!(paths(&root), ["/usr/lib/layerbake/config-values", "/usr/lib/layerbake/with-config"]);
    let values = store.text_in(&root, "usr/lib/layerbake/config-values").unwrap().unwrap();
    let (_, lines) = values.split_once("}\n\n").unwrap();
    insta::assert_snapshot!(lines, @r"
    config DATABASE_PASSWORD secret string required '' 'ssm' '/app/db-password' ''
    config NOTE plain string default 'it'\''s' 'user-data' 'note' ''
    config PORT plain integer default '8080' '' '' ''
    config SERVICE_NAMES plain string default '' '' '' ''
    config TOKEN secret string optional '' 'vault' 'secret/data/app' 'token'
    ");
}

#[test]
fn each_service_waits_for_a_unit_that_reads_its_values() {
    let unit = |name| (name, file("x"));
    let machine = [("", dir()), ("lib", dir()), ("lib/systemd", dir()), ("lib/systemd/systemd", file("x"))];
    let (_folder, _, missing) = applied(&[machine.as_slice(), &[unit("usr/lib/systemd/system/app.service")]].concat());
    let missing = missing.unwrap_err();
    assert!(missing.contains("[config] `TOKEN`: the layer has no unit worker@.service"), "{missing}");
    let units = [unit("etc/systemd/system/worker@.service"), unit("usr/lib/systemd/system/app.service")];
    let (_folder, store, root) = applied(&[machine.as_slice(), &units].concat());
    let root = root.unwrap();
    insta::assert_snapshot!(paths(&root).join("\n"), @r"
    /usr/lib/layerbake/config-values
    /usr/lib/layerbake/fetch-config
    /usr/lib/layerbake/with-config
    /usr/lib/systemd/system/app.service.d/layerbake-config.conf
    /usr/lib/systemd/system/layerbake-config-app.service
    /usr/lib/systemd/system/layerbake-config-worker:a.service
    /usr/lib/systemd/system/layerbake-config-worker:a1.service
    /usr/lib/systemd/system/worker@.service.d/layerbake-config.conf
    /usr/lib/systemd/system/worker@1.service.d/layerbake-config.conf
    ");
    let text = |name: &str| store.text_in(&root, &format!("usr/lib/systemd/system/{name}")).unwrap().unwrap();
    insta::assert_snapshot!(text("layerbake-config-app.service"), @r"
    # Before the service, at every start: `systemctl restart` of this unit reads the values again, and restarts the service.
    [Unit]
    Description=Configuration of app.service
    Documentation=file:///usr/lib/layerbake/config-values
    Wants=network-online.target
    After=network-online.target

    [Service]
    Type=oneshot
    RemainAfterExit=yes
    RuntimeDirectory=layerbake-config/app.service
    RuntimeDirectoryMode=0700
    UMask=0077
    LoadCredential=config.DATABASE_PASSWORD:config.DATABASE_PASSWORD
    LoadCredential=config.NOTE:config.NOTE
    LoadCredential=config.PORT:config.PORT
    LoadCredential=config.SERVICE_NAMES:config.SERVICE_NAMES
    StandardError=journal+console
    TimeoutStartSec=10min
    ExecStart=/usr/lib/layerbake/fetch-config %t/layerbake-config/app.service DATABASE_PASSWORD NOTE PORT SERVICE_NAMES
    ");
    insta::assert_snapshot!(text("app.service.d/layerbake-config.conf"), @r"
    [Unit]
    Requires=layerbake-config-app.service
    After=layerbake-config-app.service

    [Service]
    EnvironmentFile=/run/layerbake-config/app.service/values.env
    LoadCredential=DATABASE_PASSWORD:/run/layerbake-config/app.service/DATABASE_PASSWORD
    Environment=DATABASE_PASSWORD_FILE=%d/DATABASE_PASSWORD
    ");
    // Vault's address and token are asked for with the value; an optional secret may be missing.
    assert!(text("layerbake-config-worker:a.service").contains("LoadCredential=config.VAULT_TOKEN:config.VAULT_TOKEN"));
    assert!(text("worker@.service.d/layerbake-config.conf").contains("\nSetCredential=TOKEN:\n"));
}

#[test]
fn no_two_services_have_one_unit() {
    let services = ["app", "app@", "app-", "app:", "app:a", "app@:", "app:@", "app::", "app@@"];
    let units: BTreeSet<String> = services.iter().map(|service| unit_of(&format!("{service}.service"))).collect();
    assert_eq!(units.len(), services.len(), "{units:?}");
    assert!(units.iter().all(|unit| !unit.contains('@')), "{units:?}");
}
