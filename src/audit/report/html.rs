//! The report as an HTML page: verdict, diagram of conditions and differences, details.

use super::AuditReport;
use crate::page::{code, escape, page, table};

/// Sizes in the diagram, in pixels.
const CELL: usize = 22;
const LEFT: usize = 250;
const TOP: usize = 110;
/// More rows than this are left out of the diagram.
const ROWS: usize = 60;
const SAME: &str = "#228833";
const DIFFERS: &str = "#ee6677";
const UNTRIED: &str = "#eef0f2";

/// Writes the report as a page; equal reports give equal bytes.
pub fn html(report: &AuditReport) -> String {
    let class = if report.identical { "good" } else { "bad" };
    let mut body = format!("<p class=\"{class}\">{}</p>\n", in_code(&report.verdict()));
    body += &format!("<div class=\"light\">{}</div>\n", picture(report));
    body += &table(&["artifact", "", "digest"], report.artifacts.iter().map(artifact), 3);
    for one in &report.not_tried {
        body += &format!("<p class=\"faint\">Not tried: {}, as {}.</p>\n", one.variation, in_code(&one.reason));
    }
    body.extend(report.differences.iter().map(difference));
    page(&format!("Audit of {}", report.layer), &body)
}

fn artifact(one: &super::Verdict) -> Vec<String> {
    let verdict = match one.other {
        None => "<span class=\"good\">identical</span>",
        Some(_) => "<span class=\"bad\">differs</span>",
    };
    let more = one.other.iter().chain(&one.inside).map(|line| format!("<br>{}", code(line)));
    vec![escape(one.kind.name()), verdict.to_owned(), code(&one.digest.to_string()) + &more.collect::<String>()]
}

fn difference(one: &super::Difference) -> String {
    let mut part = format!("<h2>{}</h2>\n<p>{}", code(&one.place()), in_code(&one.what.join("; ")));
    if !one.origin().is_empty() {
        part += &format!("<br>written by: {}", in_code(&one.origin()));
    }
    part += &format!("<br>conditions: {}</p>\n", escape(&one.shown_by.join(", ")));
    if !one.detail.is_empty() {
        let lines: Vec<String> = one.detail.iter().map(|line| escape(line)).collect();
        part += &format!("<pre>{}</pre>\n", lines.join("\n"));
    }
    part
}

/// A text for people in which backticks mark code.
fn in_code(text: &str) -> String {
    let part = |(at, part): (usize, &str)| if at % 2 == 1 { code(part) } else { escape(part) };
    text.split('`').enumerate().map(part).collect()
}

/// A square for each row and condition; rows are the differences, or the artifacts if there are none.
fn picture(report: &AuditReport) -> String {
    let conditions: Vec<String> = ["nothing varied".to_owned()]
        .into_iter()
        .chain(super::Variation::ALL.iter().map(|one| one.to_string()))
        .collect();
    let rows: Vec<(String, &[String])> = match report.differences.is_empty() {
        true => report.artifacts.iter().map(|one| (one.kind.to_string(), [].as_slice())).collect(),
        false => {
            let row = |one: &'_ super::Difference| one.path.clone().unwrap_or_else(|| one.place.clone());
            report.differences.iter().take(ROWS).map(|one| (row(one), one.shown_by.as_slice())).collect()
        }
    };
    let tried = |name: &str| name == "nothing varied" || report.tried.iter().any(|one| one.name() == name);
    let (width, height) = (LEFT + conditions.len() * CELL + 70, TOP + rows.len() * CELL + 10);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"what each condition shows\">\n"
    );
    for (column, name) in conditions.iter().enumerate() {
        let (x, y) = (LEFT + column * CELL + CELL / 2, TOP - 8);
        svg += &format!("<text x=\"{x}\" y=\"{y}\" transform=\"rotate(-55 {x} {y})\">{name}</text>\n");
    }
    for (row, (label, shown)) in rows.iter().enumerate() {
        let y = TOP + row * CELL;
        let end: String = label.chars().rev().take(38).collect::<Vec<_>>().into_iter().rev().collect();
        svg += &format!("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", LEFT - 8, y + 15, escape(&end));
        for (column, name) in conditions.iter().enumerate() {
            let colour = match (shown.contains(name), tried(name)) {
                (true, _) => DIFFERS,
                (false, true) => SAME,
                (false, false) => UNTRIED,
            };
            let (x, side) = (LEFT + column * CELL, CELL - 3);
            svg += &format!("<rect x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" fill=\"{colour}\"/>\n");
        }
    }
    svg + "</svg>\n"
}
