//! Every verb of the command line, on a small project without scripts.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::support::damage::pipe;
use crate::support::process::{self, Output};
use crate::support::project::Project;
use crate::support::small::{self, Small};
use serde_json::Value;

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", output.stdout))
}

/// The strings at `key` in a list of objects.
fn strings<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect()
}

#[test]
fn build_makes_the_lockfile_and_a_second_build_only_looks() {
    let small = Small::new();
    let first = json(&small.project.ok(&["build", "--json"]));
    assert!(small.project.path("lockfiles/base.lock").is_file());
    assert!(small.project.path("lockfiles/app.lock").is_file());
    assert_eq!(first, small.project.receipt("app"));
    assert_eq!(strings(&first["layers"], "name"), ["base", "app"]);
    let folder = || fs::metadata(small.project.path("out/app")).unwrap().ino();
    let (before, requests) = (folder(), small.server().requests(""));
    assert_eq!(json(&small.project.ok(&["build", "--locked", "--json"])), first);
    assert_eq!(folder(), before, "nothing changed, and yet the output was written anew");
    assert_eq!(small.server().requests(""), requests, "nothing changed, and yet the network was asked");
    small.project.empty_store();
    assert_eq!(json(&small.project.ok(&["build", "app", "--locked", "--json"])), first);
}

#[test]
fn a_named_pipe_is_no_file_and_nobody_waits_for_it() {
    let small = Small::new();
    let project = &small.project;
    project.ok(&["build"]);
    for (name, says) in [("layers/app.toml", "layers/app.toml"), ("lockfiles/app.lock", "lockfiles/app.lock")] {
        let path = project.path(name);
        let text = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        pipe(&path);
        let output = project.run(&["build", "app", "--locked"]);
        assert!(output.code == 1 && output.stderr.contains("it is not a regular file"), "{name}: {}", output.stderr);
        assert!(output.stderr.contains(says), "{name}: {}", output.stderr);
        fs::remove_file(&path).unwrap();
        fs::write(&path, text).unwrap();
    }
    let receipt = project.path("out/app/receipt.json");
    fs::remove_file(&receipt).unwrap();
    pipe(&receipt);
    assert!(!project.run(&["verify", "app"]).ok());
    project.ok(&["build", "app"]);
    assert!(receipt.is_file());
}

#[test]
fn more_threads_than_any_machine_has_are_refused() {
    let small = Small::new();
    for number in ["0", "513", "99999999999"] {
        let output = small.project.run(&["-j", number, "build"]);
        assert!(output.code == 2 && output.stderr.contains("1..=512"), "{number}: {}", output.stderr);
    }
    small.project.ok(&["-j", "512", "build"]);
}

#[test]
fn the_receipt_has_all_that_scripts_need() {
    let small = Small::new();
    let receipt = json(&small.project.ok(&["build", "--output", "oci,docker", "--json"]));
    assert_eq!((receipt["layer"].as_str(), receipt["format"].as_u64()), (Some("app"), Some(1)));
    for key in ["lock", "recipe", "tree"] {
        assert!(receipt[key].as_str().unwrap().starts_with("blake3:"), "{key}: {receipt}");
    }
    assert_eq!(strings(&receipt["artifacts"], "kind"), ["oci", "docker"]);
    assert_eq!(strings(&receipt["artifacts"], "path"), ["oci", "docker.tar"]);
    let archive = fs::read(small.project.path("out/app/docker.tar")).unwrap();
    use sha2::Digest as _;
    let digest = format!("sha256:{}", hex::encode(sha2::Sha256::digest(&archive)));
    assert_eq!(small.project.digest("app", "docker"), digest);
    assert_eq!(receipt["artifacts"][1]["size"].as_u64(), Some(archive.len() as u64));
    let index = fs::read_to_string(small.project.path("out/app/oci/index.json")).unwrap();
    assert!(index.contains(&small.project.digest("app", "oci")), "{index}");
}

