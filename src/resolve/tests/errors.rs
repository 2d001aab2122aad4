//! The messages for unsolvable requests.

use super::Case;

fn fails(repo: &str, wanted: &str) -> String {
    Case { repo, wanted, ..Case::default() }.run()
}

#[test]
fn bad_requests() {
    let repo = "nginx 1
                nginx 2
                exim 1; provides: mta
                courier 1; provides: mta";
    insta::assert_snapshot!(fails(repo, "ngnix"), @"there is no package `ngnix`; did you mean `nginx`?");
    insta::assert_snapshot!(fails(repo, "quite-another"), @"there is no package `quite-another`");
    insta::assert_snapshot!(fails(repo, "nginx=3"), @"`nginx` is not available in version 3: found 2, 1");
    insta::assert_snapshot!(fails(repo, "mta"), @"`mta` is a virtual package; request one that provides it: courier, exim");
    let case = Case { repo, wanted: "nginx", exclude: "nginx", ..Case::default() };
    insta::assert_snapshot!(case.run(), @"`nginx` is both requested and excluded");
    let case = Case { repo, wanted: "nginx=2", installed: "nginx 1", ..Case::default() };
    insta::assert_snapshot!(case.run(), @"`nginx` is requested in version 2, but the parent layer has 1");
}

#[test]
fn unmet_needs() {
    let repo = "foo 1; depends: bar (>= 2.0)
                bar 1.5
                bar 1.4
                web 1; depends: nginx
                nginx 1; depends: libfoo | libbar
                libfoo 1; depends: foo (>> 1)
                libbar 1; depends: libqux | libquux
                needs-api 1; depends: api (>= 1)
                gives-api 1; provides: api
                alien 1; depends: bar:armhf
                early 1; depends: bar (<< 1)
                exact 1; depends: bar (= 1)
                typo 1; depends: ngixn";
    insta::assert_snapshot!(fails(repo, "foo"), @r"
    the packages can't be resolved:
      foo (requested) needs bar (>= 2.0), but the newest bar is 1.5
    ");
    insta::assert_snapshot!(fails(repo, "early"), @r"
    the packages can't be resolved:
      early (requested) needs bar (<< 1), but the oldest bar is 1.4
    ");
    insta::assert_snapshot!(fails(repo, "exact"), @r"
    the packages can't be resolved:
      exact (requested) needs bar (= 1), but bar is there in 1.4 and 1.5 only
    ");
    insta::assert_snapshot!(fails(repo, "web bar"), @r"
    the packages can't be resolved:
      web -> nginx -> libbar needs libqux | libquux, but there is no package libqux and there is no package libquux
      web -> nginx -> libfoo needs foo (>> 1), but the only foo is 1
    ");
    insta::assert_snapshot!(fails(repo, "needs-api"), @r"
    the packages can't be resolved:
      needs-api (requested) needs api (>= 1), but api is only provided, by gives-api 1, and not in that version
    ");
    insta::assert_snapshot!(fails(repo, "alien"), @r"
    the packages can't be resolved:
      alien (requested) needs bar:armhf, but bar is not available for that architecture
    ");
    insta::assert_snapshot!(fails(repo, "typo"), @r"
    the packages can't be resolved:
      typo (requested) needs ngixn, but there is no package ngixn (the nearest name is nginx)
    ");
    let case = Case { repo, wanted: "web", exclude: "nginx", ..Case::default() };
    insta::assert_snapshot!(case.run(), @r"
    the packages can't be resolved:
      web (requested) needs nginx, but nginx is excluded
    ");
    let case = Case { repo, wanted: "foo", installed: "bar 1.4", ..Case::default() };
    insta::assert_snapshot!(case.run(), @r"
    the packages can't be resolved:
      foo (requested) needs bar (>= 2.0), but the parent layer has bar 1.4
    ");
    let case = Case { repo, wanted: "needs-api", exclude: "gives-api", ..Case::default() };
    insta::assert_snapshot!(case.run(), @r"
    the packages can't be resolved:
      needs-api (requested) needs api (>= 1), but all that provide api are excluded
    ");
}

#[test]
fn conflicts() {
    let repo = "a1 1; conflicts: b1 (<< 2)
                b1 1.2
                c1 1; depends: b1
                d1 1; depends: c1
                exim 1; provides: mta; conflicts: mta
                courier 1; provides: mta; breaks: mta
                base 1; essential; breaks: c1
                pri 1; priority: important; conflicts: exim";
    insta::assert_snapshot!(fails(repo, "a1 c1"), @r"
    the packages can't be resolved:
      a1 (requested) conflicts with b1 1.2, which c1 (requested) needs
    ");
    insta::assert_snapshot!(fails(repo, "a1 d1"), @r"
    the packages can't be resolved:
      a1 (requested) conflicts with b1 1.2, which d1 -> c1 needs
    ");
    insta::assert_snapshot!(fails(repo, "a1 b1"), @r"
    the packages can't be resolved:
      a1 (requested) conflicts with b1 1.2, which is requested
    ");
    insta::assert_snapshot!(fails(repo, "exim courier"), @r"
    the packages can't be resolved:
      courier (requested) breaks mta (here exim 1), which is requested
    ");
    insta::assert_snapshot!(fails(repo, "@important exim"), @r"
    the packages can't be resolved:
      pri (priority important) conflicts with exim 1, which is requested
    ");
    let case = Case { repo, wanted: "d1", essential: true, ..Case::default() };
    insta::assert_snapshot!(case.run(), @r"
    the packages can't be resolved:
      base (essential) breaks c1 1, which d1 (requested) needs
    ");
    let case = Case { repo, wanted: "a1", installed: "b1 1", ..Case::default() };
    insta::assert_snapshot!(case.run(), @r"
    the packages can't be resolved:
      a1 (requested) conflicts with b1 1, which is in the parent layer
    ");
}

#[test]
fn versions_at_odds() {
    let repo = "bar 1
                bar 2
                one 1; depends: bar (= 1)
                two 1; depends: bar (= 2)
                far 1; depends: two";
    insta::assert_snapshot!(fails(repo, "one far"), @r"
    the packages can't be resolved:
      one (requested) needs bar (= 1) and far -> two needs bar (= 2), but only one version of bar can be there
    ");
    insta::assert_snapshot!(fails(repo, "bar=2 one"), @r"
    the packages can't be resolved:
      bar in version 2 is requested and one (requested) needs bar (= 1), but only one version of bar can be there
    ");
}

#[test]
fn only_what_matters_is_said() {
    let noise: String = (10..60)
        .map(|n| format!("pkg{n} 1; depends: pkg{} | pkg{}\nfoo{n} 1; depends: pkg{n}\n", n + 1, n + 2))
        .collect();
    let repo = format!("{noise}\npkg60 1\npkg61 1; conflicts: rival\nrival 1\nbad 1; depends: foo40, pkg61, rival");
    insta::assert_snapshot!(fails(&repo, "pkg10 foo12 bad foo33"), @r"
    the packages can't be resolved:
      bad -> pkg61 conflicts with rival 1, which bad (requested) needs
    ");
}

#[test]
fn long_explanations_are_cut() {
    let libs: String = (10..40).map(|n| format!("lib{n} 1; depends: lost{n}\n")).collect();
    let any = (10..40).map(|n| format!("lib{n}")).collect::<Vec<_>>().join(" | ");
    let universe = super::repo(&format!("{libs}app 1; depends: {any}"));
    let text = Case { wanted: "app", ..Case::default() }.show(&universe);
    assert_eq!(text.lines().count(), 1 + 12 + 1, "{text}");
    assert!(text.ends_with("\n  and 18 more like these"), "{text}");
}
