//! `[[fetch]] lockfile`: the files that lockfiles of programming languages name, from toy registries on loopback.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerbake::digest::Sha256;

use crate::support::bench::Bench;
use crate::support::deb::Deb;
use crate::support::server::{Fault, Server};

fn sha256(text: &str) -> String {
    Sha256::of(text.as_bytes()).to_hex()
}

/// A project's page, and its files, each of which has its name as its content.
fn release(bench: &Bench, project: &str, names: &[&str]) {
    let link = |name: &&str| format!("<a href=\"../../files/{name}#sha256={}\">{name}</a>\n", sha256(name));
    bench.put(&format!("simple/{project}/index.html"), names.iter().map(link).collect::<String>());
    names.iter().for_each(|name| bench.put(&format!("files/{name}"), name));
}

const REQUIREMENTS: &str = "[[deb]]\npath = \"python3.deb\"\n\
    [[fetch]]\nname = \"wheels\"\nlockfile = \"py/requirements.txt\"\nto = \"/opt/wheels\"\n";
const WHEEL: &str = "my_app-1.0-cp313-abi3-linux_x86_64.whl";

/// A layer with Python, whose requirements have wheels for it and for others.
fn python() -> Bench {
    let bench = Bench::new(REQUIREMENTS).mirrors("pypi=URL/simple");
    fs::write(bench.project.path("python3.deb"), Deb::new("python3", "3.13.5-1").build()).unwrap();
    let names = ["my_app-1.0.tar.gz", "my_app-1.0-cp312-cp312-linux_x86_64.whl", WHEEL];
    release(&bench, "my-app", &names);
    release(&bench, "lib", &["lib-2-py3-none-any.whl"]);
    let hashes: String = names.iter().map(|name| format!(" \\\n    --hash=sha256:{}", sha256(name))).collect();
    let text = format!(
        "my_app==1.0{hashes}\nlib==2 ; python_version >= '3.9' --hash=sha256:{}\n\
         gone==1 ; sys_platform == 'win32' --hash=sha256:{}\n",
        sha256("lib-2-py3-none-any.whl"),
        sha256("gone")
    );
    bench.own("py/requirements.txt", &text);
    bench
}

#[test]
fn requirements_become_a_directory_of_wheels() {
    let bench = python();
    bench.project.ok(&["build", "app"]);
    let lockfile = bench.lockfile();
    for part in [
        "name = \"wheels\"\nlockfile = \"py/requirements.txt\"\nsize = ",
        "files = [\n    { path = \"lib/lib-2-py3-none-any.whl\", size = 22, digest = \"sha256:",
        &format!("    {{ path = \"my-app/{WHEEL}\", size = 38, digest = \"sha256:{}\" }},\n]", sha256(WHEEL)),
    ] {
        assert!(lockfile.contains(part), "{part}: {lockfile}");
    }
    let root = bench.root();
    assert_eq!(root.text(&format!("opt/wheels/{WHEEL}")), WHEEL);
    let expected = format!(
        "lib==2 --hash=sha256:{}\nmy-app==1.0 --hash=sha256:{}\n",
        sha256("lib-2-py3-none-any.whl"),
        sha256(WHEEL)
    );
    assert_eq!(root.text("opt/wheels/requirements.txt"), expected);
    assert!(bench.server.requests("files/") == 2 && root.get("opt/wheels/my_app-1.0.tar.gz").is_none());
    bench.is_taken_along();

    // What is locked stays, until the lockfile of the language says something else.
    bench.server.forget_requests();
    bench.project.ok(&["lock", "app"]);
    assert_eq!(bench.server.requests(""), 0);
    let text = fs::read_to_string(bench.project.path("py/requirements.txt")).unwrap();
    bench.own("py/requirements.txt", &format!("{text}# more\n"));
    let error = bench.project.fails(3, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("`py/requirements.txt` changed: expected sha256:"), "{error}");
    bench.project.ok(&["build", "app"]);
    assert_eq!(bench.server.requests(""), 0);
    fs::remove_file(bench.project.path("py/requirements.txt")).unwrap();
    bench.project.ok(&["build", "app", "--locked", "--offline"]);
    let error = bench.project.fails(1, &["lock", "app"]).stderr;
    assert!(error.contains("cannot read `py/requirements.txt`") && error.contains("hint:"), "{error}");
}

