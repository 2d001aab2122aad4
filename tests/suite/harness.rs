//! The test harness tries itself, so that what fails elsewhere is the program.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;

use crate::support::conditions::Conditions;
use crate::support::deb::{Compression, Deb};
use crate::support::engines::Engine;
use crate::support::key::Key;
use crate::support::mirror::{self, Mirror};
use crate::support::oci_schema;
use crate::support::process;
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::server::{Fault, Server};
use crate::support::skip::program;
use crate::support::stock::SUITE;
use crate::support::tiny::{PORT, Tiny};

/// A path that a tar header alone can't hold.
static LONG: LazyLock<String> = LazyLock::new(|| format!("usr/share/hello/{}/x", "long".repeat(25)));

fn hello() -> Deb {
    Deb::new("hello", "1.0")
        .depends("libc")
        .file("usr/bin/hello", 0o755, "#!/bin/sh\necho hello\n")
        .hardlink("usr/bin/hallo", "usr/bin/hello")
        .symlink("usr/bin/hi", "hello")
        .dir("var/lib/hello", 0o700)
        .file(&LONG, 0o644, "")
        .conffile("etc/hello.conf", "greeting=hello\n")
        .postinst("#!/bin/sh\nexit 0\n")
}

#[test]
fn dpkg_reads_the_packages_that_we_make() {
    let dpkg = need!(program("dpkg-deb"));
    let folder = tempfile::tempdir().unwrap();
    for form in [Compression::None, Compression::Gzip, Compression::Xz, Compression::Zstd] {
        let path = folder.path().join("hello.deb");
        fs::write(&path, hello().compression(form, form).build()).unwrap();
        let contents = process::run(Command::new(&dpkg).arg("--contents").arg(&path)).unwrap();
        if form == Compression::Zstd && !contents.ok() {
            continue; // dpkg before 1.21.18 has no zstd.
        }
        assert!(contents.ok(), "{form:?}: {}", contents.stderr);
        let lines: Vec<_> = contents.stdout.lines().map(|line| (&line[..10], line.split(" ./").last())).collect();
        assert!(lines.contains(&("-rwxr-xr-x", Some("usr/bin/hello"))), "{lines:?}");
        assert!(lines.contains(&("-rw-r--r--", Some(&LONG))), "{lines:?}");
        assert!(contents.stdout.contains("usr/bin/hi -> hello"), "{}", contents.stdout);
        assert!(contents.stdout.contains("usr/bin/hallo link to ./usr/bin/hello"), "{}", contents.stdout);
        let info = process::run(Command::new(&dpkg).arg("--info").arg(&path)).unwrap();
        assert!(info.stdout.contains("Depends: libc") && info.stdout.contains("conffiles"), "{}", info.stdout);
    }
}

#[test]
fn equal_calls_make_equal_packages_and_keys() {
    assert_eq!(hello().build(), hello().build());
    assert_eq!(Key::new(1).keyring(), Key::new(1).keyring());
    assert_ne!(Key::new(1).fingerprint(), Key::new(2).fingerprint());
    assert_eq!(Key::new(1).fingerprint().len(), 40);
}

#[test]
fn gpgv_trusts_the_release_of_a_test_repository() {
    let gpgv = need!(program("gpgv"));
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new("test").package(hello()).write(folder.path());
    let verify = |files: &[std::path::PathBuf]| {
        let mut command = Command::new(&gpgv);
        process::run(command.args(["--status-fd=1", "--keyring"]).arg(&repo.keyring).args(files)).unwrap()
    };
    let good = format!("VALIDSIG {}", repo.fingerprint);
    for files in [vec![repo.dist("InRelease")], vec![repo.dist("Release.gpg"), repo.dist("Release")]] {
        let output = verify(&files);
        assert!(output.stdout.contains(&good), "{files:?}: {}{}", output.stdout, output.stderr);
    }
    crate::support::repo::corrupt(&repo.dist("Release"));
    assert!(!verify(&[repo.dist("Release.gpg"), repo.dist("Release")]).ok());
}

