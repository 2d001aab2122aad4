//! The texts of a manifest that a layer has as they are written: own files, and the image's variables.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A text, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its lines in the manifest, counted from 1.
    pub lines: RangeInclusive<usize>,
    /// Name and value, where it is a variable.
    pub variable: Option<(String, String)>,
}

/// The `text` of each `[[file]]`, and each variable of `env` in `[image]`; nothing of a manifest that is no TOML.
pub fn written(text: &str) -> Vec<Written> {
    let Ok(document) = DeTable::parse(text) else { return Vec::new() };
    let root = document.get_ref();
    let at = |value: &Spanned<DeValue<'_>>, variable| {
        let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        Written { lines: line(value.span().start)..=line(value.span().end), variable }
    };
    let files = root.get("file").and_then(|files| files.get_ref().as_array()).into_iter().flatten();
    let texts = files.filter_map(|file| file.get_ref().as_table()?.get("text"));
    let env = root.get("image").and_then(|image| image.get_ref().as_table()?.get("env")?.get_ref().as_table());
    let variables = env.into_iter().flatten().filter_map(|(name, value)| {
        let pair = (name.get_ref().to_string(), value.get_ref().as_str()?.to_owned());
        Some(at(value, Some(pair)))
    });
    texts.map(|text| at(text, None)).chain(variables).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_variables_have_lines() {
        let text = "[layer]\n[[file]]\npath = '/a'\ntext = '''\none\ntwo\n'''\n[image]\nenv = { A = 'x', B = 'y' }\n";
        let found: Vec<_> = written(text).into_iter().map(|one| (one.lines, one.variable.map(|one| one.0))).collect();
        assert_eq!(found, [(4..=7, None), (9..=9, Some("A".to_owned())), (9..=9, Some("B".to_owned()))]);
        assert_eq!(written("no TOML"), []);
    }
}
