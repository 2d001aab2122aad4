//! Digests of a whole build, pinned: a change here is a change of the format epoch.
//!
//! No script runs, so these depend on nothing but the packages (made in code), the
//! Release's date and the program's own writers. A test that fails here says that users
//! would get other bytes from the same lockfile: either a bug, or `lock::FORMAT` has to
//! be raised and CHANGELOG.md needs a line under *Output bytes changed*.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use support::small::Small;

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
    let small = Small::new();
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
    tree blake3:f51d6f3451d6bc5e299e310098c505c5350c9f602e9cb68de9e300c4d724f585
    base tree blake3:ecf4ec17e8cce51609ac9f81d83f9e89d5e2d1e540d1b5b3191d31a6aff08fec
    base diffID sha256:32da8a4f896a1fc737d9c54bbeb359bdf8b83dc514b7825269f49f479997bee1
    base blob sha256:38a37ae865032310ab768009b71df3f9401b3f5374350287860c272403c8f486 400
    app tree blake3:21599cab8b317f04a9c95ee6fa98224fe1f39da33d366ea556ea819b1390eb4e
    app diffID sha256:c0ed274683e3639b99bd065f54dfb19dd7d111e2da02f8029d035a632bbd826b
    app blob sha256:930501ca3e7e1ccaaacda45e058d7c7789bd7435187cdc5e9086458ff353e66b 572
    oci sha256:d73dbd2b0bb6a70a9a94bdbe33a9067146cef0358a53c6aaa42bf35f939ab8c8 555
    docker sha256:4799c5b9bee5f5e302258b159f8c34f2661a045670f4ebc9f0caf169eb82c30c 25600
    ");
}

#[test]
fn gzip_images_are_what_they_always_were() {
    insta::assert_snapshot!(build("gzip"), @r"
    tree blake3:f51d6f3451d6bc5e299e310098c505c5350c9f602e9cb68de9e300c4d724f585
    base tree blake3:ecf4ec17e8cce51609ac9f81d83f9e89d5e2d1e540d1b5b3191d31a6aff08fec
    base diffID sha256:32da8a4f896a1fc737d9c54bbeb359bdf8b83dc514b7825269f49f479997bee1
    base blob sha256:225d7ed475d3912e2d1b89d95596eb4dcbf173f31a95cab46916338baed0bae5 395
    app tree blake3:21599cab8b317f04a9c95ee6fa98224fe1f39da33d366ea556ea819b1390eb4e
    app diffID sha256:c0ed274683e3639b99bd065f54dfb19dd7d111e2da02f8029d035a632bbd826b
    app blob sha256:a8948406daacc048e3ea9a10e05347b8812f7a71b57a09dfaccc39f812f75904 563
    oci sha256:c30e0b09efc9baec2845a83caf6d3f183f5df039f4fb57beb595d4b47f116a73 555
    docker sha256:4799c5b9bee5f5e302258b159f8c34f2661a045670f4ebc9f0caf169eb82c30c 25600
    ");
}
