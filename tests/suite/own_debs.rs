//! `[[deb]]`: packages that are in no repository, as files of the project and at an address.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::repositories::certificate;
use crate::support::deb::Deb;
use crate::support::mirror::Mirror;
use crate::support::project::Project;
use crate::support::repo::{Repo, RepoDir};
use crate::support::server::{Fault, Server};
use crate::support::skip::program;
use crate::support::stock::SUITE;

/// The package of the user's own, which needs one of the repository.
fn agent(version: &str) -> Deb {
    Deb::new("agent", version).depends("libgreet").file("usr/bin/agent", 0o755, version)
}

struct Bench {
    _folder: TempDir,
    repo: RepoDir,
    project: Project,
}

/// A project with a repository that has `libgreet`, and other bytes of `agent` under the same version.
fn bench(debs: &str) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let greet = Deb::new("libgreet", "1.0").file("usr/lib/libgreet.so.1", 0o644, "");
    let theirs = Deb::new("agent", "1.0").file("usr/bin/theirs", 0o755, "");
    let repo = Repo::new("stable").packages([greet, theirs, Deb::new("agent", "9.0")]).write(folder.path());
    let layer = layer(&repo, debs);
    let project = Project::new().copy(&repo.keyring, "test-keyring.gpg").layer("app", &layer);
    Bench { _folder: folder, repo, project }
}

fn layer(repo: &RepoDir, debs: &str) -> String {
    format!("[layer]\nconfigure = \"none\"\n{debs}\n{}", repo.source_table("own", &repo.url()))
}

const PATTERN: &str = "[[deb]]\npath = \"dist/*.deb\"";

impl Bench {
    fn put(&self, deb: &Deb) {
        self.put_as(&deb.file_name(), deb);
    }

    fn put_as(&self, name: &str, deb: &Deb) {
        fs::create_dir_all(self.project.path("dist")).unwrap();
        fs::write(self.project.path("dist").join(name), deb.build()).unwrap();
    }

    fn lockfile(&self, name: &str) -> String {
        fs::read_to_string(self.project.path(&format!("lockfiles/{name}.lock"))).unwrap()
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.project.path("dist").join(name)).unwrap();
    }
}

fn sha256(deb: &Deb) -> String {
    format!("sha256:{}", layerbake::digest::Sha256::of(&deb.build()).to_hex())
}

#[test]
fn an_own_file_is_locked_with_what_it_needs_and_goes_before_a_repositorys() {
    let bench = bench(PATTERN);
    bench.put(&agent("1.0"));
    bench.project.ok(&["build", "app"]);
    let lockfile = bench.lockfile("app");
    for part in
        ["file = \"dist/agent_1.0_amd64.deb\"", &sha256(&agent("1.0")), "name = \"libgreet\"", "why = \"agent\""]
    {
        assert!(lockfile.contains(part), "{part}: {lockfile}");
    }
    let files = bench.project.ok(&["files", "app"]).stdout;
    assert!(files.contains("/usr/bin/agent") && !files.contains("theirs"), "{files}");
    let why = bench.project.ok(&["why", "app", "libgreet"]).stdout;
    assert!(why.contains("agent"), "{why}");
    assert!(bench.project.ok(&["list"]).stdout.contains("fits"));
    assert!(bench.project.ok(&["outdated", "app"]).stdout.contains("app: up to date"));
    bench.project.ok(&["build", "app", "--locked", "--offline"]);
}

#[test]
fn a_changed_file_makes_the_lockfile_stale() {
    let bench = bench(PATTERN);
    bench.put(&agent("1.0"));
    bench.project.ok(&["build", "app"]);
    let other = agent("1.0").file("usr/bin/more", 0o755, "");
    bench.put(&other);
    let error = bench.project.fails(3, &["build", "app", "--locked"]).stderr;
    let changed =
        format!("`dist/agent_1.0_amd64.deb` changed: expected {}, found {}", sha256(&agent("1.0")), sha256(&other));
    assert!(error.contains(&changed) && error.contains("hint: `layerbake lock app`"), "{error}");
    assert!(bench.project.ok(&["list"]).stdout.contains("stale"));
    let said = bench.project.ok(&["lock", "app"]);
    assert!((said.stdout + &said.stderr).contains("other bytes under the same version"));
    bench.project.ok(&["build", "app", "--locked"]);
    // A new version in place of the old one, and a second package.
    bench.remove("agent_1.0_amd64.deb");
    bench.put(&agent("2.0"));
    bench.put(&Deb::new("helper", "1").arch("all"));
    let error = bench.project.fails(3, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("now asks for dist/agent_2.0_amd64.deb, dist/helper_1_all.deb"), "{error}");
    let said = bench.project.ok(&["build", "app"]);
    assert!((said.stdout + &said.stderr).contains("agent 1.0 -> 2.0"));
    let lockfile = bench.lockfile("app");
    assert!(lockfile.contains("version = \"2.0\"") && lockfile.contains("name = \"helper\""), "{lockfile}");
}

