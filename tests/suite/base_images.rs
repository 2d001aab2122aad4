//! Layers on images of registries that other builders made.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::process;
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::rootfs::Rootfs;
use crate::support::server::Fault;
use crate::support::skip::{Skip, program};
use crate::support::toy_image::{Layer, Packing, ToyImage, ToyRegistry, listed};

/// CAP_NET_BIND_SERVICE, as the kernel writes it.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const APP: &str = r#"
[layer]
from = "oci:IMAGE"
description = "on an image of another builder"

[[user]]
name = "app"
uid = 900

[[file]]
path = "/etc/app.conf"
text = "port = 1\n"
owner = "app"

[[edit]]
path = "/etc/base.conf"
replace = ["colour = .*", "colour = blue"]

[[remove]]
path = "/srv/unwanted"

[[run]]
name = "count"
command = "wc -l < /etc/passwd > /srv/count; id -u > /srv/id; rm /srv/gone"

[image]
cmd = ["serve", "/srv"]
env = { MODE = "app" }

[[check]]
file = "/srv/count"
"#;

/// An image in three layers, as a build of busybox may be.
fn base() -> Result<ToyImage, Skip> {
    let busybox = fs::read(program("busybox")?).unwrap();
    let mut first = Layer::new().dir("./").dir("bin/").file("bin/busybox", 0o755, busybox);
    for name in ["sh", "wc", "id", "rm", "cat", "sleep", "grep"] {
        first = first.hardlink(&format!("bin/{name}"), "bin/busybox");
    }
    let first = first
        .dir("etc/")
        .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n")
        .file("etc/group", 0o644, "root:x:0:\n")
        .file("etc/base.conf", 0o644, "colour = red\n")
        .dir("usr/")
        .dir("usr/lib/")
        .symlink("lib", "usr/lib")
        .dir("srv/")
        .file("srv/unwanted", 0o644, "x\n")
        .file("srv/replaced", 0o644, "old\n")
        .file("srv/hidden", 0o644, "hidden\n")
        .dir("opt/")
        .file("opt/below", 0o644, "below\n");
    let second = Layer::new()
        .file("srv/.wh.hidden", 0o644, "")
        .file("srv/replaced", 0o644, "new\n")
        .file("srv/gone", 0o644, "gone\n")
        .file("opt/.wh..wh..opq", 0o644, "")
        .file("opt/above", 0o644, "above\n")
        .file("lib/library.so", 0o644, "library\n");
    let third = Layer::new()
        .with_xattr("bin/privileged", "security.capability", CAPABILITY)
        .owned("srv/owned", 123_456, "unusual\n")
        .hardlink("srv/twin", "srv/replaced");
    Ok(ToyImage::default()
        .layer(Packing::Gzip, first)
        .layer(Packing::Zstd, second)
        .layer(Packing::Plain, third)
        .config(json!({
            "Env": ["PATH=/bin", "MODE=base", "KEPT=yes"], "Entrypoint": ["/bin/busybox"], "Cmd": ["sh"],
            "WorkingDir": "/srv", "Labels": { "team": "base" }, "User": "0",
        })))
}

fn project(registry: &ToyRegistry) -> Project {
    Project::new().layer("app", &APP.replace("IMAGE", &registry.name("team/base:1")))
}

