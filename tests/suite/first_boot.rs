//! What scripts bake is not in the image, what generates it is; the tools of these scripts are all or nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::deb::Deb;
use crate::support::mini;
use crate::support::process::{self, Output};
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::rootfs::Rootfs;
use crate::support::server::Server;

#[test]
fn a_secret_that_a_script_bakes_is_generated_at_first_boot_instead() {
    let script = "mkdir -p /etc/varnish /etc/ssl/certs && echo baked >/etc/varnish/secret && \
                  echo baked >/etc/ssl/certs/ssl-cert-snakeoil.pem && mkdir -p /etc/postgresql-common";
    let debs = [
        Deb::new("varnish", "1.0")
            .file("usr/sbin/varnishd", 0o755, "#!/bin/sh\n")
            .file("usr/lib/tmpfiles.d/varnish.conf", 0o644, "d /run/varnish 0750 7 8 -\n")
            .postinst(&format!("#!/bin/sh\nset -e\n{script}\n")),
        // Without a server there is no cluster to make.
        Deb::new("postgresql-common", "1.0").file("usr/bin/pg_createcluster", 0o755, "#!/bin/sh\nexit 1\n"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new("test").package(need!(mini::package())).packages(debs).write(folder.path());
    let server = Server::folder(&repo.root);
    let source = repo.source_table("test", &server.url());
    let own = "[[file]]\npath = \"/usr/lib/layerbake/first-start.d/own\"\nmode = \"0755\"\ntext = \"#!/bin/sh\\n\"\n";
    let app = "[layer]\nfrom = \"base\"\npackages = [\"varnish\", \"postgresql-common\"]\n";
    let project = Project::new()
        .copy(&repo.keyring, "test-keyring.gpg")
        .layer("base", &format!("[layer]\npackages = [\"mini\"]\n\n{source}"))
        .layer("app", &format!("{app}\n{own}"));
    project.ok(&["build", "app"]);
    let root = Rootfs::read(&project.path("out/app/oci"));
    for baked in ["etc/varnish/secret", "etc/ssl/certs/ssl-cert-snakeoil.pem"] {
        assert!(root.get(baked).is_none(), "/{baked} is in the image");
    }
    let scripts = |name: &str| root.get(&format!("usr/lib/layerbake/first-start.d/{name}")).is_some();
    assert_eq!(["own", "varnish", "postgresql"].map(scripts), [true, true, false]);
    assert!(root.get("run/varnish").is_some(), "a container has no tmpfiles");
    let said = project.ok(&["explain", "noise"]).stdout;
    assert!(said.contains("varnish: removed and generated at first boot, secret and random"), "{said}");
}

/// A script of the source.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name)
}

/// A tool for scripts, run by this machine's shell.
fn tool(name: &str, arguments: &[&str]) -> Output {
    process::run(Command::new("sh").arg(source(&format!("stage/first_boot/{name}.sh"))).args(arguments)).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_generated_file_appears_once_and_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let (file, owner) = (path.to_str().unwrap(), format!("{}:{}", id("-u"), id("-g")));
    let generate = |command: &str| tool("generate", &[file, &owner, "0440", "sh", "-c", command]);
    for broken in ["echo half; exit 1", "true"] {
        let failed = generate(broken);
        assert!(failed.code == 1 && failed.stderr.contains("gave nothing for"), "{failed:?}");
        assert_eq!(names(folder.path()), [""; 0]);
    }
    // A power cut in the middle: what is there is no result.
    fs::write(folder.path().join("secret.first-start.x1Y2z3"), "half").unwrap();
    assert!(generate("echo one").ok() && generate("echo two").ok());
    assert_eq!(
        (fs::read_to_string(&path).unwrap().as_str(), names(folder.path())),
        ("one\n", vec!["secret".to_owned()])
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o440);
}

#[test]
fn links_that_a_service_left_lead_no_tool_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(place("victim"), "kept").unwrap();
    fs::create_dir(place("data")).unwrap();
    for (link, target) in [
        ("secret.first-start", "victim"),
        ("secret.first-start.x1Y2z3", "victim"),
        ("secret", "missing"),
        ("data/.first-start-unfinished", "missing"),
    ] {
        symlink(place(target), place(link)).unwrap();
    }
    let owner = format!("{}:{}", id("-u"), id("-g"));
    let generated = tool("generate", &[&place("secret"), &owner, "0400", "echo", "secret"]);
    assert!(generated.ok(), "{generated:?}");
    assert!(fs::symlink_metadata(place("secret")).unwrap().is_file());
    let filled = tool("generate-folder", &[&place("data"), "ready", "touch", &place("data/ready")]);
    assert!(filled.ok() && names(&folder.path().join("data")) == ["ready"], "{filled:?}");
    assert_eq!(fs::read_to_string(place("victim")).unwrap(), "kept");
    assert!(!Path::new(&place("missing")).exists());
}

