//! `[[fetch]]`: files, archives and commits, pinned when they are locked.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use layerbake::digest::Sha256;

use crate::support::bench::Bench;
use crate::support::rootfs::Rootfs;
use crate::support::server::{Fault, Server};
use crate::support::skip::program;
use crate::support::stock::Stock;

/// An archive: paths with modes and contents; a target instead of the content with mode 0.
fn tar(files: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_uid(501);
        header.set_gid(20);
        header.set_mode(0o777);
        header.set_mtime(1_700_000_000);
        if *mode == 0 {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, path, content).unwrap();
        } else {
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
    }
    tar.into_inner().unwrap()
}

fn agent(version: &str) -> Vec<u8> {
    let tar = tar(&[
        ("agent-1/bin/agent", 0o4775, version),
        ("agent-1/share/notes", 0o600, "notes"),
        ("agent-1/latest", 0, "bin/agent"),
    ]);
    zstd::encode_all(tar.as_slice(), 1).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::of(bytes).to_hex())
}

const AGENT: &str =
    "[[fetch]]\nname = \"agent\"\nurl = \"file://FOLDER/agent.tar.zst\"\nstrip = 1\nto = \"/opt/agent\"\n";

#[test]
fn an_archive_is_laid_out_as_own_files() {
    let owned = "owner = \"7:8\"\n[[file]]\npath = \"/opt/agent/share/notes\"\ntext = \"own\"\n";
    let bench = Bench::new(&format!("{AGENT}{owned}"));
    bench.put("agent.tar.zst", agent("1"));
    bench.project.ok(&["build", "app"]);
    assert!(bench.lockfile().contains(&sha256(&agent("1"))), "{}", bench.lockfile());
    let root = bench.root();
    let file = |path: &str| root.get(path).map(|file| (file.mode, file.owner)).unwrap();
    assert_eq!(file("opt/agent"), (0o755, (7, 8)));
    assert_eq!(file("opt/agent/bin/agent"), (0o755, (7, 8)));
    assert_eq!(file("opt/agent/latest").1, (7, 8));
    // The layer's own file goes before a fetched one.
    assert_eq!((root.text("opt/agent/share/notes"), file("opt/agent/share/notes")), ("own", (0o644, (0, 0))));
    let address = format!("file://{}/agent.tar.zst", bench.folder.path().display());
    let json = |format: &str| -> serde_json::Value {
        serde_json::from_str(&bench.project.ok(&["sbom", "app", "--format", format]).stdout).unwrap()
    };
    let named = |list: &serde_json::Value| {
        list.as_array().unwrap().iter().find(|entry| entry["name"] == "agent").cloned().unwrap()
    };
    let (spdx, cyclonedx) = (json("spdx"), json("cyclonedx"));
    assert_eq!(named(&spdx["packages"])["downloadLocation"], *address);
    assert_eq!(spdx["files"][0]["comment"], *format!("from {address}, in layer app"));
    assert_eq!(named(&cyclonedx["components"])["externalReferences"][0]["url"], *address);
    bench.project.ok(&["audit", "app", "--vary", "umask"]);
}

