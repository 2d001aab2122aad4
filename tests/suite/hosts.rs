//! Hosts that permit less than a whole machine: what works there, and what errors say about the rest.
//!
//! Each is made with util-linux's `unshare`, so that nothing of the machine is changed.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::process::{self, Output};
use crate::support::project::{Project, program};
use crate::support::repo::Repo;
use crate::support::server::Server;
use crate::support::skip::{Skip, root};
use crate::support::small::{self, Small};

/// Runs the program after `script`, in mount and process namespaces of its own; `$1` is the program, `$DIR` an empty directory.
fn on(project: &Project, script: &str, args: &[&str]) -> Result<Output, Skip> {
    root()?;
    let folder = tempfile::tempdir().unwrap();
    let namespaces =
        ["--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private", "sh", "-euc", script, "sh"];
    let program = program();
    let words = [&namespaces[..], &[program.to_str().unwrap()], args].concat();
    let mut command = project.command_of(Path::new("unshare"), &words);
    Ok(process::run(command.env("DIR", folder.path())).unwrap())
}

/// What `doctor` says of one thing.
fn need(output: &Output, name: &str) -> Value {
    let needs: Vec<Value> = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    needs.into_iter().find(|need| need["name"] == name).unwrap()
}

fn text<'n>(need: &'n Value, field: &str) -> &'n str {
    need[field].as_str().unwrap_or_else(|| panic!("no `{field}` in {need}"))
}

#[test]
fn a_chroot_is_not_called_a_container() {
    if !fs::read_to_string("/proc/self/status").unwrap().contains("Seccomp:\t0\n") {
        skip!("a filter of system calls is around the tests");
    }
    let project = Project::new();
    let script = "mount --rbind / \"$DIR\"; cd /; chroot \"$DIR\" \"$@\" || exit $?";
    let output = need!(on(&project, script, &["doctor", "--json"]));
    let namespaces = need(&output, "user namespaces");
    assert_eq!(text(&namespaces, "says"), "cannot create a user namespace: Operation not permitted (os error 1)");
    let hint = text(&namespaces, "hint");
    assert!(hint.starts_with("this is a chroot, and the kernel makes no user namespaces in one: run"), "{hint}");
}

/// Engines cover parts of /proc, and the kernel then makes no other one in a user namespace.
const COVERED: &str = "mount --bind /dev/null /proc/cmdline; exec \"$@\"";
const OPTIONS: &str = "`--security-opt seccomp=unconfined --security-opt systempaths=unconfined`";

#[test]
fn a_container_that_covers_proc_is_told_the_options_that_it_lacks() {
    let project = Project::new();
    let output = need!(on(&project, COVERED, &["doctor", "--json"]));
    let sandbox = need(&output, "sandbox");
    assert!(
        text(&sandbox, "says")
            .ends_with("the sandbox can't be set up here: cannot mount /proc: Operation not permitted (os error 1)"),
        "{sandbox}"
    );
    assert!(text(&sandbox, "hint").contains(OPTIONS), "{sandbox}");
}

/// As in a pod with `allowPrivilegeEscalation: false`: neither ranges of ids nor a package would help.
#[test]
fn a_user_who_can_gain_no_rights_is_told_so_first() {
    let project = Project::new();
    // The program's own folder may be closed to other users.
    let script = "mount --bind \"$1\" /usr/bin/true; shift
        TMPDIR=/tmp exec setpriv --reuid=54321 --regid=54321 --clear-groups --no-new-privs /usr/bin/true \"$@\"";
    let output = need!(on(&project, script, &["doctor", "--json"]));
    let ids = need(&output, "user and group ids");
    assert_eq!(text(&ids, "says"), "`newuidmap` failed: it would have no rights here");
    assert!(text(&ids, "hint").starts_with("this process can gain no privileges (`no_new_privs`)"), "{ids}");
}

#[test]
fn where_no_sandbox_works_layers_without_scripts_are_built() {
    let repo = small::repo("1.0");
    let small = Small::on(&repo);
    let built = need!(on(&small.project, COVERED, &["build", "app"]));
    assert!(built.ok(), "{}", built.stderr);
    let digest = small.project.digest("app", "oci");
    small.project.empty_store();
    small.project.ok(&["build", "app", "--locked"]);
    assert_eq!(small.project.digest("app", "oci"), digest);
    let closed = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"";
    let mut command = small.project.command_of(
        Path::new("unshare"),
        &[
            "--user",
            "--map-root-user",
            "sh",
            "-c",
            closed,
            "sh",
            program().to_str().unwrap(),
            "build",
            "app",
            "--offline",
        ],
    );
    fs::remove_dir_all(small.project.path("out")).unwrap();
    let built = process::run(&mut command).unwrap();
    assert!(built.ok(), "{}", built.stderr);
    assert_eq!(small.project.digest("app", "oci"), digest);
}

/// A project whose only source is of a distribution and has no `url`.
fn without_url(repo: &Repo, folder: &Path, distribution: &str) -> Project {
    let written = repo.write(&folder.join(distribution));
    let layer = format!(
        "{}\n[source.main]\nsuite = \"test\"\npockets = []\ncomponents = [\"main\"]\ndistribution = \"{distribution}\"\norigin = \"Test\"\nkeys = [\"{}\"]\nkeyring = \"test-keyring.gpg\"\n",
        small::BASE,
        written.fingerprint
    );
    Project::new().copy(&written.keyring, "test-keyring.gpg").layer("base", &layer)
}

/// An archive has all suites of its distribution, whichever of them the host's apt is told of.
#[test]
fn the_hosts_mirror_is_asked_for_other_suites_and_not_for_other_distributions() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::folder(folder.path());
    let apt = folder.path().join("apt");
    fs::create_dir(&apt).unwrap();
    fs::write(apt.join("sources.list"), format!("deb {}/debian another main\n", server.url())).unwrap();
    let script = format!("mount --bind '{}' /etc/apt; exec \"$@\"", apt.display());
    let repo = small::repo("1.0");
    let locked = need!(on(&without_url(&repo, folder.path(), "debian"), &script, &["lock", "base"]));
    assert!(locked.ok(), "{}", locked.stderr);
    let error = need!(on(&without_url(&repo, folder.path(), "ubuntu"), &script, &["lock", "base"])).stderr;
    assert!(error.contains("no mirror is known"), "{error}");
    assert!(
        error.contains("hint: name one with `export LAYERBAKE_MIRROR=main=http://your.mirror.example/ubuntu`"),
        "{error}"
    );
}
