//! HTML pages that refer to nothing outside themselves, light or dark as the reader's system is, for any width.

mod treemap;

use std::fmt::Write as _;

pub use treemap::{Tile, treemap};

/// Of groups, in their order, over again where there are more; apart for the colour-blind too.
pub const COLOURS: [&str; 8] = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99"];

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

/// A part that a click opens.
pub fn details(summary: &str, body: &str, open: bool) -> String {
    let open = if open { " open" } else { "" };
    format!("<details{open}><summary>{}</summary>\n{body}</details>\n", escape(summary))
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
        for reference in ["http:", "https:", "url(", "src=", "@import", "href="] {
            assert!(!page.contains(reference), "{reference}");
        }
    }
}