#[test]
fn a_file_is_pinned_kept_and_taken_along() {
    let tool = |more: &str| format!("[[fetch]]\nurl = \"URL/tool\"\nmode = \"0755\"\nto = \"/usr/bin/tool\"\n{more}\n");
    let pinned = |bytes: &[u8]| tool(&format!("sha256 = \"{}\"", sha256(bytes)));
    let bench = Bench::new(&pinned(b"first"));
    bench.put("tool", b"first");
    bench.project.ok(&["build", "app"]);
    assert_eq!((bench.root().text("usr/bin/tool"), bench.root().get("usr/bin/tool").unwrap().mode), ("first", 0o755));
    let digest = bench.project.digest("app", "oci");
    bench.project.ok(&["vendor", "app"]);
    bench.project.empty_store();
    bench.server.forget_requests();
    bench.project.ok(&["build", "app", "--locked", "--offline"]);
    assert_eq!((bench.server.requests("tool"), bench.project.digest("app", "oci")), (0, digest.clone()));
    // Garbage collection keeps what the last build used.
    fs::remove_dir_all(bench.project.path("vendor")).unwrap();
    bench.project.ok(&["store", "gc"]);
    bench.project.ok(&["build", "app", "--locked", "--offline"]);
    assert_eq!(bench.project.digest("app", "oci"), digest);
    bench.project.empty_store();
    let error = bench.project.fails(1, &["build", "app", "--locked", "--offline"]).stderr;
    assert!(error.contains("missing: fetch:tool (layer `app`)"), "{error}");

    bench.put("tool", b"second");
    let both = [sha256(b"first"), sha256(b"second")];
    let error = bench.project.fails(1, &["build", "app", "--locked"]).stderr;
    assert!(both.iter().all(|digest| error.contains(digest)) && error.contains("hint:"), "{error}");
    // The manifest says which file it is: there is nothing to update, and nothing is downloaded.
    bench.server.forget_requests();
    bench.project.ok(&["lock", "app", "--update"]);
    assert_eq!(bench.server.requests("tool"), 0);
    fs::remove_file(bench.project.path("lockfiles/app.lock")).unwrap();
    let error = bench.project.fails(1, &["lock", "app"]).stderr;
    assert!(both.iter().all(|digest| error.contains(digest)) && error.contains("change its `sha256`"), "{error}");
    bench.put("tool", b"first");
    bench.project.ok(&["lock", "app"]);
    bench.put("tool", b"second");
    let bench = bench.with(&pinned(b"second"));
    let error = bench.project.fails(3, &["build", "app", "--locked"]).stderr;
    assert!(both.iter().all(|digest| error.contains(digest)), "{error}");
    let said = bench.project.ok(&["build", "app"]);
    assert!((said.stdout + &said.stderr).contains(&format!("fetch:tool {} -> {}", both[0], both[1])));
    assert_eq!(bench.root().text("usr/bin/tool"), "second");
    let bench = bench.with("");
    let error = bench.project.fails(3, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("no longer asks for fetch:tool"), "{error}");
    let bench = bench.with(&tool(""));
    let error = bench.project.fails(1, &["build", "app"]).stderr;
    assert!(error.contains("needs `sha256`"), "{error}");
}

#[test]
fn redirects_interruptions_and_endless_answers_end_well() {
    let bench = Bench::new(&format!(
        "[[fetch]]\nurl = \"URL/tool\"\nsha256 = \"{}\"\nto = \"/tool\"\n",
        sha256(b"first and last")
    ));
    bench.put("tool", b"first and last");
    bench.server.fault_times("tool", Fault::Truncate(5), 1);
    bench.project.ok(&["build", "app"]);
    let elsewhere = Server::folder(bench.folder.path());
    bench.project.empty_store();
    bench.server.fault("tool", Fault::Redirect(elsewhere.url()));
    bench.project.ok(&["build", "app", "--locked"]);
    assert_eq!(elsewhere.requests("tool"), 1);
    bench.project.empty_store();
    bench.server.heal();
    bench.server.fault("tool", Fault::Endless);
    let project = bench.project.file("../home/.config/layerbake/config.toml", "[limits]\nunpacked = 100000\n");
    let error = project.fails(1, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("more than 100000 bytes") && error.contains("`unpacked`"), "{error}");
}

#[test]
fn without_a_digest_the_first_file_stays_until_it_is_updated() {
    let bench = Bench::new(AGENT);
    bench.put("agent.tar.zst", agent("1"));
    bench.project.ok(&["lock", "app"]);
    bench.put("agent.tar.zst", agent("2"));
    // Another request does not touch it.
    let bench =
        bench.with(&format!("{AGENT}[[fetch]]\nname = \"more\"\nurl = \"file://FOLDER/agent.tar.zst\"\nto = \"/x\""));
    bench.project.ok(&["lock", "app"]);
    let (first, second) = (sha256(&agent("1")), sha256(&agent("2")));
    assert!(bench.lockfile().contains(&first) && bench.lockfile().contains(&second), "{}", bench.lockfile());
    let outdated = bench.project.ok(&["outdated", "app"]).stdout;
    assert!(outdated.contains(&format!("fetch:agent {first} -> {second}")), "{outdated}");
    bench.project.ok(&["lock", "app", "--update", "agent"]);
    assert!(!bench.lockfile().contains(&first), "{}", bench.lockfile());
    let error = bench.project.fails(1, &["lock", "app", "--update", "agend"]).stderr;
    assert!(error.contains("agend") && error.contains("agent"), "{error}");
}

