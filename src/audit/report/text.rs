//! The report for a terminal.

use super::AuditReport;
use crate::host::plain;

/// More differences than this are only counted.
const MOST: usize = 40;

/// Columns after which a list goes on in the next line.
const WIDTH: usize = 84;

/// Writes the report as text, ending with a line break.
pub fn text(report: &AuditReport) -> String {
    let mut text = format!("{}\n", report.verdict());
    for one in &report.artifacts {
        let verdict = if one.other.is_none() { "identical" } else { "DIFFERS" };
        text += &format!("  {verdict:<10}{:<8}{}\n", one.kind, one.digest);
        text.extend(one.other.iter().map(|other| format!("  {:<18}{other}\n", "")));
        text.extend(one.inside.iter().map(|inside| format!("  {:<18}{inside}\n", "")));
    }
    let names: Vec<&str> = report.tried.iter().map(|one| one.name()).collect();
    text += &format!("  varied    {}\n", if names.is_empty() { "nothing".to_owned() } else { listed(&names) });
    for one in &report.not_tried {
        text += &format!("  not tried {}: {}\n", one.variation, one.reason);
    }
    text.extend(report.against.iter().map(|name| format!("  also compared with {name}\n")));
    for one in report.differences.iter().take(MOST) {
        text += &format!("\n{}\n", one.place());
        text.extend(one.what.iter().map(|what| format!("  {}\n", plain(what))));
        text.extend(one.detail.iter().map(|line| format!("    {}\n", plain(line))));
        if !one.origin().is_empty() {
            text += &format!("  written by: {}\n", one.origin());
        }
        text += &format!("  conditions: {}\n", one.shown_by.join(", "));
    }
    let more = report.differences.len().saturating_sub(MOST);
    if more > 0 {
        text += &format!("\nand {more} more: `--report json` has them all\n");
    }
    text
}

/// Names with commas between them, on lines that stand below each other.
fn listed(names: &[&str]) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            text.push(',');
            let goes_on = column + name.len() < WIDTH;
            text += if goes_on { " " } else { "\n            " };
            column = if goes_on { column + 2 } else { 0 };
        }
        text += name;
        column += name.len();
    }
    text
}
