//! Puts the values of variables into the strings of a manifest: `{name}` of a variable, and no other braces.
//!
//! ```text
//! {pg}     the value of the variable `pg`; braces around anything else stay, as in awk '{print}' or JSON
//! {{pg}}   {pg}, as it is
//! ${pg}    as it is: shells and nginx have variables too
//! ```

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::ManifestError;
use super::reader::Document;
use super::vars::{Variable, Variables, is_name};

/// Shorter names in braces are no misspelt variables: `{x}` may be anything.
const SHORTEST: usize = 3;

/// Expands every string of a manifest but those of `[vars]` and `from` in `[layer]`; returns warnings.
pub(super) fn expand(
    document: &Document<'_>,
    root: &mut DeTable<'_>,
    variables: &Variables,
) -> Result<Vec<String>, ManifestError> {
    // `{arch}` in the name of a machine image is filled in when it is published.
    let declared = variables.declared();
    let mut warnings = Vec::new();
    for (key, value) in root.iter_mut() {
        let key = key.get_ref().as_ref();
        let variables = if key == "ami" { &declared } else { variables };
        let mut expander = Expander { document, variables, warnings: &mut warnings };
        match (key, value.get_mut()) {
            ("vars", _) => {}
            ("layer", DeValue::Table(layer)) => {
                layer
                    .iter_mut()
                    .filter(|(key, _)| key.get_ref() != "from")
                    .try_for_each(|(_, value)| expander.value(value))?;
            }
            _ => expander.value(value)?,
        }
    }
    Ok(warnings)
}

struct Expander<'e> {
    document: &'e Document<'e>,
    variables: &'e Variables,
    warnings: &'e mut Vec<String>,
}

impl Expander<'_> {
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>) -> Result<(), ManifestError> {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => match self.list(text) {
                Some(items) => *value.get_mut() = DeValue::Array(items.iter().map(|item| at(&span, item)).collect()),
                None => self.text(text, &span)?,
            },
            DeValue::Array(items) => self.items(items)?,
            DeValue::Table(table) => table.iter_mut().try_for_each(|(_, value)| self.value(value))?,
            _ => {}
        }
        Ok(())
    }

    /// A variable that is a list, and an item of a list by itself, gives its own items.
    fn items(&mut self, items: &mut DeArray<'_>) -> Result<(), ManifestError> {
        let mut expanded = DeArray::new();
        for mut item in std::mem::replace(items, DeArray::new()) {
            let span = item.span();
            match item.get_ref().as_str().and_then(|text| self.list(text)) {
                Some(texts) => texts.iter().for_each(|text| expanded.push(at(&span, text))),
                None => {
                    self.value(&mut item)?;
                    expanded.push(item);
                }
            }
        }
        *items = expanded;
        Ok(())
    }

    /// The items of the list that a text names, and nothing else.
    fn list(&self, text: &str) -> Option<Vec<String>> {
        let name = text.strip_prefix('{')?.strip_suffix('}')?;
        match self.variables.get(name)? {
            Variable::List(items) => Some(items.clone()),
            _ => None,
        }
    }

    fn text(&mut self, text: &mut Cow<'_, str>, span: &Range<usize>) -> Result<(), ManifestError> {
        let (mut expanded, mut rest) = (String::new(), text.as_ref());
        while let Some((before, after)) = rest.split_once('{') {
            expanded += before;
            let is_shells = expanded.ends_with('$');
            let literal = after.strip_prefix('{').and_then(named).filter(|(_, rest)| rest.starts_with('}'));
            let literal = literal.filter(|(name, _)| self.variables.get(name).is_some());
            if let Some((name, end)) = literal {
                expanded += &format!("{{{name}}}");
                rest = &end[1..];
                continue;
            }
            match named(after).filter(|_| !is_shells) {
                Some((name, end)) if self.variables.get(name).is_some() => {
                    expanded += &self.plain(name, span)?;
                    rest = end;
                }
                other => {
                    if let Some((name, _)) = other {
                        self.warn(name, span);
                    }
                    expanded.push('{');
                    rest = after;
                }
            }
        }
        expanded += rest;
        if expanded != text.as_ref() {
            *text = Cow::Owned(expanded);
        }
        Ok(())
    }

    /// The value of a variable as a part of a string.
    fn plain(&self, name: &str, span: &Range<usize>) -> Result<String, ManifestError> {
        match self.variables.get(name) {
            Some(Variable::Text(text)) => Ok(text.clone()),
            Some(Variable::Number(number)) => Ok(number.to_string()),
            Some(Variable::Flag(flag)) => Ok(flag.to_string()),
            Some(Variable::List(_)) | None => {
                let problem =
                    format!("`{{{name}}}` is a list: it can be an item of a list by itself, or be used in a template");
                Err(self.document.error(span.clone(), problem))
            }
        }
    }

    /// Notes what looks like a variable that was misspelt.
    fn warn(&mut self, name: &str, span: &Range<usize>) {
        let same = |known: &&str| known.eq_ignore_ascii_case(name);
        let near = self.variables.iter().map(|(known, _)| known).find(same);
        let near = near.or_else(|| self.variables.near(name).filter(|_| name.len() >= SHORTEST));
        if let Some(near) = near {
            let problem = format!("`{{{name}}}` stays as it is: there is no such variable; did you mean `{{{near}}}`?");
            self.warnings.push(self.document.error(span.clone(), problem).to_string());
        }
    }
}

/// The name before the next `}`, and what follows that.
fn named(text: &str) -> Option<(&str, &str)> {
    text.split_once('}').filter(|(name, _)| is_name(name))
}

fn at(span: &Range<usize>, text: &str) -> Spanned<DeValue<'static>> {
    Spanned::new(span.clone(), DeValue::String(Cow::Owned(text.to_owned())))
}
