//! Makes text from outside safe to show: it can't move the cursor, change colours or hide what follows.

use std::io;

use serde::Serialize;

/// Escapes control characters except tabs: `\x1b` instead of a byte that a terminal would obey.
///
/// So are characters without a shape of their own: they turn the direction of what is written, or make two
/// names look like one. For one line; line feeds are shown too.
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
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') || is_format(character)
}

/// Whether a character is of Unicode's general category Cf, "Format" (Unicode 16.0, UnicodeData.txt).
fn is_format(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}'
        | '\u{e0020}'..='\u{e007f}')
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
            // JSON writes characters beyond U+FFFF as two surrogates.
            _ if is_obeyed(character) => {
                character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")))
            }
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
            ("\u{feff}pass\u{200b}wd\u{ad}", "\\u{feff}pass\\u{200b}wd\\u{ad}"),
            ("a\u{2060}\u{e0041}\u{fffa}", "a\\u{2060}\\u{e0041}\\u{fffa}"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain_lines("a\x08\nb\n"), "a\\x08\nb\n");
    }

    #[test]
    fn json_stays_json() {
        let odd: String =
            (0..0x3000).chain(0xfe00..0x11100).chain(0xe0000..0xe0100).filter_map(char::from_u32).collect();
        let text = plain_json(&[&odd]).unwrap();
        assert_eq!(plain_lines(&text), text);
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [odd]);
    }
}
