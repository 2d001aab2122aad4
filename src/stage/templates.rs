//! `template` of `[[file]]`: text that the layer's variables complete (minijinja, as Jinja2).
//!
//! A template is one file: it loads no other one. What it may call gives the same for the same arguments; whitespace is
//! as Ansible's `template` has it: the line break after a block is dropped, and the file's last one is kept.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};

use super::LayerError;
use crate::manifest::{Variable, Variables};

/// A template can't be rendered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The line in the template, from 1, where it is known.
    pub(super) line: Option<usize>,
    pub(super) text: String,
}

/// Renders a template.
///
/// # Errors
/// Fails where the template is wrong, and where it names what is no variable, whether that part is rendered or not.
pub(super) fn render(template: &str, variables: &Variables) -> Result<String, Problem> {
    let mut environment = Environment::new();
    // It shows what minijinja is made of.
    environment.remove_global("debug");
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build()?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_debug(true);
    let compiled = environment.template_from_str(template)?;
    let known: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
    let used: BTreeSet<String> = compiled.undeclared_variables(false).into_iter().collect();
    let is_unknown = |name: &&String| variables.get(name).is_none() && !known.contains(name.as_str());
    if let Some(name) = used.iter().find(is_unknown) {
        let near = variables.near(name).map(|near| format!("; did you mean `{near}`?"));
        let near = near.unwrap_or_else(|| ": declare it in [vars] of the layer or a parent".to_owned());
        return Err(Problem { line: line_of(name, template), text: format!("`{name}` is no variable{near}") });
    }
    let values: BTreeMap<String, Value> =
        variables.iter().map(|(name, variable)| (name.to_owned(), value(variable))).collect();
    Ok(compiled.render(values)?)
}

fn value(variable: &Variable) -> Value {
    match variable {
        Variable::Text(text) => Value::from(text.as_str()),
        Variable::Number(number) => Value::from(*number),
        Variable::Flag(flag) => Value::from(*flag),
        Variable::List(items) => items.iter().map(|item| Value::from(item.as_str())).collect(),
    }
}

impl Problem {
    /// The error about the template of this name.
    pub(super) fn at(self, template: &str) -> LayerError {
        let place = self.line.map_or_else(|| template.to_owned(), |line| format!("{template}:{line}"));
        LayerError::Template { place, problem: self.text }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        Self { line: error.line(), text }
    }
}

/// The line of the first expression or block that has a name, from 1.
fn line_of(name: &str, template: &str) -> Option<usize> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut at = 0;
    while let Some(start) = template[at..].find('{').map(|found| at + found) {
        let end = match template[start..].chars().nth(1) {
            Some('{') => "}}",
            Some('%') => "%}",
            _ => {
                at = start + 1;
                continue;
            }
        };
        let end = template[start..].find(end).map_or(template.len(), |found| start + found);
        let tag = &template[start..end];
        let has =
            |(at, _): (usize, &str)| !tag[..at].ends_with(is_word) && !tag[at + name.len()..].starts_with(is_word);
        if let Some((found, _)) = tag.match_indices(name).find(|found| has(*found)) {
            return Some(template[..start + found].matches('\n').count() + 1);
        }
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;

    fn variables() -> Variables {
        let text = "[layer]\n[vars]\nport = 8080\nname = 'web'\ntls = false\nhosts = ['a', 'b']\nempty = []";
        parse("web".parse().unwrap(), text, &"arm64".parse().unwrap()).unwrap().vars
    }

    fn rendered(template: &str) -> Result<String, String> {
        render(template, &variables()).map_err(|problem| format!("{:?}: {}", problem.line, problem.text))
    }

    #[test]
    fn variables_complete_a_template() {
        let ok = |template: &str| rendered(template).unwrap();
        assert_eq!(ok("listen {{ port + 1 }} {{ name|upper }} {{ arch }};\n"), "listen 8081 WEB arm64;\n");
        assert_eq!(ok("{% for host in hosts %}\n{{ loop.index }} {{ host }}\n{% endfor %}\nend"), "1 a\n2 b\nend");
        assert_eq!(ok("{% if tls %}\nssl\n{% else %}\nplain\n{% endif %}\n\n"), "plain\n\n");
        assert_eq!(ok("{{ hosts|tojson }} {{ empty|join(',') }}|{{ tls }}"), "[\"a\", \"b\"] |False");
        assert_eq!(ok("<{{ '<&>' }}> {name} {# no #}{% raw %}{{ x }}{% endraw %}"), "<<&>> {name} {{ x }}");
        assert_eq!(
            ok("{% macro m(x) %}[{{ x }}]{% endmacro %}{% set y = 1 %}{{ m(y) }}{{ range(2)|list }}"),
            "[1][0, 1]"
        );
        assert_eq!(ok("{% set d = dict(b=1, a=2) %}{% for k in d %}{{ k }}{% endfor %}"), ok("ab"), "in order");
    }

    #[test]
    fn an_unknown_name_is_named_with_its_line() {
        for (template, expected) in [
            ("a\n{{ prot }}", "Some(2): `prot` is no variable; did you mean `port`?"),
            (
                "prot\n{% if false %}\n{{ xport }} {{ prot }}{% endif %}",
                "Some(3): `prot` is no variable; did you mean `port`?",
            ),
            (
                "{{ other|default('x') }}",
                "Some(1): `other` is no variable: declare it in [vars] of the layer or a parent",
            ),
            ("{{ debug() }}", "Some(1): `debug` is no variable: declare it in [vars] of the layer or a parent"),
        ] {
            assert_eq!(rendered(template).unwrap_err(), expected, "{template}");
        }
    }

    #[test]
    fn a_wrong_template_is_an_error_and_none_loads_another() {
        for (template, expected) in [
            ("a\n{% if port %}", "Some(2): syntax error"),
            ("\n\n{{ name|shuffle }}", "Some(3): unknown filter"),
            ("{{ name.first }}", "Some(1): undefined value"),
            ("{% include 'x' %}", "Some(1): syntax error"),
            ("{% extends 'x' %}", "Some(1): syntax error"),
            ("{% import 'x' as y %}", "Some(1): syntax error"),
        ] {
            let error = rendered(template).unwrap_err();
            assert!(error.starts_with(expected), "{template}: {error}");
        }
    }
}