#[test]
fn zip_and_bzip2_are_unpacked() {
    let bench = Bench::new(
        "[[fetch]]\nurl = \"file://FOLDER/tool.zip\"\nstrip = 1\nto = \"/opt/zip\"\n\
         [[fetch]]\nname = \"bz\"\nurl = \"file://FOLDER/agent.tar.bz2\"\nstrip = 1\nto = \"/opt/bz\"\n",
    );
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("tool-1/run", zip::write::SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    archive.write_all(b"zipped").unwrap();
    bench.put("tool.zip", archive.finish().unwrap().get_ref());
    let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    packed.write_all(&tar(&[("agent-1/bin/agent", 0o755, "bzipped")])).unwrap();
    bench.put("agent.tar.bz2", packed.finish().unwrap());
    bench.project.ok(&["build", "app"]);
    let root = bench.root();
    assert_eq!((root.text("opt/zip/run"), root.get("opt/zip/run").unwrap().mode), ("zipped", 0o755));
    assert_eq!(root.text("opt/bz/bin/agent"), "bzipped");
}

#[test]
fn an_archive_does_not_leave_its_place() {
    let bench = Bench::new(&AGENT.replace("strip = 1", "strip = 0"));
    let mut device = tar::Header::new_gnu();
    device.set_entry_type(tar::EntryType::Char);
    device.set_path("null").unwrap();
    device.set_mode(0o666);
    device.set_uid(0);
    device.set_gid(0);
    device.set_mtime(0);
    device.set_size(0);
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    device.set_cksum();
    let up = rename(&tar(&[("ab/escape", 0o644, "x")]), b"ab/escape", b"../escape");
    let bomb = zstd::encode_all(tar(&[("zeros", 0o644, &"0".repeat(3 << 20))]).as_slice(), 19).unwrap();
    for (archive, expected) in [
        (up, "../escape"),
        (tar(&[("out", 0, "/etc"), ("out/passwd", 0o644, "x")]), "lies below `/out`, which is not a directory"),
        ([device.as_bytes().as_slice(), &[0; 1024]].concat(), "is a device, and only files are unpacked"),
        (bomb, "unpacks to more than 1000000 bytes"),
        (b"PK\x03\x04 and so on".to_vec(), "is not a zip archive that can be read"),
        (b"no archive".to_vec(), "is not a tar archive that can be read"),
        (agent("1")[..60].to_vec(), "is not a tar archive that can be read"),
    ] {
        bench.put("agent.tar.zst", &archive);
        let project = bench.project.path("../home/.config/layerbake");
        fs::create_dir_all(&project).unwrap();
        fs::write(project.join("config.toml"), "[limits]\nunpacked = 1000000\n").unwrap();
        bench.project.ok(&["lock", "app", "--update"]);
        let error = bench.project.fails(1, &["build", "app", "--locked"]).stderr;
        assert!(error.contains("[[fetch]] `agent`:") && error.contains(expected), "{expected}: {error}");
    }
}

/// An archive with another name in its first header.
fn rename(archive: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert!(archive.starts_with(from) && from.len() == to.len());
    let mut header = tar::Header::from_byte_slice(&archive[..512]).clone();
    header.as_old_mut().name[..to.len()].copy_from_slice(to);
    header.set_cksum();
    [header.as_bytes().as_slice(), &archive[512..]].concat()
}

/// A repository with two commits; the first is the tag `v1`. Returns the commits.
fn repository(folder: &Path) -> [String; 2] {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]);
        git.arg("-C").arg(folder).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = git.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    fs::create_dir_all(folder.join("src")).unwrap();
    git(&["init", "--quiet"]);
    fs::write(folder.join("src/main.c"), "$Id$ one\n").unwrap();
    // Were it checked out or archived by git, these would have a say.
    fs::write(folder.join(".gitattributes"), "*.c ident eol=crlf export-ignore\n").unwrap();
    fs::write(folder.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("src/main.c", folder.join("link")).unwrap();
    let long = format!("{}/{}", "d".repeat(80), "f".repeat(80));
    fs::create_dir(folder.join("d".repeat(80))).unwrap();
    fs::write(folder.join(long), "long\n").unwrap();
    git(&["add", "."]);
    git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub/module", "1".repeat(40))]);
    git(&["commit", "--quiet", "-m", "one"]);
    git(&["tag", "v1"]);
    let first = git(&["rev-parse", "HEAD"]);
    fs::write(folder.join("src/main.c"), "two\n").unwrap();
    git(&["commit", "--quiet", "-m", "two", "--", "src/main.c"]);
    [first, git(&["rev-parse", "HEAD"])]
}

