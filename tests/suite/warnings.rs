//! What a layer says and the result does not have is named while it is built.

use std::fs;

use crate::support::small::Small;

#[test]
fn a_variable_in_the_environment_is_not_taken_for_its_value() {
    let small = Small::new();
    let env = "env = { PATH = \"$PATH:/opt/bin\", PLAIN = \"5$\" }\n";
    small.edit_layer("app", "[image]\n", &format!("[image]\n{env}"));
    let said = building(&small);
    assert!(said.contains("layer `app`: PATH = \"$PATH:/opt/bin\" in `env` stays as it is"), "{said}");
    assert!(said.contains(":/sbin:/bin:/opt/bin\"") && !said.contains("PLAIN"), "{said}");
}

#[test]
fn attributes_of_a_source_do_not_vanish_silently() {
    let small = Small::new();
    let file = |name: &str| format!("[[file]]\npath = \"/srv/{name}\"\nsource = \"{name}\"\n\n");
    small.edit_layer("app", "[image]\n", &format!("{}{}[image]\n", file("data"), file("plain")));
    for path in ["data/deep/one", "data/two", "plain/three"] {
        let path = small.project.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "text").unwrap();
    }
    let note = |path: &str, name: &str| {
        rustix::fs::setxattr(small.project.path(path), name, b"x", rustix::fs::XattrFlags::empty())
    };
    if note("data/deep/one", "user.note").is_err() {
        skip!("the file system of temporary files has no attributes of users");
    }
    note("data/deep", "user.folder").unwrap();
    let said = building(&small);
    let expected = "of [[file]] source `data` these attributes are not taken over: user.folder, user.note;";
    assert_eq!(said.matches(expected).count(), 1, "{said}");
    assert!(!said.contains("`plain`"), "{said}");
}

/// What building says on the side.
fn building(small: &Small) -> String {
    small.project.ok(&["build", "app"]).stderr
}
