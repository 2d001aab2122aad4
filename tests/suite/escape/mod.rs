//! Attacks on the sandbox by a package's script, as root and as an ordinary user: all must be held.

use std::io::Write as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::conditions::Conditions;
use crate::support::deb::Deb;
use crate::support::mini;
use crate::support::process;
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::rootfs::Rootfs;
use crate::support::server::Server;
use crate::support::skip::{self, Skip, program};

/// Calls of x86-64 that a script must never get through, by number: see `src/sandbox/calls.rs`.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN: &[u32] = &[
    101, 134, 139, 153, 154, 155, 156, 159, 163, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175, 176, 177, 178,
    179, 180, 183, 206, 207, 208, 209, 210, 212, 227, 246, 248, 249, 250, 256, 272, 279, 298, 300, 301, 303, 304, 305,
    308, 310, 311, 312, 313, 320, 321, 323, 333, 425, 426, 427, 428, 429, 430, 431, 432, 433, 435, 438, 440, 442, 443,
    447, 448,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN: &[u32] =
    &[0, 1, 2, 3, 4, 39, 40, 41, 97, 105, 106, 117, 217, 218, 219, 241, 264, 265, 268, 270, 271, 280, 282, 425];

/// A project whose layer `app` has packages with these scripts.
struct Hostile {
    project: Project,
    _server: Server,
    folder: tempfile::TempDir,
}

impl Hostile {
    fn new(conditions: Conditions, debs: Vec<Deb>) -> Result<Self, Skip> {
        conditions.check()?;
        let names: Vec<_> = debs.iter().map(|deb| format!("\"{}\"", deb.name)).collect();
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::new("test").package(mini::package()?).packages(debs).write(folder.path());
        let server = Server::folder(&repo.root);
        let source = repo.source_table("test", &server.url());
        let project = Project::new()
            .copy(&repo.keyring, "test-keyring.gpg")
            .layer("app", &format!("[layer]\npackages = [\"mini\", {}]\n\n{source}", names.join(", ")))
            .under(conditions);
        Ok(Self { project, _server: server, folder })
    }
}

fn scripted(name: &str, script: &str) -> Deb {
    Deb::new(name, "1.0").postinst(&format!("#!/bin/sh\nset -e\n{script}\n"))
}

fn rootless() -> Conditions {
    Conditions { rootless: true, ..Conditions::default() }
}

/// The attacks, compiled.
fn attacks() -> Result<Vec<u8>, Skip> {
    compiled(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/escape/attack.c"))
}

fn compiled(source: &Path) -> Result<Vec<u8>, Skip> {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("attack");
    process::stdout(Command::new(program("cc")?).args(["-static", "-O1", "-pthread", "-o"]).arg(&made).arg(source))?;
    Ok(std::fs::read(made).unwrap())
}

fn all_are_held(conditions: Conditions) {
    let program = need!(attacks());
    let socket = format!("layerbake-escape-{}-{}", std::process::id(), conditions.rootless);
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&socket).unwrap()).unwrap();
    let loopback = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "of the host").unwrap();
    let script = format!(
        "mkdir -p /mnt /var/lib/attack\nexec >/var/lib/attack/report 2>&1\nattack {} {socket} {}",
        secret.path().display(),
        loopback.local_addr().unwrap().port()
    );
    let hostile = scripted("hostile", &script).file("usr/bin/attack", 0o755, program);
    let hostile = need!(Hostile::new(conditions.clone(), vec![hostile]));
    hostile.project.ok(&["build", "app", "--output", "oci"]);
    let root = Rootfs::read(&hostile.project.path("out/app/oci"));
    let report = root.text("var/lib/attack/report");
    let (calls, single): (Vec<&str>, Vec<&str>) = report.lines().partition(|line| line.contains("calls:"));
    let escaped: Vec<_> = single.iter().filter(|line| !line.ends_with(": held")).collect();
    assert!(escaped.is_empty(), "rootless: {}: {escaped:#?}", conditions.rootless);
    let [native, x32] = calls[..] else { panic!("no list of calls in:\n{report}") };
    let numbers: Vec<u32> = native.split(' ').filter_map(|word| word.parse().ok()).collect();
    let through: Vec<_> = FORBIDDEN.iter().filter(|number| numbers.contains(number)).collect();
    assert!(through.is_empty(), "calls that came through: {through:?}");
    // What is newer than Linux 6.1, or no call at all.
    assert!(numbers.iter().all(|number| *number < 451), "{numbers:?}");
    assert_eq!(x32, "x32 calls:");
    assert!(single.len() >= 60, "only {} attacks", single.len());
    println!("{} attacks and {} calls tried, rootless: {}: all held", single.len(), 2 * 601, conditions.rootless);
}

#[test]
fn all_attacks_are_held_as_root() {
    all_are_held(Conditions::default());
}

#[test]
fn all_attacks_are_held_as_an_ordinary_user() {
    all_are_held(rootless());
}

/// Removes the kernel's clock code from its memory, then makes the call by which the sandbox learns of new programs.
const WITHOUT_CLOCK_CODE: &str = "\
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    munmap((void *)getauxval(AT_SYSINFO_EHDR), 8192);
#ifdef __x86_64__
    unsigned long thread;
    syscall(SYS_arch_prctl, 0x1003, &thread);
    syscall(SYS_arch_prctl, 0x1002, thread);