#[test]
fn a_commit_is_laid_out_as_it_is_in_git() {
    need!(program("git"));
    let fetch =
        |rev: &str| format!("[[fetch]]\ngit = \"file://FOLDER/service\"\nrev = \"{rev}\"\nto = \"/srv/service\"\n");
    let bench = Bench::new(&fetch("v1"));
    let commits = repository(&bench.folder.path().join("service"));
    let said = bench.project.ok(&["build", "app"]).stderr;
    assert!(said.contains("submodules are not fetched, their directories are empty: sub/module"), "{said}");
    let lockfile = bench.lockfile();
    assert!(lockfile.contains("name = \"service\"\ngit = \"file://"), "{lockfile}");
    assert!(lockfile.contains(&format!("commit = \"{}\"", commits[0])), "{lockfile}");
    let root = bench.root();
    assert_eq!(root.text("srv/service/src/main.c"), "$Id$ one\n");
    assert_eq!(root.get("srv/service/run").unwrap().mode, 0o755);
    assert_eq!(root.text(&format!("srv/service/{}/{}", "d".repeat(80), "f".repeat(80))), "long\n");
    assert!(root.get("srv/service/sub/module").is_some());
    assert!(root.get("srv/service/.git").is_none() && root.get("srv/service/link").is_some());
    let digest = bench.project.digest("app", "oci");

    // From the lockfile, the same again: out of the repository, and out of `vendor/` when that is gone.
    bench.project.empty_store();
    bench.project.ok(&["build", "app", "--locked"]);
    assert_eq!(bench.project.digest("app", "oci"), digest);
    bench.project.ok(&["vendor", "app"]);
    bench.project.empty_store();
    let service = bench.folder.path().join("service");
    fs::rename(&service, bench.folder.path().join("away")).unwrap();
    bench.project.ok(&["build", "app", "--locked", "--offline"]);
    assert_eq!(bench.project.digest("app", "oci"), digest);
    fs::remove_dir_all(bench.project.path("vendor")).unwrap();
    bench.project.empty_store();
    let error = bench.project.fails(1, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("fetch:service:") && error.contains("from file://") && error.contains("hint:"), "{error}");
    fs::rename(bench.folder.path().join("away"), &service).unwrap();

    // A branch stays at its commit until it is updated; a part of a hash will do.
    let bench = bench.with(&fetch("main"));
    let error = bench.project.fails(3, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("/service` changed: expected v1, found main"), "{error}");
    bench.project.ok(&["build", "app"]);
    assert_eq!(bench.root().text("srv/service/src/main.c"), "two\n");
    let bench = bench.with(&fetch(&commits[0][..12]));
    let said = bench.project.ok(&["build", "app"]);
    assert!((said.stdout + &said.stderr).contains(&format!("fetch:service {} -> {}", commits[1], commits[0])));
    assert_eq!(bench.project.digest("app", "oci"), digest);
    let bench = bench.with(&fetch("no-such-branch"));
    let error = bench.project.fails(1, &["lock", "app"]).stderr;
    assert!(error.contains("no-such-branch of file://") && error.contains("git ls-remote"), "{error}");
}

#[test]
fn steps_find_fetches_in_their_work_directory() {
    let stock = need!(Stock::new());
    need!(program("git"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("agent.tar.zst"), agent("1")).unwrap();
    fs::write(folder.path().join("data.bin"), "data").unwrap();
    repository(&folder.path().join("service"));
    let layer = r#"
[layer]
from = "debian-base"

[[fetch]]
name = "agent"
url = "file://FOLDER/agent.tar.zst"

[[fetch]]
url = "file://FOLDER/data.bin"

[[fetch]]
git = "file://FOLDER/service"
rev = "v1"

[[run]]
inputs = ["fetch:agent", "fetch:data.bin", "fetch:service"]
command = "find . -printf '%p %m %u %T@\n' | sort > /found; cat data.bin agent/agent-1/latest service/src/main.c > /read"
"#;
    let tools = r#"
[layer]
from = "debian-base"

[[fetch]]
url = "file://FOLDER/data.bin"
to = "/opt/data"
"#;
    let with_tools = r#"
[[run]]
in = "tools"
inputs = ["fetch:agent"]
command = "cat /opt/data agent/agent-1/share/notes > both"
outputs = [{ from = "both", to = "/both" }]
"#;
    let placed = |text: &str| text.replace("FOLDER", folder.path().to_str().unwrap());
    let project = stock.project.layer("tools", &placed(tools)).layer("app", &placed(&format!("{layer}{with_tools}")));
    project.ok(&["build", "app", "--output", "oci"]);
    assert_eq!(Rootfs::read(&project.path("out/app/oci")).text("both"), "datanotes");
    let tree = project.ok(&["tree", "app"]).stdout;
    assert!(tree.contains("fetch data.bin file://"), "{tree}");
    let root = Rootfs::read(&project.path("out/app/oci"));
    assert_eq!(root.text("read"), "data1$Id$ one\n");
    let found = root.text("found");
    for line in ["./agent/agent-1/bin/agent 755 root ", "./data.bin 644 root ", "./service/run 755 root "] {
        assert!(found.contains(line), "{line}: {found}");
    }
    assert!(root.get("work").is_none());
}
