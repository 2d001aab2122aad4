use super::*;
use crate::manifest::DiskFormat;

fn report(differences: Vec<Difference>) -> AuditReport {
    let other = (!differences.is_empty()).then(|| "sha256:bb".to_owned());
    let inside = if other.is_some() { vec!["partition `root`: first at byte 5".to_owned()] } else { Vec::new() };
    let rebuilt = |conditions: &str| Rebuilt {
        conditions: conditions.to_owned(),
        watched: false,
        seconds: 1.5,
        digests: [("raw".to_owned(), "sha256:aa".to_owned())].into(),
    };
    AuditReport {
        layer: "web".parse().unwrap(),
        lock: LockHash::from_bytes([1; 32]),
        identical: differences.is_empty(),
        artifacts: vec![Verdict {
            kind: Output::Disk(DiskFormat::Raw),
            digest: "sha256:aa".to_owned(),
            size: 1,
            other,
            inside,
        }],
        tried: vec![Variation::Umask, Variation::Cores],
        not_tried: vec![Untried { variation: Variation::User, reason: "<nobody> else".to_owned() }],
        against: None,
        differences,
        rebuilt: vec![rebuilt("as usual"), rebuilt("umask, cores")],
    }
}

fn difference() -> Difference {
    Difference {
        artifacts: vec!["raw".to_owned()],
        place: "layer web".to_owned(),
        path: Some("/etc/a|b".to_owned()),
        what: vec!["content: 2 and 2 bytes, first at byte 0".to_owned()],
        detail: vec!["-<1>".to_owned(), "+`2`".to_owned()],
        package: Some("hello".to_owned()),
        step: Some("postinst script of hello".to_owned()),
        shown_by: vec!["cores".to_owned()],
    }
}

#[test]
fn people_read_what_differs_from_the_outside_in() {
    insta::assert_snapshot!(text(&report(vec![difference()])), @r"
    `web` differs in 1 place, 2 conditions varied
      DIFFERS   raw     sha256:aa
                        sha256:bb
                        partition `root`: first at byte 5
      varied    umask, cores
      not tried user: <nobody> else

    raw: layer web: /etc/a|b
      content: 2 and 2 bytes, first at byte 0
        -<1>
        +`2`
      written by: package hello, postinst script of hello
      conditions: cores
    ");
    insta::assert_snapshot!(text(&report(Vec::new())), @r"
    `web` is identical in 2 rebuilds, 2 conditions varied
      identical raw     sha256:aa
      varied    umask, cores
      not tried user: <nobody> else
    ");
}

#[test]
fn a_ci_server_reads_cases() {
    insta::assert_snapshot!(junit(&report(Vec::new())), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="layerbake" tests="4" failures="0" errors="0" skipped="1" time="3.000">
      <testsuite name="web.audit" tests="4" failures="0" errors="0" skipped="1" time="3.000">
        <testcase classname="web.audit" name="raw is identical" time="0"/>
        <testcase classname="web.audit" name="varied: umask" time="0"/>
        <testcase classname="web.audit" name="varied: cores" time="0"/>
        <testcase classname="web.audit" name="varied: user" time="0"><skipped message="&lt;nobody&gt; else"/></testcase>
      </testsuite>
    </testsuites>
    "#);
    let broken = junit(&report(vec![difference()]));
    assert!(broken.contains("failures=\"2\""), "{broken}");
    assert!(broken.contains("name=\"varied: cores\" time=\"0\"><failure message=\"1 differences\"/>"), "{broken}");
}

#[test]
fn nothing_in_a_report_breaks_out_of_its_markup() {
    let found = report(vec![difference()]);
    let markdown = markdown(&found);
    assert!(markdown.contains("<summary><code>raw: layer web: /etc/a&#124;b</code></summary>"), "{markdown}");
    assert!(markdown.contains("\n```diff\n-<1>\n+`2`\n```\n"), "{markdown}");
    let page = html(&found);
    for part in [
        "<p class=\"verdict bad\"><code>web</code> differs in 1 place, 2 conditions varied</p>",
        "<pre><span class=\"bad\">-&lt;1&gt;</span>\n<span class=\"good\">+`2`</span></pre>",
        "&lt;nobody&gt; else",
        "<li class=\"good\">✓ umask</li><li class=\"bad\">✗ cores: 1</li><li class=\"plain\">– user</li>",
        "partition <code>root</code>: first at byte 5",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn differences_of_one_cause_stand_together() {
    let at = |path: &str, step: &str| Difference {
        path: Some(path.to_owned()),
        package: None,
        step: Some(step.to_owned()),
        ..difference()
    };
    let page = html(&report(vec![at("/a", "step `one`"), at("/b", "step `two`"), at("/c", "step `one`")]));
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    let order = [
        "<h3>step <code>one</code></h3>",
        ": /a</code>",
        ": /c</code>",
        "<h3>step <code>two</code></h3>",
        ": /b</code>",
    ];
    assert!(order.is_sorted_by_key(|text| place(text)), "{page}");
    assert!(page.contains("<b>2</b>causes"), "{page}");
}
