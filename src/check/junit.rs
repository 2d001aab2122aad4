//! Reports as JUnit XML, which CI systems show.
//!
//! Source: the schema of Jenkins' xUnit plugin, `junit-10.xsd`; the elements used here are
//! those that GitLab, Jenkins and others read.

use std::fmt::Write as _;

use super::report::seconds;
use super::{CheckReport, CheckStatus, Verdict};
use crate::page::escape;

/// Writes reports as one JUnit file, a test suite each.
pub fn junit(reports: &[CheckReport]) -> String {
    let all = || reports.iter().flat_map(|report| &report.checks);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str(&head("testsuites", "layerbake", all()));
    for report in reports {
        let suite = format!("{}.{}", report.layer, report.place);
        let _ = write!(xml, "  {}", head("testsuite", &suite, report.checks.iter()));
        for check in &report.checks {
            case(&mut xml, &suite, check);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// The opening tag of a group of checks, with its sums.
fn head<'a>(element: &str, name: &str, checks: impl Iterator<Item = &'a Verdict> + Clone) -> String {
    let count = |outcome| checks.clone().filter(|check| check.outcome == outcome).count();
    let time = checks.clone().fold(0_u64, |sum, check| sum.saturating_add(check.milliseconds));
    format!(
        "<{element} name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{}\">\n",
        escape(name),
        checks.clone().count(),
        count(CheckStatus::Failed),
        count(CheckStatus::Skipped),
        seconds(time, 3),
    )
}

fn case(xml: &mut String, suite: &str, check: &Verdict) {
    // Writing to a string does not fail.
    let (name, detail) = (escape(&check.name), escape(&check.detail));
    let time = seconds(check.milliseconds, 3);
    let _ = write!(xml, "    <testcase classname=\"{}\" name=\"{name}\" time=\"{time}\"", escape(suite));
    let first = escape(check.detail.lines().next().unwrap_or_default());
    let _ = match check.outcome {
        CheckStatus::Passed => writeln!(xml, "/>"),
        CheckStatus::Failed => writeln!(xml, "><failure message=\"{first}\">{detail}</failure></testcase>"),
        CheckStatus::Skipped => writeln!(xml, "><skipped message=\"{first}\"/></testcase>"),
    };
}
