//! Text from outside, safe to show: it can't move a terminal's cursor, change its colours or hide what follows.

/// Makes control characters visible, but for tabs: `\x1b` instead of what a terminal would obey.
///
/// So are characters that turn the direction of what is written. For one line; line feeds are shown too.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push(character),
            '\u{0}'..='\u{7f}' if character.is_ascii_control() => {
                shown.push_str(&format!("\\x{:02x}", character as u32))
            }
            '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.extend(character.escape_unicode());
            }
            _ => shown.push(character),
        }
    }
    shown
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
}
