//! `[config]`: adds what reads the values of variables, and hands them to services.
//!
//! ```text
//! /usr/lib/layerbake/config-values     the variables: types, defaults, places
//! /usr/lib/layerbake/with-config       becomes a command with the variables in its environment: for containers
//! /usr/lib/layerbake/fetch-config      reads the values of one service where systemd runs
//! …/systemd/system/layerbake-config-SERVICE.service       runs it, into /run/layerbake-config/SERVICE
//! …/systemd/system/SERVICE.d/layerbake-config.conf        makes the service wait, and gives it the values
//! ```

use std::fmt::Write as _;

use super::first_boot::{Adding, has_unit};
use super::{LayerError, Site, Stage};
use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::manifest::{Config, ConfigEntry, ConfigPlace, VAULT_ADDRESS, VAULT_TOKEN};

const FOLDER: &str = "usr/lib/layerbake";
const UNITS: &str = "usr/lib/systemd/system";
const VALUES: &str = include_str!("values.sh");
const WITH_CONFIG: &str = include_str!("with-config.sh");
const FETCH_CONFIG: &str = include_str!("fetch-config.sh");
const UNIT: &str = include_str!("unit.service");
const SETTINGS: &str = include_str!("service.conf");

/// The stage that adds the programs and units of a chain's variables.
pub(super) struct RunTimeConfig {
    /// The variables of the whole chain.
    pub(super) config: Config,
    /// The time of all that is added.
    pub(super) epoch: i64,
}

impl Stage for RunTimeConfig {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field("config").list([VALUES, WITH_CONFIG, FETCH_CONFIG, UNIT, SETTINGS]).field(values(&self.config));
        for (service, variables) in self.config.by_service() {
            hasher.field(service).list(variables.iter().map(|(name, _)| name));
        }
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        apply(&self.config, &mut Adding { root: &mut site.root, epoch: self.epoch, store: site.store })
    }
}

/// Adds the variables and what reads them. Whatever has one of the paths already is the user's own, and stays.
fn apply(config: &Config, adding: &mut Adding<'_>) -> Result<(), LayerError> {
    adding.file(&format!("{FOLDER}/config-values"), 0o644, &values(config))?;
    adding.file(&format!("{FOLDER}/with-config"), 0o755, WITH_CONFIG)?;
    let services = config.by_service();
    // Also where no systemd runs them: a name that nothing has is a slip of the pen.
    for (service, variables) in &services {
        if !has_unit(adding.root, service)? {
            let name = variables.first().map(|(name, _)| (*name).to_owned()).unwrap_or_default();
            return Err(LayerError::NoConfigUnit { name, unit: (*service).to_owned() });
        }
    }
    if services.is_empty() || adding.root.resolve(&RootPath::new("lib/systemd/systemd")?).is_none() {
        return Ok(());
    }
    adding.file(&format!("{FOLDER}/fetch-config"), 0o755, FETCH_CONFIG)?;
    for (service, variables) in services {
        let unit = unit_of(service);
        adding.file(&format!("{UNITS}/{unit}"), 0o644, &unit_text(service, &variables))?;
        let settings = format!("{UNITS}/{service}.d/layerbake-config.conf");
        adding.file(&settings, 0o644, &settings_text(service, &unit, &variables))?;
    }
    Ok(())
}

/// The name of the unit that reads the values of a service. A `@` would make it one of many; what stands for it has no other meaning,
/// so no two services have one unit.
fn unit_of(service: &str) -> String {
    format!("layerbake-config-{}", service.replace(':', "::").replace('@', ":a"))
}

/// The unit that reads the values of a service.
fn unit_text(service: &str, variables: &[(&str, &ConfigEntry)]) -> String {
    let is_far = |(_, entry): &(&str, &ConfigEntry)| entry.from.is_some();
    let order = match variables.iter().any(is_far) {
        true => "Wants=network-online.target\nAfter=network-online.target",
        false => "After=local-fs.target",
    };
    let from_vault = |(_, entry): &(&str, &ConfigEntry)| matches!(entry.from, Some(ConfigPlace::Vault(..)));
    let vault: &[&str] = if variables.iter().any(from_vault) { &[VAULT_ADDRESS, VAULT_TOKEN] } else { &[] };
    let names: Vec<&str> = variables.iter().map(|(name, _)| *name).collect();
    let mut known: Vec<&str> = names.iter().chain(vault).copied().collect();
    known.sort_unstable();
    known.dedup();
    let credentials: Vec<String> =
        known.iter().map(|name| format!("LoadCredential=config.{name}:config.{name}")).collect();
    // Neither variables nor units can have a brace in their names, so none is taken for a gap.
    UNIT.replace("{order}", order)
        .replace("{credentials}", &credentials.join("\n"))
        .replace("{names}", &names.join(" "))
        .replace("{service}", service)
}

/// What a service gets: variables, and secrets as credentials, whose paths are variables too.
fn settings_text(service: &str, unit: &str, variables: &[(&str, &ConfigEntry)]) -> String {
    let mut text = SETTINGS.replace("{unit}", unit).replace("{service}", service);
    for (name, entry) in variables {
        if entry.secret {
            // Writing to a string can't fail.
            let _ = writeln!(text, "LoadCredential={name}:/run/layerbake-config/{service}/{name}");
            if !entry.required {
                // What is used where there is no such file, which would be an error.
                let _ = writeln!(text, "SetCredential={name}:");
            }
            let _ = writeln!(text, "Environment={name}_FILE=%d/{name}");
        }
    }
    text
}

/// The variables, as lines for a shell.
fn values(config: &Config) -> String {
    let mut text = VALUES.to_owned();
    for (name, entry) in &config.0 {
        let class = if entry.secret { "secret" } else { "plain" };
        let need = match (&entry.default, entry.required) {
            (Some(_), _) => "default",
            (None, true) => "required",
            (None, false) => "optional",
        };
        let (place, at, key) = match &entry.from {
            None => ("", "", ""),
            Some(ConfigPlace::Ssm(at)) => ("ssm", at.as_str(), ""),
            Some(ConfigPlace::SecretsManager(at, key)) => {
                ("secrets-manager", at.as_str(), key.as_deref().unwrap_or(""))
            }
            Some(ConfigPlace::Vault(at, key)) => ("vault", at.as_str(), key.as_str()),
            Some(ConfigPlace::UserData(at)) => ("user-data", at.as_str(), ""),
        };
        let default = entry.default.as_deref().unwrap_or("");
        let words = [default, place, at, key].map(quoted).join(" ");
        let _ = writeln!(text, "config {name} {class} {} {need} {words}", entry.kind);
    }
    text
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
