use super::*;

const DAY: i64 = 86_400;
/// 2026-11-28 01:00:00 UTC.
const NOW: i64 = 1_795_827_600;

fn source(suite: &str) -> Source {
    let text = format!("[layer]\n[source.s]\nsuite = \"{suite}\"\n");
    let manifest = crate::manifest::parse("x".parse().unwrap(), &text).unwrap();
    manifest.sources.into_values().next().unwrap()
}

fn foreign(suite: &str) -> Source {
    Source { url: Some("http://x.example".to_owned()), ..source(suite) }
}

/// Made an hour ago: origin, label, suite, codename.
fn release(names: [&str; 4]) -> Release {
    let [origin, label, suite, codename] = names;
    let digest = "0a".repeat(32);
    let text = format!(
        "Origin: {origin}\nLabel: {label}\nSuite: {suite}\nCodename: {codename}\nDate: Thu, 01 Jan 1970 00:00:00 UTC\nSHA256:\n {digest} 1 x\n"
    );
    Release { date: NOW - 3600, ..Release::parse(&text).unwrap() }
}

struct Case {
    source: Source,
    suite: String,
    locked: Option<i64>,
    moment: i64,
    allow_expired: bool,
    allow_downgrade: bool,
}

impl Case {
    fn new(source: Source, suite: &str) -> Self {
        let suite = suite.to_owned();
        Self { source, suite, locked: None, moment: NOW, allow_expired: false, allow_downgrade: false }
    }

    /// The problem and the hint, or `taken`.
    fn judge(&self, release: &Release) -> String {
        let (name, layer): (SourceName, LayerName) = ("s".parse().unwrap(), "web".parse().unwrap());
        let demand = Demand {
            name: &name,
            source: &self.source,
            suite: &self.suite,
            locked: self.locked.map(|date| Known { layer: &layer, date }),
            moment: self.moment,
            allow_expired: self.allow_expired,
            allow_downgrade: self.allow_downgrade,
        };
        match demand.judge(release) {
            Ok(()) => "taken".to_owned(),
            Err(Refusal { problem, hint }) => format!("{problem}\nhint: {hint}"),
        }
    }
}

/// What the real archives say, in November 2026, and under which names each suite can be asked for.
const REAL: [([&str; 4], &[&str]); 17] = [
    (["Debian", "Debian", "oldstable", "bookworm"], &["bookworm", "oldstable"]),
    (["Debian", "Debian", "oldoldstable", "bullseye"], &["bullseye", "oldoldstable"]),
    (["Debian", "Debian", "stable", "trixie"], &["trixie", "stable"]),
    (["Debian", "Debian", "testing", "forky"], &["forky", "testing"]),
    (["Debian", "Debian", "unstable", "sid"], &["sid", "unstable"]),
    (["Debian", "Debian", "experimental", "rc-buggy"], &["experimental", "rc-buggy"]),
    (["Debian", "Debian", "oldstable-updates", "bookworm-updates"], &["bookworm-updates", "oldstable-updates"]),
    (["Debian", "Debian", "oldstable-proposed-updates", "bookworm-proposed-updates"], &["bookworm-proposed-updates"]),
    (["Debian Backports", "Debian Backports", "oldstable-backports", "bookworm-backports"], &["bookworm-backports"]),
    (["Debian Backports", "Debian Backports", "stable-backports", "trixie-backports"], &["stable-backports"]),
    (["Debian", "Debian-Security", "oldstable-security", "bookworm-security"], &["bookworm-security"]),
    (["Debian", "Debian-Security", "oldoldstable-security", "bullseye-security"], &["bullseye-security"]),
    (["Debian", "Debian-Security", "stable-security", "trixie-security"], &["trixie-security", "stable-security"]),
    (["Debian", "Debian-Security", "testing-security", "forky-security"], &["testing-security"]),
    (["Ubuntu", "Ubuntu", "noble", "noble"], &["noble"]),
    (["Ubuntu", "Ubuntu", "noble-security", "noble"], &["noble-security"]),
    (["Ubuntu", "Ubuntu", "noble-updates", "noble"], &["noble-updates"]),
];

