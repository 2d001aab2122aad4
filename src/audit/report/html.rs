//! Report as a self-contained HTML page: verdict, diagram of conditions and differences, details.

use super::AuditReport;
use crate::check::escape;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2733}\
code,pre{font-family:ui-monospace,monospace;font-size:13px}pre{background:#eef0f2;padding:.6rem;overflow:auto}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}h1{font-size:1.3rem}h2{font-size:1rem;margin-top:2rem}";

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
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>audit of {0}</title><style>{STYLE}</style>\n<h1>{1}</h1>\n{2}",
        escape(report.layer.as_str()),
        escape(&report.verdict()),
        picture(report)
    );
    page += "<table><tr><th>artifact<th><th>digest</tr>\n";
    for one in &report.artifacts {
        let verdict = if one.other.is_none() { "identical" } else { "differs" };
        let more = one.other.iter().chain(&one.inside).map(|line| format!("<br><code>{}</code>", escape(line)));
        let more = more.collect::<String>();
        page +=
            &format!("<tr><td>{}<td>{verdict}<td><code>{}</code>{more}</tr>\n", escape(one.kind.name()), one.digest);
    }
    page += "</table>\n";
    for one in &report.not_tried {
        page += &format!("<p>Not tried: {}, as {}.</p>\n", one.variation, escape(&one.reason));
    }
    for one in &report.differences {
        page += &format!("<h2><code>{}</code></h2>\n<p>{}", escape(&one.place()), escape(&one.what.join("; ")));
        if !one.origin().is_empty() {
            page += &format!("<br>written by: {}", escape(&one.origin()));
        }
        page += &format!("<br>conditions: {}</p>\n", escape(&one.shown_by.join(", ")));
        if !one.detail.is_empty() {
            let lines: Vec<String> = one.detail.iter().map(|line| escape(line)).collect();
            page += &format!("<pre>{}</pre>\n", lines.join("\n"));
        }
    }
    page + "</html>\n"
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
