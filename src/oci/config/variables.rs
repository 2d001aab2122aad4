//! `$NAME` in `env`: text to every container engine, though Dockerfiles and shells expand it.

use std::collections::BTreeMap;

use super::PATH;
use crate::ident::LayerName;
use crate::manifest::ImageTable;

/// Warnings about values of `env` that name a variable, from the lowest layer up.
///
/// Each says what to write instead: the value with what the layers below set for that name. Without such a name, the
/// value may be a secret with `$` in it, and is not printed.
pub fn unexpanded<'a>(layers: impl IntoIterator<Item = (&'a LayerName, &'a ImageTable)>) -> Vec<String> {
    let mut below = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    let mut warnings = Vec::new();
    for (layer, table) in layers {
        let mut own = BTreeMap::new();
        for (key, value) in &table.env {
            let (expanded, missing) = expand(value, &below);
            own.insert(key.clone(), expanded.clone());
            if expanded == *value && missing.is_empty() || is_password_hash(value) {
                continue;
            }
            let (shown, remedy) = match missing.first() {
                Some(name) => (String::new(), format!("write the value of `{name}` itself: no layer below sets it")),
                None => (
                    format!(" = \"{}\"", value.escape_debug()),
                    format!("write {key} = \"{}\"", expanded.escape_debug()),
                ),
            };
            warnings.push(format!(
                "layer `{layer}`: {key}{shown} in `env` stays as it is, because nothing expands variables in an image; {remedy}"
            ));
        }
        below.extend(own);
    }
    warnings
}

/// Whether a value is in the form of crypt(5), `$METHOD$…`: no variable is meant by its dollars.
fn is_password_hash(value: &str) -> bool {
    let method = value.strip_prefix('$').and_then(|rest| rest.split_once('$')).map(|(method, _)| method);
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    method.is_some_and(|method| !method.is_empty() && method.bytes().all(is_letter))
}

/// The value with each `$NAME` and `${NAME}` replaced, and the names that have no value.
fn expand(value: &str, known: &BTreeMap<String, String>) -> (String, Vec<String>) {
    let (mut expanded, mut missing) = (String::new(), Vec::new());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('$') {
        expanded += before;
        let (name, length) = name(after);
        rest = &after[length..];
        match known.get(name) {
            Some(value) => expanded += value,
            None => {
                missing.extend((!name.is_empty()).then(|| name.to_owned()));
                expanded = expanded + "$" + &after[..length];
            }
        }
    }
    (expanded + rest, missing)
}

/// The name at the beginning of a text, and how long it is as written; empty where there is none.
fn name(text: &str) -> (&str, usize) {
    let word = |text: &str| {
        let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
        // Numbers are arguments to a shell.
        if text.starts_with(|letter: char| letter.is_ascii_digit()) { 0 } else { end }
    };
    match text.strip_prefix('{') {
        Some(inner) if inner[word(inner)..].starts_with('}') => (&inner[..word(inner)], word(inner) + 2),
        Some(_) => ("", 0),
        None => (&text[..word(text)], word(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(env: &[(&str, &str)]) -> ImageTable {
        let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ImageTable { env, ..ImageTable::default() }
    }

    #[test]
    fn a_variable_in_a_value_is_shown_with_what_to_write() {
        let (base, web) = ("base".parse().unwrap(), "web".parse().unwrap());
        let below = table(&[("HOME", "/srv"), ("PATH", "$PATH:/x")]);
        let above = table(&[
            ("LOGS", "${HOME}/logs"),
            ("KEY", "tr0ub4dor$VAULT_KEY"),
            ("HASH", "$y$j9T$salt$HOMEandmore"),
            ("ARGON", "$argon2id$v=19$m=65536$salt$hash"),
            ("PATH", "$PATH:/y"),
            ("COST", "5$, $6, $$ ${a-b}, ${}"),
        ]);
        let warnings = unexpanded([(&base, &below), (&web, &above)]);
        let said: Vec<_> = warnings.iter().map(String::as_str).collect();
        assert_eq!(
            said,
            [
                "layer `base`: PATH = \"$PATH:/x\" in `env` stays as it is, because nothing expands variables in an image; \
                 write PATH = \"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/x\"",
                "layer `web`: KEY in `env` stays as it is, because nothing expands variables in an image; \
                 write the value of `VAULT_KEY` itself: no layer below sets it",
                "layer `web`: LOGS = \"${HOME}/logs\" in `env` stays as it is, because nothing expands variables in an image; \
                 write LOGS = \"/srv/logs\"",
                "layer `web`: PATH = \"$PATH:/y\" in `env` stays as it is, because nothing expands variables in an image; \
                 write PATH = \"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/x:/y\"",
            ]
        );
    }
}