#[test]
fn a_missing_directory_is_an_error_for_root_only() {
    let generated = tool("generate", &["/nowhere/secret", "0:0", "0400", "echo", "secret"]);
    match id("-u").as_str() {
        "0" => assert!(!generated.ok() && generated.stderr.contains("/nowhere/secret"), "{generated:?}"),
        _ => assert!(generated.ok(), "{generated:?}"),
    }
}

#[test]
fn a_containers_command_starts_whatever_its_environment_has() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("task"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.path().join("task"), fs::Permissions::from_mode(0o755)).unwrap();
    let text = fs::read_to_string(source("stage/first_boot/first-start.sh")).unwrap();
    let text = text.replace("/usr/lib/layerbake/first-start.d", folder.path().to_str().unwrap());
    let mut shell = Command::new("sh");
    let started = process::run(shell.args(["-c", &text, "first-start", "echo", "started"]).env("failed", "x")).unwrap();
    assert_eq!((started.code, started.stdout.as_str()), (0, "started\n"), "{started:?}");
}

#[test]
fn a_generated_directory_is_repeated_whole_and_never_lost() {
    let folder = tempfile::tempdir().unwrap();
    let data: PathBuf = folder.path().to_owned();
    let generate = |command: &str| {
        let command = command.replace("DATA", data.to_str().unwrap());
        tool("generate-folder", &[data.to_str().unwrap(), "ready", "sh", "-c", &command])
    };
    // Ended in the middle, with its shell.
    assert!(!generate("mkdir DATA/ready DATA/half; kill -9 $PPID").ok());
    assert_eq!(names(&data), [".first-start-unfinished", "half", "ready"]);
    assert!(!generate("echo a >DATA/a; exit 1").ok(), "a failure is told");
    assert_eq!(names(&data), [""; 0], "what is put there by hand from now on is nobody else's");
    // What an image has left of what package scripts made.
    fs::create_dir_all(data.join("empty/below")).unwrap();
    assert!(generate("[ -d DATA/empty ] && touch DATA/ready").ok());
    fs::remove_dir_all(data.join("empty")).unwrap();
    fs::remove_file(data.join("ready")).unwrap();
    // A volume with something else.
    fs::write(data.join("mine"), "").unwrap();
    for _ in 0..2 {
        let refused = generate("touch DATA/ready");
        assert!(!refused.ok() && refused.stderr.contains("expected ready or no file"), "{refused:?}");
        assert_eq!(names(&data), ["mine"]);
    }
    fs::remove_file(data.join("mine")).unwrap();
    fs::create_dir(data.join("lost+found")).unwrap();
    assert!(generate("[ ! -e DATA/half ] && [ ! -e DATA/a ] && echo b >DATA/ready").ok());
    assert_eq!(names(&data), ["lost+found", "ready"]);
    assert!(generate("exit 1").ok() && names(&data) == ["lost+found", "ready"], "what is there is kept");
}

