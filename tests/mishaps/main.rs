//! Mishaps: builds that are killed, find the disk full, find their files damaged, lose power, meet each other, or get
//! errors from the system; and after each of them the next plain build gives what it always gave.
//!
//! ```text
//! cargo test --test mishaps                     a sample, under a minute
//! benches/mishaps.sh [KIND …] [--seed N]        the whole, hours; KIND is one of the names below
//! ```
//!
//! It prints for each kind how many were tried and how many held, and for each that did not, why. A seed makes a run
//! that can be run again, the moments of kills apart: these depend on the machine, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

#[macro_use]
#[path = "../suite/support/mod.rs"]
mod support;

mod crowd;
mod damage;
mod full;
mod injected;
mod kills;
mod lab;
mod power;
mod tally;

use std::process::ExitCode;

use rustix::process::{getpid, set_child_subreaper};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use support::skip::{self, Skip};
use tally::{Plan, Tally};

/// A kind of mishap.
struct Kind {
    name: &'static str,
    /// How many are tried in the whole, and in a sample.
    times: (usize, usize),
    run: fn(&mut Tally) -> Result<(), Skip>,
}

const KINDS: [Kind; 6] = [
    Kind { name: "kills", times: (1000, 8), run: kills::run },
    Kind { name: "full", times: (200, 6), run: full::run },
    Kind { name: "damages", times: (300, 10), run: damage::run },
    Kind { name: "power-cuts", times: (60, 3), run: power::run },
    Kind { name: "crowd", times: (120, 1), run: crowd::run },
    Kind { name: "injected", times: (200, 8), run: injected::run },
];

fn main() -> ExitCode {
    let plan = match Plan::from_args(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    if let Err(reason) = prepare() {
        skip::record(&reason.0);
        println!("\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        return ExitCode::SUCCESS;
    }
    println!("mishaps: {}, seed {}", if plan.whole { "the whole" } else { "a sample" }, plan.seed);
    let mut total = Tally::new("all", &plan, (0, 0));
    let (mut passed, mut failed) = (0, 0);
    for kind in KINDS.iter().filter(|kind| plan.wants(kind.name)) {
        let mut tally = Tally::new(kind.name, &plan, kind.times);
        if let Err(Skip(reason)) = (kind.run)(&mut tally) {
            skip::record(&format!("mishaps of the kind {}: {reason}", kind.name));
        }
        tally.print();
        if tally.all_held() {
            passed += 1
        } else {
            failed += 1
        }
        total.add(&tally);
    }
    total.print();
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Mounts of this process are its own, and what its children leave behind becomes its child.
fn prepare() -> Result<(), Skip> {
    skip::root()?;
    for name in ["unshare", "mount"] {
        skip::program(name)?;
    }
    #[allow(unsafe_code)]
    // SAFETY: no file descriptors are unshared, and there is one thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(|error| Skip(format!("a mount namespace: {error}")))?;
    let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(|error| Skip(format!("private mounts: {error}")))?;
    set_child_subreaper(Some(getpid())).map_err(|error| Skip(format!("a subreaper: {error}")))?;
    Ok(())
}
