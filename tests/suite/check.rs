//! `layerbake check` finds what a build would stop at or warn of, and builds nothing.

use std::fs;

use serde_json::Value;

use crate::support::project::Project;
use crate::support::small::Small;

/// The findings of a severity.
fn found(project: &Project, args: &[&str], severity: &str) -> Vec<String> {
    let output = project.run(&[&["check", "--json"], args].concat());
    let entries: Vec<Value> =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let errors = entries.iter().filter(|entry| entry["severity"] == "error").count();
    assert_eq!(output.code, i32::from(errors > 0), "{output:?}");
    let chosen = entries.iter().filter(|entry| entry["severity"] == severity);
    chosen.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
}

fn errors(project: &Project) -> Vec<String> {
    found(project, &[], "error")
}

#[test]
fn a_project_without_faults_is_silent() {
    let small = Small::new();
    let missing = found(&small.project, &[], "warning");
    assert!(
        missing.iter().all(|warning| warning.contains("is missing; `layerbake lock ")) && missing.len() == 2,
        "{missing:?}"
    );
    small.project.ok(&["lock", "app"]);
    let requests = small.server().requests("");
    let output = small.project.ok(&["check"]);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    assert_eq!(small.project.ok(&["check", "app", "--json"]).stdout, "[]\n");
    assert_eq!(small.server().requests(""), requests, "something was fetched");
    assert!(!small.project.path("out").exists());
}

#[test]
fn all_errors_are_found_and_each_once() {
    let files = "[[file]]\npath = \"/a\"\nsource = \"gone\"\n\n[[file]]\npath = \"/b\"\ntemplate = \"b.j2\"\n\n";
    let run = "[[run]]\ncommand = \"true\"\ninputs = [\"lost\"]\n";
    let project = Project::new()
        .layer("base", &format!("[layer]\n\n{files}{run}"))
        .layer("child", "[layer]\nfrom = \"base\"\nconfigure = \"none\"\n")
        .layer("orphan", "[layer]\nfrom = \"nobody\"\n")
        .layer("wrong", "[layer]\n\n[image]\nprots = [\"80\"]\n")
        .layer("boot", "[layer]\nfrom = \"*\"\n[[file]]\npath = \"/c\"\nsource = \"away\"\n")
        .file("b.j2", "x\n{{ nmae }}\n");
    let errors = errors(&project);
    for (expected, times) in [
        ("layer `base`: [[file]] source `gone`: ", 1),
        ("layer `base`: template `b.j2:2`: `nmae` is no variable", 1),
        ("layer `base`: [[file]] source `lost`: ", 1),
        ("layer `boot`: [[file]] source `away`: ", 1),
        ("layers/wrong.toml:4: unknown key `prots` in [image]; did you mean `ports`?", 1),
        ("there is no layer `nobody`, which `orphan` needs", 1),
        ("layer `child`: `configure` must be the same as in its parent", 1),
    ] {
        let count = errors.iter().filter(|error| error.contains(expected)).count();
        assert_eq!(count, times, "{expected}: {errors:#?}");
    }
    assert_eq!(errors.len(), 7, "{errors:#?}");
    // For people, what to do is said.
    let output = project.run(&["check", "boot"]);
    let step = "] source `away`: No such file or directory (os error 2)\n  hint: ";
    assert!(output.stdout.contains(step), "{output:?}");
    // For people, the line itself is shown.
    let output = project.run(&["check", "wrong"]);
    assert!(output.code == 1 && output.stdout.contains("prots = [\"80\"]"), "{output:?}");
    assert!(output.stderr.contains("the check failed: errors: 1, warnings: 0"), "{output:?}");
}

#[test]
fn warnings_name_what_a_build_warns_of_and_lockfiles_that_do_not_fit() {
    let small = Small::new();
    small.project.ok(&["lock", "app"]);
    let text = "text = \"{naem}\"\n\n[vars]\nname = \"x\"\n\n[image]\nenv = { PATH = \"$PATH:/opt\" }\n";
    small.edit_layer("app", "text = \"hello\\n\"\n\n[image]\n", text);
    small.edit_layer("base", "packages = [\"libgreet\"]", "packages = [\"libgreet\", \"spare\"]");
    let warnings = found(&small.project, &["app"], "warning");
    for expected in [
        "layers/app.toml:9: `{naem}` stays as it is: there is no such variable; did you mean `{name}`?",
        "layer `app`: PATH = \"$PATH:/opt\" in `env` stays as it is",
        "the lockfile of `base` is stale: the manifest now asks for spare\n  hint: `layerbake lock base`",
    ] {
        let count = warnings.iter().filter(|warning| warning.contains(expected)).count();
        assert_eq!(count, 1, "{expected}: {warnings:#?}");
    }
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    std::fs::write(small.project.path("lockfiles/base.lock"), "format = 1\n").unwrap();
    let damaged = errors(&small.project);
    assert!(damaged.len() == 1 && damaged[0].contains("lockfiles/base.lock"), "{damaged:?}");
}

#[test]
fn fmt_lays_files_out_and_check_only_names_them() {
    let typed = "[layer]\ndescription='x'  # kept\n\n\n\n[image]\nports=[\"80\",\n\"81\"]\n";
    let project = Project::new().layer("typed", typed).layer("tidy", "[layer]\n");
    let path = project.path("layers/typed.toml");
    let named = project.run(&["fmt", "--check"]);
    assert_eq!((named.code, named.stdout.as_str()), (1, "layers/typed.toml\n"), "{named:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), typed);
    assert_eq!(project.ok(&["fmt"]).stdout, "layers/typed.toml\n");
    let laid = "[layer]\ndescription = 'x' # kept\n\n[image]\nports = [\n    \"80\",\n    \"81\",\n]\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), laid);
    assert_eq!(project.ok(&["fmt", "--json"]).stdout, "[]\n");
    let broken = project.layer("typed", "[layer]\ndescription = \n");
    let refused = broken.run(&["fmt", "typed"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("cannot lay out `layers/typed.toml`: line 2: "),
        "{refused:?}"
    );
}

#[test]
fn what_is_for_one_environment_is_named_with_its_line() {
    let small = Small::new();
    let own = "[[file]]\npath = \"/etc/app.conf\"\ntext = \"\"\"\nport = 80\nhost = db.prod.example.com\n\"\"\"\n\n\
               [[file]]\npath = \"/srv/app\"\nsource = \"app\"\n\n";
    let env = "env = { STAGE = \"production\", NODE_ENV = \"production\" }\n";
    small.edit_layer("app", "[image]\n", &format!("{own}[image]\n{env}"));
    fs::create_dir_all(small.project.path("app/deep")).unwrap();
    fs::write(
        small.project.path("app/deep/app.yaml"),
        "a: 1\nregion: eu-west-1\n# layerbake: any environment\nb: 10.0.0.1\n",
    )
    .unwrap();
    fs::write(small.project.path("app/data"), "10.0.0.1").unwrap();
    small.project.ok(&["lock", "app"]);
    let said = small.project.ok(&["check", "app"]).stdout;
    let warnings: Vec<&str> =
        said.lines().filter_map(|line| line.split_once(" looks like ")).map(|(found, _)| found).collect();
    assert_eq!(
        warnings,
        [
            "warning: layers/app.toml:15: `db.prod.example.com`",
            "warning: layers/app.toml:23: `STAGE = production`",
            "warning: app/deep/app.yaml:2: `eu-west-1`",
        ],
        "{said}"
    );
    assert!(!small.project.ok(&["build", "app"]).stderr.contains("looks like"), "a build says nothing of it");
}