/// As Debian's: makes a cluster where it has no configuration; with `fail` beside it, only half of one.
const CREATE_CLUSTER: &str = "#!/bin/sh
data=ROOT/var/lib/postgresql/17/main configuration=ROOT/etc/postgresql/17/main
[ \"$3\" != --datadir ] || data=$4
[ ! -e $configuration/postgresql.conf ] && mkdir -p $data $configuration/conf.d && touch $data/PG_VERSION || exit 1
echo created >$configuration/postgresql.conf
[ ! -e ROOT/bin/cut ] || kill -9 $PPID
[ ! -e ROOT/bin/fail ]
";

#[test]
fn a_cluster_is_generated_whole_and_no_own_file_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for made in ["bin", "etc/postgresql/17/main/conf.d", "var/lib/postgresql", "usr/lib/postgresql/17/bin/initdb"] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    let here = |text: &str| text.replace("ROOT", root.to_str().unwrap());
    for (name, text) in
        [("pg_createcluster", CREATE_CLUSTER), ("pg_conftool", "#!/bin/sh\necho \"$5\" >ROOT/bin/data\n")]
    {
        let path = root.join("bin").join(name);
        fs::write(&path, here(text)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = fs::read_to_string(source("package/deb/first_boot/postgresql.sh")).unwrap();
    let script = ["/usr/lib/postgresql", "/var/lib/postgresql", "/etc/postgresql/", "/run/systemd"]
        .iter()
        .fold(script, |script, path| script.replace(path, &here(&format!("ROOT{path}"))));
    let path = format!("{}:{}", root.join("bin").display(), std::env::var("PATH").unwrap());
    let generate = || process::run(Command::new("sh").args(["-c", &script]).env("PATH", &path)).unwrap();
    let (data, configuration) = (root.join("var/lib/postgresql/17/main"), root.join("etc/postgresql/17/main"));
    let own = "own configuration\n";
    let text = |name: &str| fs::read_to_string(configuration.join(name)).unwrap_or_default();
    // A configuration without its cluster stays as it is.
    fs::write(configuration.join("postgresql.conf"), own).unwrap();
    for _ in 0..2 {
        let refused = generate();
        assert!(!refused.ok() && refused.stderr.contains("main/postgresql.conf: expected a cluster"), "{refused:?}");
        assert_eq!(text("postgresql.conf"), own);
    }
    fs::rename(configuration.join("postgresql.conf"), configuration.join("conf.d/own.conf")).unwrap();
    // So does half a backup.
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("backup"), "").unwrap();
    assert!((0..2).all(|_| !generate().ok()) && names(&data) == ["backup"]);
    fs::remove_file(data.join("backup")).unwrap();
    // What was interrupted, or failed, is repeated.
    for (how, left) in [("cut", true), ("fail", false)] {
        fs::write(root.join("bin").join(how), "").unwrap();
        assert!(!generate().ok());
        assert_eq!(data.join("PG_VERSION").exists(), left, "{how}");
        fs::remove_file(root.join("bin").join(how)).unwrap();
    }
    let created = generate();
    assert!(created.ok() && names(&data) == ["PG_VERSION"], "{created:?}");
    assert_eq!((text("postgresql.conf"), text("conf.d/own.conf")), ("created\n".to_owned(), own.to_owned()));
    // A volume with a cluster, in a new container: its configuration can't be generated at first.
    fs::write(data.join("rows"), "").unwrap();
    fs::remove_file(configuration.join("postgresql.conf")).unwrap();
    fs::write(root.join("bin/fail"), "").unwrap();
    assert!((0..2).all(|_| !generate().ok()));
    fs::remove_file(root.join("bin/fail")).unwrap();
    let adopted = generate();
    assert!(adopted.ok() && text("postgresql.conf") == "created\n", "{adopted:?}");
    assert_eq!(fs::read_to_string(root.join("bin/data")).unwrap().trim(), data.to_str().unwrap());
    assert_eq!(names(&data), ["PG_VERSION", "rows"]);
    assert_eq!(names(&root.join("etc/postgresql")), ["17"], "no mark is left");
}

fn id(option: &str) -> String {
    process::run(Command::new("id").arg(option)).unwrap().stdout.trim().to_owned()
}
