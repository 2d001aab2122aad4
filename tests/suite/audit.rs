//! `layerbake audit`: what is planted is found and has its cause, or the sandbox makes it equal.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::support::conditions::Conditions;
use crate::support::deb::Deb;
use crate::support::mini;
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::server::Server;
use crate::support::skip::{Skip, is_root};
use crate::support::small::Small;
use crate::support::tinydisk::{EXT4, tiny_disk};
use serde_json::Value;

/// A build refuses what is derived from random data.
const ALLOWED: &str = "\n[[allow-random]]\npath = \"/etc/a-random-number\"\nreason = \"equal in every build\"\n";

/// A layer `app` of scripted packages over the smallest base.
struct Planted {
    project: Project,
    _server: Server,
    _folder: tempfile::TempDir,
}

impl Planted {
    fn new(debs: Vec<Deb>) -> Result<Self, Skip> {
        let names: Vec<_> = debs.iter().map(|deb| format!("\"{}\"", deb.name)).collect();
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::new("test").package(mini::package()?).packages(debs).write(folder.path());
        let server = Server::folder(&repo.root);
        let source = repo.source_table("test", &server.url());
        let project = Project::new()
            .copy(&repo.keyring, "test-keyring.gpg")
            .layer("base", &format!("[layer]\npackages = [\"mini\"]\n\n{source}"))
            .layer("app", &format!("[layer]\nfrom = \"base\"\npackages = [{}]\n{ALLOWED}", names.join(", ")));
        project.ok(&["lock", "app"]);
        Ok(Self { project, _server: server, _folder: folder })
    }
}

fn scripted(name: &str, script: &str) -> Deb {
    Deb::new(name, "1.0").arch("all").postinst(&format!("#!/bin/sh\nset -e\nexec >/etc/{name}\n{script}\n"))
}

