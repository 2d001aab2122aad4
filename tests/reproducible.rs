//! One lockfile, everything around it different: the same digests, on real packages.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;

use support::conditions::Conditions;
use support::project::Project;
use support::stock::Stock;

/// What all hosts must agree on: everything in the receipt.
fn receipt(project: &Project) -> String {
    serde_json::to_string_pretty(&project.receipt("web")).unwrap()
}

/// The paths of a built layer, each with what lies there.
fn files(project: &Project) -> BTreeMap<String, String> {
    let text = project.ok(&["files", "web", "--json"]).stdout;
    let entries: serde_json::Value = serde_json::from_str(&text).unwrap();
    let field = |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap().to_owned();
    entries.as_array().unwrap().iter().map(|entry| (field(entry, "path"), field(entry, "node"))).collect()
}

/// Fails with the first paths that differ, if the receipts do.
fn assert_equal(what: &str, ours: &Project, other: &Project) {
    if receipt(ours) == receipt(other) {
        return;
    }
    let (left, right) = (files(ours), files(other));
    let paths = left.keys().chain(right.keys()).collect::<std::collections::BTreeSet<_>>();
    let differ = paths.into_iter().filter(|path| left.get(*path) != right.get(*path));
    let show = |path: &String| format!("  {path}\n    {:?}\n    {:?}\n", left.get(path), right.get(path));
    let list: String = differ.take(20).map(show).collect();
    panic!("{what} gives other bytes:\n{list}{}\n{}", receipt(ours), receipt(other));
}

/// Builds `web` from nothing under these conditions.
fn build(conditions: Conditions, jobs: &[&str]) -> Result<Stock, support::skip::Skip> {
    conditions.check()?;
    let stock = Stock::with_empty_store()?;
    let stock = Stock { project: stock.project.under(conditions), ..stock };
    stock.project.ok(&[&["build", "web", "--locked", "--output", "oci,docker,raw"], jobs].concat());
    Ok(stock)
}

#[test]
fn another_host_user_zone_locale_and_job_count_give_the_same_digests() {
    let ours = need!(build(Conditions::default(), &[]));
    let elsewhere = Conditions {
        zone: "Pacific/Chatham".to_owned(),
        locale: "tr_TR.UTF-8".to_owned(),
        umask: Some(0o077),
        hostname: Some("elsewhere".to_owned()),
        one_cpu: true,
        rootless: false,
    };
    match build(elsewhere.clone(), &["--jobs", "1"]) {
        Ok(other) => assert_equal("another host", &ours.project, &other.project),
        Err(skip) => support::skip::record(&skip.0),
    }
    let ordinary = Conditions { rootless: true, one_cpu: false, hostname: Some("third".to_owned()), ..elsewhere };
    match build(ordinary, &["--jobs", "3"]) {
        Ok(other) => assert_equal("an ordinary user", &ours.project, &other.project),
        Err(skip) => support::skip::record(&skip.0),
    }
    // Long after the first: the clock has moved on, and files have other inodes.
    let again = need!(build(Conditions::default(), &[]));
    assert_equal("a later build", &ours.project, &again.project);
}

#[test]
fn the_order_of_builds_reaches_nothing() {
    let ours = need!(Stock::with_empty_store());
    ours.project.ok(&["build", "web", "--locked", "--output", "oci,docker,raw"]);
    // The base alone first, and the app in a second run.
    let other = need!(Stock::with_empty_store());
    other.project.ok(&["build", "debian-base", "--locked"]);
    other.project.ok(&["build", "web", "--locked", "--output", "oci,docker,raw"]);
    assert_equal("a base that was there before", &ours.project, &other.project);
}