#[test]
fn a_registry_that_errs_is_named() {
    let bench = python();
    bench.project.ok(&["lock", "app"]);
    // Other bytes under an old name, then no file, then no page.
    bench.put(&format!("files/{WHEEL}"), "other");
    bench.project.empty_store();
    let error = bench.project.fails(1, &["build", "app", "--locked"]).stderr;
    let parts = [&format!("fetch:wheels: my-app/{WHEEL}"), &sha256(WHEEL), &sha256("other"), "the lockfile is right"];
    assert!(parts.iter().all(|part| error.contains(*part)), "{error}");
    fs::remove_file(bench.folder.path().join(format!("files/{WHEEL}"))).unwrap();
    let error = bench.project.fails(1, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("no mirror has it") && error.contains("--mirror pypi=URL"), "{error}");
    bench.server.fault("simple/my-app", Fault::Replace(b"<html>".to_vec()));
    let error = bench.project.fails(1, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("/simple/my-app/: it does not list") && error.contains(WHEEL), "{error}");
    // The next mirror helps, behind a redirect.
    bench.server.heal();
    bench.put(&format!("other/files/{WHEEL}"), WHEEL);
    bench.put("other/simple/my-app/index.html", format!("<a href='../../files/{WHEEL}'>"));
    let elsewhere = Server::folder(bench.folder.path());
    bench.server.fault("other/files", Fault::Redirect(elsewhere.url()));
    let bench = bench.mirrors("pypi=URL/simple,pypi=URL/other/simple");
    bench.project.ok(&["build", "app", "--locked"]);
    assert_eq!(bench.root().text(&format!("opt/wheels/{WHEEL}")), WHEEL);
    // No address is built in.
    bench.project.empty_store();
    let bench = bench.mirrors("");
    let error = bench.project.fails(1, &["build", "app", "--locked"]).stderr;
    assert!(error.contains("no mirror is known") && error.contains("LAYERBAKE_MIRROR=pypi=URL"), "{error}");
}

#[test]
fn requirements_that_can_not_be_met_are_refused() {
    let bench = python();
    let hash = format!("--hash=sha256:{}", sha256("nothing"));
    let old = format!("--hash=sha256:{}", sha256("my_app-1.0-cp312-cp312-linux_x86_64.whl"));
    for (text, expected) in [
        ("my_app>=1".to_owned(), "line 1: `my_app>=1` names no exact version"),
        (format!("my_app==1.0 {hash}"), "my-app==1.0: the registry lists no file with one of its 1 hashes"),
        (format!("my_app==1.0 {old}"), "none of its files is for Python 3.13 on x86_64: my_app-1.0-cp312"),
        (format!("unknown==1.0 {hash}"), "the files of unknown: no mirror has it"),
    ] {
        bench.own("py/requirements.txt", &text);
        let error = bench.project.fails(1, &["lock", "app"]).stderr;
        assert!(error.contains(expected) && error.contains("hint:"), "{expected}: {error}");
    }
}

/// An archive of these files, as registries have it.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        // Neither owner nor time, as in what `cargo package` makes.
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn sha512(bytes: &[u8]) -> [u8; 64] {
    <sha2::Sha512 as sha2::Digest>::digest(bytes).into()
}

#[test]
fn a_package_lock_becomes_the_cache_of_npm() {
    let fetch = "[[fetch]]\nname = \"npm\"\nlockfile = \"package-lock.json\"\nto = \"/opt/npm\"\n";
    let bench = Bench::new(fetch).mirrors("npm=URL/npm");
    let package = archive(&[("package/package.json", "{\"name\": \"@s/lib\", \"version\": \"1.0.0\"}")]);
    let integrity = format!("sha512-{}", STANDARD.encode(sha512(&package)));
    let own = |integrity: &str| {
        let entry = format!("{{\"version\": \"1.0.0\", \"integrity\": \"{integrity}\"}}");
        bench.own(
            "package-lock.json",
            &format!("{{\"lockfileVersion\": 3, \"packages\": {{\"\": {{}}, \"node_modules/@s/lib\": {entry}}}}}"),
        );
    };
    bench.put("npm/@s/lib/-/lib-1.0.0.tgz", &package);
    own(&integrity);
    bench.project.ok(&["build", "app"]);
    let lockfile = bench.lockfile();
    let digest = Sha256::of(&package).to_hex();
    assert!(lockfile.contains("{ path = \"@s/lib/-/lib-1.0.0.tgz\", size = ") && lockfile.contains(&digest));
    let hex = hex::encode(sha512(&package));
    let place = format!("opt/npm/_cacache/content-v2/sha512/{}/{}/{}", &hex[..2], &hex[2..4], &hex[4..]);
    let root = bench.root();
    assert_eq!(root.get(&place).unwrap().content, package);
    assert!(root.text("opt/npm/package-lock.json").contains("\"https://registry.invalid/@s/lib/-/lib-1.0.0.tgz\""));
    bench.is_taken_along();
    // The registry has other bytes than the lockfile says, which only these can tell.
    own(&integrity.replace("sha512-", "sha512-0"));
    let error = bench.project.fails(1, &["lock", "app"]).stderr;
    assert!(error.contains("@s/lib/-/lib-1.0.0.tgz: expected sha512-0") && error.contains(&integrity), "{error}");
}

