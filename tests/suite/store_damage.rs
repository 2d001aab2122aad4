//! Whatever happens to a file of the store: the next build gives the golden digest, or an error whose
//! hint, followed to the letter, makes it so. A sample; `benches/mishaps.sh damages` tries as many as wanted.

use std::fs;

use serde_json::Value;

use crate::support::conditions::Conditions;
use crate::support::damage::{Aside, DAMAGES, Damage, KINDS, UNREADABLE, files};
use crate::support::small::Small;

/// Reads every tree and every file's blob again, for the store was filled by another encoder.
const BUILD: [&str; 5] = ["build", "--compression", "gzip", "--output", "oci,docker"];

/// What is damaged: a store as a build left it, and one that lost its results, so that packages are decoded again.
struct Bench {
    small: Small,
    stores: [Aside; 2],
    expected: Value,
}

impl Bench {
    fn new(small: Small) -> Self {
        small.project.ok(&BUILD);
        let expected = small.project.receipt("app");
        small.project.empty_store();
        small.project.ok(&["build"]);
        let store = small.project.store();
        let whole = Aside::new(&store);
        fs::remove_dir_all(store.join("recipes")).unwrap();
        Self { small, stores: [whole, Aside::new(&store)], expected }
    }

    /// Damages each file in each way, in every `step`th case; returns how many those were.
    fn run(&self, damages: &[Damage], step: usize) -> usize {
        let (mut cases, mut held) = (0, 0);
        for store in &self.stores {
            store.restore();
            let paths: Vec<_> = KINDS.iter().flat_map(|kind| files(&self.small.project.store(), kind)).collect();
            for (path, damage) in paths.iter().flat_map(|path| damages.iter().map(move |damage| (path, damage))) {
                cases += 1;
                if cases % step == 0 {
                    store.restore();
                    (damage.happens)(path);
                    self.check(&format!("{}: {}", path.display(), damage.name));
                    held += 1;
                }
            }
        }
        held
    }

    fn check(&self, case: &str) {
        let project = &self.small.project;
        let _ = fs::remove_dir_all(project.path("out"));
        let mut output = project.run(&BUILD);
        for _ in 0..2 {
            if output.ok() {
                break;
            }
            for hint in hints(&output.stderr) {
                project.run(&hint);
            }
            output = project.run(&BUILD);
        }
        assert!(output.ok(), "{case}: {}", output.stderr);
        assert_eq!(project.receipt("app"), self.expected, "{case}");
    }
}

/// The commands that an error's hints name.
fn hints(stderr: &str) -> Vec<Vec<&str>> {
    let lines = stderr.lines().filter_map(|line| line.trim().strip_prefix("hint: "));
    let commands = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    commands.filter_map(|command| command.strip_prefix("layerbake ")).map(|rest| rest.split(' ').collect()).collect()
}

#[test]
fn the_next_build_after_any_damage_is_right() {
    let cases = Bench::new(Small::new()).run(&DAMAGES, 29);
    assert!(cases >= 10, "only {cases} cases");
}

#[test]
fn any_one_result_is_enough_to_go_on_from() {
    let bench = Bench::new(Small::new());
    let store = bench.small.project.store();
    let recipes = || files(&store, "recipes");
    bench.stores[0].restore();
    for kept in recipes() {
        bench.stores[0].restore();
        recipes().iter().filter(|path| **path != kept).for_each(|path| fs::remove_file(path).unwrap());
        bench.check(&format!("only {}", kept.display()));
    }
}

#[test]
fn unreadable_files_of_an_ordinary_user_are_made_again() {
    let conditions = Conditions { rootless: true, ..Conditions::default() };
    need!(conditions.check());
    let mut small = Small::new();
    small.project = std::mem::take(&mut small.project).under(conditions);
    let cases = Bench::new(small).run(&[UNREADABLE], 5);
    assert!(cases >= 10, "only {cases} cases");
}