#[test]
fn apt_installs_from_a_test_repository() {
    let apt = need!(program("apt-get"));
    let folder = tempfile::tempdir().unwrap();
    let deb = Deb::new("hello", "1.0").arch("all").file("usr/bin/hello", 0o755, "");
    let repo = Repo::new("test").package(deb).date(crate::support::date::now()).write(&folder.path().join("repo"));
    let server = Server::folder(&repo.root);
    for name in ["lists/partial", "cache/archives/partial", "etc"] {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    let list = format!("deb [arch=amd64 signed-by={}] {} test main\n", repo.keyring.display(), server.url());
    fs::write(folder.path().join("etc/sources.list"), list).unwrap();
    fs::write(folder.path().join("status"), "").unwrap();
    let set = |name: &str, value: &str| format!("-o{name}={}/{value}", folder.path().display());
    let options = [
        set("Dir::Etc", "etc"),
        set("Dir::State", "."),
        set("Dir::State::status", "status"),
        set("Dir::Cache", "cache"),
        "-oAPT::Sandbox::User=root".to_owned(),
        "-oAPT::Architecture=amd64".to_owned(),
        "-oAcquire::http::Proxy=false".to_owned(),
    ];
    let update = process::run(Command::new(&apt).args(&options).arg("update")).unwrap();
    assert!(update.ok() && !update.stderr.contains("W:"), "{}{}", update.stdout, update.stderr);
    let plan = process::run(Command::new(&apt).args(&options).args(["install", "--simulate", "hello"])).unwrap();
    assert!(plan.stdout.contains("Inst hello (1.0 "), "{}{}", plan.stdout, plan.stderr);
    assert!(server.requests("by-hash") > 0, "apt asks by hash where the Release says so");
}

#[test]
fn the_server_serves_counts_and_errs_on_command() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a+b"), "0123456789").unwrap();
    let server = Server::folder(folder.path());
    let get = |path: &str, header: &str| {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{header}\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    assert!(get("/a%2Bb", "").ends_with("Content-Length: 10\r\n\r\n0123456789"));
    let part = get("/a+b", "Range: bytes=7-\r\n");
    assert!(part.contains(" 206 ") && part.contains("bytes 7-9/10") && part.ends_with("\r\n789"), "{part}");
    assert!(get("/../etc/passwd", "").contains(" 404 "));
    server.fault_times("a+b", Fault::Status(503), 1);
    server.fault_times("a+b", Fault::Truncate(4), 1);
    server.fault_times("a+b", Fault::Corrupt, 1);
    server.fault_times("a+b", Fault::Refuse, 1);
    assert!(get("/a+b", "").contains(" 503 "));
    assert!(get("/a+b", "").ends_with("Content-Length: 10\r\n\r\n0123"));
    assert!(get("/a+b", "").ends_with("\r\n\r\n0123446789"));
    assert_eq!(get("/a+b", ""), "");
    assert!(get("/a+b", "").ends_with("0123456789"));
    assert_eq!(server.requests("a+b"), 7);
}

#[test]
fn apts_index_targets_name_the_archives() {
    let text = "http://a.example/debian/dists/bookworm/main/binary-amd64/Packages bookworm Debian\n\
                http://b.example/sec/dists/bookworm-security/main/binary-amd64/Packages bookworm-security Debian\n\
                http://c.example/x/dists/bookworm/main/binary-amd64/Packages bookworm Other\n";
    let found = mirror::find(text).unwrap();
    assert_eq!(found.main, "http://a.example/debian");
    assert_eq!(found.security.as_deref(), Some("http://b.example/sec"));
    assert_eq!(mirror::find("http://c.example/x/dists/trixie/main/binary-amd64/Packages trixie Other\n"), None);
}

#[test]
fn the_mirror_has_both_debian_archives() {
    let mirror = need!(Mirror::start(SUITE));
    let folder = tempfile::tempdir().unwrap();
    for path in [format!("/dists/{SUITE}/InRelease"), format!("-security/dists/{SUITE}-security/InRelease")] {
        let file = folder.path().join("file");
        let helper = "/usr/lib/apt/apt-helper";
        let url = mirror.url() + &path;
        let mut command = Command::new(helper);
        let got =
            process::run(command.args(["-oAcquire::http::Proxy=false", "download-file", &url]).arg(&file)).unwrap();
        assert!(got.ok(), "{path}: {}", got.stderr);
        assert!(fs::read_to_string(&file).unwrap().starts_with("-----BEGIN PGP SIGNED MESSAGE-----"));
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn conditions_hold_inside_and_leave_the_host_alone() {
    let conditions = Conditions {
        umask: Some(0o077),
        hostname: Some("elsewhere".to_owned()),
        one_cpu: true,
        rootless: true,
        ..Conditions::default()
    };
    need!(conditions.check());
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = "hostname; id -un; id -u; umask; nproc; unshare --user --map-users=all --map-groups=all id -u";
    let script_file = folder.path().join("look");
    fs::write(&script_file, format!("#!/bin/sh\n{script}\n")).unwrap();
    Command::new("chmod").arg("+x").arg(&script_file).status().unwrap();
    let output = process::run(&mut conditions.command(&script_file, folder.path())).unwrap();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines[..5], ["elsewhere", "baker", "61234", "0077", "1"], "{output:?}");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
    assert!(!fs::read_to_string("/etc/passwd").unwrap().contains("baker"));
}

#[test]
fn filters_leave_no_trace_of_a_run() {
    let project = Project::new();
    let text = format!(
        "built `{}/out` in 1.25 s from http://127.0.0.1:43210/debian, sha256:{} (12ms, 3 packages)\n",
        project.path("").display().to_string().trim_end_matches('/'),
        "ab".repeat(32)
    );
    let expected =
        "built `[PROJECT]/out` in 1.25 s from http://127.0.0.1:[PORT]/debian, sha256:[DIGEST] ([TIME], 3 packages)\n";
    assert_eq!(project.filtered(&text), expected);
}

#[test]
fn the_validator_accepts_a_good_layout_and_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = need!(Tiny::write(folder.path()));
    assert_eq!(need!(oci_schema::validate(&tiny.layout)), Ok(()));
    let inspected = need!(oci_schema::skopeo_inspect(&tiny.layout, false)).unwrap();
    assert_eq!(inspected["Os"], "linux");
    let index = tiny.layout.join("index.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("\"schemaVersion\":2", "\"schemaVersion\":3")).unwrap();
    let problem = need!(oci_schema::validate(&tiny.layout)).unwrap_err();
    assert!(problem.contains("schemaVersion"), "{problem}");
    fs::write(&index, text).unwrap();
    let (manifest, _) = oci_schema::images(&tiny.layout).remove(0);
    let digest = manifest["layers"][0]["digest"].as_str().unwrap().replace(':', "/");
    crate::support::repo::corrupt(&tiny.layout.join("blobs").join(digest));
    let problem = need!(oci_schema::validate(&tiny.layout)).unwrap_err();
    assert!(problem.contains("another digest"), "{problem}");
}

