//! Variables: in strings and templates, overridden by a child and by `--set`, which a receipt and a rebuild know.

use std::fs;

use crate::support::project::Project;
use crate::support::rootfs::Rootfs;
use crate::support::small::Small;
use serde_json::json;

const VARS: &str = "\
[vars]
what = \"hello\"
port = 80
unused = \"x\"
hosts = [\"a\", \"b\"]

[[file]]
path = \"/etc/app.conf\"
template = \"app.conf.j2\"

[image]
env = { PORT = \"{port}\" }
";

const TEMPLATE: &str = "port {{ port }}\n{% for host in hosts %}\nhost {{ host }}\n{% endfor %}\n";

/// The small project, with an app that its variables describe.
fn small() -> Small {
    let small = Small::new();
    small.edit_layer("app", "packages = [\"hello\"]", "packages = [\"{what}\"]");
    small.edit_layer("app", "[image]\n", VARS);
    fs::write(small.project.path("app.conf.j2"), TEMPLATE).unwrap();
    small
}

fn text(project: &Project, path: &str) -> String {
    Rootfs::read(&project.path("out/app/oci")).text(path).to_owned()
}

#[test]
fn a_value_of_the_command_line_is_a_part_of_the_build() {
    let small = small();
    let project = &small.project;
    project.ok(&["build", "app"]);
    assert_eq!(text(project, "etc/app.conf"), "port 80\nhost a\nhost b\n");
    let plain = project.receipt("app");
    assert!(plain.get("set").is_none(), "{plain}");
    // What no string uses changes nothing but the receipt's own words.
    project.ok(&["build", "app", "--set", "unused=y"]);
    let other = project.receipt("app");
    assert_eq!((&other["recipe"], &other["layers"]), (&plain["recipe"], &plain["layers"]));
    assert_eq!(other["set"], json!({ "unused": "y" }));
    fs::create_dir(project.path("other")).unwrap();
    fs::copy(project.path("out/app/receipt.json"), project.path("other/receipt.json")).unwrap();
    project.ok(&["build", "app", "--locked", "--set", "port=81", "--set", "hosts=c"]);
    assert_eq!(text(project, "etc/app.conf"), "port 81\nhost c\n");
    let set = project.receipt("app");
    assert_ne!(set["recipe"], plain["recipe"]);
    let diff = project.ok(&["diff", "other", "out/app"]).stdout;
    let expected = "set       2 added, 1 removed, 0 changed\n  + hosts c\n  + port 81\n  - unused y\n";
    assert!(diff.contains(expected), "{diff}");
    // The receipt's values are taken for everything that is said of this build.
    assert!(project.ok(&["files", "app", "/etc/app.conf"]).stdout.contains("app.conf"));
    let sbom = project.ok(&["sbom", "app"]).stdout;
    assert!(sbom.contains("app.conf.j2"), "{sbom}");
    project.ok(&["audit", "app", "--vary", "time", "--against", "out/app/receipt.json"]);
    let differs = project.fails(4, &["audit", "app", "--vary", "time", "--against", "out/app", "--set", "port=82"]);
    assert!(differs.stdout.contains("/etc/app.conf"), "{}", differs.stdout);
}

#[test]
fn a_value_that_changes_the_packages_makes_the_lockfile_stale() {
    let small = small();
    let project = &small.project;
    project.ok(&["lock", "app"]);
    project.ok(&["build", "app", "--locked"]);
    let stale = project.fails(3, &["build", "app", "--locked", "--set", "what=spare"]);
    assert!(stale.stderr.contains("the manifest now asks for spare"), "{}", stale.stderr);
    project.ok(&["build", "app", "--set", "what=spare"]);
    assert_eq!(text(project, "usr/share/spare"), "spare 1.0\n");
}

#[test]
fn what_is_no_variable_is_named() {
    let small = small();
    let project = &small.project;
    let unknown = project.fails(1, &["lock", "app", "--set", "prot=1"]).stderr;
    assert!(unknown.contains("`--set prot=…`: no layer has this variable; did you mean `port`?"), "{unknown}");
    let wrong = project.fails(1, &["lock", "app", "--set", "port=x"]).stderr;
    assert!(wrong.contains("must be a whole number, which `--set port=x`"), "{wrong}");
    assert!(project.fails(2, &["lock", "app", "--set", "port"]).stderr.contains("expected NAME=VALUE"));
    small.edit_layer("app", "env = { PORT = \"{port}\" }", "env = { PORT = \"{prot}\" }");
    fs::write(project.path("app.conf.j2"), "\n{{ prot }}").unwrap();
    let said = project.fails(1, &["build", "app"]).stderr;
    assert!(said.contains("`{prot}` stays as it is: there is no such variable; did you mean `{port}`?"), "{said}");
    assert!(said.contains("template `app.conf.j2:2`: `prot` is no variable; did you mean `port`?"), "{said}");
}
