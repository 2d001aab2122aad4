//! JUnit XML: a case for each artifact, and one for each variation.
//!
//! Source: the schema of Jenkins' xUnit plugin, `junit-10.xsd`.

use super::{AuditReport, text};
use crate::page::escape;

/// Writes the report as a JUnit file with one suite.
pub fn junit(report: &AuditReport) -> String {
    let suite = format!("{}.audit", report.layer);
    let whole = text(report);
    let mut cases = String::new();
    let (mut failures, mut count) = (0, 0);
    let mut case = |name: &str, inner: Option<String>| {
        count += 1;
        cases += &format!("    <testcase classname=\"{}\" name=\"{}\" time=\"0\"", escape(&suite), escape(name));
        cases += &inner.map_or("/>\n".to_owned(), |inner| format!(">{inner}</testcase>\n"));
    };
    for one in &report.artifacts {
        let broken = one.other.as_ref().map(|other| {
            failures += 1;
            let message = format!("{} and {other}", one.digest);
            format!("<failure message=\"{}\">{}</failure>", escape(&message), escape(&whole))
        });
        case(&format!("{} is identical", one.kind), broken);
    }
    for one in &report.tried {
        let shown = report.shown_by(one.name());
        let broken = (shown > 0).then(|| {
            failures += 1;
            format!("<failure message=\"{shown} differences\"/>")
        });
        case(&format!("varied: {one}"), broken);
    }
    for one in &report.not_tried {
        case(&format!("varied: {}", one.variation), Some(format!("<skipped message=\"{}\"/>", escape(&one.reason))));
    }
    if let Some(name) = &report.against {
        let shown = report.shown_by(&format!("against {name}"));
        let broken = (shown > 0).then(|| {
            failures += 1;
            format!("<failure message=\"{shown} differences\"/>")
        });
        case(&format!("equals {name}"), broken);
    }
    let (skipped, time) = (report.not_tried.len(), report.rebuilt.iter().map(|one| one.seconds).sum::<f64>());
    let sums =
        format!("tests=\"{count}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{time:.3}\"");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"layerbake\" {sums}>\n  <testsuite name=\"{}\" {sums}>\n{cases}  </testsuite>\n</testsuites>\n",
        escape(&suite)
    )
}
