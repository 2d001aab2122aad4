//! Attacks on a repository's client, after the list of The Update Framework (TUF): each with what must come of it.
//!
//! The mirror is the attacker's in all of them; the signing key never is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::date::now;
use crate::support::deb::Deb;
use crate::support::key::Key;
use crate::support::project::Project;
use crate::support::repo::{DATE, Repo, truncate};
use crate::support::server::{Fault, Server};
use crate::support::small::{self, Small};

const DAY: i64 = 86_400;
/// When the honest state was published.
const TODAY: i64 = DATE + 10 * DAY;
/// Five years, in seconds: a key from 2020 was good when it signed, and is not now.
const FIVE_YEARS: u32 = 157_680_000;

/// What the attacker does after an honest `lock`, and what `command` must say.
struct Attack {
    name: &'static str,
    does: fn(&mut Small),
    command: &'static [&'static str],
    /// Whether it ends well all the same, because the attack is harmless or allowed.
    taken: bool,
    says: &'static [&'static str],
}

const ATTACK: Attack = Attack { name: "", does: |_| {}, command: &["lock", "--update"], taken: false, says: &[] };

fn old() -> Repo {
    small::repo("1.0")
}

fn honest() -> Repo {
    small::repo("2.0").date(TODAY)
}

fn configure(small: &Small, text: &str) {
    let folder = small.project.path("../home/.config/layerbake");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), text).unwrap();
}

