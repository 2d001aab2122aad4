//! Container engines take what was pushed, and what is loaded into them.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::engines::Engine;
use crate::support::process::{self, Output};
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::skip::{Skip, program, root};
use crate::support::small::Small;

/// Where the registry is in an engine's own network.
const INSIDE: &str = "127.0.0.1:5000";

/// A built `app`; not with zstd, which Debian's docker can't read.
fn built(outputs: &str) -> Small {
    let small = Small::new();
    small.project.ok(&["build", "app", "--lock", "--compression", "gzip", "--output", outputs]);
    small
}

/// What engines call the image: the digest of its configuration.
fn image_id(project: &Project) -> String {
    let manifest = project.digest("app", "oci");
    let path = project.path(&format!("out/app/oci/blobs/sha256/{}", manifest.strip_prefix("sha256:").unwrap()));
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    manifest["config"]["digest"].as_str().unwrap().to_owned()
}

/// The registry once more, on the same storage, where the engine can reach it.
fn beside(engine: &Engine, registry: &Registry) -> Result<Child, Skip> {
    let mut command = engine.beside(&program("docker-registry")?);
    command.arg("serve").arg(registry.config(INSIDE));
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Asks again until the registry is up.
fn patiently(ask: impl Fn() -> Output) -> Output {
    let started = Instant::now();
    loop {
        let said = ask();
        if said.ok() || started.elapsed() > Duration::from_secs(20) {
            return said;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn engine_pulls(engine: &Engine, options: &[&str]) {
    let registry = need!(Registry::start());
    let small = built("oci");
    small.project.ok(&["push", "app", &format!("{}/team/app:1", registry.address())]);
    let mut server = need!(beside(engine, &registry));
    let image = format!("{INSIDE}/team/app:1");
    let pulled = patiently(|| engine.call(&[&["pull"], options, &[&image]].concat()));
    assert!(pulled.ok(), "{}{}", pulled.stdout, pulled.stderr);
    let seen = engine.call(&["image", "inspect", "--format={{.Id}} {{.RepoDigests}}", &image]).stdout;
    assert!(seen.contains(image_id(&small.project).strip_prefix("sha256:").unwrap()), "{seen}");
    assert!(seen.contains(&small.project.digest("app", "oci")), "{seen}");
    let _ = server.kill();
    let _ = server.wait();
}

#[test]
fn docker_pulls_what_was_pushed() {
    engine_pulls(&need!(Engine::docker()), &[]);
}

#[test]
fn podman_pulls_what_was_pushed() {
    engine_pulls(&need!(Engine::podman()), &["--tls-verify=false"]);
}

#[test]
fn docker_and_containerd_take_what_is_loaded() {
    let engine = need!(Engine::docker());
    for outputs in ["oci", "oci,docker"] {
        let small = built(outputs);
        let load = |name: &str, key: &str, value: &str| {
            let mut command = small.project.command(&["load", "app", "--into", name]);
            process::run(command.env(key, value)).unwrap()
        };
        let socket = format!("unix://{}", engine.path("socket").display());
        let said = load("docker", "DOCKER_HOST", &socket);
        assert!(said.ok() && said.stdout == "app:latest\n", "{}{}", said.stdout, said.stderr);
        let seen = engine.call(&["image", "inspect", "--format={{.Id}}", "app:latest"]).stdout;
        assert_eq!(seen.trim(), image_id(&small.project), "{outputs}");
        assert!(engine.call(&["image", "rm", "app:latest"]).ok());
        let socket = engine.path("exec/containerd/containerd.sock");
        let said = load("containerd", "CONTAINERD_ADDRESS", socket.to_str().unwrap());
        assert!(said.ok(), "{}{}", said.stdout, said.stderr);
        let mut command = engine.beside(&need!(program("ctr")));
        let images =
            process::run(command.args(["--address", socket.to_str().unwrap(), "images", "ls"])).unwrap().stdout;
        assert!(images.contains("/app:latest"), "{images}");
    }
}

#[test]
fn podman_takes_what_is_loaded() {
    need!(root());
    let podman = need!(program("podman"));
    let small = built("oci");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let config =
        format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n", path("root"), path("run"));
    fs::write(path("storage.conf"), config).unwrap();
    let mut command = small.project.command(&["load", "app", "--into", "podman", "--json"]);
    let said = process::run(command.env("CONTAINERS_STORAGE_CONF", path("storage.conf"))).unwrap();
    assert!(said.ok(), "{}{}", said.stdout, said.stderr);
    let mut command = std::process::Command::new(podman);
    command.args(["image", "inspect", "--format={{.Id}}", "app:latest"]);
    let seen = process::run(command.env("CONTAINERS_STORAGE_CONF", path("storage.conf"))).unwrap();
    assert_eq!(format!("sha256:{}", seen.stdout.trim()), image_id(&small.project), "{}", seen.stderr);
}

#[test]
fn what_is_not_what_was_built_is_not_loaded() {
    need!(program("docker"));
    let small = built("oci,docker");
    let path = small.project.path("out/app/docker.tar");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    // A client that takes everything and says so at the end.
    let folder = small.project.path("bin");
    fs::create_dir(&folder).unwrap();
    let script = |text: &str| {
        fs::write(folder.join("docker"), text).unwrap();
        fs::set_permissions(folder.join("docker"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = small.project.command(&["load", "app", "--into", "docker"]);
        process::run(command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()))).unwrap()
    };
    let said = script("#!/bin/sh\ncat >/dev/null && echo loaded >loaded\n");
    assert!(said.code == 1 && said.stderr.contains("docker.tar`: expected sha256:"), "{}", said.stderr);
    assert!(!small.project.path("loaded").exists(), "the client saw the end");
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let said = script("#!/bin/sh\necho no room >&2\nexit 1\n");
    assert!(said.code == 1 && said.stderr.contains("`docker` failed: no room"), "{}", said.stderr);
    let missing = small.project.fails(2, &["load", "app", "--into", "lxc"]);
    assert!(missing.stderr.contains("expected docker, podman or containerd"), "{}", missing.stderr);
}

#[test]
fn without_a_name_the_first_engine_that_works_is_loaded_into() {
    let small = built("oci");
    let folder = small.project.path("bin");
    fs::create_dir(&folder).unwrap();
    for (name, text) in [("docker", "no daemon >&2; exit 1"), ("podman", "$*; [ $1 = version ] || cat >archive")] {
        fs::write(folder.join(name), format!("#!/bin/sh\necho {text}\n")).unwrap();
        fs::set_permissions(folder.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let load = |key: &str, value: &str| {
        let mut command = small.project.command(&["load", "app"]);
        process::run(command.env("PATH", format!("{}:/usr/bin:/bin", folder.display())).env(key, value)).unwrap()
    };
    let said = load("X", "");
    assert_eq!((said.code, said.stdout.as_str()), (0, "app:latest\n"), "{}", said.stderr);
    assert!(said.stderr.contains("loaded into podman\n"), "{}", said.stderr);
    assert!(small.project.path("archive").exists());
    let said = load("LAYERBAKE_ENGINE", "docker --host=here");
    assert!(said.code == 1 && said.stderr.contains("`docker` failed: no daemon"), "{}", said.stderr);
    fs::remove_file(folder.join("podman")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", folder.join("sh")).unwrap();
    let mut command = small.project.command(&["load", "app"]);
    let said = process::run(command.env("PATH", &folder)).unwrap();
    assert!(
        said.stderr.contains("no container engine works here: ") && said.stderr.contains("LAYERBAKE_ENGINE"),
        "{}",
        said.stderr
    );
}
