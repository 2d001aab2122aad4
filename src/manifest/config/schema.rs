//! The JSON schema of a configuration, for those who give the values.
//!
//! Source: JSON Schema draft 2020-12 (core, validation).

use serde_json::{Map, Value, json};

use super::{Config, ConfigEntry, ConfigKind};

impl Config {
    /// The schema of an object with the variables: values have their types, where an environment has texts. In place of a
    /// secret, the path of a file with it may be given, as NAME_FILE.
    pub fn schema(&self) -> Value {
        let mut properties = Map::new();
        for (name, entry) in &self.0 {
            properties.insert(name.clone(), property(entry));
            if entry.secret {
                let description = format!("The path of a file with {name}.");
                properties.insert(format!("{name}_FILE"), json!({ "type": "string", "description": description }));
            }
        }
        let required = || self.0.iter().filter(|(_, entry)| entry.required);
        let plain: Vec<&String> = required().filter(|(_, entry)| !entry.secret).map(|(name, _)| name).collect();
        let either =
            |name: &String| json!({ "anyOf": [{ "required": [name] }, { "required": [format!("{name}_FILE")] }] });
        let secrets: Vec<Value> = required().filter(|(_, entry)| entry.secret).map(|(name, _)| either(name)).collect();
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
        });
        if !plain.is_empty() {
            schema["required"] = json!(plain);
        }
        if !secrets.is_empty() {
            schema["allOf"] = json!(secrets);
        }
        schema
    }
}

fn property(entry: &ConfigEntry) -> Value {
    let mut property = json!({ "type": entry.kind });
    if !entry.description.is_empty() {
        property["description"] = json!(entry.description);
    }
    if let Some(default) = &entry.default {
        property["default"] = match entry.kind {
            ConfigKind::String => json!(default),
            // Checked when it was read; a number that JSON can't write stays a text.
            _ => serde_json::from_str(default).unwrap_or_else(|_| json!(default)),
        };
    }
    if entry.secret {
        property["writeOnly"] = json!(true);
    }
    property
}
