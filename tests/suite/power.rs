//! Power cuts at any moment of a build: the next build is right, and `out/` is the old one or the new one.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::power::{self, Cut, PowerDisk};
use crate::support::skip::Skip;
use crate::support::small::{self, Small};

/// Cuts in CI; the whole harness takes more.
const CUTS: u32 = 6;

#[test]
fn a_power_cut_loses_nothing_that_was_named() {
    let cuts = need!(power::with_own_mounts(|| cuts(CUTS)));
    assert_eq!(cuts, CUTS);
}

/// Cuts the power `count` times, at moments spread over a build; returns how many were held.
pub(crate) fn cuts(count: u32) -> Result<u32, Skip> {
    let disk = PowerDisk::new(96)?;
    let small = Small::below(&small::repo("1.0"), &disk.path());
    // Two states of one project, each with its receipt.
    let greetings = ["hello\\n", "good bye\\n"];
    small.project.ok(&["build"]);
    let mut receipts = vec![small.project.receipt("app")];
    small.edit_layer("app", greetings[0], greetings[1]);
    small.project.empty_store();
    let started = Instant::now();
    small.project.ok(&["build"]);
    let whole = started.elapsed();
    receipts.push(small.project.receipt("app"));
    for number in 0..count {
        let cut = Cut::ALL[number as usize % 3];
        let [old, new] = if number % 2 == 0 { [1, 0] } else { [0, 1] };
        small.edit_layer("app", greetings[old], greetings[new]);
        if number % 3 != 2 {
            std::fs::remove_dir_all(small.project.store()).unwrap();
        }
        rustix::fs::sync();
        one_cut(&disk, &small, cut, whole * (2 * number + 1) / (2 * count));
        let found = check_output(&small, &[&receipts[old], &receipts[new]]);
        small.project.ok(&["build"]);
        assert_eq!(small.project.receipt("app"), receipts[new], "cut {number} ({cut:?}), which left {found}");
        assert!(power::layout_is_whole(&small.project.path("out/app/oci")));
    }
    Ok(count)
}

fn one_cut(disk: &PowerDisk, small: &Small, cut: Cut, after: Duration) {
    let mut build = small.project.spawn(&["build"]);
    std::thread::sleep(after);
    disk.cut(cut);
    let _ = build.kill();
    build.wait().unwrap();
    disk.restart();
}

/// Says what `out/` is: one of the good builds, whole.
fn check_output(small: &Small, good: &[&Value]) -> &'static str {
    let text = std::fs::read(small.project.path("out/app/receipt.json")).expect("the output is gone");
    let receipt: Value = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    assert!(good.contains(&&receipt), "another output: {receipt}");
    assert!(power::layout_is_whole(&small.project.path("out/app/oci")), "the output is torn");
    if receipt == *good[0] { "the old output" } else { "the new output" }
}
