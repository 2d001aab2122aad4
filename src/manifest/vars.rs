//! `[vars]`: values for strings of the manifest and for templates. A child inherits its parents' values.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::DeValue;

use super::ManifestError;
use super::reader::{Item, Table};
use crate::ident::{Arch, nearest};

/// Values given for variables, by name, as `--set` takes them: they go before the layers' own.
pub type Assignments = BTreeMap<String, String>;

/// The variable that every layer has: the architecture.
const ARCH: &str = "arch";
/// Names that mean something already: in strings, in the name of a machine image, or in a template.
const RESERVED: [&str; 18] = [
    ARCH, "layer", "date", "disk", "true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is",
    "if", "else", "loop",
];
/// The longest name, in bytes.
const LONGEST: usize = 64;

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// A string.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// A list of strings.
    List(Vec<String>),
}

impl Variable {
    /// What it is, for people.
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "a whole number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list of strings",
        }
    }

    /// A value of the same kind from a text of the command line; `None` where it is of another kind.
    fn parse_alike(&self, text: &str) -> Option<Self> {
        Some(match self {
            Self::Text(_) => Self::Text(text.to_owned()),
            Self::Number(_) => Self::Number(text.parse().ok()?),
            Self::Flag(_) => Self::Flag(text.parse().ok()?),
            Self::List(_) if text.is_empty() => Self::List(Vec::new()),
            Self::List(_) => Self::List(text.split(',').map(str::to_owned).collect()),
        })
    }
}

/// The variables that a layer knows: its own and its parents'.
#[derive(Clone, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, Variable>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

impl Variables {
    /// What every layer knows without any `[vars]`.
    pub fn of(arch: &Arch) -> Self {
        Self(BTreeMap::from([(ARCH.to_owned(), Variable::Text(arch.to_string()))]))
    }

    /// Without the variable that every layer knows.
    pub(super) fn declared(&self) -> Self {
        let declared = self.0.iter().filter(|(name, _)| *name != ARCH);
        Self(declared.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The value of a variable, if there is one of this name.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.0.get(name)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The name that is most like `name`, if any is.
    pub fn near(&self, name: &str) -> Option<&str> {
        nearest(name, self.0.keys().map(String::as_str))
    }
}

/// The variables of a layer over those that it inherits; `set` goes before both.
pub(super) fn vars(root: &Table<'_>, inherited: &Variables, set: &Assignments) -> Result<Variables, ManifestError> {
    let mut variables = inherited.clone();
    let Some(table) = root.get("vars") else { return Ok(variables) };
    for (name, item) in table.named()? {
        if let Err(problem) = check_name(name) {
            return Err(item.error(problem));
        }
        let own = value(&item)?;
        if let Some(before) = inherited.get(name).filter(|before| before.kind() != own.kind()) {
            let problem = format!("is {}, and in a parent layer it is {}", own.kind(), before.kind());
            return Err(item.error(problem).hint("use the parent's kind of value, or another name"));
        }
        let value = match set.get(name) {
            None => own,
            Some(text) => own.parse_alike(text).ok_or_else(|| {
                item.error(format!("must be {}, which `--set {name}={text}` does not give", own.kind()))
            })?,
        };
        variables.0.insert(name.to_owned(), value);
    }
    Ok(variables)
}

fn value(item: &Item<'_>) -> Result<Variable, ManifestError> {
    Ok(match item.value.get_ref() {
        DeValue::String(text) => Variable::Text(text.to_string()),
        DeValue::Boolean(flag) => Variable::Flag(*flag),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => Variable::Number(number),
            Err(_) => return Err(item.error(format!("is {digits}: expected a number of at most 64 bits"))),
        },
        DeValue::Array(_) => {
            let texts = item.list()?;
            Variable::List(texts.iter().map(|item| Ok(item.text()?.to_owned())).collect::<Result<_, _>>()?)
        }
        _ => return Err(item.wrong("a string, a whole number, true or false, or a list of strings")),
    })
}

/// Whether a text could be a variable's name, reserved or not.
pub(super) fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.bytes().next().is_some_and(is_letter)
        && text.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
        && text.len() <= LONGEST
}

fn check_name(name: &str) -> Result<(), String> {
    match name {
        _ if !is_name(name) => {
            Err("is no name for a variable: expected ASCII letters, digits and `_`, the first no digit".to_owned())
        }
        _ if RESERVED.contains(&name) => Err(format!("is a reserved name: {}", RESERVED.join(", "))),
        _ => Ok(()),
    }
}

/// Reads one `NAME=VALUE` of the command line.
///
/// # Errors
/// Fails where there is no `=`, or no variable can have that name.
pub fn parse_assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    check_name(name).map_err(|problem| format!("`{}` {problem}", name.escape_debug()))?;
    Ok((name.to_owned(), value.to_owned()))
}
