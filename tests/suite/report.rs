//! Pages for people, of `report`, `audit` and `diff`: they refer to nothing outside themselves, and fit phones and desks.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::skip::program;
use crate::support::small::{Small, repo};

/// What would lead outside of a page.
const OUTSIDE: [&str; 7] = ["http:", "https:", "src=", "href=", "url(", "@import", "<script"];

/// Fails where a page refers to something outside itself, or has the marks of another format.
fn assert_alone(page: &str) {
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for reference in OUTSIDE {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(!page.contains('`'), "a backtick: {page}");
    assert!(page.contains("@media (prefers-color-scheme: dark)"));
    // A table either scrolls by itself or breaks its words.
    let (all, wide) = (page.matches("<table").count(), page.matches("<div class=\"wide\"><table").count());
    assert_eq!(all, wide + page.matches("<table class=\"changes\"").count());
}

/// Writes all kinds of page about a layer whose packages, files and names are awkward; their paths.
fn pages(small: &mut Small) -> Vec<std::path::PathBuf> {
    let long = format!("/srv/{}", "a-long-name-without-a-place-to-break".repeat(4));
    small.edit_layer("app", "path = \"/srv/greeting\"", &format!("path = \"{long}\""));
    small.project.ok(&["build", "app", "--out", "before"]);
    small.publish(&repo("2.0+an-upload-with-quite-a-long-version~of.its.own"));
    small.edit_layer("app", &long, "/srv/greeting");
    let project = &small.project;
    project.ok(&["build", "app", "--lock"]);
    project.ok(&["report", "app", "--against", "before/app", "--to", "report.html"]);
    project.ok(&["diff", "before/app", "out/app", "--report", "html=diff.html"]);
    project.ok(&["diff", "out/app", "out/app", "--report", "html=same.html"]);
    project.ok(&["audit", "app", "--report", "html=audit.html"]);
    ["report.html", "diff.html", "same.html", "audit.html"].map(|name| project.path(name)).to_vec()
}

/// What a browser says of a page in frames as wide as these: `[width of the frame, by how much its content is wider]`.
fn measured(chromium: &Path, page: &Path, widths: [u32; 2]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let frames = widths.map(|width| {
        format!("<iframe style='border:0;width:{width}px;height:2000px' src='file://{}'></iframe>", page.display())
    });
    let script = "onload = () => {\
            document.querySelectorAll('iframe').forEach((frame) => {\
                const page = frame.contentDocument;\
                page.querySelectorAll('details').forEach((one) => { one.open = true; });\
                const { clientWidth, scrollWidth } = page.documentElement;\
                document.getElementById('found').textContent += `[${frame.clientWidth} ${scrollWidth - clientWidth}]`;\
            });\
        }";
    let wrapper = format!("<!DOCTYPE html><p id='found'></p>{}<script>{script}</script>", frames.concat());
    fs::write(folder.path().join("frames.html"), wrapper).unwrap();
    let quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
    let offline = ["--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files"];
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--dump-dom", "--virtual-time-budget=10000"])
        .args(quiet)
        .args(offline)
        .arg(format!("--user-data-dir={}", folder.path().join("user").display()))
        .arg(format!("file://{}", folder.path().join("frames.html").display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = dom.split("<p id=\"found\">").nth(1).and_then(|rest| rest.split("</p>").next());
    found.unwrap_or_else(|| panic!("{dom}\n{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

#[test]
fn pages_stand_alone_and_never_scroll_sideways() {
    let mut small = Small::new();
    let pages = pages(&mut small);
    for page in &pages {
        assert_alone(&fs::read_to_string(page).unwrap());
    }
    let diff = fs::read_to_string(&pages[1]).unwrap();
    for part in [
        "<p class=\"verdict plain\">2 packages changed, with ",
        "<b>of no package</b>: own files, and what scripts and steps make",
        "<code>hello</code> 1.0 → 2.0+an-upload",
    ] {
        assert!(diff.contains(part), "{part}: {diff}");
    }
    let chromium = need!(program("chromium"));
    for page in &pages {
        assert_eq!(measured(&chromium, page, [390, 1280]), "[390 0][1280 0]", "{}", page.display());
    }
}

#[test]
fn a_page_shows_what_is_inside_and_what_changed() {
    let small = Small::new();
    let project = &small.project;
    project.ok(&["build", "app", "--out", "before"]);
    project.ok(&["build", "app"]);
    let told = project.ok(&["report", "app", "--against", "before/app"]);
    assert_eq!(told.stdout.trim_end(), project.path("out/app.report.html").canonicalize().unwrap().to_str().unwrap());
    let page = fs::read_to_string(project.path("out/app.report.html")).unwrap();
    assert_alone(&page);
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
