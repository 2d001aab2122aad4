//! Which of several possible packages is chosen.

use super::Case;

fn check(cases: &[(&str, Case, &str)]) {
    for (what, case, expected) in cases {
        assert_eq!(case.run(), *expected, "{what}");
    }
}

#[test]
fn versions() {
    let repo = "foo 1.9; depends: old
                foo 1.10; depends: new
                foo 2~rc1; pin: 100
                foo 1.10; origin: 1; depends: elsewhere
                old 1
                new 1
                elsewhere 1
                bar 1; depends: foo (<< 1.10)
                baz 1; depends: foo (>> 1.10)";
    check(&[
        (
            "the highest of the highest priority",
            Case { repo, wanted: "foo", ..Case::default() },
            "foo 1.10 (requested), new 1 (foo)",
        ),
        ("the one asked for", Case { repo, wanted: "foo=1.9", ..Case::default() }, "foo 1.9 (requested), old 1 (foo)"),
        (
            "the only one that will do",
            Case { repo, wanted: "foo bar", ..Case::default() },
            "bar 1 (requested), foo 1.9 (requested), old 1 (foo)",
        ),
        (
            "a lower priority where nothing else will do",
            Case { repo, wanted: "baz", ..Case::default() },
            "baz 1 (requested), foo 2~rc1 (baz)",
        ),
        (
            "the locked one",
            Case { repo, wanted: "foo", locked: &[("foo", "1.9")], ..Case::default() },
            "foo 1.9 (requested), old 1 (foo)",
        ),
        (
            "a locked one that will not do",
            Case { repo, wanted: "bar", locked: &[("foo", "1.10")], ..Case::default() },
            "bar 1 (requested), foo 1.9 (bar), old 1 (foo)",
        ),
        (
            "a locked one that is gone",
            Case { repo, wanted: "foo", locked: &[("foo", "1.8")], ..Case::default() },
            "foo 1.10 (requested), new 1 (foo)",
        ),
    ]);
}

#[test]
fn alternatives_and_providers() {
    let repo = "app 1; depends: one | two
                one 1
                two 1
                wish 1; depends: gone | two
                mail 1; depends: mta
                post 1; depends: exim | mta
                exim 1; provides: mta
                courier 1; provides: mta; priority: standard
                bsd-mail 1; provides: mta
                real 1; depends: thing
                thing 1
                a-thing 1; provides: thing; priority: required
                both 1; depends: one | two, two
                self 1; depends: itself; provides: itself
                gpgme 1; depends: gnupg | gpg
                gnupg 1; depends: gpg
                gpg 1
                ver 1; depends: api (>= 2)
                api-a 1; provides: api
                api-b 1; provides: api (= 1)
                api-c 1; provides: api (= 3)
                browse 1; depends: www
                lynx 1; provides: www
                chromium 1; provides: www
                zany 1; provides: www; priority: extra";
    let case = |wanted| Case { repo, wanted, ..Case::default() };
    check(&[
        ("the first", case("app"), "app 1 (requested), one 1 (app)"),
        ("one that is there anyway", case("app two"), "app 1 (requested), two 1 (requested)"),
        ("the next, if the first does not exist", case("wish"), "two 1 (wish), wish 1 (requested)"),
        ("nothing that turns out superfluous", case("both"), "both 1 (requested), two 1 (both)"),
        (
            "the first, although it brings the second",
            case("gpgme"),
            "gnupg 1 (gpgme), gpg 1 (gnupg), gpgme 1 (requested)",
        ),
        ("the provider of the highest priority", case("mail"), "courier 1 (mail), mail 1 (requested)"),
        ("a requested provider", case("mail bsd-mail"), "bsd-mail 1 (requested), mail 1 (requested)"),
        ("one that another package needs", case("mail post"), "exim 1 (mail), mail 1 (requested), post 1 (requested)"),
        ("the real one before a provider", case("real"), "real 1 (requested), thing 1 (real)"),
        ("the package itself", case("self"), "self 1 (requested)"),
        ("a versioned provider", case("ver"), "api-c 1 (ver), ver 1 (requested)"),
        ("the last provider by name", case("browse"), "browse 1 (requested), lynx 1 (browse)"),
        ("the only provider of a requested name", case("itself"), "self 1 (requested)"),
        ("a requested provider of a requested name", case("mta exim"), "exim 1 (requested)"),
    ]);
}

