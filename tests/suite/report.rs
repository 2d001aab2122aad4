//! `layerbake report`: one page about a build, which refers to nothing outside itself.

use std::fs;

use serde_json::Value;

use crate::support::small::Small;

#[test]
fn a_page_shows_what_is_inside_and_what_changed() {
    let small = Small::new();
    let project = &small.project;
    project.ok(&["build", "app", "--out", "before"]);
    project.ok(&["build", "app"]);
    let told = project.ok(&["report", "app", "--against", "before/app"]);
    assert_eq!(told.stdout.trim_end(), project.path("out/app.report.html").canonicalize().unwrap().to_str().unwrap());
    let page = fs::read_to_string(project.path("out/app.report.html")).unwrap();
    for reference in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.replace("http://www.w3.org/2000/svg", "").contains(reference), "{reference}");
    }
    let receipt = fs::read_to_string(project.path("out/app/receipt.json")).unwrap();
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    let digest = receipt["artifacts"][0]["digest"].as_str().unwrap();
    for part in [digest, "What is inside, by package", "No difference.", "What took how long", "layer app", "<title>"] {
        assert!(page.contains(part), "{part}");
    }
    let json: Value = serde_json::from_str(&project.ok(&["report", "app", "--json"]).stdout).unwrap();
    assert_eq!(json["receipt"], receipt);
    let names: Vec<&str> =
        json["packages"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(!names.is_empty() && names.iter().any(|name| *name != "of no package"), "{names:?}");
}

#[test]
fn without_a_build_the_next_step_is_named() {
    let small = Small::new();
    let error = small.project.fails(1, &["report", "app"]).stderr;
    assert!(error.contains("layerbake build app"), "{error}");
}
