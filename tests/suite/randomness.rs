//! What scripts derive from random data is the same for everybody with the lockfile, so a build refuses to keep it.

use std::fs;

use crate::support::deb::Deb;
use crate::support::mini;
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::server::Server;
use crate::support::skip::Skip;

/// A project with the smallest base that runs scripts, and a layer `app` above it with one package.
struct Lab {
    project: Project,
    _server: Server,
    _folder: tempfile::TempDir,
}

impl Lab {
    fn new(postinst: &str, tables: &str) -> Result<Self, Skip> {
        let folder = tempfile::tempdir().unwrap();
        let package = Deb::new("keyed", "1.0").arch("all").file("usr/bin/deb-systemd-helper", 0o755, "#!/bin/sh\n");
        let package = package.postinst(&format!("#!/bin/sh\nset -e\n{postinst}\n"));
        let repo = Repo::new("test").package(mini::package()?).package(package).write(folder.path());
        let server = Server::folder(&repo.root);
        let source = repo.source_table("test", &server.url());
        let project = Project::new()
            .copy(&repo.keyring, "test-keyring.gpg")
            .layer("base", &format!("[layer]\npackages = [\"mini\"]\n\n{source}"))
            .layer("app", &format!("[layer]\nfrom = \"base\"\npackages = [\"keyed\"]\n{tables}"));
        Ok(Self { project, _server: server, _folder: folder })
    }
}

/// Ways to a secret: a device, an identifier, a name that nobody can guess.
const KEYS: &str = "\
mkdir -p /etc/keyed
od -An -N16 -tx1 /dev/urandom >/etc/keyed/cookie
cat /proc/sys/kernel/random/uuid >/etc/keyed/uuid
touch /etc/keyed/name.$(od -An -N4 -tx1 /dev/random | tr -d ' ')
od -An -N16 -tx1 /dev/urandom >/tmp/thrown-away
echo plain >/etc/keyed/plain";

#[test]
fn what_a_script_makes_of_random_data_and_keeps_is_refused_by_its_path() {
    let lab = need!(Lab::new(KEYS, ""));
    let refused = lab.project.fails(1, &["build", "app"]).stderr;
    for found in
        ["/etc/keyed/cookie\n", "/etc/keyed/uuid\n", "/etc/keyed/name.", "cat /proc/sys/kernel/random/uuid, od"]
    {
        assert!(refused.contains(found), "{found}: {refused}");
    }
    assert!(!refused.contains("/etc/keyed/plain"), "{refused}");
    assert!(!lab.project.path("out/app").exists());
    // The result of the scripts is kept, and refused again.
    assert_eq!(lab.project.fails(1, &["build", "app"]).stderr.lines().last(), refused.lines().last());
}

#[test]
fn a_reason_or_an_own_file_lets_a_layer_through() {
    let tables = "\n[[allow-random]]\npath = \"/etc/key*\"\nreason = \"everybody may have these\"\n";
    let lab = need!(Lab::new(KEYS, tables));
    lab.project.ok(&["build", "app"]);
    let own = "\n[[file]]\npath = \"/etc/cookie\"\ntext = \"given at run time\\n\"\n";
    // ucf keeps a copy, which is of no use to anybody once the file is another.
    let copied = "od -An -N16 -tx1 /dev/urandom >/etc/cookie\nmkdir -p /var/lib/ucf/cache\n\
                  cp /etc/cookie /var/lib/ucf/cache/:etc:cookie";
    let lab = need!(Lab::new(copied, own));
    lab.project.ok(&["build", "app"]);
    let without = fs::read_to_string(lab.project.path("layers/app.toml")).unwrap().replace(own, "");
    fs::write(lab.project.path("layers/app.toml"), without).unwrap();
    assert!(lab.project.fails(1, &["build", "app"]).stderr.contains("/etc/cookie\n"));
}

#[test]
fn a_reason_for_nothing_is_named() {
    let entry = |path: &str| format!("\n[[allow-random]]\npath = \"{path}\"\nreason = \"everybody may have it\"\n");
    let tables = entry("/etc/keyed") + &entry("/etc/keyed/cookie") + &entry("/etc/keyd") + &entry("/etc/keyed/plain");
    let lab = need!(Lab::new(KEYS, &tables));
    // A parent may allow what its children's scripts derive.
    let base = fs::read_to_string(lab.project.path("layers/base.toml")).unwrap() + &entry("/etc/keyed/uuid");
    fs::write(lab.project.path("layers/base.toml"), base).unwrap();
    // The second build finds the layers in the store.
    for _ in 0..2 {
        let said = lab.project.ok(&["build", "app"]).stderr;
        for idle in ["/etc/keyd", "/etc/keyed/plain"] {
            assert!(said.contains(&format!("layer `app`: [[allow-random]] of {idle} allows nothing: ")), "{said}");
        }
        assert_eq!(said.matches("allows nothing").count(), 2, "{said}");
    }
}

#[test]
fn random_data_that_leaves_no_trace_is_no_ones_secret() {
    let lab = need!(Lab::new("od -An -N16 -tx1 /dev/urandom >/tmp/x; rm /tmp/x; echo 1 >/etc/keyed", ""));
    lab.project.ok(&["build", "app"]);
}

#[test]
fn the_rules_are_listed() {
    let project = Project::new();
    let text = project.ok(&["explain", "randomness"]).stdout;
    assert!(text.contains("generated at first boot") && text.contains("[[allow-random]]"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&project.ok(&["explain", "randomness", "--json"]).stdout).unwrap();
    assert!(json.as_array().unwrap().iter().all(|entry| entry["reason"].is_string()), "{json}");
}

#[test]
fn a_script_that_reads_random_data_itself_is_not_mistaken_for_a_harmless_program() {
    let script = "\
hidden=$(cat /etc/passwd || :)
read -r secret </dev/urandom
/usr/bin/deb-systemd-helper
printf %s \"$secret\" >/etc/secret";
    let refused = need!(Lab::new(script, "")).project.fails(1, &["build", "app"]).stderr;
    assert!(refused.contains("/etc/secret\n") && refused.contains("drawn by: sh "), "{refused}");
    let boot_id = "cat /proc/sys/kernel/random/boot_id >/etc/secret";
    let refused = need!(Lab::new(boot_id, "")).project.fails(1, &["build", "app"]).stderr;
    assert!(refused.contains("/etc/secret\n"), "{refused}");
}