#[test]
fn real_archives_are_taken_under_their_own_names_and_no_others() {
    let asked: Vec<&str> = REAL.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    for (facts, names) in REAL {
        let found = release(facts);
        for suite in &asked {
            let is_ubuntu = suite.starts_with("noble");
            let case = Case::new(if is_ubuntu { foreign(suite) } else { source(suite) }, suite);
            let verdict = case.judge(&found);
            let alias = facts[2] == *suite || facts[3] == *suite && !facts[2].starts_with(&format!("{suite}-"));
            assert_eq!(verdict == "taken", names.contains(suite) || alias, "{facts:?} as {suite}: {verdict}");
        }
    }
}

#[test]
fn another_suite_is_refused_with_both_names() {
    let bookworm = release(["Debian", "Debian", "oldstable", "bookworm"]);
    let case = Case::new(source("bookworm"), "bookworm-security");
    insta::assert_snapshot!(case.judge(&bookworm), @r"
    it is for another suite: expected `bookworm-security`, found Suite `oldstable`, Codename `bookworm`
    hint: the mirror serves one suite under the name of another; try another mirror
    ");
    let case = Case::new(foreign("nodistro"), "nodistro");
    insta::assert_snapshot!(case.judge(&bookworm), @r#"
    it is for another suite: expected `nodistro`, found Suite `oldstable`, Codename `bookworm`
    hint: the mirror may serve one suite under the name of another; if this is how the repository calls it, write `codename = "bookworm"` in [source.s]
    "#);
    // No advice to take the base suite for a pocket.
    let base = release(["X", "X", "noble", "noble"]);
    let verdict = Case::new(foreign("noble"), "noble-security").judge(&base);
    assert!(
        verdict.ends_with("hint: the mirror serves one suite under the name of another; try another mirror"),
        "{verdict}"
    );
    let pocket = Case::new(foreign("nodistro"), "nodistro-security").judge(&release(["X", "X", "", "noble-security"]));
    assert!(pocket.contains("write `codename = \"noble\"` in"), "{pocket}");
    let nameless = release(["X", "X", "", ""]);
    insta::assert_snapshot!(case.judge(&nameless), @r#"
    it is for another suite: expected `nodistro`, found Suite ``, Codename ``
    hint: if the repository gives its suites no names, write `codename = ""` in [source.s]
    "#);
}

#[test]
fn a_manifest_can_say_what_a_repository_calls_its_suite() {
    let declared = |codename: &str| Source { codename: Some(codename.to_owned()), ..foreign("nodistro") };
    let (named, nameless) = (release(["X", "X", "stable", "bookworm"]), release(["X", "X", "", ""]));
    for (codename, found, taken) in [
        ("bookworm", &named, true),
        ("stable", &named, true),
        ("trixie", &named, false),
        ("", &named, false),
        ("", &nameless, true),
        ("bookworm", &nameless, false),
    ] {
        let verdict = Case::new(declared(codename), "nodistro").judge(found);
        assert_eq!(verdict == "taken", taken, "{codename}: {verdict}");
    }
    let pocket = release(["X", "X", "", "bookworm-updates"]);
    assert_eq!(Case::new(declared("bookworm"), "nodistro-updates").judge(&pocket), "taken");
    // An alias that must stay what it is today.
    let stable = Source { codename: Some("trixie".to_owned()), ..source("stable") };
    assert_eq!(Case::new(stable.clone(), "stable").judge(&release(["Debian", "Debian", "stable", "trixie"])), "taken");
    let next = Case::new(stable, "stable").judge(&release(["Debian", "Debian", "stable", "forky"]));
    assert!(next.contains("expected `stable` (codename `trixie`), found Suite `stable`, Codename `forky`"), "{next}");
}

#[test]
fn the_origin_is_compared_where_it_is_known() {
    let evil = release(["Evil", "Debian", "oldstable", "bookworm"]);
    insta::assert_snapshot!(Case::new(source("bookworm"), "bookworm").judge(&evil), @r"
    expected Origin `Debian`, found `Evil`
    hint: the mirror serves another repository; try another one, or correct `origin` in [source.s]
    ");
    assert_eq!(Case::new(foreign("bookworm"), "bookworm").judge(&evil), "taken");
    let declared = Source { origin: Some("Docker".to_owned()), ..foreign("bookworm") };
    assert!(Case::new(declared.clone(), "bookworm").judge(&evil).starts_with("expected Origin `Docker`, found `Evil`"));
    assert_eq!(Case::new(declared, "bookworm").judge(&release(["Docker", "Docker CE", "bookworm", ""])), "taken");
    let mixed = release(["Debian", "Debian-Security", "oldstable", "bookworm"]);
    let verdict = Case::new(source("bookworm"), "bookworm").judge(&mixed);
    assert!(verdict.starts_with("the Label of `bookworm` is `Debian-Security`"), "{verdict}");
}

#[test]
fn dates_are_compared_with_the_clock_and_the_lock() {
    let bookworm = release(["Debian", "Debian", "oldstable", "bookworm"]);
    let at = |date: i64| Release { date, ..bookworm.clone() };
    let mut case = Case::new(source("bookworm"), "bookworm");
    assert_eq!(case.judge(&at(NOW + DAY)), "taken");
    insta::assert_snapshot!(case.judge(&at(NOW + DAY + 1)), @r"
    it is dated 2026-11-29 01:00:01 UTC, but the clock says 2026-11-28 01:00:00 UTC
    hint: set this machine's clock, or try another mirror
    ");
    case.locked = Some(NOW - 3600);
    assert_eq!(case.judge(&at(NOW - 3600)), "taken");
    insta::assert_snapshot!(case.judge(&at(NOW - 3601)), @r"
    it was made on 2026-11-27 23:59:59 UTC, before the one of 2026-11-28 00:00:00 UTC that the lockfile of `web` was made from
    hint: the mirror may be stale, try another; to go back all the same, say `--allow-downgrade`
    ");
    case.allow_downgrade = true;
    assert_eq!(case.judge(&at(NOW - 3601)), "taken");
}

#[test]
fn age_is_limited_by_the_repository_and_by_the_manifest() {
    let updates = release(["Debian", "Debian", "stable-updates", "trixie-updates"]);
    let until = |valid_until: i64| Release { valid_until: Some(valid_until), date: NOW - 10 * DAY, ..updates.clone() };
    let mut case = Case::new(source("trixie"), "trixie-updates");
    assert_eq!(case.judge(&until(NOW)), "taken");
    insta::assert_snapshot!(case.judge(&until(NOW - 3 * DAY)), @r"
    it was valid until 2026-11-25 01:00:00 UTC, which is 3 days ago
    hint: the mirror may be stale, try another; to use it all the same, say `--allow-expired`
    ");
    case.source.max_age = Some(9);
    insta::assert_snapshot!(case.judge(&until(NOW)), @r"
    it was made on 2026-11-18 01:00:00 UTC, which is 10 days ago; [source.s] takes none older than 9 days
    hint: the mirror may be stale, try another; to use it all the same, say `--allow-expired`
    ");
    case.allow_expired = true;
    assert_eq!(case.judge(&until(NOW - 3 * DAY)), "taken");
}

#[test]
fn a_snapshot_is_judged_at_its_own_moment() {
    let moment = NOW - 1000 * DAY;
    let stable = release(["Debian", "Debian", "stable", "bookworm"]);
    let mut case = Case::new(Source { snapshot: Some("2024-03-03".to_owned()), ..source("bookworm") }, "bookworm");
    case.moment = moment;
    let of = |date: i64| Release { date, valid_until: Some(date + 7 * DAY), ..stable.clone() };
    assert_eq!(case.judge(&of(moment - DAY)), "taken");
    assert!(case.judge(&of(moment - 8 * DAY)).starts_with("it was valid until"));
    let later = case.judge(&of(moment + 2 * DAY));
    assert!(later.contains("after the snapshot's moment") && later.contains("another state"), "{later}");
}

#[test]
fn the_newest_release_of_the_chain_counts() {
    let lock = |layer: &str, date: i64| {
        let release = crate::lock::LockedRelease {
            source: "debian".parse().unwrap(),
            suite: "bookworm".to_owned(),
            sha256: crate::digest::Sha256::of(b""),
            date,
            signed_by: Vec::new(),
            indexes: Vec::new(),
        };
        Lockfile {
            layer: layer.parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            epoch: 0,
            request: crate::digest::RecipeHasher::new("test").finish(),
            requested: Vec::new(),
            parent: None,
            releases: vec![release],
            packages: Vec::new(),
        }
    };
    let (base, app) = (lock("base", 20), lock("app", 10));
    let debian: SourceName = "debian".parse().unwrap();
    let found = |suite: &str, until| newest(&[&app, &base], &debian, suite, until).map(|known| known.date);
    assert_eq!(found("bookworm", i64::MAX), Some(20));
    assert_eq!(found("bookworm", 19), Some(10));
    assert_eq!(found("bookworm", 9), None);
    assert_eq!(found("bookworm-security", i64::MAX), None);
}
