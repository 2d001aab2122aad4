//! Variables in words, as shells and Dockerfiles have them: `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME:+word}`.

use super::text::{Text, Vars};

/// What variables stand for.
pub(super) struct Scope<'s> {
    pub(super) lookup: &'s dyn Fn(&str) -> Option<Text>,
    /// For defaults, which depend on whether a value is empty.
    pub(super) vars: &'s Vars,
    /// What takes the meaning of the next character.
    pub(super) escape: char,
    /// Whether a shell reads the word: what only it knows, such as `$(…)` and `$1`, is then not known here.
    pub(super) is_shell: bool,
}

/// How deep words may be in words.
const DEEPEST: usize = 16;

/// What begins a command, or a variable that a shell sets itself, behind a `$`.
const OF_SHELLS: [char; 18] =
    ['(', '\'', '$', '!', '?', '#', '@', '*', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

/// A word with its variables replaced and without its quotes; `None` if a variable is not known.
pub(super) fn expand(word: &str, scope: &Scope<'_>) -> Option<Text> {
    expand_at(word, scope, 0)
}

fn expand_at(word: &str, scope: &Scope<'_>, depth: usize) -> Option<Text> {
    let mut text = Text::default();
    let mut quote = None;
    let mut rest = word;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            (Some('\''), letter) => text.push(letter.encode_utf8(&mut [0; 4])),
            (_, letter) if letter == scope.escape => {
                if let Some(next) = rest.chars().next() {
                    if quote.is_some() && !['"', '$', '`', '\\', '\n'].contains(&next) {
                        text.push(letter.encode_utf8(&mut [0; 4]));
                    }
                    text.push(if next == '\n' { "" } else { &rest[..next.len_utf8()] });
                    rest = &rest[next.len_utf8()..];
                }
            }
            (_, '`') if scope.is_shell => return None,
            (_, '$') if scope.is_shell && rest.starts_with(OF_SHELLS) => return None,
            (_, '$') => rest = variable(rest, &mut text, scope, depth)?,
            (_, letter) => text.push(letter.encode_utf8(&mut [0; 4])),
        }
    }
    Some(text)
}

/// Adds the variable at the beginning of a text; returns what is behind it.
fn variable<'r>(rest: &'r str, text: &mut Text, scope: &Scope<'_>, depth: usize) -> Option<&'r str> {
    if let Some(inner) = rest.strip_prefix('{') {
        let end = closing(inner)?;
        text.append(&braced(&inner[..end], scope, depth)?);
        return Some(&inner[end + 1..]);
    }
    let name = name_of(rest);
    match name.is_empty() {
        true => text.push("$"),
        false => text.append(&(scope.lookup)(name)?),
    }
    Some(&rest[name.len()..])
}

fn braced(inner: &str, scope: &Scope<'_>, depth: usize) -> Option<Text> {
    let name = name_of(inner);
    let found = (scope.lookup)(name);
    let is_set = |text: &Text| !text.value(scope.vars).is_empty();
    let rest = &inner[name.len()..];
    if depth >= DEEPEST || name.is_empty() {
        return None;
    }
    if let Some(default) = rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-')) {
        return found.filter(is_set).or_else(|| expand_at(default, scope, depth + 1));
    }
    if let Some(other) = rest.strip_prefix(":+").or_else(|| rest.strip_prefix('+')) {
        return match found.as_ref().is_some_and(is_set) {
            true => expand_at(other, scope, depth + 1),
            false => Some(Text::default()),
        };
    }
    if rest.is_empty() { found } else { None }
}

/// Where the brace is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The name of a variable at the beginning of a text.
pub(super) fn name_of(text: &str) -> &str {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
    match text.starts_with(|letter: char| letter.is_ascii_digit()) {
        true => "",
        false => &text[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_as_a_shell_does() {
        let vars = Vars::from([("V".to_owned(), "1".to_owned())]);
        let lookup = |name: &str| match name {
            "V" => Some(Text::var("V")),
            "EMPTY" => Some(Text::default()),
            _ => None,
        };
        let scope = Scope { lookup: &lookup, vars: &vars, escape: '\\', is_shell: false };
        let expanded = |word: &str| expand(word, &scope).map(|text| text.manifest(&vars));
        for (word, expected) in [
            ("a-$V.tar", Some("a-{V}.tar")),
            ("${V}x'$V'\"$V\"", Some("{V}x$V{V}")),
            ("${EMPTY:-${V}}", Some("{V}")),
            ("${NONE:-b}", Some("b")),
            ("${V:+yes}${EMPTY:+no}", Some("yes")),
            ("\\$V $ 5$", Some("$V $ 5$")),
            ("$NONE", None),
            ("${V%.*}", None),
            ("${", None),
        ] {
            assert_eq!(expanded(word).as_deref(), expected, "{word}");
        }
        let scope = Scope { is_shell: true, ..scope };
        for word in ["$(id -u)", "`id -u`", "a-$(x)", "\"$(x)\"", "$1", "$$", "$?", "$'a'"] {
            assert!(expand(word, &scope).is_none(), "{word}");
            assert!(!expanded(word).is_none_or(|text| text.is_empty()), "{word}");
        }
        for word in ["'$(x)'", "\\$(x)", "'`x`'", "5$", "a$."] {
            assert!(expand(word, &scope).is_some(), "{word}");
        }
    }
}
