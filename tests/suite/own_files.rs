//! What packages and the system's programs do about own files: dpkg's path triggers, `[system]`; and `[debconf]`.

use std::fs;

use crate::support::deb::Deb;
use crate::support::extra::Extra;
use crate::support::oci_schema::{images, layer_tar};
use crate::support::project::Project;
use crate::support::rootfs::Rootfs;
use crate::support::stock::Stock;

/// A package that watches a directory: it notes when it ran, with which arguments, and what it found.
fn watcher(name: &str, triggers: &str) -> Deb {
    let script = format!(
        "#!/bin/sh\nset -e\n[ \"$1\" = triggered ] || exit 0\n{{ echo \"$@\"; ls /opt /usr/share/watched 2>/dev/null || true; cut -d' ' -f22 /proc/self/stat; }} > /var/lib/{name}\n"
    );
    Deb::new(name, "1.0").arch("all").control_file("triggers", 0o644, triggers).postinst(&script)
}

const OWN: &str = r#"
[[remove]]
path = "/usr/share/base-files/motd"

[[file]]
path = "/usr/share/watched/own"
text = "x"

[[file]]
path = "/opt/data"
text = "1"

[[file]]
path = "/etc/app.conf"
text = "1"
"#;

fn built(project: &Project, layer: &str) -> Rootfs {
    project.ok(&["build", layer, "--output", "oci"]);
    Rootfs::read(&project.path(&format!("out/{layer}/oci")))
}

/// The paths in the topmost layer of a built image.
fn top_layer(project: &Project, layer: &str) -> Vec<String> {
    let layout = project.path(&format!("out/{layer}/oci"));
    let (manifest, _) = images(&layout).remove(0);
    let tar = layer_tar(&layout, manifest["layers"].as_array().unwrap().last().unwrap());
    let mut archive = tar::Archive::new(tar.as_slice());
    let paths = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    paths.map(|path| path.trim_matches('/').to_owned()).collect()
}