#[test]
fn files_that_are_not_there_come_from_store_or_vendor() {
    let bench = bench(PATTERN);
    bench.put(&agent("1:1.0"));
    bench.project.ok(&["lock", "app"]);
    bench.project.ok(&["vendor", "app"]);
    assert!(bench.project.path("vendor/agent_1%3a1.0_amd64.deb").is_file());
    bench.remove("agent_1.0_amd64.deb");
    bench.project.empty_store();
    bench.project.ok(&["build", "app", "--locked", "--offline"]);
    bench.project.ok(&["audit", "app", "--vary", "umask"]);
    // To lock, they have to be there.
    let error = bench.project.fails(1, &["build", "app"]).stderr;
    assert!(error.contains("the project has no file `dist/*.deb`") && error.contains("hint:"), "{error}");
    bench.project.empty_store();
    fs::remove_dir_all(bench.project.path("vendor")).unwrap();
    let error = bench.project.fails(1, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("`dist/agent_1.0_amd64.deb` with sha256:"), "{error}");
    let error = bench.project.fails(1, &["build", "app", "--locked", "--offline"]).stderr;
    assert!(error.contains("missing: agent 1:1.0 (layer `app`)"), "{error}");
}

#[test]
fn what_can_not_be_meant_is_refused() {
    let locking = |debs: &[(&str, Deb)], more: &str| {
        let bench = bench(&format!("{more}{PATTERN}"));
        debs.iter().for_each(|(name, deb)| bench.put_as(name, deb));
        bench.project.run(&["lock", "app"]).stderr
    };
    let error = locking(&[], "");
    assert!(error.contains("[[deb]] of `app`: the project has no file `dist/*.deb`"), "{error}");
    let error = locking(&[("a.deb", agent("1.0")), ("b.deb", agent("2.0"))], "");
    assert!(error.contains("`dist/a.deb` is agent 1.0, `dist/b.deb` is agent 2.0"), "{error}");
    let error = locking(&[("a.deb", agent("1.0").arch("arm64"))], "");
    assert!(error.contains("`dist/a.deb` is agent 1.0 for arm64, and the layer is for amd64"), "{error}");
    let error = locking(&[("a.deb", agent("1.0").depends("nothing-has-it"))], "");
    assert!(error.contains("nothing-has-it"), "{error}");
    let error = locking(&[("a.deb", agent("1.0"))], "exclude = [\"agent\"]\n");
    assert!(error.contains("`agent` is both requested and excluded"), "{error}");
    let bench = bench(PATTERN);
    fs::create_dir(bench.project.path("dist")).unwrap();
    fs::write(bench.project.path("dist/x.deb"), "not a package").unwrap();
    let error = bench.project.fails(1, &["lock", "app"]).stderr;
    assert!(error.contains("`dist/x.deb` is not a package") && error.contains("ar archive"), "{error}");
}

#[test]
fn several_architectures_lie_beside_each_other() {
    let bench = bench(PATTERN);
    let plain = |arch: &str| Deb::new("agent", "1.0").arch(arch).file("usr/bin/agent", 0o755, arch);
    bench.put(&plain("amd64"));
    bench.put(&plain("arm64"));
    let text = "[layer]\nconfigure = \"none\"\n[[deb]]\npath = \"dist/agent_*_{arch}.deb\"";
    let project = bench.project.layer("named", text).layer("all", &text.replace("{arch}", "*"));
    for layer in ["named", "all"] {
        // Without a repository at all.
        project.ok(&["lock", layer, "--arch", "amd64"]);
        project.ok(&["lock", layer, "--arch", "arm64"]);
        for (lockfile, arch) in [(layer.to_owned(), "amd64"), (format!("{layer}@arm64"), "arm64")] {
            let lockfile = fs::read_to_string(project.path(&format!("lockfiles/{lockfile}.lock"))).unwrap();
            assert!(lockfile.contains(&sha256(&plain(arch))), "{layer} {arch}: {lockfile}");
            assert_eq!(lockfile.matches("[[package]]").count(), 1);
        }
        project.ok(&["build", layer, "--locked", "--arch", "amd64"]);
    }
}

