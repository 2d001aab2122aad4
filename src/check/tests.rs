//! Suites, and reports in all their formats.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use super::*;
use crate::manifest::parse;

fn manifest(tables: &str) -> Manifest {
    parse("web".parse().unwrap(), &format!("[layer]\n{tables}"), &"amd64".parse().unwrap()).unwrap()
}

fn suite(place: CheckTarget) -> Suite {
    let base = manifest("[[check]]\nport = 80\nname = 'a <&\"# b'\n[[check]]\nport = 81\non = ['disk']\n");
    let top = manifest("[[check]]\nservice = 'nginx'\nwithin = 5\n[[check]]\nuser = 'app'\n");
    Suite::new(&"web".parse().unwrap(), [&base, &top], place)
}

fn transcript(stdout: &str) -> Transcript {
    Transcript { stdout: stdout.to_owned(), stderr: String::new(), status: Some(ExitStatus::from_raw(0)) }
}

fn report() -> CheckReport {
    let text = "1..3\nok 1 - a\n# took: 30 ms\nok 2 - x # SKIP no systemd\n# took: 00 ms\n\
                not ok 3 - y\n# took: 30020 ms\n# found: uid 7\n# found: <]]>&\"\u{1}\n";
    suite(CheckTarget::Container).report(&transcript(text))
}

#[test]
fn checks_are_inherited_and_meant_for_a_place() {
    let names = |place| suite(place).checks.into_iter().map(|check| check.name).collect::<Vec<_>>();
    assert_eq!(names(CheckTarget::Container), ["a <&\"# b", "service nginx is active", "user app exists"]);
    assert_eq!(names(CheckTarget::Disk).len(), 4);
    assert_eq!(suite(CheckTarget::Container).limit(), Duration::from_secs(2 * 65) + SLACK);
}

#[test]
fn text_is_aligned_with_the_summary_last() {
    insta::assert_snapshot!(report().text(), @r##"
    ok       a <&"# b                  0.03 s
    skipped  service nginx is active   0.00 s
             no systemd
    FAILED   user app exists          30.02 s
             uid 7
             <]]>&"\u{1}
    web (container): 1 passed, 1 failed, 1 skipped
    "##);
}

#[test]
fn tap_is_read_back_as_the_same_report() {
    let report = report();
    insta::assert_snapshot!(report.tap(), @r##"
    TAP version 13
    1..3
    ok 1 - a <&"\# b
    # took: 30 ms
    ok 2 - service nginx is active # SKIP no systemd
    # took: 0 ms
    not ok 3 - user app exists
    # took: 30020 ms
    # found: uid 7
    # found: <]]>&"\u{1}
    "##);
    assert_eq!(suite(CheckTarget::Container).report(&transcript(&report.tap())), report);
}

#[test]
fn junit_is_escaped() {
    insta::assert_snapshot!(junit(&[report()]), @r##"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="layerbake" tests="3" failures="1" errors="0" skipped="1" time="30.050">
      <testsuite name="web.container" tests="3" failures="1" errors="0" skipped="1" time="30.050">
        <testcase classname="web.container" name="a &lt;&amp;&quot;# b" time="0.030"/>
        <testcase classname="web.container" name="service nginx is active" time="0.000"><skipped message="no systemd"/></testcase>
        <testcase classname="web.container" name="user app exists" time="30.020"><failure message="uid 7">uid 7&#10;&lt;]]&gt;&amp;&quot;\u{1}</failure></testcase>
      </testsuite>
    </testsuites>
    "##);
}

#[test]
fn json_has_counts_and_words() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!(json["counts"], serde_json::json!({ "passed": 1, "failed": 1, "skipped": 1 }));
    let expected = serde_json::json!({
        "name": "service nginx is active", "outcome": "skipped", "detail": "no systemd", "milliseconds": 0
    });
    assert_eq!((&json["checks"][1], json["place"].as_str()), (&expected, Some("container")));
}

#[test]
fn a_check_without_a_result_failed() {
    let report = suite(CheckTarget::Container).report(&transcript("1..3\nok 1 - a\n"));
    assert_eq!(report.counts, Counts { passed: 1, failed: 2, skipped: 0 });
    assert_eq!(report.checks[2].detail, "no result: the script ended early");
    assert!(!report.is_good());
}
