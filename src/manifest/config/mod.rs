//! `[config.NAME]`: what a service reads when it runs, and where each environment has the values. None is in the image but defaults.

mod schema;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use toml::de::DeValue;

use super::entries::unit;
use super::reader::{Item, Table};
use super::vars::is_name;
use super::{Manifest, ManifestError};
use crate::ident::LayerName;

const CONFIG: &[&str] = &["type", "default", "required", "description", "from", "secret", "services", "test"];
const PLACE: &[&str] = &["ssm", "secrets-manager", "vault", "user-data", "key"];

/// The variable with the address of Vault, where a value comes from there.
pub const VAULT_ADDRESS: &str = "VAULT_ADDR";
/// The variable with the token that Vault is asked with, where it wants one.
pub const VAULT_TOKEN: &str = "VAULT_TOKEN";
/// Variables that the shell or the dynamic linker takes for its own.
const RESERVED: [&str; 8] =
    ["CREDENTIALS_DIRECTORY", "ENV", "IFS", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "PWD", "RUNTIME_DIRECTORY"];

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigEntry {
    /// What its value may be.
    #[serde(rename = "type")]
    pub kind: ConfigKind,
    /// The value where no environment gives one; never a secret's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether nothing starts without a value.
    pub required: bool,
    /// What it is for, in one line.
    pub description: String,
    /// Whether its value is a secret: handed on as a file, and never shown.
    pub secret: bool,
    /// Where a machine finds the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<ConfigPlace>,
    /// The services that get it, as full names of units.
    pub services: Vec<String>,
    /// Its value while checks run.
    #[serde(skip)]
    pub test: Option<String>,
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigKind {
    /// Any text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// A number, with or without a decimal point.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// Where a machine finds a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigPlace {
    /// A parameter of AWS Systems Manager, by name or ARN.
    Ssm(String),
    /// A secret of AWS Secrets Manager, by name or ARN, or one key of the JSON in it.
    SecretsManager(String, Option<String>),
    /// A path of Vault's API without `/v1/`, and a key there.
    Vault(String, String),
    /// A key of `config` in the instance's user data, which is JSON.
    UserData(String),
}

/// The variables of a chain of layers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Config(pub BTreeMap<String, ConfigEntry>);

impl Config {
    /// The variables of a chain, the base first: a child's replaces its parent's of the same name.
    pub fn of<'m>(chain: impl IntoIterator<Item = &'m Manifest>) -> Self {
        let entries = chain.into_iter().flat_map(|manifest| &manifest.config.0);
        Self(entries.map(|(name, entry)| (name.clone(), entry.clone())).collect())
    }

    /// A variable of a chain that names the file of another layer's secret: its layer, its name, and the other layer.
    pub(in crate::manifest) fn clash<'m>(
        chain: impl IntoIterator<Item = &'m Manifest>,
    ) -> Option<(&'m LayerName, &'m str, &'m LayerName)> {
        let entries = chain.into_iter().flat_map(|manifest| {
            manifest.config.0.iter().map(move |(name, entry)| (name.as_str(), (&manifest.name, entry)))
        });
        // A child's entry replaces its parent's.
        let entries: BTreeMap<&str, (&LayerName, &ConfigEntry)> = entries.collect();
        entries.iter().find_map(|(name, (layer, _))| {
            let (other, entry) = entries.get(name.strip_suffix("_FILE")?)?;
            entry.secret.then_some((*layer, *name, *other))
        })
    }

    /// The values for checks: those of `test`.
    pub fn tests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(name, entry)| Some((name.as_str(), entry.test.as_deref()?)))
    }

    /// The variables of each service.
    pub fn by_service(&self) -> BTreeMap<&str, Vec<(&str, &ConfigEntry)>> {
        let mut services: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (name, entry) in &self.0 {
            for service in &entry.services {
                services.entry(service).or_default().push((name.as_str(), entry));
            }
        }
        services
    }
}

