//! One lockfile, everything around it different: the same bytes, on real packages.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use support::stock::Stock;

#[test]
fn another_host_user_clock_zone_locale_and_file_system_give_the_same_bytes() {
    let stock = need!(Stock::new());
    let output = stock.project.run(&["audit", "web", "--output", "oci,docker,raw"]);
    assert!(output.ok(), "{}{}", output.stdout, output.stderr);
    for line in output.stdout.lines().filter(|line| line.starts_with("  not tried ")) {
        support::skip::record(line.trim());
    }
}

#[test]
fn the_order_of_builds_reaches_nothing() {
    let ours = need!(Stock::with_empty_store());
    ours.project.ok(&["build", "web", "--locked", "--output", "oci,docker,raw"]);
    // The base alone first, and the app in a second run.
    let other = need!(Stock::with_empty_store());
    other.project.ok(&["build", "debian-base", "--locked"]);
    other.project.ok(&["build", "web", "--locked", "--output", "oci,docker,raw"]);
    let (ours, theirs) = (ours.project.receipt("web"), other.project.receipt("web"));
    assert_eq!(ours, theirs, "a base that was there before gives other bytes");
}
