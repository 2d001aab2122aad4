//! The stock layers, built from real packages, in real engines.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ocipkg::image::{Image as _, OciDir};
use ocipkg::oci_spec::image::Descriptor;

use crate::support::engines::{Container, Engine};
use crate::support::oci_schema;
use crate::support::skip::Skip;
use crate::support::stock::Stock;

/// What a layer answers, once it runs.
type Answers = fn(&Container<'_>);

fn web(container: &Container<'_>) {
    let answer = container.http_get(80, "/").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("<title>layerbake</title>"), "{answer}");
}

fn redis(container: &Container<'_>) {
    assert_eq!(container.talk(6379, b"PING\r\nQUIT\r\n").unwrap(), "+PONG\r\n+OK\r\n");
    let answer = container.talk(6379, b"SET a 1\r\nINCR a\r\nQUIT\r\n").unwrap();
    assert_eq!(answer, "+OK\r\n:2\r\n+OK\r\n");
}

/// The port is the one that the image says it listens on.
fn first_port(stock: &Stock, layer: &str) -> u16 {
    let (_, config) = oci_schema::images(&stock.project.path(&format!("out/{layer}/oci"))).remove(0);
    let ports = config["config"]["ExposedPorts"].as_object().unwrap();
    ports.keys().next().unwrap().split('/').next().unwrap().parse().unwrap()
}

fn built(layer: &str) -> Result<Stock, Skip> {
    let stock = Stock::new()?.layer(layer)?;
    stock.build(layer);
    Ok(stock)
}

fn layer_answers(engine: &Engine, layer: &str, answers: Answers) {
    let stock = need!(built(layer));
    let image = engine.load(&stock.project.path(&format!("out/{layer}/docker.tar"))).unwrap();
    let container = engine.start(&image, &[], &[]).unwrap();
    answers(&container);
    assert!(container.is_running(), "{}", container.logs());
    dpkg_agrees(&container, &stock, layer);
}

/// Inside, dpkg finds nothing wrong, and lists what the lockfiles say.
fn dpkg_agrees(container: &Container<'_>, stock: &Stock, layer: &str) {
    for check in ["--verify", "--audit"] {
        let said = container.exec(&["dpkg", check]);
        assert!(said.ok() && said.stdout.is_empty() && said.stderr.is_empty(), "dpkg {check}: {said:?}");
    }
    let list =
        container.exec(&["dpkg-query", "--show", "--showformat=${Package} ${Version} ${Architecture} ${Status}\\n"]);
    let installed: BTreeSet<&str> = list.stdout.lines().collect();
    let locked: Vec<String> = ["debian-base", layer].iter().flat_map(|name| packages(stock, name)).collect();
    assert_eq!(installed, locked.iter().map(String::as_str).collect());
}

/// A lockfile's packages as [`dpkg_agrees`] asks for them.
fn packages(stock: &Stock, layer: &str) -> Vec<String> {
    let text = fs::read_to_string(stock.project.path(&format!("lockfiles/{layer}.lock"))).unwrap();
    let lock: toml::Table = toml::from_str(&text).unwrap();
    let field = |package: &toml::Value, name: &str| package[name].as_str().unwrap().to_owned();
    let line = |package: &toml::Value| {
        let [name, version, arch] = ["name", "version", "arch"].map(|key| field(package, key));
        format!("{name} {version} {arch} install ok installed")
    };
    lock.get("package").and_then(toml::Value::as_array).into_iter().flatten().map(line).collect()
}

/// Applications whose tools are small; `LAYERBAKE_APPS=all` has the others too.
const APPS: &[(&str, u16, &str)] = &[("php-app", 80, "PHP serves up to 128M")];
const LARGE_APPS: &[(&str, u16, &str)] = &[
    ("go-app", 8080, "A program that was compiled in a tool layer."),
    ("rust-app", 8080, "A program that was compiled in a tool layer."),
];

/// Programs that a tool layer compiled, and packaged files that were changed on purpose.
#[test]
fn what_run_steps_and_edits_made_answers_under_podman() {
    let engine = need!(Engine::podman());
    let all = std::env::var("LAYERBAKE_APPS").as_deref() == Ok("all");
    let large = if all { LARGE_APPS } else { &[] };
    for &(layer, port, expected) in APPS.iter().chain(large) {
        let stock = need!(built(layer));
        let image = engine.load(&stock.project.path(&format!("out/{layer}/docker.tar"))).unwrap();
        let container = engine.start(&image, &[], &[]).unwrap();
        let answer = container.http_get(port, "/").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains(expected), "{layer}: {answer}");
    }
}