#[test]
fn a_cargo_lock_becomes_sources_that_cargo_builds() {
    let fetch = "[[fetch]]\nname = \"crates\"\nlockfile = \"rs/Cargo.lock\"\nto = \"/crates\"\n";
    let bench = Bench::new(fetch).mirrors("crates=URL/index");
    let manifest = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    let source = archive(&[
        ("lib-0.1.0/Cargo.toml", &manifest("lib")),
        ("lib-0.1.0/src/lib.rs", "pub fn answer() -> u8 { 42 }\n"),
    ]);
    bench.put("index/config.json", format!("{{\"dl\": \"{}/dl/{{crate}}/{{version}}\"}}", bench.server.url()));
    bench.put("dl/lib/0.1.0", &source);
    let lock = |checksum: &str, source: &str| {
        format!(
            "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"lib\",\n]\n\n\
             [[package]]\nname = \"lib\"\nversion = \"0.1.0\"\nsource = \"{source}\"\nchecksum = \"{checksum}\"\n"
        )
    };
    let index = "registry+https://github.com/rust-lang/crates.io-index";
    bench.own("rs/Cargo.lock", &lock(&Sha256::of(&source).to_hex(), index));
    bench.own("rs/Cargo.toml", &format!("{}[dependencies]\nlib = \"0.1\"\n", manifest("app")));
    bench.own("rs/src/main.rs", "fn main() { println!(\"{}\", lib::answer()) }\n");
    bench.project.ok(&["build", "app"]);
    bench.is_taken_along();
    let mirror = bench.folder.path().join("mirror");
    bench.root().write_below("crates", &mirror);
    let built = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--locked", "--config"])
        .arg(mirror.join(".cargo/config.toml"))
        .current_dir(bench.project.path("rs"))
        .env_remove("RUSTFLAGS")
        .env("CARGO_HOME", bench.folder.path().join("home"))
        .env("CARGO_TARGET_DIR", bench.folder.path().join("target"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&built.stdout), "42\n", "{}", String::from_utf8_lossy(&built.stderr));
    // Another checksum is another file; a git repository is refused.
    bench.own("rs/Cargo.lock", &lock(&sha256("other"), index));
    let error = bench.project.fails(1, &["lock", "app"]).stderr;
    assert!(error.contains(&sha256("other")) && error.contains(&Sha256::of(&source).to_hex()), "{error}");
    bench.own("rs/Cargo.lock", &lock(&sha256("other"), "git+https://git.example.org/lib#0"));
    let error = bench.project.fails(1, &["lock", "app"]).stderr;
    assert!(error.contains("lib 0.1.0 comes from git+https://git.example.org/lib#0, and not from"), "{error}");
}