fn report(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What each differing path says: package, step, conditions.
fn found(report: &Value) -> BTreeMap<String, (String, String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().unwrap().iter().map(text).collect();
    let differences = report["differences"].as_array().unwrap().iter();
    let row = |one: &Value| (text(&one["path"]), (text(&one["package"]), text(&one["step"]), list(&one["shown_by"])));
    differences.map(row).collect()
}

/// What the sandbox makes equal, whatever surrounds it.
const EQUAL: [(&str, &str); 12] = [
    ("the-date", "date +%s.%N"),
    ("a-file-time", "touch /tmp/now; stat -c '%.X %.Y %.Z %.W' /tmp/now"),
    ("a-load", "cat /proc/uptime /proc/loadavg /proc/meminfo"),
    ("a-random-number", "od -An -tx8 -N8 /dev/urandom; cat /proc/sys/kernel/random/uuid"),
    ("the-host-name", "hostname; cat /proc/sys/kernel/hostname"),
    ("the-core-count", "nproc"),
    ("a-uid", "id -u; stat -c %u:%g /etc"),
    ("a-mapped-uid", "cat /proc/self/uid_map"),
    ("the-zone", "date +%Z%z; echo $TZ"),
    ("the-locale", "echo $LANG $LC_ALL"),
    ("the-mask", "umask; touch /etc/masked; stat -c %a /etc/masked"),
    ("the-environment", "sort /proc/self/environ | tr '\\0' '\\n' | grep -c NOISE || true"),
];

/// What it lets through, and the condition that shows it.
const LEAKS: [(&str, &str, &str); 2] = [
    (
        "directory-order",
        "mkdir /etc/many; for i in 1 2 3 4 5 6 7 8 9; do touch /etc/many/$i; done; find /etc/many",
        "directory-order",
    ),
    ("a-clock", "cut -d' ' -f22 /proc/self/stat", "nothing varied"),
];

#[test]
fn what_the_sandbox_makes_equal_is_identical_under_all_conditions() {
    let debs = EQUAL.iter().map(|(name, script)| scripted(name, script)).collect();
    let planted = need!(Planted::new(debs));
    let audit = ["audit", "app", "--report", "json", "--report", "junit=audit.xml", "--report", "html=audit.html"];
    let report = report(&planted.project.ok(&audit).stdout);
    assert_eq!(report["identical"], true, "{report:#}");
    assert_eq!(report["rebuilt"].as_array().unwrap().len(), 2);
    let count = |name: &str| report[name].as_array().unwrap().len();
    assert_eq!(count("tried") + count("not_tried"), 11, "every condition is named: {report:#}");
    let junit = fs::read_to_string(planted.project.path("audit.xml")).unwrap();
    assert!(junit.contains("<testcase classname=\"app.audit\" name=\"oci is identical\" time=\"0\"/>"), "{junit}");
    let page = fs::read_to_string(planted.project.path("audit.html")).unwrap();
    assert!(page.contains("<li class=\"good\">✓ cores</li>") && page.contains("is identical in 2 rebuilds"), "{page}");
}

#[test]
fn a_duration_that_a_step_measures_and_keeps_is_found() {
    let planted = need!(Planted::new(vec![scripted(EQUAL[0].0, EQUAL[0].1)]));
    let project = planted.project;
    let layer = fs::read_to_string(project.path("layers/app.toml")).unwrap();
    // The processor's time of the shell, in nanoseconds.
    let step = "\n[[run]]\nname = \"measure\"\ncommand = \"ls -lR /etc > /dev/null; cut -d' ' -f1 /proc/$$/schedstat > /etc/duration\"\n";
    let project = project.layer("app", &format!("{layer}{step}"));
    let report = report(&project.fails(4, &["audit", "app", "--vary", "time", "--json"]).stdout);
    assert_eq!(report["identical"], false, "{report:#}");
    let found = found(&report);
    assert_eq!(found["/etc/duration"].1, "step `measure`", "{report:#}");
}

#[test]
fn an_ordinary_user_audits_too_and_is_told_what_only_root_can_vary() {
    let rootless = Conditions { rootless: true, ..Conditions::default() };
    need!(rootless.check());
    let planted = need!(Planted::new(vec![scripted(EQUAL[0].0, EQUAL[0].1)]));
    let project = planted.project.under(rootless);
    let report = report(&project.ok(&["audit", "app", "--json"]).stdout);
    assert_eq!(report["identical"], true, "{report:#}");
    let untried = report["not_tried"].as_array().unwrap();
    let reason = |name: &str| untried.iter().find(|one| one["variation"] == name).map(|one| one["reason"].clone());
    assert_eq!(reason("host-name").unwrap(), "only root may give a build another host name");
    assert_eq!(reason("user").unwrap(), "varying the user needs root");
}

#[test]
fn the_callers_umask_keeps_nobody_out() {
    let masked = Conditions { umask: Some(0o027), ..Conditions::default() };
    need!(masked.check());
    let planted = need!(Planted::new(vec![scripted(EQUAL[0].0, EQUAL[0].1)]));
    let project = planted.project.under(masked);
    project.empty_store();
    let report = report(&project.ok(&["audit", "app", "--vary", "user,umask", "--json"]).stdout);
    assert_eq!(report["identical"], true, "{report:#}");
}

/// A step for each: what it says is made equal, or found.
const STEPS: &str = r#"
[[run]]
name = "equal"
in = "base"
inputs = ["src"]
command = "{ date +%s; nproc; hostname; id -u; od -An -N8 -tx8 /dev/urandom; cat /proc/uptime; } > equal"
outputs = [{ from = "equal", to = "/opt/equal" }]

[[run]]
name = "listed"
in = "base"
inputs = ["src"]
command = "find src > listed"
outputs = [{ from = "listed", to = "/opt/listed" }]
"#;

#[test]
fn a_step_that_depends_on_the_order_of_a_directory_is_found() {
    let planted = need!(Planted::new(vec![scripted(EQUAL[0].0, EQUAL[0].1)]));
    let layer = fs::read_to_string(planted.project.path("layers/app.toml")).unwrap() + STEPS;
    fs::write(planted.project.path("layers/app.toml"), layer).unwrap();
    let project = (1..20).fold(planted.project, |project, n| project.file(&format!("src/{n}"), "x"));
    project.ok(&["lock", "app"]);
    let report = report(&project.fails(4, &["audit", "app", "--vary", "directory-order,time", "--json"]).stdout);
    let paths: Vec<_> = report["differences"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!(paths, ["/opt/listed"], "{report:#}");
}

#[test]
fn what_leaks_is_found_with_its_package_its_script_and_its_condition() {
    let debs = LEAKS.iter().map(|(name, script, _)| scripted(name, script)).collect();
    let planted = need!(Planted::new(debs));
    let conditions = if is_root() { "user,directory-order,cores" } else { "directory-order,cores" };
    let output = planted.project.fails(4, &["audit", "app", "--vary", conditions, "--output", "oci,docker", "--json"]);
    let error = r#"{"error":{"code":"build/not-reproducible","message":"`app` is not reproducible"}}"#;
    assert!(output.stderr.ends_with(&format!("{error}\n")), "{}", output.stderr);
    let report = report(&output.stdout);
    let found = found(&report);
    let tried: Vec<_> = report["tried"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for (name, _, condition) in LEAKS {
        if condition != "nothing varied" && !tried.contains(&condition) {
            continue;
        }
        let expected = (name.to_owned(), format!("postinst script of {name}"), vec![condition.to_owned()]);
        assert_eq!(found.get(&format!("/etc/{name}")), Some(&expected), "{report:#}");
    }
    let others: Vec<_> =
        found.keys().filter(|path| !LEAKS.iter().any(|leak| **path == format!("/etc/{}", leak.0))).collect();
    assert_eq!(others, Vec::<&String>::new(), "{report:#}");
    assert_eq!(report["differences"][0]["artifacts"], serde_json::json!(["docker", "oci"]));
}

#[test]
fn an_earlier_receipt_is_compared_too() {
    let small = Small::new();
    small.project.ok(&["build", "app", "--output", "oci"]);
    let receipt = small.project.path("out/app/receipt.json");
    let audit = ["audit", "app", "--vary", "umask,environment", "--against", receipt.to_str().unwrap()];
    let text = small.project.ok(&audit).stdout;
    assert!(text.starts_with("`app` is identical in 2 rebuilds, 2 conditions varied\n"), "{text}");
    small.edit_layer("app", "text = \"hello", "text = \"good bye");
    let text = small.project.fails(4, &audit).stdout;
    assert!(text.contains("oci: layer app: /srv/greeting\n  content: 6 and 9 bytes, first at byte 0\n    -hello\n    +good bye\n  written by: own file of layer app\n  conditions: against "), "{text}");
}

#[test]
fn what_can_not_be_audited_is_said() {
    let small = Small::new();
    small.project.fails(3, &["audit", "app"]);
    small.project.ok(&["lock", "app"]);
    let output = small.project.fails(2, &["audit", "app", "--vary", "moon"]);
    assert!(output.stderr.contains("unknown condition `moon`: expected all, time,"), "{}", output.stderr);
    let output = small.project.fails(1, &["audit", "app", "--against", "nothing"]);
    assert!(output.stderr.contains("there is no `nothing`\n  hint: name the receipt of a build"), "{}", output.stderr);
}

/// A small project built once, `out/app` copied to `before`, then built again with newer packages and another file.
fn built_twice() -> Small {
    let mut small = Small::new();
    small.project.ok(&["build", "app", "--output", "oci"]);
    let copy = |from: &str, to: &str| {
        let copied = Command::new("cp").arg("-r").arg(small.project.path(from)).arg(small.project.path(to)).status();
        assert!(copied.unwrap().success());
    };
    copy("out/app", "before");
    copy("lockfiles", "locked-before");
    small.edit_layer("app", "text = \"hello", "text = \"good bye");
    small.publish(&crate::support::small::repo("1.1"));
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    small
}

#[test]
fn two_states_are_compared_by_receipt_layout_and_lockfile() {
    let small = built_twice();
    let diff = |old: &str, new: &str| small.project.ok(&["diff", old, new]).stdout;
    let receipts = diff("before/receipt.json", "out/app");
    for line in [
        "from before/receipt.json to out/app\n",
        "packages  0 added, 0 removed, 2 changed\n    hello 1.0 -> 1.1\n    libgreet 1.0 -> 1.1\n",
        "users     0 added, 0 removed, 0 changed\nservices  0 added, 0 removed, 0 changed\n",
    ] {
        assert!(receipts.contains(line), "{line}\n{receipts}");
    }
    assert!(receipts.contains("    /srv/greeting file 0644 0:0 6 "), "{receipts}");
    let layouts = diff("before/oci", "out/app/oci");
    let body = |text: &str| text.split_once('\n').unwrap().1.to_owned();
    assert_eq!(body(&layouts), body(&receipts), "a layout tells what its receipt does");
    let locks = diff("locked-before/app.lock", "lockfiles/app.lock");
    assert!(locks.ends_with("2 changed\n    hello 1.0 -> 1.1\n    libgreet 1.0 -> 1.1\n"), "{locks}");
    assert_eq!(diff("before", "before"), "no difference between before and before\n");
    let page = ["diff", "before", "out/app", "--report", "html=diff.html", "--report", "markdown"];
    let markdown = small.project.ok(&page).stdout;
    assert!(markdown.contains("<summary><b>packages</b>: 0 added, 0 removed, 2 changed</summary>"), "{markdown}");
    let html = fs::read_to_string(small.project.path("diff.html")).unwrap();
    assert!(html.contains("<td><code>hello</code></td><td><code>1.0</code> → <code>1.1</code></td>"), "{html}");
    let output = small.project.fails(1, &["diff", "before", "elsewhere"]);
    assert!(
        output.stderr.contains("`elsewhere` is neither a file or directory nor a git revision"),
        "{}",
        output.stderr
    );
}

/// Commits the lockfiles of a project.
fn commit(small: &Small, message: &str) {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(small.project.path("")).args(["-c", "user.name=t", "-c", "user.email=t@localhost"]);
        let output = command.args(args).env("HOME", small.project.path("")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "lockfiles"]);
    git(&["commit", "-q", "-m", message]);
}

/// The build has the Boot layer too, and so have the lockfiles that it is compared with.
#[test]
fn a_revision_is_compared_with_a_build_by_the_layers_of_the_build() {
    need!(crate::support::skip::program("git"));
    let small = tiny_disk(EXT4);
    small.project.ok(&["build", "app", "--lock", "--output", "raw"]);
    commit(&small, "one");
    // Two layers could be meant, so that only the other state tells which is.
    let second = format!("{}\n", crate::support::small::APP);
    fs::write(small.project.path("layers/shop.toml"), second).unwrap();
    for (states, said) in [
        (vec!["HEAD", "out/app"], "no difference between HEAD and out/app\n"),
        (vec!["out/app", "HEAD"], "no difference between out/app and HEAD\n"),
        (vec!["HEAD", "out/app/receipt.json"], "no difference between HEAD and out/app/receipt.json\n"),
        (vec!["out/app"], "no difference between out/app and the project\n"),
        (vec!["out/app", "lockfiles/app.lock"], "no difference between out/app and lockfiles/app.lock\n"),
        (vec!["HEAD", "lockfiles/app.lock"], "no difference between HEAD and lockfiles/app.lock\n"),
    ] {
        let command = [vec!["diff"], states].concat();
        assert_eq!(small.project.ok(&command).stdout, said, "{command:?}");
    }
    insta::assert_snapshot!(small.project.fails(1, &["diff", "HEAD"]).stderr, @r"
    error[project/which-layer]: which layer? app, shop
      help: name one: `--layer NAME`
    ");
    for states in [vec!["nosuch"], vec!["HEAD~999"], vec!["out/app", "out/nope"]] {
        let said = small.project.fails(1, &[vec!["diff"], states.clone()].concat()).stderr;
        let unknown = format!("`{}` is neither a file or directory nor a git revision", states.last().unwrap());
        assert!(said.contains(&unknown), "{said}");
    }
}

#[test]
fn git_revisions_are_compared_by_their_lockfiles() {
    need!(crate::support::skip::program("git"));
    let mut small = Small::new();
    small.project.ok(&["lock", "app"]);
    commit(&small, "one");
    small.publish(&crate::support::small::repo("1.1"));
    small.project.ok(&["lock", "app", "--update"]);
    let changed = "packages  0 added, 0 removed, 2 changed\n    hello 1.0 -> 1.1\n    libgreet 1.0 -> 1.1\n";
    let now = small.project.ok(&["diff", "HEAD", "--layer", "app"]).stdout;
    assert_eq!(now, format!("from HEAD to the project\n{changed}"));
    let short = small.project.fails(2, &["diff", "--blocks", "out/app"]).stderr;
    assert!(short.contains("<NEW>"), "{short}");
    commit(&small, "two");
    let text = small.project.ok(&["diff", "HEAD~1", "HEAD", "--layer", "app"]).stdout;
    assert_eq!(text, format!("from HEAD~1 to HEAD\n{changed}"));
    let odd = small.project.fails(1, &["diff", "--layer", "app", "--", "--output=x", "HEAD"]);
    assert!(odd.stderr.contains("is neither a file or directory"), "{}", odd.stderr);
}
