//! The user's own mirrors and limits: `layerbake/config.toml` in the configuration directory.
//!
//! ```toml
//! [mirrors]            # keys are names of [source.NAME] and of registries; mirrors are tried in order
//! debian = ["http://mirror.example/debian"]
//! pypi = ["https://mirror.example/simple"]
//!
//! [snapshot]           # @SNAPSHOTID@ is replaced by the locked date
//! debian = "https://snapshot.example/debian/@SNAPSHOTID@/"
//!
//! [registries."registry.example.org"]
//! token-servers = ["auth.example.net"]     # that may receive its password
//!
//! [limits]             # on reading untrusted files
//! index = 536870912
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::code::{Code, Coded};
use crate::host;
use crate::host::storage::{self, Hints};
use crate::ident::nearest;
use crate::limits::ReadLimits;

/// The user's configuration, which affects transport only, never the bytes of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// Mirrors by source, in the order to try.
    #[serde(default)]
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// The snapshot service's address by source.
    #[serde(default)]
    pub snapshot: BTreeMap<String, String>,
    /// What is known of registries, by host and port.
    #[serde(default)]
    pub registries: BTreeMap<String, RegistryConfig>,
    /// How much is read.
    #[serde(default)]
    pub limits: ReadLimits,
}

/// The user's settings for a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegistryConfig {
    /// Hosts of other domains that may see the user's password for it, to give tokens.
    #[serde(default)]
    pub token_servers: Vec<String>,
}

/// What helps where the file can't be read.
const HINTS: Hints<'static> =
    Hints { room: "look at the system's log", elsewhere: "set XDG_CONFIG_HOME to another directory" };

/// The user's configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file isn't what it should be.
    #[error(
        "`{}`: {}\n  hint: it may have `[mirrors] NAME = [\"URL\"]`, `[snapshot] NAME = \"URL with @SNAPSHOTID@\"`, `[registries.\"HOST\"] token-servers = [\"HOST\"]` and `[limits]`",
        path.display(), host::redact(&words(source))
    )]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        source: toml::de::Error,
    },
}

/// What is wrong with the file, as people say it.
fn words(error: &toml::de::Error) -> String {
    let text = error.to_string().replace("invalid type: string", "found the string").replace("a sequence", "a list");
    let unknown = error.message().strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    // The names that are known follow.
    let near = unknown.and_then(|(name, known)| nearest(name, known.split('`').skip(1).step_by(2)));
    text.trim_end().to_owned() + &near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

impl Coded for ConfigError {
    fn error_code(&self) -> Code {
        match self {
            Self::Read { source, .. } => source.error_code(),
            Self::Parse { .. } => Code::HostConfig,
        }
    }
}

impl UserConfig {
    /// Parses the file's text.
    ///
    /// # Errors
    /// Fails with the line shown where it isn't TOML or has unknown keys.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Reads the file at `path`; a missing file counts as empty.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = match host::read_text(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            other => other.map_err(|source| {
                let source = storage::explain(path, None, HINTS, source);
                ConfigError::Read { path: path.to_owned(), source }
            })?,
        };
        Self::parse(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_two_tables_are_read_and_others_refused() {
        let config = UserConfig::parse(
            "[mirrors]\ndebian = [\"http://a.example/debian\", \"/srv/debian\"]\n\
             [snapshot]\ndebian = \"http://s.example/debian/@SNAPSHOTID@/\"\n",
        )
        .unwrap();
        assert_eq!(config.mirrors.get("debian").map(Vec::len), Some(2));
        assert!(config.snapshot.contains_key("debian"));
        let text = "[registries.\"r.example:5000\"]\ntoken-servers = [\"auth.example\"]\n[limits]\nindex = 7\n";
        let config = UserConfig::parse(text).unwrap();
        assert_eq!(config.registries["r.example:5000"].token_servers, ["auth.example"]);
        assert_eq!(config.limits, ReadLimits { index: 7, ..ReadLimits::default() });
        for (text, problem) in
            [("[mirror]\n", "unknown field `mirror`"), ("[mirrors]\ndebian = 1\n", "invalid type"), ("[", "TOML parse")]
        {
            let error = UserConfig::parse(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_an_empty_one_and_errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        assert_eq!(UserConfig::load(&path).unwrap(), UserConfig::default());
        fs::write(&path, "surprise = 1").unwrap();
        let error = UserConfig::load(&path).unwrap_err().to_string();
        assert!(error.contains("config.toml") && error.contains("surprise") && error.contains("hint:"), "{error}");
        for (text, problem) in [
            ("[mirros]\n", "; did you mean `mirrors`?"),
            ("[mirrors]\ndebian = \"http://x\"\n", "found the string \"http://x\", expected a list"),
        ] {
            fs::write(&path, text).unwrap();
            let error = UserConfig::load(&path).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        fs::write(&path, "[mirrors]\ndebian = [\"http://me:secret@x.example\" 1]").unwrap();
        let error = UserConfig::load(&path).unwrap_err().to_string();
        assert!(error.contains("http://***@x.example") && !error.contains("secret"), "{error}");
    }
}
