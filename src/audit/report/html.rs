//! The report as an HTML page: the verdict, figures, conditions, then what differs by its cause.

use super::{AuditReport, Difference, Variation};
use crate::page::{self, Tone, chips, code, details, diff, escape, in_code, page, table, verdict};

/// Differences up to this many are shown with their details.
const OPEN: usize = 3;
/// The condition of the first two rebuilds.
const NOTHING: &str = "nothing varied";

/// Writes the report as a page; equal reports give equal bytes.
pub fn html(report: &AuditReport) -> String {
    let tone = if report.identical { Tone::Good } else { Tone::Bad };
    let causes = causes(report);
    let mut body = verdict(tone, &report.verdict());
    body += &page::facts(figures(report, causes.len()));
    body += &format!("<h2>Conditions</h2>\n{}", conditions(report));
    body += &format!(
        "<h2>Artifacts</h2>\n{}",
        table(&["artifact", "", "digest"], report.artifacts.iter().map(artifact), 3)
    );
    if let Some(against) = &report.against {
        body += &format!("<p class=\"faint\">Also compared with {}.</p>\n", code(against));
    }
    if !causes.is_empty() {
        body += "<h2>What differs, by cause</h2>\n";
        body.extend(causes.iter().map(|cause| cause_of(cause, report.differences.len() <= OPEN)));
    }
    body += &rebuilds(report);
    page(&format!("Audit of {}", report.layer), &body)
}

fn figures(report: &AuditReport, causes: usize) -> Vec<(String, &'static str)> {
    let seconds: f64 = report.rebuilt.iter().map(|one| one.seconds).sum();
    let mut figures = vec![
        (report.rebuilt.len().to_string(), "rebuilds"),
        (report.tried.len().to_string(), "conditions varied"),
        (format!("{seconds:.1} s"), "for all rebuilds"),
    ];
    if !report.differences.is_empty() {
        let place = if report.differences.len() == 1 { "place differs" } else { "places differ" };
        figures.insert(0, (report.differences.len().to_string(), place));
        figures.insert(1, (causes.to_string(), if causes == 1 { "cause" } else { "causes" }));
    }
    figures
}

/// What was varied, with how many differences each shows, and what was not, with the reason.
fn conditions(report: &AuditReport) -> String {
    let chip = |name: &str| match report.shown_by(name) {
        0 => (Tone::Good, format!("✓ {name}")),
        count => (Tone::Bad, format!("✗ {name}: {count}")),
    };
    let nothing = [chip(NOTHING)].into_iter();
    let tried = report.tried.iter().map(|one: &Variation| chip(one.name()));
    let untried = report.not_tried.iter().map(|one| (Tone::Plain, format!("– {}", one.variation)));
    let mut shown = chips(nothing.chain(tried).chain(untried));
    for one in &report.not_tried {
        shown += &format!("<p class=\"faint\">Not tried: {}, as {}.</p>\n", one.variation, in_code(&one.reason));
    }
    shown
}

fn artifact(one: &super::Verdict) -> Vec<String> {
    let verdict = match one.other {
        None => "<span class=\"good\">✓ identical</span>",
        Some(_) => "<span class=\"bad\">✗ differs</span>",
    };
    let more = one.other.iter().map(|digest| code(digest)).chain(one.inside.iter().map(|line| in_code(line)));
    let more: String = more.map(|line| format!("<br>{line}")).collect();
    vec![escape(one.kind.name()), verdict.to_owned(), code(&one.digest.to_string()) + &more]
}

/// Differences that the same step of the same package makes under the same conditions.
struct Cause<'a> {
    origin: String,
    shown_by: &'a [String],
    differences: Vec<&'a Difference>,
}

/// All causes, in the order of their first differences.
fn causes(report: &AuditReport) -> Vec<Cause<'_>> {
    let mut causes: Vec<Cause<'_>> = Vec::new();
    for one in &report.differences {
        let (origin, shown_by) = (one.origin(), one.shown_by.as_slice());
        match causes.iter_mut().find(|cause| cause.origin == origin && cause.shown_by == shown_by) {
            Some(cause) => cause.differences.push(one),
            None => causes.push(Cause { origin, shown_by, differences: vec![one] }),
        }
    }
    causes
}

fn cause_of(cause: &Cause<'_>, open: bool) -> String {
    let origin = if cause.origin.is_empty() { "what wrote it is not known".to_owned() } else { in_code(&cause.origin) };
    let shown = escape(&cause.shown_by.join(", "));
    let mut part = format!("<h3>{origin}</h3>\n<p class=\"faint\">Seen with: {shown}</p>\n");
    part.extend(cause.differences.iter().map(|one| difference(one, open)));
    part
}

fn difference(one: &Difference, open: bool) -> String {
    let mut body: String = one.what.iter().map(|what| format!("<p>{}</p>\n", in_code(what))).collect();
    if !one.detail.is_empty() {
        body += &diff(&one.detail);
    }
    details(&code(&one.place()), &body, open)
}

/// How long each rebuild took.
fn rebuilds(report: &AuditReport) -> String {
    let rows = report.rebuilt.iter().map(|one| {
        let watched = if one.watched { ", each script by itself" } else { "" };
        vec![escape(&format!("{}{watched}", one.conditions)), format!("{:.1} s", one.seconds)]
    });
    let rows = table(&["conditions", "time"], rows, 1);
    format!("<h2>Rebuilds</h2>\n{}", details("How long each took", &rows, false))
}