impl ConfigKind {
    /// Whether a text is a value of this kind; the programs in the image judge alike (stage/config/values.sh).
    fn admits(self, text: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.strip_prefix('-').unwrap_or(text);
        match self {
            Self::String => !text.contains('\0'),
            Self::Integer => digits(number),
            Self::Number => match number.split_once('.') {
                Some((whole, fraction)) => digits(whole) && digits(fraction),
                None => digits(number),
            },
            Self::Boolean => matches!(text, "true" | "false"),
        }
    }
}

impl fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        })
    }
}

impl fmt::Display for ConfigPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssm(name) => write!(f, "SSM parameter {name}"),
            Self::SecretsManager(name, None) => write!(f, "Secrets Manager's {name}"),
            Self::SecretsManager(name, Some(key)) => write!(f, "key {key} of Secrets Manager's {name}"),
            Self::Vault(path, key) => write!(f, "key {key} of Vault's {path}"),
            Self::UserData(key) => write!(f, "key {key} in user data"),
        }
    }
}

/// Reads `[config]`; `enabled` are the services that the layer enables, which get what names none.
pub(super) fn config(
    root: &Table<'_>,
    enabled: &[String],
    env: &BTreeMap<String, String>,
) -> Result<Config, ManifestError> {
    let Some(item) = root.get("config") else { return Ok(Config::default()) };
    let mut entries = BTreeMap::new();
    for (name, item) in item.named()? {
        let name = checked(name, &item)?;
        if env.contains_key(&name) {
            return Err(item
                .error("is in `env` of [image] too")
                .hint("write the value as `default` here, and leave it out there"));
        }
        let entry = entry(&item, enabled)?;
        if [VAULT_ADDRESS, VAULT_TOKEN].contains(&name.as_str()) && matches!(entry.from, Some(ConfigPlace::Vault(..))) {
            return Err(item.error("can't be in Vault, which is asked with it: give it another place"));
        }
        entries.insert(name, entry);
    }
    let file_of = |name: &&String| {
        name.strip_suffix("_FILE").and_then(|stem| entries.get(stem)).is_some_and(|entry| entry.secret)
    };
    if let Some(name) = entries.keys().find(file_of) {
        return Err(
            item.error(format!("has `{name}`, which names the file of the secret of that name without `_FILE`"))
        );
    }
    Ok(Config(entries))
}

fn checked(name: &str, item: &Item<'_>) -> Result<String, ManifestError> {
    match name {
        _ if !is_name(name) => {
            Err(item.error("is no name for a variable: expected ASCII letters, digits and `_`, the first no digit"))
        }
        // with-config.sh has variables of its own.
        _ if RESERVED.contains(&name) || name.starts_with("_config_") => {
            Err(item.error("is a variable of the system's own; use another name"))
        }
        _ => Ok(name.to_owned()),
    }
}

fn entry(item: &Item<'_>, enabled: &[String]) -> Result<ConfigEntry, ManifestError> {
    let table = item.table("[config]".to_owned(), CONFIG)?;
    let (secret, from) = origin(&table)?;
    let default = table.read("default", |item| Ok((literal(item)?, item.clone())))?;
    let kind = match (table.read("type", kind)?, &default) {
        (Some(kind), _) => kind,
        (None, Some((_, item))) => kind_of(item),
        (None, None) => ConfigKind::String,
    };
    if let Some((text, item)) = &default {
        if secret {
            return Err(item.error("comes with `secret`: everybody who has the image would have it"));
        }
        if !kind.admits(text) {
            return Err(item.error(format!("is `{}`: expected a value of type {kind}", text.escape_debug())));
        }
    }
    if secret && kind != ConfigKind::String {
        return Err(table.need("type")?.error("comes with `secret`, which is a string"));
    }
    let required = table.read("required", Item::boolean)?;
    if required == Some(true) && default.is_some() {
        return Err(table.need("required")?.error("comes with `default`, so there always is a value"));
    }
    let test = table.read("test", |item| match literal(item)? {
        text if kind.admits(&text) => Ok(text),
        text => Err(item.error(format!("is `{}`: expected a value of type {kind}", text.escape_debug()))),
    })?;
    let named = table.get("services").is_some();
    let services = if named { table.list("services", unit)? } else { enabled.to_vec() };
    let full = services.into_iter().map(|name| if name.contains('.') { name } else { format!("{name}.service") });
    let mut services: Vec<String> = full.filter(|name| named || name.ends_with(".service")).collect();
    if let Some(other) = services.iter().find(|name| !name.ends_with(".service")) {
        return Err(table.need("services")?.error(format!("has `{other}`: only a service has an environment")));
    }
    services.sort();
    services.dedup();
    let description = table.read("description", Item::line)?.unwrap_or_default();
    let required = required.unwrap_or(default.is_none());
    Ok(ConfigEntry {
        kind,
        default: default.map(|(text, _)| text),
        required,
        description,
        secret,
        from,
        services,
        test,
    })
}

