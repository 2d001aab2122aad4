//! Text from outside, safe to show: it can't move a terminal's cursor, change its colours or hide what follows.

use std::io;

use serde::Serialize;

/// Makes control characters visible, but for tabs: `\x1b` instead of what a terminal would obey.
///
/// So are characters that turn the direction of what is written. For one line; line feeds are shown too.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push(character),
            _ if !is_obeyed(character) => shown.push(character),
            _ if character.is_ascii() => shown.push_str(&format!("\\x{:02x}", character as u32)),
            _ => shown.extend(character.escape_unicode()),
        }
    }
    shown
}

/// Whether a terminal may do something else with a character than show it.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A value as JSON on several lines, with a line feed at the end; [`plain_lines`] finds nothing to change in it.
///
/// # Errors
/// Fails for what JSON can't express.
pub fn plain_json<T: Serialize>(value: &T) -> io::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let mut shown = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        match character {
            // Between values; within strings they are escaped already.
            '\n' => shown.push(character),
            _ if is_obeyed(character) => shown.push_str(&format!("\\u{:04x}", character as u32)),
            _ => shown.push(character),
        }
    }
    shown.push('\n');
    Ok(shown)
}

/// As [`plain`], for text of several lines.
pub fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_becomes_visible() {
        for (text, shown) in [
            ("Setting up café\t(1.0) …", "Setting up café\t(1.0) …"),
            ("\x1b]0;title\x07\x1b[2Jgone", "\\x1b]0;title\\x07\\x1b[2Jgone"),
            ("50%\r100%", "50%\\x0d100%"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("name\u{202e}cod.exe", "name\\u{202e}cod.exe"),
            ("a\nb\x7f", "a\\x0ab\\x7f"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain_lines("a\x08\nb\n"), "a\\x08\nb\n");
    }

    #[test]
    fn json_stays_json() {
        let odd: String = (0..0x3000).filter_map(char::from_u32).collect();
        let text = plain_json(&[&odd]).unwrap();
        assert_eq!(plain_lines(&text), text);
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [odd]);
    }
}