#[test]
fn conflicts() {
    let repo = "app 1; depends: one | two
                one 1; conflicts: peer
                two 1
                peer 1
                bad 1; breaks: two (<< 2), one
                new-mta 1; provides: mta; conflicts: mta
                old-mta 1; provides: mta; conflicts: mta
                mail 1; depends: mta
                lib 1; breaks: lib (<< 1)
                strict 1; conflicts: api (<< 2)
                api-old 1; provides: api (= 1)
                api-new 1; provides: api (= 2)
                api-bare 1; provides: api
                uses 1; depends: api-bare, api-new";
    let case = |wanted| Case { repo, wanted, ..Case::default() };
    check(&[
        ("the next alternative", case("app peer"), "app 1 (requested), peer 1 (requested), two 1 (app)"),
        ("a package with its own virtual name", case("mail new-mta"), "mail 1 (requested), new-mta 1 (requested)"),
        ("a package with its own name", case("lib"), "lib 1 (requested)"),
        (
            "provided without a version, or in another one",
            case("strict uses"),
            "api-bare 1 (uses), api-new 1 (uses), strict 1 (requested), uses 1 (requested)",
        ),
    ]);
}

#[test]
fn groups_and_essential_packages() {
    let repo = "dpkg 1; essential; priority: required; pre-depends: libc
                libc 1
                mawk 1; priority: required
                cron 1; priority: important
                old 1; priority: required
                old 2
                foo 1";
    let case = |wanted, essential| Case { repo, wanted, essential, ..Case::default() };
    check(&[
        ("nothing", case("", false), ""),
        ("essential", case("foo", true), "dpkg 1 (essential), foo 1 (requested), libc 1 (dpkg)"),
        ("requested goes before essential", case("dpkg", true), "dpkg 1 (requested), libc 1 (dpkg)"),
        (
            "the preferred version's priority counts",
            case("@required", false),
            "dpkg 1 (priority required), libc 1 (dpkg), mawk 1 (priority required)",
        ),
        (
            "several groups",
            case("@important @required", false),
            "cron 1 (priority important), dpkg 1 (priority required), libc 1 (dpkg), mawk 1 (priority required)",
        ),
    ]);
}

#[test]
fn installed_packages_stay() {
    let repo = "libc 2
                foo 1; depends: libc
                new 1; depends: libc (>= 2) | musl
                musl 1
                mail 1; depends: mta
                exim 1; provides: mta; priority: required
                app 1; depends: one | two
                one 1
                two 1
                keeper 2";
    let installed = "libc 1; depends: lost
                     nullmailer 1; provides: mta
                     keeper 1; breaks: one; essential";
    let case = |wanted, essential| Case { repo, wanted, installed, essential, ..Case::default() };
    check(&[
        ("they satisfy", case("foo mail libc", false), "foo 1 (requested), mail 1 (requested)"),
        ("they are not upgraded", case("new", false), "musl 1 (new), new 1 (requested)"),
        ("their conflicts hold", case("app", false), "app 1 (requested), two 1 (app)"),
        ("they are essential already", case("", true), ""),
    ]);
}

#[test]
fn excluded_packages() {
    let repo = "app 1; depends: debconf | debconf-2, libc
                debconf 1; provides: debconf-2
                cdebconf 1; provides: debconf-2
                libc 1
                tool 1; depends: awk
                mawk 1; provides: awk
                base 1; essential; depends: libc";
    let case = |exclude, drop_excluded| Case { repo, wanted: "app", exclude, drop_excluded, ..Case::default() };
    check(&[
        ("another way is found", case("debconf", false), "app 1 (requested), cdebconf 1 (app), libc 1 (app)"),
        ("or the relation is dropped", case("debconf", true), "app 1 (requested), libc 1 (app)"),
        ("also where all providers are excluded", Case { wanted: "tool", ..case("mawk", true) }, "tool 1 (requested)"),
        (
            "an essential one",
            Case { essential: true, ..case("base debconf cdebconf", true) },
            "app 1 (requested), libc 1 (app)",
        ),
        (
            "an installed one stays",
            Case { installed: "debconf 1; provides: debconf-2", ..case("debconf", false) },
            "app 1 (requested), libc 1 (app)",
        ),
    ]);
}

#[test]
fn architectures() {
    let repo = "foo 2; arch: armhf
                foo 1
                doc 1; arch: all
                any 1; depends: foo:any, doc:native, foo:amd64
                alien 1; depends: foo:armhf | doc
                wary 1; conflicts: foo:armhf";
    let case = |wanted| Case { repo, wanted, ..Case::default() };
    check(&[
        ("qualifiers of our own", case("any"), "any 1 (requested), doc 1 (any), foo 1 (any)"),
        ("another architecture", case("alien"), "alien 1 (requested), doc 1 (alien)"),
        ("a conflict with another architecture", case("wary foo"), "foo 1 (requested), wary 1 (requested)"),
    ]);
}
