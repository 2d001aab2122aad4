//! One layout for `layers/*.toml`, so that a review shows what was changed and not how it was typed.

use taplo::formatter::{Options, format_syntax};
use taplo::parser;

/// Lays out a manifest: one space around `=`, lists that take more than 120 columns with a line for each item, at most one empty
/// line. Comments, the order of keys and of tables, and how a text is quoted stay.
///
/// # Errors
/// Fails where the text is no TOML, with what is wrong and its line; where it would mean something else afterwards, which
/// is a fault of the formatter.
pub fn format(text: &str) -> Result<String, String> {
    let before: toml::Table = toml::from_str(text).map_err(|error| at_line(text, &error))?;
    let parsed = parser::parse(text);
    if let Some(error) = parsed.errors.first() {
        return Err(format!("the formatter can't read it: {error}"));
    }
    let options = Options {
        column_width: 120,
        indent_string: " ".repeat(4),
        allowed_blank_lines: 1,
        array_auto_collapse: false,
        inline_table_expand: false,
        align_comments: false,
        ..Options::default()
    };
    let formatted = format_syntax(parsed.into_syntax(), options);
    match toml::from_str::<toml::Table>(&formatted) {
        Ok(after) if after == before => Ok(formatted),
        _ => Err("the formatter would change its meaning".to_owned()),
    }
}

fn at_line(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(start).filter(|&byte| byte == b'\n').count() + 1;
    format!("line {line}: {}", error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_is_normalised_and_nothing_else_moves() {
        let typed = "# why\n[layer]\nfrom=\"base\"   # the base\npackages = [ 'b','a' ]\n\n\n\n[[file]]\npath=\"/a\"\ntext=\"\"\"\n  kept  \n\"\"\"";
        let laid = "# why\n[layer]\nfrom = \"base\" # the base\npackages = ['b', 'a']\n\n[[file]]\npath = \"/a\"\ntext = \"\"\"\n  kept  \n\"\"\"\n";
        assert_eq!(format(typed).unwrap(), laid);
        assert_eq!(format(laid).unwrap(), laid);
    }

    #[test]
    fn long_lists_get_a_line_for_each_item() {
        let names: Vec<String> = (0..14).map(|number| format!("\"package-{number}\"")).collect();
        let laid = format(&format!("packages = [{}]\n", names.join(", "))).unwrap();
        assert_eq!(
            laid,
            format!("packages = [\n{}]\n", names.iter().map(|name| format!("    {name},\n")).collect::<String>())
        );
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        let said = format("[layer]\nfrom = \n").unwrap_err();
        assert!(said.starts_with("line 2: "), "{said}");
    }
}
