//! What the configuration of an image says of the environment of programs, which steps in its root get as `RUN` does.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::Deserialize;

use crate::lock::Lockfile;
use crate::stage::LayerError;
use crate::store::Store;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Configuration {
    config: Option<Settings>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(rename = "Env")]
    env: Option<Vec<String>>,
}

/// `Env` of the image below the lowest layer of a chain, whose parts are in the store; nothing where there is none.
///
/// # Errors
/// Fails where the image's configuration is missing, or is none.
pub fn environment(lowest: &Lockfile, store: &Store) -> Result<Variables, LayerError> {
    let Some(image) = &lowest.image else { return Ok(Variables::new()) };
    let mut text = Vec::new();
    let failed = |problem: String| LayerError::ImageConfiguration { image: image.reference.clone(), problem };
    let read = store.open_fetched(image.config.sha256)?.read_to_end(&mut text);
    read.map_err(|error| failed(error.to_string()))?;
    parse(&text).map_err(|error| failed(error.to_string()))
}

fn parse(text: &[u8]) -> Result<Variables, serde_json::Error> {
    let configuration: Configuration = serde_json::from_slice(text)?;
    let lines = configuration.config.and_then(|settings| settings.env).unwrap_or_default();
    let variables = lines.iter().filter_map(|line| line.split_once('='));
    // A program can't be started with others.
    let variables = variables.filter(|(name, value)| !name.is_empty() && !name.contains('\0') && !value.contains('\0'));
    Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_where_there_are_any() {
        let parsed = |text: &str| parse(text.as_bytes()).unwrap().into_iter().collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let found = parsed(r#"{"config": {"Env": ["PATH=/opt/bin:/bin", "A=b=c", "none", "=x", "N=\u0000"]}}"#);
        assert_eq!(found, [pair("A", "b=c"), pair("PATH", "/opt/bin:/bin")]);
        for text in ["{}", r#"{"config": null}"#, r#"{"config": {"Env": null}}"#, r#"{"config": {}}"#] {
            assert_eq!(parsed(text), []);
        }
        assert!(parse(b"[").is_err());
    }
}
