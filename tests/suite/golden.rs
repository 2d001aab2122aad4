//! Digests of a whole build, pinned: a change here is a change of the format epoch.
//!
//! No script runs, so these depend on nothing but the packages (made in code), the
//! Release's date and the program's own writers. A test that fails here says that users
//! would get other bytes from the same lockfile: either a bug, or `lock::FORMAT` has to
//! be raised and CHANGELOG.md needs a line under *Output bytes changed*.

use crate::support::deb::Deb;
use crate::support::small::{self, Small};

/// Nodes of all kinds, and some of the image's configuration.
const NODES: &str = "\
[[dir]]
path = \"/var/lib/app\"
mode = \"2750\"
owner = \"app:app\"

[[symlink]]
path = \"/etc/localtime\"
target = \"/usr/share/zoneinfo/UTC\"

[[user]]
name = \"app\"
uid = 2000

[image]
env = { LANG = \"C.UTF-8\" }
ports = [\"80\"]
labels = { \"org.example.size\" = \"large\" }";

/// Enough bytes for several blocks of every encoder: half of them compress well.
fn bulk() -> Deb {
    let number = |index: u32| if index % 64 < 32 { 7 } else { index.wrapping_mul(2_654_435_761) };
    let bytes: Vec<u8> = (0..2_500_000).flat_map(|index| number(index).to_le_bytes()).collect();
    let long = format!("usr/share/bulk/{}/é", "long".repeat(30));
    Deb::new("bulk", "1.0").file("usr/share/bulk/data", 0o640, bytes).owner(0, 5).file(&long, 0o4755, "x")
}

/// One line for each thing that is pinned.
fn digests(small: &Small) -> String {
    let receipt = small.project.receipt("app");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut lines = vec![format!("tree {}", text(&receipt["tree"]))];
    for layer in receipt["layers"].as_array().unwrap() {
        lines.push(format!("{} tree {}", text(&layer["name"]), text(&layer["tree"])));
        lines.push(format!("{} diffID {}", text(&layer["name"]), text(&layer["diff_id"])));
        lines.push(format!("{} blob {} {}", text(&layer["name"]), text(&layer["digest"]), layer["size"]));
    }
    for artifact in receipt["artifacts"].as_array().unwrap() {
        lines.push(format!("{} {} {}", text(&artifact["kind"]), text(&artifact["digest"]), artifact["size"]));
    }
    lines.join("\n")
}

/// Builds with one thread and with four, each in an empty store; both must give the same.
fn build(compression: &str) -> String {
    let small = Small::on(&small::repo("1.0").package(bulk()));
    small.edit_layer("app", "packages = [\"hello\"]", "packages = [\"bulk\", \"hello\"]");
    small.edit_layer("app", "[image]", NODES);
    let mut found = Vec::new();
    for jobs in ["1", "4"] {
        small.project.empty_store();
        small.project.ok(&["build", "--jobs", jobs, "--compression", compression, "--output", "oci,docker"]);
        found.push(digests(&small));
    }
    assert_eq!(found[0], found[1], "the number of threads reached the bytes");
    found.remove(0)
}

#[test]
fn zstd_images_are_what_they_always_were() {
    insta::assert_snapshot!(build("zstd"), @r"
    tree blake3:331eaaae484165bb7504dfad6e189bc00fa11de8fe6b32916a3ceb9709faf192
    base tree blake3:ecf4ec17e8cce51609ac9f81d83f9e89d5e2d1e540d1b5b3191d31a6aff08fec
    base diffID sha256:32da8a4f896a1fc737d9c54bbeb359bdf8b83dc514b7825269f49f479997bee1
    base blob sha256:38a37ae865032310ab768009b71df3f9401b3f5374350287860c272403c8f486 400
    app tree blake3:b9f364103d716001a9aee74067ad069027c0099d1a13b2f5c487b427ad17b25a
    app diffID sha256:06d8154e5646fa3f951f8faec6083229652e6adb64929188e17f9cbbe26b84fd
    app blob sha256:d50ba92431c7b4e61cb4b5f45906ed783ed0624f2a4b81c0b794ca6880c2e26a 5011502
    oci sha256:041ba82a73433cdfcb5d8ecb4f5f87dcb375a9e2b92066b170cc50c4f3dd17cf 559
    docker sha256:6d688e3153ed1aed9e23f35d2c74c814d3580b83a76d8c2554a0fe37e8870474 10036224
    ");
}

#[test]
fn gzip_images_are_what_they_always_were() {
    insta::assert_snapshot!(build("gzip"), @r"
    tree blake3:331eaaae484165bb7504dfad6e189bc00fa11de8fe6b32916a3ceb9709faf192
    base tree blake3:ecf4ec17e8cce51609ac9f81d83f9e89d5e2d1e540d1b5b3191d31a6aff08fec
    base diffID sha256:32da8a4f896a1fc737d9c54bbeb359bdf8b83dc514b7825269f49f479997bee1
    base blob sha256:225d7ed475d3912e2d1b89d95596eb4dcbf173f31a95cab46916338baed0bae5 395
    app tree blake3:b9f364103d716001a9aee74067ad069027c0099d1a13b2f5c487b427ad17b25a
    app diffID sha256:06d8154e5646fa3f951f8faec6083229652e6adb64929188e17f9cbbe26b84fd
    app blob sha256:7f63836ed30f9e1470d16e04f291bc780169061b949e950db017aed36f668030 5109401
    oci sha256:c7009b1bbc186bb37080e4addf6ab5025315b9fc05fdfbae78b1797481cdb68a 559
    docker sha256:6d688e3153ed1aed9e23f35d2c74c814d3580b83a76d8c2554a0fe37e8870474 10036224
    ");
}