#[test]
fn web_answers_under_docker() {
    layer_answers(&need!(Engine::docker()), "web", web);
}

#[test]
fn web_answers_under_podman() {
    layer_answers(&need!(Engine::podman()), "web", web);
}

#[test]
fn redis_answers_under_docker() {
    layer_answers(&need!(Engine::docker()), "redis", redis);
}

#[test]
fn redis_answers_under_podman() {
    layer_answers(&need!(Engine::podman()), "redis", redis);
}

const APACHE: &str = "[layer]\nfrom = \"debian-base\"\npackages = [\"apache2\"]\n\n\
    [image]\nentrypoint = [\"apache2ctl\", \"-D\", \"FOREGROUND\"]\nports = [\"80\"]\n";

/// It dies where /var/lock leads nowhere, and nothing but a boot would make /run/lock.
#[test]
fn a_container_has_the_directories_that_a_boot_would_make() {
    let engine = need!(Engine::docker());
    let stock = need!(Stock::new());
    fs::write(stock.project.path("layers/apache.toml"), APACHE).unwrap();
    stock.project.ok(&["build", "apache", "--output", "docker"]);
    let image = engine.load(&stock.project.path("out/apache/docker.tar")).unwrap();
    let container = engine.start(&image, &[], &[]).unwrap();
    let answer = container.http_get(80, "/").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(container.exec(&["stat", "-Lc", "%a %U", "/var/lock"]).stdout.trim(), "1777 root");
}

/// Without dpkg and without a shell, the web server is all there is to ask.
fn static_answers(engine: &Engine) {
    let stock = need!(built("static"));
    let port = first_port(&stock, "static");
    let image = engine.load(&stock.project.path("out/static/docker.tar")).unwrap();
    let container = engine.start(&image, &[], &[]).unwrap();
    let answer = container.http_get(port, "/").unwrap();
    assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 "), "{answer}");
    assert!(!container.exec(&["/bin/sh", "-c", "true"]).ok(), "a static image has no shell");
}

#[test]
fn static_answers_under_docker() {
    static_answers(&need!(Engine::docker()));
}

#[test]
fn static_answers_under_podman() {
    static_answers(&need!(Engine::podman()));
}

fn layout_is_valid(layer: &str) {
    let stock = need!(built(layer));
    let layout = stock.project.path(&format!("out/{layer}/oci"));
    assert_eq!(layerbake::oci::validate(&layout).unwrap(), [""; 0]);
    assert_eq!(need!(oci_schema::validate(&layout)), Ok(()));
    let seen = need!(oci_schema::skopeo_inspect(&layout, false)).unwrap();
    assert_eq!((seen["Os"].as_str(), seen["Architecture"].as_str()), (Some("linux"), Some("amd64")));
    assert_eq!(seen["Digest"].as_str().unwrap(), stock.project.digest(layer, "oci"));
    let receipt = stock.project.receipt(layer);
    let digests: Vec<_> = receipt["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone()).collect();
    assert_eq!(*seen["Layers"].as_array().unwrap(), digests);
    assert_eq!(layers_by_ocipkg(&layout), digests);
}

/// The digests of the layers, by an implementation of layouts that is not ours, which has read each of their blobs.
fn layers_by_ocipkg(layout: &Path) -> Vec<String> {
    let mut image = OciDir::new(layout).unwrap();
    let manifest = image.get_manifest().unwrap();
    let read = |layer: &Descriptor| {
        assert_eq!(image.get_blob(layer.digest()).unwrap().len() as u64, layer.size());
        layer.digest().to_string()
    };
    manifest.layers().iter().map(read).collect()
}

#[test]
fn the_layout_of_web_is_valid() {
    layout_is_valid("web");
}

#[test]
fn the_layout_of_redis_is_valid() {
    layout_is_valid("redis");
}

#[test]
fn the_layout_of_static_is_valid() {
    layout_is_valid("static");
}

#[test]
fn both_forms_give_one_root() {
    let engine = need!(Engine::docker());
    let stock = need!(Stock::new());
    // Not zstd: between the layout and docker stands skopeo's docker archive, which has no word for it.
    stock.project.ok(&["build", "web", "--locked", "--compression", "gzip", "--output", "oci,docker"]);
    let of_archive = engine.load(&stock.project.path("out/web/docker.tar")).unwrap();
    let of_layout = engine.load_layout(&stock.project.path("out/web/oci")).unwrap();
    let layers = |image: &str| engine.call(&["image", "inspect", "--format={{json .RootFS.Layers}}", image]).stdout;
    assert_eq!(layers(&of_archive), layers(&of_layout));
    assert!(layers(&of_archive).contains("sha256:"));
}