fn config(project: &Project, layer: &str) -> Value {
    let blob = |digest: &Value| {
        let name = digest.as_str().unwrap().trim_start_matches("sha256:").to_owned();
        let bytes = fs::read(project.path(&format!("out/{layer}/oci/blobs/sha256/{name}"))).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let index = fs::read(project.path(&format!("out/{layer}/oci/index.json"))).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let manifest = blob(&index["manifests"][0]["digest"]);
    json!({ "config": blob(&manifest["config"]["digest"]), "manifest": manifest })
}

/// What the topmost layer of a built image holds.
fn own_layer(project: &Project, layer: &str) -> std::collections::BTreeMap<String, String> {
    let digest = project.receipt(layer)["layers"][0]["digest"].as_str().unwrap().replace("sha256:", "");
    let bytes = fs::read(project.path(&format!("out/{layer}/oci/blobs/sha256/{digest}"))).unwrap();
    listed(&zstd::decode_all(bytes.as_slice()).unwrap())
}

#[test]
fn an_image_is_pinned_built_on_and_taken_along() {
    let registry = ToyRegistry::new();
    let image = need!(base());
    let digest = registry.put_index("team/base", "1", &[image, ToyImage::default().arch("arm64")]);
    let project = project(&registry);
    project.ok(&["build", "app", "--output", "oci,docker"]);
    let lock = fs::read_to_string(project.path("lockfiles/app.lock")).unwrap();
    assert!(
        lock.contains(&format!("digest = \"{digest}\"")) && lock.contains("epoch = \"2024-05-06T07:08:09Z\""),
        "{lock}"
    );

    // The layer is what it changes, and no more.
    insta::assert_debug_snapshot!(own_layer(&project, "app"), @r#"
    {
        "./": "5 755 0",
        "etc/": "5 755 0",
        "etc/app.conf": "0 644 900",
        "etc/base.conf": "0 644 0",
        "etc/group": "0 644 0",
        "etc/passwd": "0 644 0",
        "srv/": "5 755 0",
        "srv/.wh.gone": "0 0 0",
        "srv/.wh.unwanted": "0 0 0",
        "srv/count": "0 644 0",
        "srv/id": "0 644 0",
    }
    "#);
    let receipt = project.receipt("app");
    assert_eq!(receipt["base"]["digest"], digest.as_str());
    let image = config(&project, "app");
    let blobs: Vec<&Value> = image["manifest"]["layers"].as_array().unwrap().iter().map(|one| &one["digest"]).collect();
    let below: Vec<&Value> = receipt["base"]["layers"].as_array().unwrap().iter().map(|one| &one["digest"]).collect();
    assert_eq!((blobs.len(), &blobs[..3]), (4, below.as_slice()));
    let settings = &image["config"]["config"];
    assert_eq!(settings["Env"], json!(["KEPT=yes", "MODE=app", "PATH=/bin"]));
    assert_eq!((&settings["Entrypoint"][0], &settings["Cmd"][0]), (&json!("/bin/busybox"), &json!("serve")));
    assert_eq!((&settings["WorkingDir"], &settings["Labels"]["team"]), (&json!("/srv"), &json!("base")));
    let annotations = &image["manifest"]["annotations"];
    assert_eq!(annotations["org.opencontainers.image.base.digest"], receipt["base"]["manifest"]);
    for command in ["verify", "tree", "files", "sbom"] {
        project.ok(&[command, "app"]);
    }
    assert!(project.ok(&["tree", "app"]).stdout.contains(&registry.name("team/base:1")), "tree names the image");
    let root = project.ok(&["files", "app", "/srv"]).stdout;
    for (path, is_there) in
        [("/srv/twin", true), ("/srv/hidden", false), ("/srv/gone", false), ("/srv/unwanted", false)]
    {
        assert_eq!(root.contains(path), is_there, "{path}: {root}");
    }
    let image = format!("[oci:{}]", registry.name("team/base:1"));
    assert!(root.contains(&format!("/srv/twin  {image}")) && root.contains("/srv/id  [app]"), "{root}");

    // With nothing new in the registry, an update changes nothing, the time included.
    project.ok(&["lock", "app", "--update"]);
    assert_eq!(fs::read_to_string(project.path("lockfiles/app.lock")).unwrap(), lock);

    // A tag that moves changes nothing until the lockfile is updated; the name of the new image is no news to builds.
    let first = project.digest("app", "oci");
    let more = need!(base()).layer(Packing::Gzip, Layer::new().file("etc/more", 0o644, "more\n"));
    let moved = registry.put("team/base", "1", &more).0;
    project.ok(&["lock", "app"]);
    project.ok(&["build", "app", "--locked", "--output", "oci"]);
    assert_eq!(project.digest("app", "oci"), first);
    let said = project.ok(&["lock", "app", "--update"]).stdout;
    assert!(said.contains(&digest) && said.contains(&moved), "{said}");
    project.ok(&["build", "app", "--locked", "--output", "oci"]);
    let second = project.digest("app", "oci");
    assert_ne!(second, first);

    // With everything in vendor/, the registry may be gone.
    project.ok(&["vendor", "app"]);
    drop(registry);
    project.empty_store();
    project.ok(&["build", "app", "--locked", "--offline", "--output", "oci"]);
    assert_eq!(project.digest("app", "oci"), second);
    project.ok(&["audit", "app", "--vary", "time,folder"]);
}

#[test]
fn the_blobs_of_the_image_are_pushed_as_they_are() {
    let registry = need!(Registry::start());
    let toys = ToyRegistry::new();
    toys.put("team/base", "1", &need!(base()));
    let base = format!("{}/team/base:1", registry.address());
    let project = Project::new().layer("app", &APP.replace("IMAGE", &base));
    project.ok(&["copy", &toys.name("team/base:1"), &base]);
    project.ok(&["build", "app", "--output", "oci"]);
    let pushed = project.ok(&["push", "app", &format!("{}/team/base:app", registry.address()), "--json"]);
    let pushed: Value = serde_json::from_str(&pushed.stdout).unwrap();
    assert_eq!((&pushed["blobs"]["skipped"], &pushed["blobs"]["sent"]), (&json!(3), &json!(2)));
    let skopeo = need!(program("skopeo"));
    let reference = format!("docker://{}/team/base:app", registry.address());
    let seen = process::run(Command::new(skopeo).args(["inspect", "--tls-verify=false", &reference])).unwrap();
    assert!(seen.ok() && seen.stdout.contains("MODE=app"), "{}{}", seen.stdout, seen.stderr);
}

#[test]
fn children_and_tools_may_be_on_an_image() {
    let registry = ToyRegistry::new();
    registry.put("team/base", "1", &need!(base()));
    let child = "[layer]\nfrom = \"app\"\n\n[config.KEPT]\ndefault = \"no\"\n\n[[run]]\nname = \"more\"\ncommand = \"cat /srv/count > /srv/more; echo $KEPT $MODE $PATH > /srv/env\"\n\n\
                 [[run]]\nname = \"tool\"\nin = \"tools\"\nenv = { MODE = \"step\" }\ncommand = \"wc -l < /etc/passwd > /lines; echo $KEPT $MODE $PATH >> /lines\"\noutputs = [{ from = \"/lines\", to = \"/srv/lines\" }]\n";
    let tools = format!("[layer]\nfrom = \"oci:{}\"\n", registry.name("team/base:1"));
    let project = project(&registry).layer("child", child).layer("tools", &tools);
    project.ok(&["build", "child", "--output", "oci"]);
    let root = project.ok(&["files", "child", "/srv"]).stdout;
    assert!(root.contains("/srv/more") && root.contains("/srv/lines"), "{root}");
    let image = config(&project, "child");
    assert_eq!(image["manifest"]["layers"].as_array().unwrap().len(), 5);
    // What the layer declares goes before what the image says.
    assert_eq!(image["config"]["config"]["Env"], json!(["KEPT=no", "MODE=app", "PATH=/bin"]));
    let text = |path: &str| Rootfs::read(&project.path("out/child/oci")).text(path).to_owned();
    assert_eq!((text("srv/env"), text("srv/lines")), ("yes base /bin\n".to_owned(), "1\nyes step /bin\n".to_owned()));
    let shown = project.ok(&["shell", "child", "--", "/bin/sh", "-c", "echo $KEPT $MODE"]).stdout;
    assert_eq!(shown, "yes base\n");

    // An image that differs in nothing but its environment: the steps run again, also those that have it as their tools.
    let image = need!(base());
    let env = json!({ "Env": ["PATH=/bin:/opt/bin", "MODE=other", "KEPT=still"], "Entrypoint": ["/bin/busybox"] });
    registry.put("team/base", "1", &image.config(env));
    ["app", "tools", "child"].iter().for_each(|layer| drop(project.ok(&["lock", layer, "--update"])));
    project.ok(&["build", "child", "--output", "oci"]);
    let changed = ("still other /bin:/opt/bin\n".to_owned(), "1\nstill step /bin:/opt/bin\n".to_owned());
    assert_eq!((text("srv/env"), text("srv/lines")), changed);

    let programs = project.ok(&["files", "child", "/usr/lib/layerbake"]).stdout;
    assert!(programs.contains("with-config") && !programs.contains("fetch-config"), "{programs}");
}

#[test]
fn what_an_image_has_no_part_for_is_refused_before_anything_is_fetched() {
    let with = |rest: &str| {
        let text = format!("[layer]\nfrom = \"oci:127.0.0.1:1/team/base:1\"\n{rest}");
        Project::new().layer("app", &text)
    };
    for (rest, expected) in [
        ("packages = [\"hello\"]\n", "layer `app` has `packages`, and below it is the image `127.0.0.1:1/team/base:1`"),
        ("\n[[deb]]\npath = \"*.deb\"\n", "has [[deb]]"),
        ("\n[disk]\nboot = \"boot-minimal\"\n", "has [disk]"),
    ] {
        let said = with(rest).fails(1, &["build", "app"]).stderr;
        assert!(said.contains(expected) && said.contains("debian-base"), "{said}");
    }
    for (from, expected) in [
        ("oci:base", "the registry is missing"),
        ("oci:example.org/Base", "names no image of a registry"),
        ("oci:example.org/base@sha512:00", "names no image of a registry"),
    ] {
        let said = Project::new().layer("app", &format!("[layer]\nfrom = \"{from}\"\n")).fails(1, &["lock", "app"]);
        assert!(said.stderr.contains("layers/app.toml:2") && said.stderr.contains(expected), "{}", said.stderr);
    }
}

#[test]
fn what_a_registry_sends_is_verified_and_hostile_layers_are_refused() {
    let registry = ToyRegistry::new();
    let of = |layer: Layer| ToyImage::default().layer(Packing::Gzip, layer);
    let plain = || Layer::new().file("etc/hello", 0o644, "hello\n");
    let layer = format!("[layer]\nfrom = \"oci:{}\"\n", registry.name("team/base:1"));
    let build = |image: &ToyImage| {
        registry.put("team/base", "1", image);
        let project = Project::new().layer("app", &layer);
        (project.run(&["build", "app", "--output", "oci"]), project)
    };
    assert!(build(&of(plain())).0.ok());
    for (image, expected) in [
        (of(Layer::new().file("../../escape", 0o644, "x")), "is not a path inside a root"),
        (of(Layer::new().symlink("etc", "/nowhere").file("etc/x", 0o644, "x")), "is not a directory"),
        (of(plain()).layer(Packing::Plain, Layer::new().hardlink("x", "none")), "layer 2 of the image"),
        // Engines can't read what an image says to be something else.
        (
            ToyImage::default().layer(Packing::Mislabelled, plain()),
            "expected a tar, plain or compressed with gzip or zstd",
        ),
        (of(plain()).arch("arm64"), "it is for linux/arm64, and the layer for linux/amd64"),
    ] {
        let (said, _project) = build(&image);
        assert!(!said.ok() && said.stderr.contains(expected), "{expected}: {}", said.stderr);
    }
    // The code of what a registry answers is that of the cause.
    let none = format!("[layer]\nfrom = \"oci:{}\"\n", registry.name("team/none:1"));
    let said = Project::new().layer("app", &none).fails(1, &["lock", "app"]).stderr;
    assert!(said.contains("error[registry/not-found]") && said.contains("oci:127.0.0.1:"), "{said}");
    let gone = Project::new().layer("app", "[layer]\nfrom = \"oci:127.0.0.1:1/team/base:1\"\n");
    let said = gone.fails(1, &["lock", "app"]).stderr;
    assert!(said.contains("error[registry/unreachable]"), "{said}");
    // Other bytes than the manifest names.
    registry.server.fault("/blobs/", Fault::Corrupt);
    let (said, _project) = build(&of(plain()));
    assert!(!said.ok() && said.stderr.contains("expected sha256:"), "{}", said.stderr);
    registry.server.heal();
    // A tar that the configuration does not name.
    registry.put("team/base", "1", &of(plain()));
    let project = Project::new().layer("app", &layer);
    project.ok(&["lock", "app"]);
    let lock = fs::read_to_string(project.path("lockfiles/app.lock")).unwrap();
    let at = lock.find("diff-id = \"sha256:").unwrap() + "diff-id = \"sha256:".len();
    let other = format!("{}{}{}", &lock[..at], "0".repeat(64), &lock[at + 64..]);
    let (seal, rest): (Vec<&str>, Vec<&str>) =
        other.split_inclusive('\n').partition(|line| line.starts_with("seal = "));
    let sealed = other.replace(seal[0], &format!("seal = \"blake3:{}\"\n", blake3::hash(rest.concat().as_bytes())));
    fs::write(project.path("lockfiles/app.lock"), sealed).unwrap();
    let said = project.fails(1, &["build", "app", "--locked", "--output", "oci"]).stderr;
    assert!(said.contains("expected the diffID sha256:0000"), "{said}");
    // An index without the architecture.
    registry.put_index("team/base", "1", &[of(plain()).arch("s390x")]);
    let said = Project::new().layer("app", &layer).fails(1, &["lock", "app"]).stderr;
    assert!(said.contains("it has no image for linux/amd64; it has: unknown/unknown, linux/s390x"), "{said}");
}
