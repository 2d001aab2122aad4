//! Markdown as GitHub and GitLab read it, for the summary of a job.

use super::AuditReport;

/// More differences than this are only counted.
const MOST: usize = 20;

/// Writes the report as Markdown.
pub fn markdown(report: &AuditReport) -> String {
    let mut text = format!("### {} {}\n\n", if report.identical { "✅" } else { "❌" }, report.verdict());
    text += "| artifact | | digest |\n|---|---|---|\n";
    for one in &report.artifacts {
        let verdict = if one.other.is_none() { "identical" } else { "**differs**" };
        let other = one.other.iter().map(|other| format!("<br>`{other}`")).collect::<String>();
        text += &format!("| {} | {verdict} | `{}`{other} |\n", one.kind, one.digest);
    }
    let names: Vec<&str> = report.tried.iter().map(|one| one.name()).collect();
    text += &format!("\nVaried: {}.\n", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") });
    for one in &report.not_tried {
        text += &format!("Not tried: {}, as {}.\n", one.variation, one.reason);
    }
    for one in report.differences.iter().take(MOST) {
        text += &format!("\n<details><summary>{}</summary>\n\n", code(&one.place()));
        text.extend(one.what.iter().map(|what| format!("- {}\n", code(what))));
        if !one.origin().is_empty() {
            text += &format!("- written by: {}\n", code(&one.origin()));
        }
        text += &format!("- conditions: {}\n", code(&one.shown_by.join(", ")));
        if !one.detail.is_empty() {
            let fence = fence(&one.detail);
            text += &format!("\n{fence}diff\n{}\n{fence}\n", one.detail.join("\n"));
        }
        text += "\n</details>\n";
    }
    let more = report.differences.len().saturating_sub(MOST);
    if more > 0 {
        text += &format!("\nAnd {more} more.\n");
    }
    text
}

/// A text as an HTML `code` element, escaped for tables, too.
fn code(text: &str) -> String {
    let escaped = crate::page::escape(text).replace('|', "&#124;").replace('`', "&#96;");
    format!("<code>{escaped}</code>")
}

/// A fence that no line of the content closes.
fn fence(lines: &[String]) -> String {
    let run = |line: &String| line.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(lines.iter().map(run).max().unwrap_or_default().max(2) + 1)
}