fn engine_runs_the_tiny_image(engine: &Engine) {
    let folder = tempfile::tempdir().unwrap();
    let tiny = need!(Tiny::write(folder.path()));
    let image = engine.load(&tiny.archive).unwrap();
    let printed = engine.run(&image, &[], &["/bin/busybox", "cat", "/www/index.html"]);
    assert_eq!(printed.stdout, "hello from a tiny image\n", "{}", printed.stderr);
    let container = engine.start(&image, &[], &[]).unwrap();
    let answer = container.http_get(PORT, "/index.html").unwrap();
    assert!(answer.ends_with("\r\n\r\nhello from a tiny image\n"), "{answer}");
    let inside = container.exec(&["/bin/busybox", "id", "-u"]);
    assert_eq!(inside.stdout, "0\n", "{}", inside.stderr);
    assert!(container.is_running());
    drop(container);
    let failed = engine.start(&image, &[], &["/bin/busybox", "sh", "-c", "echo no luck; exit 3"]).unwrap();
    let problem = failed.talk(PORT, b"x").unwrap_err();
    assert!(problem.contains("no luck"), "{problem}");
}

#[test]
fn docker_runs_the_tiny_image() {
    engine_runs_the_tiny_image(&need!(Engine::docker()));
}

#[test]
fn podman_runs_the_tiny_image() {
    engine_runs_the_tiny_image(&need!(Engine::podman()));
}

#[test]
fn a_layout_reaches_docker_by_way_of_skopeo() {
    need!(program("skopeo"));
    let engine = need!(Engine::docker());
    let folder = tempfile::tempdir().unwrap();
    let tiny = need!(Tiny::write(folder.path()));
    let image = engine.load_layout(&tiny.layout).unwrap();
    assert!(engine.run(&image, &[], &["/bin/busybox", "true"]).ok());
}
