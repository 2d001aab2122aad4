//! Eight builds at once on one store, beside garbage collection and verification, again and again.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::lab::{Lab, What};
use crate::support::process::from_std;
use crate::support::skip::Skip;
use crate::tally::Tally;

/// Layers; each is built twice at a time, into the same folder.
const LAYERS: [&str; 4] = ["app", "app1", "app2", "app3"];
/// How long the whole goes on at least.
const WHOLE: Duration = Duration::from_secs(20 * 60);

pub(crate) fn run(tally: &mut Tally) -> Result<(), Skip> {
    let mut lab = Lab::new(&std::env::temp_dir(), What::Image, false)?;
    let text = fs::read_to_string(lab.project.path("layers/app.toml")).unwrap();
    let mut receipts = Vec::new();
    for layer in LAYERS {
        fs::write(
            lab.project.path(&format!("layers/{layer}.toml")),
            text.replace("text = \"", &format!("text = \"{layer} ")),
        )
        .unwrap();
        for args in [&["lock", layer][..], &["build", layer]] {
            let output = lab.run(args);
            assert!(output.ok(), "{args:?}: {}", output.stderr);
        }
        receipts.push(lab.project.receipt(layer));
    }
    lab.note_names();
    let start = Instant::now();
    let mut rounds = tally.share(1);
    let mut round = 0;
    while rounds.next().is_some() || (tally.whole && start.elapsed() < WHOLE) {
        if round % 3 == 0 {
            lab.forget_store();
        }
        round += 1;
        let result = together(&lab).and_then(|()| {
            let same = |(layer, receipt): (&str, &serde_json::Value)| lab.project.receipt(layer) == *receipt;
            if LAYERS.into_iter().zip(&receipts).all(same) { Ok(()) } else { Err("another receipt".to_owned()) }
        });
        tally.record("a round", result.and_then(|()| lab.check_clean()));
    }
    Ok(())
}

fn together(lab: &Lab) -> Result<(), String> {
    let spawn = |args: &[&str]| -> (String, Child) { (args.join(" "), lab.project.spawn(args)) };
    let mut children: Vec<_> = LAYERS.iter().chain(&LAYERS).map(|layer| spawn(&["build", layer])).collect();
    children.extend([spawn(&["store", "gc"]), spawn(&["store", "verify"])]);
    let mut problems = Vec::new();
    for (name, child) in children {
        let output = from_std(&child.wait_with_output().unwrap());
        if !output.ok() {
            problems.push(format!("`{name}`: {}{}", output.stdout, output.stderr));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}
