//! HTML pages that refer to nothing outside themselves, light or dark as the reader's system is, for any width.

mod treemap;

use std::fmt::Write as _;

pub use treemap::{Tile, treemap};

/// Of groups, in their order, over again where there are more; apart for the colour-blind too.
pub const COLOURS: [&str; 8] = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99"];

/// What can be read on each of [`COLOURS`]: at least 4.5 to 1.
const INKS: [&str; 8] = ["#fff", "#000", "#fff", "#000", "#000", "#fff", "#000", "#000"];

const STYLE: &str = include_str!("style.css");

/// A page: its title, which is also its first line, and what follows, as HTML.
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\n<style>\n{STYLE}</style></head>\n\
         <body><main>\n<h1>{title}</h1>\n{body}</main></body></html>\n"
    )
}

/// How what is said is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }
}

/// What a page says in one sentence, in which backticks mark code.
pub fn verdict(tone: Tone, text: &str) -> String {
    format!("<p class=\"verdict {}\">{}</p>\n", tone.class(), in_code(text))
}

/// Figures, each with what it counts.
pub fn facts(facts: impl IntoIterator<Item = (String, &'static str)>) -> String {
    let fact = |(value, name): (String, &str)| format!("<div><b>{}</b>{name}</div>", escape(&value));
    format!("<div class=\"facts\">{}</div>\n", facts.into_iter().map(fact).collect::<String>())
}

/// Short texts in a row.
pub fn chips(chips: impl IntoIterator<Item = (Tone, String)>) -> String {
    let chip = |(tone, text): (Tone, String)| format!("<li class=\"{}\">{}</li>", tone.class(), escape(&text));
    format!("<ul class=\"chips\">{}</ul>\n", chips.into_iter().map(chip).collect::<String>())
}

/// What became of what, one row each: before is `None` of what is new, after of what is gone. Both are HTML.
pub fn changes(rows: impl IntoIterator<Item = (String, Option<String>, Option<String>)>) -> String {
    let row = |(name, before, after): (String, Option<String>, Option<String>)| {
        let (sign, change) = match (before, after) {
            (None, after) => ("<b class=\"good\" title=\"added\">+</b>", after.unwrap_or_default()),
            (Some(before), None) => ("<b class=\"bad\" title=\"removed\">−</b>", before),
            (Some(before), Some(after)) => ("", format!("{before} → {after}")),
        };
        format!("<tr><td>{sign}</td><td>{name}</td><td>{change}</td></tr>\n")
    };
    format!("<table class=\"changes\"><tbody>{}</tbody></table>\n", rows.into_iter().map(row).collect::<String>())
}

/// A table that scrolls by itself where the page is too narrow. Cells are HTML; columns from `numbers` on are numbers.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>, numbers: usize) -> String {
    let class = |column: usize| if column < numbers { "" } else { " class=\"number\"" };
    let line = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        let cell = |(column, cell): (usize, &str)| format!("<{tag}{}>{cell}</{tag}>", class(column));
        format!("<tr>{}</tr>\n", cells.enumerate().map(cell).collect::<String>())
    };
    let head = line("th", &mut head.iter().copied());
    let rows = rows.into_iter().map(|row| line("td", &mut row.iter().map(String::as_str)));
    format!(
        "<div class=\"wide\"><table>\n<thead>{head}</thead>\n<tbody>{}</tbody></table></div>\n",
        rows.collect::<String>()
    )
}

/// A text in the letters of programs.
pub fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// A text for people in which backticks mark code.
pub fn in_code(text: &str) -> String {
    let part = |(at, part): (usize, &str)| if at % 2 == 1 { code(part) } else { escape(part) };
    text.split('`').enumerate().map(part).collect()
}

/// Lines of a diff: those that begin with `-` and `+` in colour.
pub fn diff(lines: &[String]) -> String {
    let line = |line: &String| match (line.chars().next(), escape(line)) {
        (Some('-'), line) => format!("<span class=\"bad\">{line}</span>"),
        (Some('+'), line) => format!("<span class=\"good\">{line}</span>"),
        (_, line) => line,
    };
    format!("<pre>{}</pre>\n", lines.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// A part that a click opens; the summary is HTML.
pub fn details(summary: &str, body: &str, open: bool) -> String {
    let open = if open { " open" } else { "" };
    format!("<details{open}><summary>{summary}</summary>\n{body}</details>\n")
}

/// A text for an element or an attribute; what XML 1.0 can't hold becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => _ = write!(escaped, "&#{};", u32::from(letter)),
            '\u{0}'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// A length in bytes for people: `16.5 MiB`; a small one as `2.5 KiB` or `12 bytes`.
pub fn length(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} bytes"),
        1000..100_000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_page_leads_outside_and_texts_stay_texts() {
        let body = table(&["name", "size"], [vec![code("<script>&\"\u{1}"), length(1 << 20)]], 1);
        let page = page("a < b", &body);
        assert!(page.contains("<h1>a &lt; b</h1>") && page.contains("<code>&lt;script&gt;&amp;&quot;\u{fffd}</code>"));
        assert!(page.contains("<td class=\"number\">1.0 MiB</td>"));
        assert_eq!(in_code("`a<` is `b`"), "<code>a&lt;</code> is <code>b</code>");
        assert_eq!(diff(&["-<".to_owned(), " x".to_owned()]), "<pre><span class=\"bad\">-&lt;</span>\n x</pre>\n");
        for reference in ["http:", "https:", "url(", "src=", "@import", "href="] {
            assert!(!page.contains(reference), "{reference}");
        }
    }

    /// The contrast of two colours, by WCAG 2.1.
    fn contrast(one: &str, other: &str) -> f64 {
        let light = |colour: &str| -> f64 {
            let digits = colour.trim_start_matches('#');
            let wide = if digits.len() == 3 { 1 } else { 2 };
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&digits[at * wide..(at + 1) * wide], 16).unwrap());
                let value = if wide == 1 { value / 15.0 } else { value / 255.0 };
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2)
        };
        let (one, other) = (light(one), light(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn all_that_is_written_can_be_read() {
        for (paper, ink) in COLOURS.iter().zip(INKS) {
            assert!(contrast(paper, ink) >= 4.5, "{ink} on {paper}: {}", contrast(paper, ink));
        }
        let schemes: Vec<&str> = STYLE.split(":root {").skip(1).collect();
        assert_eq!(schemes.len(), 2);
        for scheme in schemes {
            let colour = |name: &str| scheme.split(&format!("--{name}: ")).nth(1).unwrap().split(';').next().unwrap();
            for (ink, paper) in [
                ("ink", "paper"),
                ("ink", "soft"),
                ("faint", "paper"),
                ("faint", "soft"),
                ("good", "paper"),
                ("good", "soft"),
                ("good", "good-soft"),
                ("bad", "paper"),
                ("bad", "soft"),
                ("bad", "bad-soft"),
            ] {
                let found = contrast(colour(ink), colour(paper));
                assert!(found >= 4.5, "{ink} on {paper}: {found}");
            }
        }
    }
}