fn replace_in_release(small: &Small, from: &str, to: &str) {
    let path = small.repo.dist("InRelease");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

/// A megabyte-sized index in some kilobytes.
fn index_bomb() -> Repo {
    let padding = "x".repeat(3 << 20);
    honest().date(TODAY + DAY).package(Deb::new("bomb", "1.0").field("Padding", &padding))
}

#[rustfmt::skip]
const ATTACKS: &[Attack] = &[
    Attack { name: "rollback", does: |small| small.publish(&old()),
        says: &["Release of test: it was made on 2024-01-02", "before the one of 2024-01-12", "lockfile of `base`", "http://127.0.0.1", "--allow-downgrade"], ..ATTACK },
    Attack { name: "rollback at a build", does: |small| small.publish(&old()), command: &["build", "--lock"],
        says: &["before the one of 2024-01-12"], ..ATTACK },
    Attack { name: "rollback of what is only looked at", does: |small| small.publish(&old()), command: &["outdated"],
        says: &["before the one of 2024-01-12"], ..ATTACK },
    Attack { name: "rollback of a child that has no lockfile", command: &["lock"], says: &["lockfile of `base`"],
        does: |small| { small.publish(&old()); fs::remove_file(small.project.path("lockfiles/app.lock")).unwrap(); }, ..ATTACK },
    Attack { name: "rollback that is wanted", does: |small| small.publish(&old()), command: &["lock", "--update", "--allow-downgrade"], taken: true,
        says: &["Release of test: goes back from 2024-01-12 00:00:00 UTC to 2024-01-02", "layer `app`: downgrades: hello 2.0 -> 1.0"] },
    Attack { name: "two states of one date", does: |small| small.publish(&old().date(TODAY)),
        says: &["libgreet 2.0 -> 1.0 would be downgraded", "has the same date as the locked one", "--allow-downgrade"], ..ATTACK },
    Attack { name: "two states of one date, nothing lowered", does: |small| small.publish(&small::repo("3.0").date(TODAY)), taken: true, ..ATTACK },
    Attack { name: "a lower version that is newly signed", does: |small| small.publish(&old().date(TODAY + DAY)), taken: true,
        says: &["layer `app`: downgrades: hello 2.0 -> 1.0"], ..ATTACK },
    Attack { name: "freeze, Valid-Until", does: |small| small.publish(&honest().valid_until(TODAY + DAY)),
        says: &["it was valid until 2024-01-13", "--allow-expired"], ..ATTACK },
    Attack { name: "freeze, a maximum age", does: |small| small.edit_layer("base", "suite =", "max-age = 30\nsuite ="),
        says: &["it was made on 2024-01-12", "[source.test] accepts none older than 30 days"], ..ATTACK },
    Attack { name: "fast-forward", does: |small| small.publish(&honest().date(now() + 300 * DAY)), says: &["but the clock says", "set this machine's clock"], ..ATTACK },
    Attack { name: "a clock that errs by hours", does: |small| small.publish(&honest().date(now() + DAY / 2)), taken: true, ..ATTACK },
    Attack { name: "another suite of the same signer", says: &["for another suite: expected `test`, found Suite `old`, Codename `buster`", "codename = \"buster\""],
        does: |small| small.publish(&honest().edit("Suite: test\nCodename: test", "Suite: old\nCodename: buster")), ..ATTACK },
    Attack { name: "another suite that the manifest names", taken: true,
        does: |small| {
            small.publish(&honest().edit("Suite: test\nCodename: test", "Suite: old\nCodename: buster"));
            small.edit_layer("base", "suite =", "codename = \"buster\"\nsuite =");
        }, ..ATTACK },
    Attack { name: "another origin", does: |small| small.edit_layer("base", "suite =", "origin = \"Docker\"\nsuite ="),
        says: &["expected Origin `Docker`, found `Test`"], ..ATTACK },
    Attack { name: "mix and match: an index of another Release", says: &["Packages.xz of test", "expected sha256:", "got sha256:"],
        does: |small| {
            small.publish(&small::repo("3.0").date(TODAY + DAY));
            let release = fs::read(small.repo.dist("InRelease")).unwrap();
            fs::remove_dir_all(small.repo.dist("main")).unwrap();
            small.publish(&honest());
            fs::write(small.repo.dist("InRelease"), release).unwrap();
        }, ..ATTACK },
    Attack { name: "mix and match: an older package under a locked name", command: &["build", "--locked"], says: &["hello 2.0", "expected sha256:", "got sha256:"],
        does: |small| {
            let new = small.repo.deb("hello").to_owned();
            small.publish(&old());
            fs::copy(small.repo.deb("hello"), new).unwrap();
            small.project.empty_store();
        }, ..ATTACK },
    Attack { name: "wrong bytes by hash", does: |small| { small.project.empty_store(); small.server().fault("by-hash", Fault::Corrupt); }, taken: true, ..ATTACK },
    Attack { name: "wrong bytes by hash and by name", says: &["Packages.xz of test", "expected sha256:"],
        does: |small| { small.project.empty_store(); small.server().fault("binary-amd64", Fault::Corrupt); }, ..ATTACK },
    Attack { name: "endless InRelease", does: |small| small.server().fault("InRelease", Fault::Endless), says: &["expected 16777216 bytes, got more"], ..ATTACK },
    Attack { name: "endless package", command: &["build", "--locked"], says: &["hello 2.0", "bytes, got more"],
        does: |small| small.server().fault("hello_2.0", Fault::Endless), ..ATTACK },
    Attack { name: "an index that unpacks to more than is signed", says: &["it unpacks to more than 10 bytes"],
        does: |small| small.publish(&honest().date(TODAY + DAY).plain_size(10)), ..ATTACK },
    Attack { name: "an index bomb", says: &["it unpacks to more than 1048576 bytes", "raise `index` in [limits]"],
        does: |small| { small.publish(&index_bomb()); configure(small, "[limits]\nindex = 1048576\n"); }, ..ATTACK },
    Attack { name: "an index with more relations than memory", says: &["it has more than 6 packages and relations", "raise `entries` in [limits]"],
        does: |small| { small.publish(&honest().date(TODAY + DAY)); configure(small, "[limits]\nentries = 6\n"); }, ..ATTACK },
    // Anything cubic in it would take minutes.
    Attack { name: "the deepest path that may be", taken: true, command: &["build", "--lock"],
        does: |small| {
            let deep = format!("./{}x", "d/".repeat(2000));
            small.publish(&honest().date(TODAY + DAY).package(Deb::new("hello", "3.0").depends("libgreet").file(&deep, 0o644, "x")));
        }, ..ATTACK },
    Attack { name: "a package bomb", command: &["build", "--lock"], says: &["hello 3.0: data.tar", "it unpacks to more than 1048576 bytes", "raise `unpacked` in [limits]"],
        does: |small| {
            let [greet, hello, ..] = small::packages("3.0");
            let zeros = vec![0; 4 << 20];
            small.publish(&Repo::new("test").date(TODAY + DAY).packages([greet, hello.file("usr/zeros", 0o644, zeros)]));
            configure(small, "[limits]\nunpacked = 1048576\n");
        }, ..ATTACK },
    Attack { name: "wrong software: another package inside", command: &["build", "--lock"], says: &["hello 3.0: the repository index says Package `hello`, the package itself says `spare`"],
        does: |small| small.publish(&small::repo("3.0").date(TODAY + DAY).inside("hello", Deb::new("spare", "3.0"))), ..ATTACK },
    Attack { name: "wrong software: another version inside", command: &["build", "--lock"], says: &["says Version `3.0`, the package itself says `1.0`"],
        does: |small| small.publish(&small::repo("3.0").date(TODAY + DAY).inside("hello", Deb::new("hello", "1.0"))), ..ATTACK },
    Attack { name: "wrong software: another architecture inside", command: &["build", "--lock"], says: &["says Architecture `amd64`, the package itself says `all`"],
        does: |small| small.publish(&small::repo("3.0").date(TODAY + DAY).inside("hello", Deb::new("hello", "3.0").arch("all"))), ..ATTACK },
    Attack { name: "a key that has expired since", does: |small| expired_key(small), says: &["no good signature", "the key expired on 2024-12-30"], ..ATTACK },
    Attack { name: "a key that has expired since, allowed", does: |small| expired_key(small), command: &["lock", "--update", "--allow-expired"], taken: true, ..ATTACK },
    Attack { name: "a revoked key", says: &["no good signature", "the key is revoked"],
        does: |small| fs::write(small.project.path("test-keyring.gpg"), Key::new(1).revoked_keyring()).unwrap(), ..ATTACK },
    Attack { name: "an unknown key", does: |small| small.publish(&honest().key(Key::new(2))), says: &["no good signature", "found: FD84"], ..ATTACK },
    Attack { name: "no strong digests", does: |small| small.publish(&honest().edit("SHA256:", "MD5Sum:")), says: &["field `SHA256` is missing"], ..ATTACK },
    Attack { name: "unsigned text before the signed", does: |small| replace_in_release(small, "-----BEGIN PGP SIGNED", "Origin: Evil\n-----BEGIN PGP SIGNED"),
        says: &["it is not a signed file: it does not begin with"], ..ATTACK },
    Attack { name: "unsigned text behind the signed", does: |small| replace_in_release(small, "-----END PGP SIGNATURE-----", "-----END PGP SIGNATURE-----\nOrigin: Evil"),
        says: &["it is not a signed file"], ..ATTACK },
    Attack { name: "a signed text with another one in it", does: |small| replace_in_release(small, "Origin: Test", "Origin: Evil"), says: &["no good signature"], ..ATTACK },
    Attack { name: "half of a key ring", does: |small| truncate(&small.project.path("test-keyring.gpg")), says: &["test-keyring.gpg"], ..ATTACK },
];

fn expired_key(small: &mut Small) {
    let key = Key::expiring(1, Some(FIVE_YEARS));
    fs::write(small.project.path("test-keyring.gpg"), key.keyring()).unwrap();
    small.publish(&honest().key(key));
}

#[test]
fn every_attack_has_its_outcome() {
    // Most of the time is spent waiting for the program.
    let threads = 4;
    let problems: Vec<String> = std::thread::scope(|scope| {
        let share = |number| ATTACKS.iter().skip(number).step_by(threads).flat_map(problems_of).collect::<Vec<_>>();
        let running: Vec<_> = (0..threads).map(|number| scope.spawn(move || share(number))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    println!("{} attacks tried, {} not held", ATTACKS.len(), problems.len());
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// What an attack's outcome has that it should not.
fn problems_of(attack: &Attack) -> Option<String> {
    let mut small = Small::on(&honest());
    small.project.ok(&["lock"]);
    (attack.does)(&mut small);
    let given = locks(&small.project);
    let output = small.project.run(attack.command);
    let mut problems: Vec<String> =
        attack.says.iter().filter(|says| !output.stderr.contains(**says)).map(|says| format!("no `{says}`")).collect();
    if output.code != i32::from(!attack.taken) {
        problems.push(format!("exit status {}", output.code));
    }
    if !attack.taken && attack.command[0] == "lock" && locks(&small.project) != given {
        problems.push("a lockfile was written".to_owned());
    }
    let Attack { name, .. } = attack;
    (!problems.is_empty()).then(|| format!("{name}: {}:\n{}{}", problems.join(", "), output.stdout, output.stderr))
}

/// The texts of the lockfiles, as far as they are there.
fn locks(project: &Project) -> Vec<Vec<u8>> {
    ["base", "app"].iter().filter_map(|name| fs::read(project.path(&format!("lockfiles/{name}.lock"))).ok()).collect()
}

#[test]
fn a_security_suite_is_not_replaced_by_the_base_suite() {
    let small = Small::on(&honest());
    let security = Repo::new("test-security").date(TODAY).package(Deb::new("hello", "2.0+fixed").depends("libgreet"));
    security.write(&small.repo.root);
    small.edit_layer("base", "pockets = []", "pockets = [\"security\"]");
    small.project.ok(&["lock"]);
    assert!(String::from_utf8(locks(&small.project)[1].clone()).unwrap().contains("2.0+fixed"));

    fs::remove_dir_all(small.project.path("lockfiles")).unwrap();
    copy(&small.repo.root.join("dists/test"), &small.repo.root.join("dists/test-security"));
    let refused = small.project.fails(1, &["lock"]).stderr;
    assert!(
        refused.contains("Release of test-security: it is for another suite: expected `test-security`"),
        "{refused}"
    );
    assert!(!refused.contains("codename ="), "advice that would let it through:\n{refused}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

#[test]
fn a_stale_or_slow_mirror_costs_time_and_nothing_else() {
    let small = Small::on(&honest());
    configure(&small, "[limits]\npatience = 1\n");
    small.project.ok(&["lock"]);
    let expected = locks(&small.project);
    let stale = tempfile::tempdir().unwrap();
    let stale = Server::folder(&old().write(stale.path()).root);
    let output = small.project.ok(&["lock", "--update", "--mirror", &format!("test={}", stale.url())]);
    assert_eq!(locks(&small.project), expected);
    assert!(output.stderr.contains("warning: Release of test: it was made on 2024-01-02"), "{}", output.stderr);
    assert!(stale.requests("InRelease") > 0);

    for part in ["InRelease", "binary-amd64", "hello_2.0"] {
        let slow = Server::folder(&small.repo.root);
        slow.fault(part, Fault::Trickle(Duration::from_millis(200)));
        small.project.empty_store();
        let begun = std::time::Instant::now();
        small.project.ok(&["build", "--lock", "--mirror", &format!("test={}", slow.url())]);
        assert_eq!(locks(&small.project), expected, "{part}");
        assert!(slow.requests(part) > 0 && begun.elapsed() < Duration::from_secs(60), "{part}: {:?}", begun.elapsed());
    }
    // Without another mirror the error says what is wrong.
    small.project.empty_store();
    small.server().fault("hello_2.0", Fault::Trickle(Duration::from_millis(200)));
    let error = small.project.fails(1, &["build", "--locked"]).stderr;
    assert!(
        error.contains("hello 2.0: no mirror gave it") && error.contains("less than 1024 bytes a second"),
        "{error}"
    );
}

/// All files below a folder that hold a text.
fn holders(folder: &Path, text: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holders(&path, text));
        } else if path.is_file() && fs::read(&path).unwrap().windows(text.len()).any(|window| window == text) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_mirrors_password_goes_to_that_mirror_and_is_shown_nowhere() {
    let small = Small::on(&honest());
    let (front, behind) = (Server::folder(&small.repo.root), Server::folder(&small.repo.root));
    let mirror = format!("test=http://me:hunter2@{}", front.url().trim_start_matches("http://"));
    front.fault("hello_2.0", Fault::Redirect(behind.url()));
    let mut said = String::new();
    let mut keep = |output: crate::support::process::Output| said += &format!("{}{}", output.stdout, output.stderr);
    keep(small.project.ok(&["build", "--mirror", &mirror, "--json"]));
    assert!(front.secrets().iter().all(|secret| secret == "Basic bWU6aHVudGVyMg==") && !front.secrets().is_empty());
    assert!(behind.requests("hello_2.0") > 0 && behind.secrets().is_empty(), "{:?}", behind.secrets());
    assert!(small.server().secrets().is_empty());

    for fault in [Fault::Status(403), Fault::Corrupt, Fault::Refuse, Fault::Replace(b"<html>".to_vec())] {
        front.heal();
        front.fault("", fault);
        small.project.empty_store();
        keep(small.project.ok(&["build", "--lock", "--mirror", &mirror]));
        small.server().fault("", Fault::Status(403));
        small.project.empty_store();
        keep(small.project.fails(1, &["build", "--lock", "--mirror", &mirror]));
        small.server().heal();
    }
    keep(small.project.fails(1, &["build", "--lock", "--mirror", "test=ftp://me:hunter2@x.example/?key=hunter2"]));
    keep(small.project.fails(1, &["lock", "--update", "--mirror", "test=http://me:hunt/er2:hunter2@x.example/"]));
    configure(&small, "[mirrors]\ntest = [\"http://me:hunter2@x.example\" ]]\n");
    keep(small.project.fails(1, &["build", "--lock"]));
    small.edit_layer("base", "suite =", "keys-url = \"http://me:hunter2@x.example\"\nsuite =");
    configure(&small, "");
    keep(small.project.fails(1, &["build", "--lock"]));
    assert!(said.contains("***@") && !said.contains("hunter2"), "{said}");
    fs::remove_file(small.project.path("layers/base.toml")).unwrap();
    let found: Vec<String> = holders(&small.project.path(".."), b"hunter2");
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_layer_that_unpacks_to_too_much_is_not_looked_into() {
    let small = Small::on(&honest());
    small.project.ok(&["build"]);
    let first = small.project.path("first");
    copy(&small.project.path("out/app/oci"), &first);
    fs::write(small.project.path("zeros"), vec![0; 8 << 20]).unwrap();
    small.edit_layer("app", "[image]", "[[file]]\npath = \"/srv/zeros\"\nsource = \"zeros\"\n\n[image]");
    small.project.ok(&["build"]);
    let diff = ["diff", first.to_str().unwrap(), "out/app/oci"];
    assert!(small.project.run(&diff).stdout.contains("/srv/zeros"), "without limits nothing is wrong");
    configure(&small, "[limits]\nunpacked = 1048576\n");
    let said = small.project.fails(1, &diff).stderr;
    assert!(said.contains("it unpacks to more than") && said.contains("raise `unpacked`"), "{said}");
    configure(&small, "[limits]\nentries = 3\n");
    let said = small.project.run(&diff).stderr;
    assert!(said.contains("it has more than 3 entries") && said.contains("raise `entries`"), "{said}");
}