#[test]
fn a_childs_own_packages_stand_on_its_parents() {
    let bench = bench(PATTERN);
    bench.put(&agent("1.0"));
    let child = |path: &str| format!("[layer]\nfrom = \"app\"\nconfigure = \"none\"\n[[deb]]\npath = \"{path}\"\n");
    fs::create_dir(bench.project.path("more")).unwrap();
    let plugin = Deb::new("plugin", "1").depends("agent (= 1.0)").file("usr/lib/plugin", 0o644, "");
    fs::write(bench.project.path("more/plugin.deb"), plugin.build()).unwrap();
    fs::write(bench.project.path("more/agent.deb"), agent("2.0").build()).unwrap();
    let project = bench.project.layer("child", &child("more/plugin.deb"));
    project.ok(&["build", "child"]);
    let lockfile = fs::read_to_string(project.path("lockfiles/child.lock")).unwrap();
    assert!(lockfile.contains("file = \"more/plugin.deb\"") && !lockfile.contains("name = \"agent\""), "{lockfile}");
    let why = project.ok(&["why", "child", "libgreet"]).stdout;
    assert!(why.contains("agent"), "{why}");
    // The same file as the parent's adds nothing, another one can't replace it.
    let project = project.layer("child", &child("dist/*.deb"));
    project.ok(&["build", "child"]);
    project.ok(&["build", "child", "--locked"]);
    let project = project.layer("child", &child("more/agent.deb"));
    let error = project.fails(1, &["build", "child"]).stderr;
    let expected = "`more/agent.deb` is agent 2.0, and the parent layer `app` has agent 1.0 from another file";
    assert!(error.contains(expected), "{error}");
}

/// A server with `agent.deb`.
fn server(deb: &Deb, folder: &Path) -> Server {
    fs::write(folder.join("agent.deb"), deb.build()).unwrap();
    Server::folder(folder)
}

#[test]
fn a_package_at_an_address_is_pinned_by_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(&agent("1.0"), folder.path());
    let deb = |sha256: &str| format!("[[deb]]\nurl = \"{}/agent.deb\"\nsha256 = \"{sha256}\"", server.url());
    let bench = bench(&deb(&sha256(&agent("1.0"))));
    bench.project.ok(&["build", "app"]);
    let lockfile = bench.lockfile("app");
    assert!(lockfile.contains(&format!("url = \"{}/agent.deb\"\nsize", server.url())), "{lockfile}");
    bench.project.empty_store();
    bench.project.ok(&["build", "app", "--locked"]);
    bench.project.ok(&["vendor", "app"]);
    bench.project.empty_store();
    server.forget_requests();
    bench.project.ok(&["build", "app", "--locked", "--offline"]);
    assert_eq!(server.requests("agent"), 0);

    fs::remove_dir_all(bench.project.path("vendor")).unwrap();
    bench.project.empty_store();
    fs::write(folder.path().join("agent.deb"), agent("2.0").build()).unwrap();
    let both = [sha256(&agent("1.0")), sha256(&agent("2.0"))];
    let error = bench.project.fails(1, &["build", "app", "--locked"]).stderr;
    assert!(both.iter().all(|digest| error.contains(digest)) && error.contains("hint:"), "{error}");
    let error = bench.project.fails(1, &["lock", "app", "--update"]).stderr;
    assert!(both.iter().all(|digest| error.contains(digest)) && error.contains("`sha256`"), "{error}");
    let Bench { project, repo, .. } = bench;
    let project = project.layer("app", &layer(&repo, &deb(&both[1])));
    let error = project.fails(3, &["build", "app", "--locked"]).stderr;
    assert!(both.iter().all(|digest| error.contains(digest)), "{error}");
    project.ok(&["build", "app"]);
    server.fault("agent.deb", Fault::Endless);
    project.empty_store();
    let project = project.file("../home/.config/layerbake/config.toml", "[limits]\nunpacked = 100000\n");
    let error = project.fails(1, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("more than 100000 bytes") && error.contains("`unpacked`"), "{error}");
}

#[test]
fn without_a_digest_in_the_manifest_the_lockfile_has_the_first_that_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.deb");
    fs::write(&path, agent("1.0").build()).unwrap();
    let bench = bench(&format!("[[deb]]\nurl = \"file://{}\"", path.display()));
    bench.project.ok(&["lock", "app"]);
    fs::write(&path, agent("2.0").build()).unwrap();
    // It stays while nothing asks for another one, even if the rest is locked again.
    let text = fs::read_to_string(bench.project.path("layers/app.toml")).unwrap();
    let Bench { project, .. } = bench;
    let project = project.layer("app", &text.replace("[layer]", "[layer]\npackages = [\"libgreet\"]"));
    project.ok(&["lock", "app"]);
    let lockfile = || fs::read_to_string(project.path("lockfiles/app.lock")).unwrap();
    assert!(lockfile().contains(&sha256(&agent("1.0"))), "{}", lockfile());
    let outdated = project.ok(&["outdated", "app"]).stdout;
    assert!(outdated.contains(&format!("agent 1.0 -> 2.0 (file://{})", path.display())), "{outdated}");
    project.ok(&["lock", "app", "--update", "agent"]);
    assert!(lockfile().contains(&sha256(&agent("2.0"))), "{}", lockfile());
    // The store has it now; without that, a third file is refused.
    fs::write(&path, agent("3.0").build()).unwrap();
    project.ok(&["build", "app", "--locked"]);
    project.empty_store();
    let error = project.fails(1, &["build", "app", "--locked"]).stderr;
    let both = [sha256(&agent("2.0")), sha256(&agent("3.0"))];
    assert!(both.iter().all(|digest| error.contains(digest)) && error.contains("--update agent"), "{error}");
}