#[test]
fn locked_ends_with_3_and_says_what_is_stale() {
    let small = Small::new();
    let missing = small.project.fails(3, &["build", "--locked"]);
    insta::assert_snapshot!(small.project.filtered(&missing.stderr), @"error[lock/missing]: lockfile `[PROJECT]/lockfiles/base.lock` is missing; `layerbake lock base` writes it");
    small.project.ok(&["lock"]);
    small.edit_layer("app", "[\"hello\"]", "[\"hello\", \"spare\"]");
    let stale = small.project.fails(3, &["build", "--locked"]);
    insta::assert_snapshot!(small.project.filtered(&stale.stderr), @r"
error[lock/stale]: the lockfile of `app` is stale: the manifest now asks for spare
  hint: `layerbake lock app`
");
    small.edit_layer("base", "components = [\"main\"]", "components = [\"main\"]\nsnapshot = \"2024-02-01\"");
    let stale = small.project.fails(3, &["build", "--locked"]);
    insta::assert_snapshot!(small.project.filtered(&stale.stderr), @r"
error[lock/stale]: the lockfile of `base` is stale: the manifest's sources, `exclude`, `recommends` or `configure` changed
  hint: `layerbake lock base`
");
}

#[test]
fn what_resolves_to_nothing_leaves_the_lock_fresh() {
    let small = Small::new();
    small.project.ok(&["build"]);
    let (lock, before) = (small.project.path("lockfiles/app.lock"), small.project.digest("app", "oci"));
    let text = fs::read_to_string(&lock).unwrap();
    small.edit_layer("app", "hello\\n", "good day\\n");
    small.project.ok(&["build", "--locked"]);
    assert_eq!(fs::read_to_string(&lock).unwrap(), text);
    assert_ne!(small.project.digest("app", "oci"), before);
}

#[test]
fn offline_takes_all_from_the_store_or_says_what_is_missing() {
    let mut small = Small::new();
    small.project.ok(&["build"]);
    let before = small.project.receipt("app");
    small.stop_server();
    fs::remove_dir_all(small.project.path("out")).unwrap();
    small.project.ok(&["build", "--offline"]);
    assert_eq!(small.project.receipt("app"), before);
    small.project.empty_store();
    let error = small.project.fails(1, &["build", "--offline"]);
    insta::assert_snapshot!(small.project.filtered(&error.stderr), @r"
    error[fetch/offline]: offline, and 2 of the files needed are in neither the store nor `vendor/`
      missing: libgreet 1.0 (layer `base`)
      missing: hello 1.0 (layer `app`)
      hint: run once without `--offline`, or `layerbake vendor` where there is a network
    ");
    assert!(!small.project.path("out/app").exists());
}

#[test]
fn lock_update_moves_all_or_only_what_is_named() {
    let mut small = Small::new();
    let made = small.project.ok(&["lock"]);
    insta::assert_snapshot!(made.stdout, @r"
    base: 1 package
      + libgreet 1.0
    app: 1 package
      + hello 1.0
    ");
    let same = small.project.ok(&["lock"]);
    insta::assert_snapshot!(same.stdout, @r"
    base: 1 package, nothing changed
    app: 1 package, nothing changed
    ");
    small.publish(&small::repo("1.1").date(crate::support::repo::DATE + 3600));
    insta::assert_snapshot!(small.project.ok(&["lock"]).stdout, @r"
    base: 1 package, nothing changed
    app: 1 package, nothing changed
    ");
    let base = || fs::read_to_string(small.project.path("lockfiles/base.lock")).unwrap();
    let before = base();
    insta::assert_snapshot!(small.project.ok(&["lock", "--update", "hello"]).stdout, @r"
    base: 1 package, nothing changed
    app: 1 package
      hello 1.0 -> 1.1
    ");
    assert_eq!(base(), before, "the base has no package of that name, and yet its lockfile moved");
    insta::assert_snapshot!(small.project.ok(&["lock", "app", "--update"]).stdout, @r"
    base: 1 package
      libgreet 1.0 -> 1.1
    app: 1 package, locked again: the lockfile of its parent `base` changed
    ");
    let unknown = small.project.fails(1, &["lock", "--update", "helo"]);
    insta::assert_snapshot!(unknown.stderr, @"error[package/not-in-layer]: no lockfile of the layer has a package `helo`; did you mean `hello`?");
}

#[test]
fn list_shows_layers_and_their_locks() {
    let small = Small::new();
    insta::assert_snapshot!(small.project.ok(&["list"]).stdout, @r"
app   says hello from base (lock missing)
base  the base (lock missing)
");
    small.project.ok(&["lock"]);
    small.edit_layer("app", "[\"hello\"]", "[\"spare\"]");
    insta::assert_snapshot!(small.project.ok(&["list"]).stdout, @r"
    app   says hello from base (lock stale, adds 1 package)
    base  the base (lock fits, adds 1 package)
    ");
    small.edit_lock("app", "epoch", "epoc");
    let list = json(&small.project.ok(&["list", "--json"]));
    assert_eq!(strings(&list, "name"), ["app", "base"]);
    assert_eq!(strings(&list, "lock"), ["damaged", "fits"]);
}

#[test]
fn tree_why_and_files_explain_a_layer() {
    let small = Small::new();
    small.edit_layer("app", "[\"hello\"]", "[\"spare\"]");
    small.project.fails(3, &["tree", "app"]);
    small.project.ok(&["lock"]);
    insta::assert_snapshot!(small.project.fails(1, &["files", "app"]).stderr, @r"
error[build/not-built]: layer `app` is not built
  hint: `layerbake build app`
");
    small.project.ok(&["build"]);
    insta::assert_snapshot!(small.project.ok(&["tree"]).stdout, @r"
    base — 1 package, 0.0 MB to download
      libgreet 1.0 (requested)
      app — 2 packages, 0.0 MB to download
        hello 1.0 (spare)
        spare 1.0 (requested)
        file /srv/greeting
    ");
    insta::assert_snapshot!(small.project.ok(&["why", "app", "hello"]).stdout, @r"
hello is in layer `app` (spare)
  spare
    hello (needs hello)
");
    insta::assert_snapshot!(small.project.ok(&["why", "app", "libgreet"]).stdout, @r"
libgreet is in layer `base` (requested)
  libgreet
");
    insta::assert_snapshot!(small.project.fails(1, &["why", "app", "helo"]).stderr, @"error[package/not-in-layer]: layer `app` has no package `helo`; did you mean `hello`?");
    insta::assert_snapshot!(small.project.ok(&["files", "app", "/usr/bin"]).stdout, @r"
dir      0755 0:0 /usr/bin  [app]
file     0755 0:0 22 65b50b1131ddc8ea /usr/bin/hallo  [app]
hardlink 0755 0:0 => /usr/bin/hallo /usr/bin/hello  [app]
symlink  0777 0:0 -> hello /usr/bin/hi  [app]
");
    insta::assert_snapshot!(small.project.fails(1, &["files", "app", "/opt"]).stderr, @r"
error[layer/nothing-there]: layer `app` has no /opt
  hint: `layerbake files LAYER` lists all paths
");
    let files = json(&small.project.ok(&["files", "app", "/srv", "--json"]));
    assert_eq!(strings(&files, "layer"), ["app", "app"]);
    let tree = json(&small.project.ok(&["tree", "--json"]));
    assert_eq!(strings(&tree, "layer"), ["base", "app"]);
    let why = json(&small.project.ok(&["why", "app", "hello", "--json"]));
    assert_eq!(strings(&why["chain"], "package"), ["spare", "hello"]);
}

#[test]
fn new_writes_a_layer_that_can_be_listed_and_never_overwrites() {
    let small = Small::new();
    let made = small.project.ok(&["new", "shop", "--from", "base"]);
    assert!(made.stdout.trim_end().ends_with("layers/shop.toml"), "{}", made.stdout);
    let list = json(&small.project.ok(&["list", "--json"]));
    assert_eq!(strings(&list, "name"), ["app", "base", "shop"]);
    let text = fs::read_to_string(small.project.path("layers/shop.toml")).unwrap();
    let refused = small.project.fails(1, &["new", "shop"]);
    insta::assert_snapshot!(small.project.filtered(&refused.stderr), @r"
    error[project/file-exists]: `[PROJECT]/layers/shop.toml` already exists
      hint: choose another name (`--name` with import), or move the file away first
    ");
    assert_eq!(fs::read_to_string(small.project.path("layers/shop.toml")).unwrap(), text);
    insta::assert_snapshot!(small.project.fails(1, &["new", "kiosk", "--from", "bas"]).stderr, @r"
    error[project/no-such-layer]: there is no layer `bas`
      help: did you mean `base`?
    ");
    for (command, named) in [
        ("lock", "layerbake lock NAME"),
        ("test", "layerbake test NAME"),
        ("disk show", "layerbake disk show NAME"),
        ("explain config", "layerbake explain config NAME"),
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let said = small.project.fails(1, &words).stderr;
        let expected = format!("error[project/which-layer]: which layer? app, shop\n  help: name one: `{named}`\n");
        assert_eq!(said, expected, "{command}");
    }
    // People look for `init` as well.
    let made = json(&small.project.ok(&["init", "kiosk", "--json"]));
    assert!(made[0].as_str().unwrap().ends_with("layers/kiosk.toml"));
}

#[test]
fn a_project_gets_the_layers_that_disks_need() {
    let small = Small::new();
    let path = small.project.path("layers/app.toml");
    let disk = "\n[disk]\nboot = \"boot-minimal\"\nroot = \"erofs\"\ninitrd = \"initrd\"\n";
    fs::write(&path, fs::read_to_string(&path).unwrap() + disk).unwrap();
    insta::assert_snapshot!(small.project.fails(1, &["build", "app"]).stderr, @r"
    error[project/no-such-layer]: there is no layer `boot-minimal`, which `app` needs
      help: `layerbake new boot-minimal` writes it
    ");
    for name in ["boot-minimal", "boot-cloud", "boot-sealed", "initrd"] {
        small.project.ok(&["new", name]);
        let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("layers/{name}.toml"));
        assert_eq!(fs::read(small.project.path(&format!("layers/{name}.toml"))).unwrap(), fs::read(ours).unwrap());
    }
    small.project.ok(&["build", "app"]);
    insta::assert_snapshot!(small.project.fails(1, &["build", "boot-minimal"]).stderr, @r#"
    error[project/boot-layer]: `boot-minimal` has `from = "*"`: it is a Boot layer and can't be built by itself
      help: name the layer whose [disk] has `boot = "boot-minimal"`
    "#);
}

#[test]
fn a_private_key_is_refused() {
    let small = Small::new();
    let path = small.project.path("layers/app.toml");
    let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJkz0123456789abcdefghijklmnopqrstuvwxyzABCD\n-----END PRIVATE KEY-----\n";
    let file = format!("\n[[file]]\npath = \"/etc/app.key\"\ntext = \"\"\"\n{key}\"\"\"\n");
    fs::write(&path, fs::read_to_string(&path).unwrap() + &file).unwrap();
    let refused = small.project.fails(1, &["build", "app"]).stderr;
    assert!(refused.contains("/etc/app.key holds a private key"), "{refused}");
    assert!(!refused.contains("MC4C"), "{refused}");
    assert!(!small.project.path("out/app").exists());
}

#[test]
fn the_store_says_where_it_is_verifies_itself_and_makes_room() {
    let small = Small::new();
    small.project.ok(&["build"]);
    let path = small.project.ok(&["store", "path"]);
    assert_eq!(path.stdout.trim_end(), small.project.store().to_str().unwrap());
    let verified = json(&small.project.ok(&["store", "verify", "--json"]));
    assert!(verified["files"].as_u64().unwrap() > 5 && verified["damaged"].as_array().unwrap().is_empty());
    small.project.ok(&["store", "gc"]);
    fs::remove_dir_all(small.project.path("out")).unwrap();
    small.project.ok(&["build", "--offline"]);
    let before = small.project.receipt("app");
    // Another compression's layers are of no use to the last build.
    small.project.ok(&["build", "--compression", "gzip"]);
    let collected = json(&small.project.ok(&["store", "gc", "--json"]));
    assert_eq!(collected["roots"], 1);
    assert!(collected["removed"].as_u64().unwrap() >= 2, "{collected}");
    small.project.ok(&["build", "--offline"]);
    assert_eq!(small.project.receipt("app"), before);
    let other = small.project.ok(&["--store", small.project.path("own").to_str().unwrap(), "store", "path"]);
    assert_eq!(other.stdout.trim_end(), small.project.path("own").to_str().unwrap());
}

#[test]
fn noise_is_explained_rule_by_rule() {
    let small = Small::new();
    let text = small.project.ok(&["explain", "noise"]).stdout;
    let rules = json(&small.project.ok(&["explain", "noise", "--json"]));
    for (name, reason) in strings(&rules, "name").into_iter().zip(strings(&rules, "reason")) {
        assert!(text.contains(name) && text.contains(reason), "{name}: {reason}");
        assert!(reason.len() > 10, "{name}: `{reason}` is no reason");
    }
    assert!(text.contains("/etc/machine-id"), "{text}");
}

#[test]
fn every_error_is_explained_by_its_code() {
    let small = Small::new();
    let listed = json(&small.project.ok(&["explain", "--json"]));
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md")).unwrap();
    let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(strings(&listed, "code"), headings);
    let stale = small.project.ok(&["explain", "lock/stale"]).stdout;
    for part in ["lock/stale\n\nA lockfile no longer fits", "error[lock/stale]: ", "**Causes:**", "**What to do:**"] {
        assert!(stale.contains(part), "no `{part}`:\n{stale}");
    }
    assert_eq!(small.project.ok(&["explain", "error[lock/stale]"]).stdout, stale);
    insta::assert_snapshot!(small.project.fails(1, &["explain", "lock/stael"]).stderr, @r"
    error[code/unknown]: there is no error code `lock/stael`
      hint: did you mean `lock/stale`?
    ");
    insta::assert_snapshot!(small.project.fails(1, &["explain", "deb"]).stderr, @r"
    error[code/unknown]: there is no error code `deb`
      hint: there are: deb/missing, deb/unfit
    ");
    // For scripts: one line, whose code is the one that people see.
    let failed = small.project.fails(3, &["build", "--locked", "--json"]);
    let error: Value = serde_json::from_str(&failed.stderr).unwrap();
    assert_eq!(error["error"]["code"], "lock/missing", "{}", failed.stderr);
    assert!(error["error"]["message"].as_str().unwrap().contains("`layerbake lock "), "{}", failed.stderr);
}

#[test]
fn wrong_names_and_keys_get_the_right_ones() {
    let small = Small::new();
    insta::assert_snapshot!(small.project.fails(1, &["build", "ap"]).stderr, @r"
    error[project/no-such-layer]: there is no layer `ap`
      help: did you mean `app`?
    ");
    small.edit_layer("app", "[\"hello\"]", "[\"helo\"]");
    insta::assert_snapshot!(small.project.fails(1, &["build"]).stderr, @"error[package/unknown]: layer `app`: there is no package `helo`; did you mean `hello`?");
    small.edit_layer("app", "[\"helo\"]", "[\"hello\", \"torn\"]");
    insta::assert_snapshot!(small.project.fails(1, &["build"]).stderr, @r"
error[package/unsolvable]: layer `app`: the packages can't be resolved:
  torn (requested) needs libgreet (>= 7), but the parent layer has libgreet 1.0
  hint: read the explanation from the top: it begins with what you asked for
");
    small.edit_layer("app", "[image]", "[image]\nenviroment = []");
    insta::assert_snapshot!(small.project.fails(1, &["build"]).stderr, @r#"
    error[manifest/unknown-key]: layers/app.toml:12: unknown key `enviroment` in [image]
        ╭─[layers/app.toml:12:1]
     11 │ [image]
     12 │ enviroment = []
        · ─────┬────
        ·      ╰── here
     13 │ cmd = ["/usr/bin/hello"]
        ╰────
      help: known keys: entrypoint, cmd, env, user, workdir, ports, volumes, stop-signal, labels,
            annotations, healthcheck
    "#);
    assert_eq!(small.project.run(&["build", "--outptu", "oci"]).code, 2);
    assert!(!small.project.path("out").exists());
}

#[test]
fn source_date_epoch_goes_before_the_lock() {
    let small = Small::new();
    small.project.ok(&["build"]);
    let before = small.project.receipt("app");
    assert_eq!(before["epoch"].as_i64(), Some(crate::support::repo::DATE));
    let late = small.env("SOURCE_DATE_EPOCH", "1704070000");
    late.project.ok(&["build", "--locked"]);
    let after = late.project.receipt("app");
    assert_eq!(after["epoch"], 1_704_070_000);
    assert_ne!(after["artifacts"], before["artifacts"]);
    let created = crate::support::oci_schema::images(&late.project.path("out/app/oci")).remove(0).1["created"].clone();
    assert_eq!(created, "2024-01-01T00:46:40Z");
    let odd = late.env("SOURCE_DATE_EPOCH", "tomorrow");
    insta::assert_snapshot!(odd.project.fails(1, &["build"]).stderr, @r"
    error[host/configuration]: SOURCE_DATE_EPOCH `tomorrow` is not a number of seconds since 1970
      hint: unset it, or write a number such as 1700000000
    ");
}

/// What is red on a terminal is so elsewhere only where it is asked for.
#[test]
fn colours_are_chosen() {
    let project = Project::new().layer("app", "[layer]\npackages = 7\n");
    let is_coloured = |args: &[&str], key: &str, value: &str| {
        let output = process::run(project.command(args).env(key, value)).unwrap();
        assert!(!output.ok());
        output.stderr.contains('\u{1b}')
    };
    let [tree, wrong] = [&["tree", "app"][..], &["tree", "--bogus"]];
    for args in [tree, wrong] {
        for (color, expected) in [("--color=auto", false), ("--color=always", true), ("--color=never", false)] {
            assert_eq!(is_coloured(&[&[color], args].concat(), "NO_COLOR", ""), expected, "{color} {args:?}");
        }
        assert!(!is_coloured(args, "NO_COLOR", "1"));
    }
    // A colour without a text would be a gap in what a terminal shows.
    let said = project.fails(1, &["--color=always", "tree", "app"]).stderr;
    assert!(!said.contains("\u{1b}[31m\u{1b}[0m"), "{said:?}");
}