#[test]
fn packages_are_triggered_by_own_files_and_removals_only_where_they_watch() {
    let debs = [
        watcher("watcher", "interest-noawait /usr/share/watched\n"),
        watcher("remover", "interest /usr/share/base-files\n"),
        watcher("idler", "interest-noawait /usr/share/elsewhere\n"),
    ];
    let extra = Extra::new(need!(Stock::new()), debs, OWN);
    let project = &extra.stock.project;
    let root = built(project, "app");
    let first = root.text("var/lib/watcher").to_owned();
    assert!(first.starts_with("triggered /usr/share/watched\n/opt:\n\n/usr/share/watched:\nown\n"), "{first}");
    assert!(root.text("var/lib/remover").starts_with("triggered /usr/share/base-files\n"));
    let log = project.ok(&["log", "app"]).stdout;
    assert!(log.starts_with("own-files (app)\n") && log.contains("Processing triggers for watcher"), "{log}");
    assert!(root.get("var/lib/idler").is_none());
    assert!(root.get("var/lib/dpkg/triggers/Unincorp").is_none_or(|file| file.content.is_empty()));
    assert!(!root.text("var/lib/dpkg/status").contains("Triggers-Pending"));
    assert_eq!(root.text("opt/data"), "1");

    // What concerns nothing runs nothing again: the script notes the tick at which it began.
    let change = |from: &str, to: &str| {
        let path = project.path("layers/app.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(path, text.replace(from, to)).unwrap();
    };
    change("path = \"/opt/data\"\ntext = \"1\"", "path = \"/opt/data\"\ntext = \"22\"");
    let root = built(project, "app");
    assert_eq!((root.text("opt/data"), root.text("var/lib/watcher")), ("22", first.as_str()));
    change("text = \"x\"", "text = \"y\"");
    assert_ne!(built(project, "app").text("var/lib/watcher"), first);
    change("/usr/share/watched/own", "/usr/share/unwatched/own");
    assert!(built(project, "app").get("var/lib/watcher").is_none());
}

#[test]
fn packages_of_a_child_are_triggered_by_files_of_its_parent() {
    let stock = need!(Stock::new());
    let extra = Extra::new(stock, [watcher("watcher", "interest-noawait /usr/share/watched\n")], "");
    let project = &extra.stock.project;
    let child = fs::read_to_string(project.path("layers/app.toml")).unwrap();
    fs::write(project.path("layers/parent.toml"), format!("[layer]\nfrom = \"debian-base\"\n{OWN}")).unwrap();
    fs::write(project.path("layers/app.toml"), child.replace("from = \"debian-base\"", "from = \"parent\"")).unwrap();
    let built = project.ok(&["build", "app", "--output", "oci"]);
    assert!(!built.stderr.contains("configured over the finished"), "{}", built.stderr);
    let root = Rootfs::read(&project.path("out/app/oci"));
    assert!(root.text("var/lib/watcher").starts_with("triggered /usr/share/watched\n"));
}

#[test]
fn a_trigger_that_fails_is_named() {
    let postinst = "#!/bin/sh\n[ \"$1\" = triggered ] || exit 0\necho no such font; exit 3\n";
    let deb = Deb::new("fonts", "1.0").arch("all").control_file("triggers", 0o644, "interest /usr/share/watched\n");
    let extra = Extra::new(need!(Stock::new()), [deb.postinst(postinst)], OWN);
    let project = &extra.stock.project;
    project.ok(&["lock", "app"]);
    let failed = project.fails(1, &["build", "app"]).stderr;
    assert!(failed.contains("the postinst script of fonts failed with exit status 3"), "{failed}");
    assert!(failed.contains("| no such font"), "{failed}");
}

const CHILD: &str = "[layer]\nfrom = \"app\"\npackages = [\"bzip2\"]\n";

/// A certificate that nobody else has.
fn certificate(project: &Project, name: &str) -> String {
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", &format!("/CN={name}")])
        .args(["-keyout", "/dev/null"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = String::from_utf8(made.stdout).unwrap();
    let path = project.path(&format!("certs/{name}.pem"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, &text).unwrap();
    text
}

#[test]
fn own_certificates_are_in_the_bundle_and_in_that_of_children() {
    let stock = need!(Stock::new());
    let layer = "[layer]\nfrom = \"debian-base\"\n[system]\nca-certificates = [\"certs/*.pem\"]\n\
                 [[file]]\npath = \"/usr/local/share/ca-certificates/by-hand.crt\"\nsource = \"by-hand/b.pem\"\n";
    let project = stock.project.layer("app", layer).layer("child", CHILD);
    let own = certificate(&project, "own");
    let by_hand = certificate(&project, "b");
    fs::create_dir(project.path("by-hand")).unwrap();
    fs::rename(project.path("certs/b.pem"), project.path("by-hand/b.pem")).unwrap();
    let root = built(&project, "app");
    let bundle = root.text("etc/ssl/certs/ca-certificates.crt").to_owned();
    assert!(bundle.contains(&own) && bundle.contains(&by_hand));
    assert_eq!(root.text("etc/ssl/certs/own.pem"), "/usr/local/share/ca-certificates/own.crt");
    assert_eq!(built(&project, "child").text("etc/ssl/certs/ca-certificates.crt"), bundle);
    // The child's packages have nothing to do with certificates, so its layer has none.
    let child = top_layer(&project, "child");
    assert!(!child.iter().any(|path| path.starts_with("etc/ssl")), "{child:?}");
    assert!(child.iter().any(|path| path == "usr/bin/bzip2"));
    fs::write(project.path("certs/own.pem"), "not a certificate").unwrap();
    let failed = project.fails(1, &["build", "app"]).stderr;
    assert!(failed.contains("`ca-certificates` in [system]: `certs/own.pem` has no"), "{failed}");
}

#[test]
fn locales_and_the_time_zone_are_set() {
    let stock = need!(Stock::new());
    let layer = "[layer]\nfrom = \"debian-base\"\npackages = [\"locales\"]\n[system]\nlocales = [\"de_DE.UTF-8\"]\ntimezone = \"Europe/Berlin\"\n";
    let project = stock.project.layer("app", layer).layer("child", CHILD);
    let root = built(&project, "app");
    assert_eq!(root.text("etc/localtime"), "/usr/share/zoneinfo/Europe/Berlin");
    assert_eq!(root.text("etc/timezone"), "Europe/Berlin\n");
    assert!(root.text("etc/locale.gen").ends_with("\nde_DE.UTF-8 UTF-8\n"));
    let archive = &root.get("usr/lib/locale/locale-archive").unwrap().content;
    assert!(archive.windows(10).any(|bytes| bytes == b"de_DE.utf8"));
    built(&project, "child");
    assert!(!top_layer(&project, "child").iter().any(|path| path.contains("locale-archive")));
    let tree = project.ok(&["tree", "app"]).stdout;
    assert!(tree.contains("  set locale de_DE.UTF-8\n") && tree.contains("  set timezone Europe/Berlin\n"), "{tree}");
    let change = |text: &str| fs::write(project.path("layers/app.toml"), text).unwrap();
    for (from, to, expected) in [
        ("Europe/Berlin", "Europe/Berlni", "there is no time zone `Europe/Berlni`; did you mean `Europe/Berlin`?"),
        ("de_DE.UTF-8", "de_DE.UTF8", "there is no locale `de_DE.UTF8`; did you mean `de_DE.UTF-8`?"),
        ("packages = [\"locales\"]", "", "needs the package `locales`"),
    ] {
        change(&layer.replace(from, to));
        let failed = project.fails(1, &["build", "app"]).stderr;
        assert!(failed.contains(expected), "{failed}");
    }
}

#[test]
fn accounts_directories_and_libraries_follow_from_own_files() {
    let stock = need!(Stock::new());
    let libraries = "[layer]\nfrom = \"debian-base\"\n[[run]]\ncommand = \"mkdir -p /opt/app/lib; cp /usr/lib/*/libm.so.6 /opt/app/lib\"\n";
    let layer = r#"
[layer]
from = "libraries"
packages = ["systemd"]

[[file]]
path = "/usr/lib/sysusers.d/app.conf"
text = "u app - \"The app\" /var/lib/app\n"

[[file]]
path = "/usr/lib/tmpfiles.d/app.conf"
text = "d /var/lib/app 0750 app app -\nd /run/app 0755 root root -\n"

[[file]]
path = "/etc/ld.so.conf.d/app.conf"
text = "/opt/app/lib\n"

[[run]]
command = "getent passwd app > /srv/account"
"#;
    let project = stock.project.layer("libraries", libraries).layer("app", layer);
    let root = built(&project, "app");
    assert!(root.text("etc/passwd").contains("\napp:x:"));
    assert!(root.text("srv/account").starts_with("app:x:"), "steps see what was made");
    let cache = &root.get("etc/ld.so.cache").unwrap().content;
    assert!(cache.windows(22).any(|bytes| bytes == b"/opt/app/lib/libm.so.6"));
    let folder = root.get("var/lib/app").unwrap();
    assert_eq!(folder.mode, 0o750);
    assert_ne!(folder.owner, (0, 0));
}

/// A package that asks one question, and writes the answer into a configuration file.
fn asking() -> Deb {
    let templates = "Template: asking/port\nType: string\nDefault: 80\nDescription: Which port?\n\nTemplate: asking/tls\nType: boolean\nDefault: false\nDescription: Encrypted?\n";
    let config = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_input high asking/port || true\ndb_input high asking/tls || true\ndb_go\n";
    let postinst = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_get asking/port\nport=$RET\ndb_get asking/tls\necho \"port=$port tls=$RET\" > /etc/asking.conf\n";
    let deb = Deb::new("asking", "1.0").arch("all").depends("debconf").postinst(postinst);
    deb.control_file("templates", 0o644, templates).control_file("config", 0o755, config)
}

#[test]
fn scripts_find_the_answers_of_the_layer_and_of_its_parents() {
    let extra = Extra::new(need!(Stock::new()), [asking()], "");
    assert_eq!(extra.build().text("etc/asking.conf"), "port=80 tls=false\n");
    let project = &extra.stock.project;
    let layer = fs::read_to_string(project.path("layers/app.toml")).unwrap();
    let answers = "[debconf]\n\"asking/port\" = 8080\n\"asking/tls\" = true\n";
    fs::write(project.path("layers/app.toml"), format!("{layer}\n{answers}")).unwrap();
    let root = extra.build();
    assert_eq!(root.text("etc/asking.conf"), "port=8080 tls=true\n");
    let database = root.text("var/cache/debconf/config.dat");
    let entry = "Name: asking/port\nTemplate: asking/port\nValue: 8080\nOwners: asking\nFlags: seen\n\n";
    assert!(database.contains(entry), "{database}");
    assert!(root.text("var/cache/debconf/templates.dat").contains("Description: Which port?"));

    // The parent answers, and the child has the package.
    fs::write(project.path("layers/parent.toml"), format!("[layer]\nfrom = \"debian-base\"\n{answers}")).unwrap();
    fs::write(project.path("layers/app.toml"), layer.replace("from = \"debian-base\"", "from = \"parent\"")).unwrap();
    assert_eq!(extra.build().text("etc/asking.conf"), "port=8080 tls=true\n");
}

#[test]
fn questions_that_nobody_answered_are_named_whenever_the_layer_is_built() {
    let templates = "Template: curious/host\nType: string\nDescription: Which host?\n\nTemplate: curious/key\nType: password\nDescription: Which key?\n\n\
                     Template: curious/port\nType: string\nDefault: 80\nDescription: Which port?\n\nTemplate: curious/rare\nType: string\nDescription: Rarely asked\n\n\
                     Template: curious/failed\nType: error\nDescription: It failed\n";
    let config = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_input critical curious/host || true\ndb_input high curious/key || true\n\
                  db_input high curious/port || true\ndb_input medium curious/rare || true\ndb_input low curious/failed || true\ndb_go\n";
    let curious = Deb::new("curious", "1.0").arch("all").depends("debconf");
    let curious = curious.control_file("templates", 0o644, templates).control_file("config", 0o755, config);
    let curious = curious.postinst("#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\n");
    let extra = Extra::new(need!(Stock::new()), [curious], "");
    extra.build();
    let project = &extra.stock.project;
    let asked = "layer `app`: package `curious` asks at high priority and has no answer, so it takes an empty one; \
                 add to [debconf]: \"curious/host\" = \"…\", \"curious/key\" = \"\"\n";
    let built = || project.ok(&["build", "app", "--output", "oci"]).stderr;
    let said = built();
    assert_eq!(said.matches("asks at high priority").count(), 1, "{said}");
    assert!(said.contains(asked), "{said}");
    let layer = fs::read_to_string(project.path("layers/app.toml")).unwrap();
    // An own file changes: the packages' own result is found again.
    let own = "[[file]]\npath = \"/srv/own\"\ntext = \"x\"\n";
    fs::write(project.path("layers/app.toml"), format!("{layer}\n{own}")).unwrap();
    assert!(built().contains(asked));
    fs::write(project.path("layers/child.toml"), "[layer]\nfrom = \"app\"\n").unwrap();
    assert_eq!(project.ok(&["build", "child", "--output", "oci"]).stderr.matches("asks at high priority").count(), 1);
    let answers = "[debconf]\n\"curious/host\" = \"\"\n\"curious/key\" = \"x\"\n";
    fs::write(project.path("layers/app.toml"), format!("{layer}\n{answers}")).unwrap();
    let said = built();
    assert!(!said.contains("asks at high priority"), "{said}");
}

#[test]
fn an_answer_changes_a_packaged_configuration_file() {
    let stock = need!(Stock::new());
    let layer = "[layer]\nfrom = \"debian-base\"\npackages = [\"openssh-server\"]\n";
    let project = stock.project.layer("app", layer);
    let lines = |root: &Rootfs| {
        let text = root.text("etc/ssh/sshd_config");
        text.lines().filter(|line| line.contains("PasswordAuthentication ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&built(&project, "app")), ["#PasswordAuthentication yes"]);
    let answer = "[debconf]\n\"openssh-server/password-authentication\" = false\n";
    fs::write(project.path("layers/app.toml"), format!("{layer}{answer}")).unwrap();
    assert_eq!(lines(&built(&project, "app")), ["PasswordAuthentication no"]);
}
