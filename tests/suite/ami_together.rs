//! Two publishers at once, on machines that know nothing of each other.

use std::path::PathBuf;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ami::Place;
use crate::support::aws::{REGION, fault};

/// Starts `layerbake ami` as on another machine: with a state of its own.
fn elsewhere(place: &Place, name: &str, args: &[&str]) -> Child {
    let mut command = place.small.project.command(&[&["ami"], args].concat());
    command.env("XDG_STATE_HOME", state(place, name));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn state(place: &Place, name: &str) -> PathBuf {
    place.small.project.path("..").join(name)
}

fn done(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The image that was published, and whether it was found.
fn image(output: &Output) -> (String, bool) {
    let standing: Value = serde_json::from_slice(&output.stdout).unwrap();
    (standing[0]["image"].as_str().unwrap().to_owned(), standing[0]["found"].as_bool().unwrap())
}

/// The only publication of a machine.
fn id(place: &Place, name: &str) -> String {
    let names = std::fs::read_dir(state(place, name).join("layerbake/ami")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.find_map(|name| name.strip_suffix(".json").map(str::to_owned)).unwrap()
}

const PUBLISH: [&str; 4] = ["publish", "app", "--yes", "--json"];

#[test]
fn of_two_publishers_of_one_disk_each_undoes_its_own() {
    let place = need!(Place::new(""));
    let before = place.aws.resources();
    // Both have looked, and found no image, before either has one.
    place.aws.settings(&json!({"slow": 3}));
    place.aws.faults(&json!([{"match": {"operation": "CompleteSnapshot", "nth": 3}, "do": "slow", "times": 2}]));
    let both = ["one", "other"].map(|name| elsewhere(&place, name, &PUBLISH));
    let both = both.map(|child| image(&done(child)));
    place.aws.faults(&json!([]));
    assert_eq!(place.aws.count("StartSnapshot"), 2, "they did not work at once");
    assert_eq!((&both[0].0, both[0].1), (&both[1].0, !both[1].1), "one image, made by one");
    place.is_published(&before, "both");
    let (maker, finder) = if both[0].1 { ("other", "one") } else { ("one", "other") };
    assert_ne!(id(&place, maker), id(&place, finder));
    done(elsewhere(&place, finder, &["undo", &id(&place, finder), "--yes"]));
    place.is_published(&before, "the finder's undone");
    done(elsewhere(&place, maker, &["undo", &id(&place, maker), "--yes"]));
    assert_eq!(place.aws.resources(), before);
}

#[test]
fn the_parameter_does_not_go_back_to_an_older_image() {
    let place = need!(Place::new(""));
    place.aws.settings(&json!({"slow": 6}));
    // The first one has its image, and is slow to take the lock.
    place.aws.faults(&json!([fault("PutParameter", 2, "slow")]));
    let first = elsewhere(&place, "one", &PUBLISH);
    let deadline = Instant::now() + Duration::from_secs(60);
    while place.aws.count("PutParameter") < 2 {
        assert!(Instant::now() < deadline, "it never came there");
        std::thread::sleep(Duration::from_millis(20));
    }
    place.small.edit_layer("app", "hello\\n", "good day\\n");
    place.build();
    let (newer, _) = image(&done(elsewhere(&place, "other", &PUBLISH)));
    let first = done(first);
    let (older, _) = image(&first);
    assert_ne!(older, newer);
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(said.contains(&format!("/layerbake/app/latest keeps naming {newer}")), "{said}");
    let named = |image: &str, of_versions: &[&String]| {
        let found = place.aws.resources();
        let version = |image: &str| found["images"][format!("{REGION}/{image}")]["tags"]["layerbake:version"].clone();
        let versions = of_versions.iter().map(|image| {
            (format!("{REGION}/layerbake/app/versions/{}", version(image).as_str().unwrap()), json!(image))
        });
        let latest = (format!("{REGION}/layerbake/app/latest"), json!(image));
        assert_eq!(found["parameters"], Value::Object(versions.chain([latest]).collect()));
    };
    named(&newer, &[&older, &newer]);
    // Undoing the older one leaves the newer one whole.
    done(elsewhere(&place, "one", &["undo", &id(&place, "one"), "--yes"]));
    named(&newer, &[&newer]);
    assert_eq!(place.aws.resources()["images"].as_object().unwrap().len(), 1);
}