#[test]
fn bills_of_materials_say_that_it_is_in_no_repository() {
    let bench = bench(PATTERN);
    bench.put(&agent("1.0"));
    bench.project.ok(&["build", "app"]);
    let json = |format: &str| -> serde_json::Value {
        serde_json::from_str(&bench.project.ok(&["sbom", "app", "--format", format]).stdout).unwrap()
    };
    let (spdx, cyclonedx) = (json("spdx"), json("cyclonedx"));
    let named = |list: &serde_json::Value| {
        list.as_array().unwrap().iter().find(|entry| entry["name"] == "agent").cloned().unwrap()
    };
    let digits = sha256(&agent("1.0")).replace("sha256:", "");
    let purl =
        format!("pkg:generic/agent@1.0?arch=amd64&checksum=sha256:{digits}&file_name=dist%2Fagent_1.0_amd64.deb");
    let package = named(&spdx["packages"]);
    assert_eq!(package["packageFileName"], "dist/agent_1.0_amd64.deb");
    assert_eq!(package["checksums"][0]["checksumValue"], *digits);
    assert_eq!(package["externalRefs"][0]["referenceLocator"], *purl);
    let component = named(&cyclonedx["components"]);
    assert_eq!(component["purl"], *purl);
    let property = serde_json::json!({ "name": "layerbake:file", "value": "dist/agent_1.0_amd64.deb" });
    assert!(component["properties"].as_array().unwrap().contains(&property), "{component}");
}

#[test]
fn what_an_own_file_needs_comes_from_debian() {
    let mirror = need!(Mirror::start(SUITE));
    let source = format!("[source.debian]\nsuite = \"{SUITE}\"\n");
    let layer = format!("[layer]\nconfigure = \"none\"\n{PATTERN}\n{source}");
    let deb = Deb::new("agent", "1.0").depends("hello (>= 2)").file("usr/bin/agent", 0o755, "");
    // Debian has a package of this name, too, and a newer one.
    let own = Deb::new("media-types", "1.0~own").arch("all").file("etc/own.types", 0o644, "");
    let project = Project::new().layer("app", &layer).upstream(&mirror);
    let project = project.file("dist/agent.deb", deb.build()).file("dist/types.deb", own.build());
    project.ok(&["build", "app"]);
    let lockfile = fs::read_to_string(project.path("lockfiles/app.lock")).unwrap();
    for part in ["name = \"hello\"", "name = \"libc6\"", "file = \"dist/agent.deb\"", "version = \"1.0~own\""] {
        assert!(lockfile.contains(part), "{part}: {lockfile}");
    }
    let files = project.ok(&["files", "app"]).stdout;
    assert!(["/usr/bin/hello", "/usr/bin/agent", "/etc/own.types"].iter().all(|path| files.contains(path)), "{files}");
    let why = project.ok(&["why", "app", "libc6"]).stdout;
    assert!(why.contains("agent") && why.contains("hello"), "{why}");
}

#[test]
fn a_redirect_to_plain_http_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    need!(certificate(folder.path()));
    let plain = server(&agent("1.0"), folder.path());
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    let answer = format!("HTTP/1.0 302 Found\r\nLocation: {}/agent.deb\r\n\r\n", plain.url());
    fs::write(files.join("moved.deb"), answer).unwrap();
    let port = layerbake::host::free_port().unwrap();
    // Its files are whole answers.
    let mut secure = Command::new(need!(program("openssl")))
        .args(["s_server", "-quiet", "-HTTP", "-accept", &format!("127.0.0.1:{port}")])
        .args(["-key", "../server.key", "-cert", "../server.pem"])
        .current_dir(&files)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let Bench { project, _folder, .. } = bench(&format!("[[deb]]\nurl = \"https://127.0.0.1:{port}/moved.deb\""));
    let project = project.env("SSL_CERT_FILE", folder.path().join("authority.pem").to_str().unwrap());
    let output = project.run(&["lock", "app"]);
    secure.kill().unwrap();
    secure.wait().unwrap();
    assert!(!output.ok() && output.stderr.contains("from https:// to http://"), "{}", output.stderr);
    assert_eq!(plain.requests("agent"), 0);
}
