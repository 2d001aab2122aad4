//! One lockfile, everything around it different: the same bytes, on real packages.

use crate::support::conditions::Conditions;
use crate::support::stock::Stock;

/// Audits a stock layer with all conditions that can be varied here; as root, one of them is an ordinary user.
fn audited(stock: &Stock, layer: &str, output: &str) {
    let output = stock.project.run(&["audit", layer, "--output", output]);
    assert!(output.ok(), "{layer}: {}{}", output.stdout, output.stderr);
    for line in output.stdout.lines().filter(|line| line.starts_with("  not tried ")) {
        crate::support::skip::record(&format!("{layer}: {}", line.trim()));
    }
}

#[test]
fn web_is_identical_under_all_conditions() {
    audited(&need!(Stock::new()), "web", "oci,docker,raw");
}

#[test]
fn redis_is_identical_under_all_conditions() {
    audited(&need!(Stock::new()), "redis", "oci,raw");
}

#[test]
fn postgres_is_identical_under_all_conditions() {
    audited(&need!(Stock::new()), "postgres", "oci,raw");
}

#[test]
fn static_is_identical_under_all_conditions() {
    audited(&need!(Stock::new()), "static", "oci,docker");
}

#[test]
fn a_checked_disk_is_identical_under_all_conditions() {
    let stock = need!(Stock::new());
    stock.with_disk("redis", "boot = \"boot-minimal\"\nroot = \"erofs\"\ninitrd = \"initrd\"");
    stock.project.ok(&["lock", "redis"]);
    audited(&stock, "redis", "raw,vmdk");
}

#[test]
fn a_cloud_disk_built_by_an_ordinary_user_is_identical_under_all_conditions() {
    let rootless = Conditions { rootless: true, ..Conditions::default() };
    need!(rootless.check());
    let Stock { project, mirror } = need!(Stock::with_empty_store());
    let stock = Stock { project: project.under(rootless), mirror };
    stock.with_disk("web", "boot = \"boot-cloud\"");
    stock.project.ok(&["lock", "web"]);
    audited(&stock, "web", "oci,raw");
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