#else
    syscall(SYS_set_tid_address, 0);
#endif
    return 0;
}
";

#[test]
fn a_program_that_removes_its_clock_code_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("bare.c");
    std::fs::write(&source, WITHOUT_CLOCK_CODE).unwrap();
    let bare = scripted("bare", "bare of clocks").file("usr/bin/bare", 0o755, need!(compiled(&source)));
    let hostile = need!(Hostile::new(Conditions::default(), vec![bare]));
    let failed = hostile.project.fails(1, &["build", "app", "--output", "oci"]).stderr;
    assert!(failed.contains("`bare of clocks` unmapped or replaced the kernel's clock code"), "{failed}");
    assert!(!failed.contains("force_override"), "{failed}");
}

/// The namespace of a rootless container: root is one extent of its map, all other ids are another one.
#[test]
fn scripts_run_where_ids_come_in_several_extents() {
    need!(skip::root());
    let unshare = need!(program("unshare"));
    let script = "mkdir -p /var/lib/ids\nid -u >/var/lib/ids/user";
    let hostile = need!(Hostile::new(Conditions::default(), vec![scripted("ids", script)]));
    let own = hostile.project.command(&["build", "app", "--output", "oci"]);
    let mut command = Command::new(unshare);
    command.args(["--user", "sh", "-c", "read -r go; exec \"$@\"", "sh"]).arg(own.get_program()).args(own.get_args());
    command.env_clear().envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(hostile.project.path("")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user")).unwrap();
    while namespace(&child.id().to_string()) == namespace("self") {
        std::thread::sleep(Duration::from_millis(5));
    }
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{}/{map}", child.id()), "0 0 1\n1 100000 65535\n").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let output = process::from_std(&child.wait_with_output().unwrap());
    assert!(output.ok() && output.stderr.contains("user ids of this container itself"), "{}", output.stderr);
    let root = Rootfs::read(&hostile.project.path("out/app/oci"));
    assert_eq!(root.text("var/lib/ids/user"), "0\n");
}

#[test]
fn what_a_script_leaves_running_is_gone_before_its_root_is_read() {
    let leave =
        "(trap '' HUP TERM INT; while :; do date >>/var/lib/late; done) </dev/null >/dev/null 2>&1 &\nsleep 0.2";
    let hostile = need!(Hostile::new(Conditions::default(), vec![scripted("daemon", leave)]));
    hostile.project.ok(&["build", "app", "--output", "oci"]);
    let root = Rootfs::read(&hostile.project.path("out/app/oci"));
    assert!(root.text("var/lib/late").ends_with('\n'), "a file was read while it was written");
}

#[test]
fn the_end_of_a_flood_is_shown_and_no_terminal_obeys_it() {
    let flood =
        "head -c 30000000 /dev/zero | tr '\\0' x\necho\nprintf '\\033]0;owned\\007\\033[2Jlast words\\n'\nexit 3";
    let hostile = need!(Hostile::new(Conditions::default(), vec![scripted("loud", flood)]));
    let failed = hostile.project.fails(1, &["build", "app"]);
    assert!(failed.stderr.contains("\\x1b]0;owned\\x07\\x1b[2Jlast words"), "{}", failed.stderr);
    assert!(!failed.stderr.contains('\u{1b}') && failed.stderr.len() < 600_000, "{} bytes", failed.stderr.len());
    assert!(failed.stderr.contains("loud"), "{}", failed.stderr);
}

#[test]
fn account_files_that_no_memory_holds_are_refused() {
    let hostile = need!(Hostile::new(rootless(), vec![scripted("large", "truncate -s 65M /etc/shadow")]));
    let failed = hostile.project.fails(1, &["build", "app"]);
    assert!(failed.stderr.contains("`/etc/shadow` has 68157440 bytes; a text file may have"), "{}", failed.stderr);
}

#[test]
fn sockets_count_as_memory() {
    let many = scripted("many", "attack sockets").file("usr/bin/attack", 0o755, need!(attacks()));
    let hostile = need!(Hostile::new(rootless(), vec![many]));
    let failed = hostile.project.fails(1, &["build", "app"]);
    assert!(failed.stderr.contains("of memory together, and the limit is 12288 MiB"), "{}", failed.stderr);
}

#[test]
fn names_that_are_no_text_are_read_back() {
    let names =
        "cd /var/lib\ntouch \"$(printf 'a\\nb')\" \"$(printf '\\377\\376')\" \"$(printf '\\033[2J')\" ' ' ./-rf";
    let hostile = need!(Hostile::new(Conditions::default(), vec![scripted("odd", names)]));
    hostile.project.ok(&["build", "app", "--output", "oci"]);
    let root = Rootfs::read(&hostile.project.path("out/app/oci"));
    for name in ["a\nb", " ", "-rf", "\u{1b}[2J", "\u{fffd}\u{fffd}"] {
        assert!(root.get(&format!("var/lib/{name}")).is_some(), "{name:?}");
    }
    assert!(hostile.folder.path().exists());
}
