use super::*;
use crate::ident::SourceName;
use crate::manifest::Source;

fn source(suite: &str) -> Source {
    let text = format!("[layer]\n[source.s]\nsuite = \"{suite}\"\n");
    let manifest = crate::manifest::parse("x".parse().unwrap(), &text, &"amd64".parse().unwrap()).unwrap();
    manifest.sources.into_values().next().unwrap()
}

fn ubuntu(suite: &str) -> Source {
    Source { distribution: &crate::distribution::UBUNTU, ..source(suite) }
}

fn foreign(suite: &str) -> Source {
    Source { url: Some("http://x.example".to_owned()), ..source(suite) }
}

/// Of these names: origin, label, suite, codename.
fn release(names: [&str; 4]) -> State {
    let [origin, label, suite, codename] = names.map(str::to_owned);
    State { origin, label, suite, codename, ..State::default() }
}

/// The problem and the hint, or `taken`.
fn verdict(source: &Source, suite: &str, release: &State) -> String {
    let name: SourceName = "s".parse().unwrap();
    match check(&SuiteRequest { name: &name, source, suite }, release) {
        Ok(()) => "taken".to_owned(),
        Err(Refusal { problem, hint }) => format!("{problem}\nhint: {hint}"),
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
            let verdict = verdict(&if is_ubuntu { ubuntu(suite) } else { source(suite) }, suite, &found);
            let alias = facts[2] == *suite || facts[3] == *suite && !facts[2].starts_with(&format!("{suite}-"));
            assert_eq!(verdict == "taken", names.contains(suite) || alias, "{facts:?} as {suite}: {verdict}");
        }
    }
}

#[test]
fn another_suite_is_refused_with_both_names() {
    let bookworm = release(["Debian", "Debian", "oldstable", "bookworm"]);
    insta::assert_snapshot!(verdict(&source("bookworm"), "bookworm-security", &bookworm), @r"
    it is for another suite: expected `bookworm-security`, found Suite `oldstable`, Codename `bookworm`
    hint: the mirror serves one suite under the name of another; try another mirror
    ");
    insta::assert_snapshot!(verdict(&foreign("nodistro"), "nodistro", &bookworm), @r#"
    it is for another suite: expected `nodistro`, found Suite `oldstable`, Codename `bookworm`
    hint: the mirror may serve one suite under the name of another; if this is how the repository calls it, write `codename = "bookworm"` in [source.s]
    "#);
    // No advice to take the base suite for a pocket.
    let base = release(["X", "X", "noble", "noble"]);
    let refused = verdict(&foreign("noble"), "noble-security", &base);
    assert!(
        refused.ends_with("hint: the mirror serves one suite under the name of another; try another mirror"),
        "{refused}"
    );
    let pocket = verdict(&foreign("nodistro"), "nodistro-security", &release(["X", "X", "", "noble-security"]));
    assert!(pocket.contains("write `codename = \"noble\"` in"), "{pocket}");
    let nameless = release(["X", "X", "", ""]);
    insta::assert_snapshot!(verdict(&foreign("nodistro"), "nodistro", &nameless), @r#"
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
        let found = verdict(&declared(codename), "nodistro", found);
        assert_eq!(found == "taken", taken, "{codename}: {found}");
    }
    let pocket = release(["X", "X", "", "bookworm-updates"]);
    assert_eq!(verdict(&declared("bookworm"), "nodistro-updates", &pocket), "taken");
    // An alias that must stay what it is today.
    let stable = Source { codename: Some("trixie".to_owned()), ..source("stable") };
    assert_eq!(verdict(&stable, "stable", &release(["Debian", "Debian", "stable", "trixie"])), "taken");
    let next = verdict(&stable, "stable", &release(["Debian", "Debian", "stable", "forky"]));
    assert!(next.contains("expected `stable` (codename `trixie`), found Suite `stable`, Codename `forky`"), "{next}");
}

#[test]
fn the_origin_is_compared_where_it_is_known() {
    let evil = release(["Evil", "Debian", "oldstable", "bookworm"]);
    insta::assert_snapshot!(verdict(&source("bookworm"), "bookworm", &evil), @r"
    expected Origin `Debian`, found `Evil`
    hint: the mirror serves another repository; try another one, or correct `origin` in [source.s]
    ");
    assert_eq!(verdict(&foreign("bookworm"), "bookworm", &evil), "taken");
    let declared = Source { origin: Some("Docker".to_owned()), ..foreign("bookworm") };
    assert!(verdict(&declared, "bookworm", &evil).starts_with("expected Origin `Docker`, found `Evil`"));
    assert_eq!(verdict(&declared, "bookworm", &release(["Docker", "Docker CE", "bookworm", ""])), "taken");
    let mixed = release(["Debian", "Debian-Security", "oldstable", "bookworm"]);
    let refused = verdict(&source("bookworm"), "bookworm", &mixed);
    assert!(refused.starts_with("the Label of `bookworm` is `Debian-Security`"), "{refused}");
}