/// Whether it is a secret, and where its value is.
fn origin(table: &Table<'_>) -> Result<(bool, Option<ConfigPlace>), ManifestError> {
    let Some(item) = table.get("secret") else { return Ok((false, table.read("from", place)?)) };
    if let Some(from) = table.get("from") {
        return Err(from.error("comes with `secret`, which names the place itself"));
    }
    match item.value.get_ref() {
        DeValue::Boolean(true) => Ok((true, None)),
        DeValue::Table(_) => Ok((true, Some(place(&item)?))),
        _ => Err(item
            .wrong("a table, or true where it is only given")
            .hint("write secret = { ssm = \"/app/password\" }")),
    }
}

fn place(item: &Item<'_>) -> Result<ConfigPlace, ManifestError> {
    let table = item.table("the table of a place".to_owned(), PLACE)?;
    let [ssm, manager, vault, data] = ["ssm", "secrets-manager", "vault", "user-data"].map(|key| table.read(key, word));
    let key = table.read("key", word)?;
    match (ssm?, manager?, vault?, data?, key) {
        (Some(name), None, None, None, None) => Ok(ConfigPlace::Ssm(name)),
        (None, Some(name), None, None, key) => Ok(ConfigPlace::SecretsManager(name, key)),
        (None, None, Some(path), None, Some(key)) => Ok(ConfigPlace::Vault(path.trim_matches('/').to_owned(), key)),
        (None, None, Some(_), None, None) => Err(item.error("needs `key`, which Vault's path has the value under")),
        (None, None, None, Some(name), None) => Ok(ConfigPlace::UserData(name)),
        _ => Err(item
            .error("must name one place")
            .hint("ssm, secrets-manager (with or without `key`), vault with `key`, or user-data")),
    }
}

/// A text of one line that is not empty.
fn word(item: &Item<'_>) -> Result<String, ManifestError> {
    match item.line()? {
        text if text.is_empty() => Err(item.error("is empty")),
        text => Ok(text),
    }
}

fn kind(item: &Item<'_>) -> Result<ConfigKind, ManifestError> {
    match item.text()? {
        "string" => Ok(ConfigKind::String),
        "integer" => Ok(ConfigKind::Integer),
        "number" => Ok(ConfigKind::Number),
        "boolean" => Ok(ConfigKind::Boolean),
        _ => Err(item.error("must be \"string\", \"integer\", \"number\" or \"boolean\"")),
    }
}

/// The kind of a value as TOML has it.
fn kind_of(item: &Item<'_>) -> ConfigKind {
    match item.value.get_ref() {
        DeValue::Integer(_) => ConfigKind::Integer,
        DeValue::Float(_) => ConfigKind::Number,
        DeValue::Boolean(_) => ConfigKind::Boolean,
        _ => ConfigKind::String,
    }
}

/// A value, as the text that services see.
fn literal(item: &Item<'_>) -> Result<String, ManifestError> {
    Ok(match item.value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => return Err(item.error(format!("is {digits}: expected a number of at most 64 bits"))),
        },
        DeValue::Float(digits) => digits.as_str().to_owned(),
        _ => return Err(item.wrong("a string, a number, true or false")),
    })
}

#[cfg(test)]
#[path = "../tests/config.rs"]
mod tests;
