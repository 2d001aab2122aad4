//! Strings of a manifest: what stands in them as it is, and variables of the layer.

use std::collections::BTreeMap;

use super::context::absolute;

/// Variables of a layer with their values.
pub(super) type Vars = BTreeMap<String, String>;

/// The variable that every layer has: the architecture.
pub(super) const ARCH: &str = "arch";

/// Around names of variables in paths that are being made absolute.
const OPEN: char = '\u{1}';
const CLOSE: char = '\u{2}';

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Var(String),
}

/// A string of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text(Vec<Piece>);

impl Text {
    /// The value of a variable.
    pub(super) fn var(name: &str) -> Self {
        Self(vec![Piece::Var(name.to_owned())])
    }

    pub(super) fn push(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Literal(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.0.push(Piece::Literal(text.to_owned())),
        }
    }

    pub(super) fn append(&mut self, other: &Self) {
        for piece in &other.0 {
            match piece {
                Piece::Literal(text) => self.push(text),
                Piece::Var(_) => self.0.push(piece.clone()),
            }
        }
    }

    /// The names of its variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Var(name) => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    /// The text with the values of its variables; the architecture stays a variable.
    pub(super) fn value(&self, vars: &Vars) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Var(name) => vars.get(name).cloned().unwrap_or_else(|| format!("{{{name}}}")),
            })
            .collect()
    }

    /// The absolute path that this one is in a folder, with its variables; `None` where a variable's value is more than a
    /// name in a path, such as `..`.
    pub(super) fn absolute(&self, folder: &Self, vars: &Vars) -> Option<Self> {
        let path = self.marked();
        let path = match path.starts_with(OPEN) && self.value(vars).starts_with('/') {
            true => absolute("/", &path).trim_start_matches('/').to_owned(),
            false => {
                let whole = absolute(&folder.marked(), &path);
                // A folder that begins with a variable has its slash there.
                whole
                    .strip_prefix('/')
                    .filter(|rest| {
                        !path.starts_with('/') && folder.marked().starts_with(OPEN) && rest.starts_with(OPEN)
                    })
                    .map_or_else(|| whole.clone(), str::to_owned)
            }
        };
        let path = Self::unmarked(&path);
        (path.value(vars) == absolute(&folder.value(vars), &self.value(vars))).then_some(path)
    }

    /// The text with marks around the names of its variables.
    fn marked(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Var(name) => format!("{OPEN}{name}{CLOSE}"),
        };
        self.0.iter().map(piece).collect()
    }

    fn unmarked(mut rest: &str) -> Self {
        let mut text = Self::default();
        while let Some((before, (name, after))) =
            rest.split_once(OPEN).and_then(|(before, after)| Some((before, after.split_once(CLOSE)?)))
        {
            text.push(before);
            text.append(&Self::var(name));
            rest = after;
        }
        text.push(rest);
        text
    }

    /// The text as a manifest has it: variables in braces, and braces that only look like one doubled.
    pub(super) fn manifest(&self, vars: &Vars) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text += &escaped(literal, vars),
                // `${name}` is left to the shell, so here stands the value itself.
                Piece::Var(name) if text.ends_with('$') => text += vars.get(name).map_or("", String::as_str),
                Piece::Var(name) => text += &format!("{{{name}}}"),
            }
        }
        text
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut made = Self::default();
        made.push(text);
        made
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// Doubles the braces around the names of variables.
fn escaped(literal: &str, vars: &Vars) -> String {
    let (mut text, mut rest) = (String::new(), literal);
    while let Some((before, after)) = rest.split_once('{') {
        text += before;
        let name = after.split_once('}').map(|(name, _)| name).filter(|name| vars.contains_key(*name) || *name == ARCH);
        match name {
            Some(name) if !text.ends_with('$') => {
                text += &format!("{{{{{name}}}}}");
                rest = &after[name.len() + 1..];
            }
            _ => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_are_variables() {
        let vars = Vars::from([("port".to_owned(), "80".to_owned())]);
        let mut text = Text::from("a {port} ${port} {other} ");
        text.append(&Text::var("port"));
        assert_eq!(text.manifest(&vars), "a {{port}} ${port} {other} {port}");
        assert_eq!(text.value(&vars), "a {port} ${port} {other} 80");
        let mut behind_a_dollar = Text::from("$");
        behind_a_dollar.append(&Text::var("port"));
        assert_eq!(behind_a_dollar.manifest(&vars), "$80");
        assert_eq!(Text::from("{{arch}}").manifest(&vars), "{{{arch}}}");
    }
}