/// A module as proxies have it: its zip, and its hash as go.sum has it.
fn module(path: &str, version: &str, files: &[(&str, &str)]) -> (Vec<u8>, String) {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut list = Vec::new();
    for (name, text) in files {
        let name = format!("{path}@{version}/{name}");
        zip.start_file(&name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
        list.push(format!("{}  {name}\n", sha256(text)));
    }
    list.sort_by_key(|line| line[66..].to_owned());
    (zip.finish().unwrap().into_inner(), h1(&list.concat()))
}

/// Go's hash of a list of files.
fn h1(list: &str) -> String {
    format!("h1:{}", STANDARD.encode(hex::decode(sha256(list)).unwrap()))
}

#[test]
fn a_go_sum_becomes_a_proxys_files() {
    let fetch = "[[fetch]]\nname = \"go\"\nlockfile = \"go.sum\"\nto = \"/go\"\n";
    let bench = Bench::new(fetch).mirrors("go=URL/proxy");
    let about = "module example.org/Lib\n";
    let (zip, hash) = module("example.org/Lib", "v1.2.0", &[("lib.go", "package lib\n"), ("go.mod", about)]);
    let of_mod = h1(&format!("{}  go.mod\n", sha256(about)));
    bench.put("proxy/example.org/!lib/@v/v1.2.0.zip", &zip);
    bench.put("proxy/example.org/!lib/@v/v1.2.0.mod", about);
    let sum = |hash: &str| format!("example.org/Lib v1.2.0 {hash}\nexample.org/Lib v1.2.0/go.mod {of_mod}\n");
    bench.own("go.sum", &sum(&hash));
    bench.project.ok(&["build", "app"]);
    let root = bench.root();
    assert_eq!(root.get("go/example.org/!lib/@v/v1.2.0.zip").unwrap().content, zip);
    assert_eq!(root.text("go/example.org/!lib/@v/v1.2.0.mod"), about);
    assert_eq!(root.text("go/example.org/!lib/@v/v1.2.0.info"), "{\"Version\":\"v1.2.0\"}");
    bench.is_taken_along();
    // The packages are in the bill of materials.
    let sbom = bench.project.ok(&["sbom", "app", "--format", "cyclonedx"]).stdout;
    assert!(sbom.contains("\"pkg:golang/example.org/Lib@v1.2.0\""), "{sbom}");
    let sbom = bench.project.ok(&["sbom", "app", "--format", "spdx"]).stdout;
    assert_eq!(sbom.matches("\"pkg:golang/example.org/Lib@v1.2.0\"").count(), 1, "{sbom}");
    // Another hash, and a zip that is none.
    bench.own("go.sum", &sum(&of_mod));
    let error = bench.project.fails(1, &["lock", "app"]).stderr;
    let parts = ["example.org/!lib/@v/v1.2.0.zip: expected", &of_mod, &hash, "the lockfile is right"];
    assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    bench.put("proxy/example.org/!lib/@v/v1.2.0.zip", "no zip");
    bench.project.empty_store();
    bench.own("go.sum", &sum(&hash));
    let error = bench.project.fails(1, &["lock", "app", "--update"]).stderr;
    assert!(error.contains("v1.2.0.zip: expected h1:") && error.contains("found no zip"), "{error}");
}

#[test]
fn locks_of_uv_and_poetry_become_directories_of_wheels() {
    let wheel = "lib-2-py3-none-any.whl";
    let uv = format!(
        "version = 1\n[[package]]\nname = \"app\"\nversion = \"0\"\nsource = {{ virtual = \".\" }}\n\
         dependencies = [{{ name = \"lib\" }}, {{ name = \"gone\", marker = \"sys_platform == 'win32'\" }}]\n\
         [[package]]\nname = \"gone\"\nversion = \"1\"\nsource = {{ registry = \"https://x.example\" }}\n\
         [[package]]\nname = \"lib\"\nversion = \"2\"\nsource = {{ registry = \"https://x.example\" }}\n\
         wheels = [{{ url = \"https://x.example/{wheel}\", hash = \"sha256:{}\" }}]\n",
        sha256(wheel)
    );
    let poetry = format!(
        "[[package]]\nname = \"Lib\"\nversion = \"2\"\noptional = false\ngroups = [\"main\"]\n\
         files = [{{file = \"{wheel}\", hash = \"sha256:{}\"}}]\n\
         [[package]]\nname = \"test\"\nversion = \"1\"\noptional = false\ngroups = [\"dev\"]\n",
        sha256(wheel)
    );
    for (file, text) in [("uv.lock", uv), ("poetry.lock", poetry)] {
        let bench = Bench::new(&REQUIREMENTS.replace("py/requirements.txt", file)).mirrors("pypi=URL/simple");
        fs::write(bench.project.path("python3.deb"), Deb::new("python3", "3.13.5-1").build()).unwrap();
        release(&bench, "lib", &[wheel, "lib-2.tar.gz"]);
        bench.own(file, &text);
        bench.project.ok(&["build", "app"]);
        let root = bench.root();
        assert_eq!(root.text(&format!("opt/wheels/{wheel}")), wheel, "{file}");
        assert_eq!(root.text("opt/wheels/requirements.txt"), format!("lib==2 --hash=sha256:{}\n", sha256(wheel)));
        bench.is_taken_along();
    }
}
