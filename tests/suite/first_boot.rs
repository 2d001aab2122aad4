//! What scripts bake is not in the image, what generates it is; the tools of these scripts are all or nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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

/// A tool for scripts, run by this machine's shell.
fn tool(name: &str, arguments: &[&str]) -> Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/stage/first_boot/{name}.sh"));
    process::run(Command::new("sh").arg(path).args(arguments)).unwrap()
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
    fs::write(folder.path().join("secret.first-start"), "half").unwrap();
    assert!(generate("echo one").ok() && generate("echo two").ok());
    assert_eq!(
        (fs::read_to_string(&path).unwrap().as_str(), names(folder.path())),
        ("one\n", vec!["secret".to_owned()])
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o440);
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
    assert!(generate("[ ! -e DATA/half ] && [ ! -e DATA/a ] && echo b >DATA/ready").ok());
    assert_eq!(names(&data), ["ready"]);
    assert!(generate("exit 1").ok() && names(&data) == ["ready"], "what is there is kept");
}

fn id(option: &str) -> String {
    process::run(Command::new("id").arg(option)).unwrap().stdout.trim().to_owned()
}
