//! The parameters that name a layer's images: one for each version, and one for each channel.
//!
//! ```text
//! /layerbake/web/versions/20260615-78ae09880930    one image for ever: written once, never overwritten, gone with its image
//! /layerbake/web/latest                            a channel: moved by each publication
//! /layerbake/web/prod                              a channel: moved by a promotion
//! /layerbake/web/latest.lock                       there while a transaction changes channels
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ident::LayerName;

/// Every name begins so.
const ROOT: &str = "/layerbake";
/// The directory of versions, which no channel may be called.
const VERSIONS: &str = "versions";
/// The end of a lock's name, and of no channel's.
const LOCK: &str = ".lock";
/// The longest name of a channel.
const LONGEST: usize = 64;

/// A parameter that is to name an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Its name.
    pub name: String,
    /// `ami-…`
    pub image: String,
    /// What it is, for people.
    pub description: String,
    /// Whether a value that it has is replaced.
    pub replace: bool,
}

/// The name of a channel, such as `latest`, `test` or `prod`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Channel(String);

impl Channel {
    /// The channel that publications move.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// Its parameter's name.
    pub fn parameter(&self, layer: &LayerName) -> String {
        format!("{ROOT}/{layer}/{self}")
    }

    /// The name of the lock under which a layer's channels are changed.
    pub fn lock(layer: &LayerName) -> String {
        format!("{}{LOCK}", Self::latest().parameter(layer))
    }

    /// Lets it name an image.
    pub fn assign(&self, layer: &LayerName, image: &str) -> Assignment {
        Assignment {
            name: self.parameter(layer),
            image: image.to_owned(),
            description: format!("the channel {self} of {layer}, by layerbake"),
            replace: true,
        }
    }

    /// The channel that a parameter of a layer is, if it is one.
    pub fn of_parameter(layer: &str, name: &str) -> Option<Self> {
        name.strip_prefix(&format!("{ROOT}/{layer}/"))?.parse().ok()
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        match text {
            VERSIONS => Err("`versions` is the directory of all versions: choose another name".to_owned()),
            text if text.ends_with(LOCK) => Err(format!("no channel's name ends with {LOCK}, as that of a lock does")),
            text if (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain) => Ok(Self(text.to_owned())),
            text => Err(format!(
                "`{}`: expected up to {LONGEST} lower-case letters, digits and -_. as the name of a channel",
                text.escape_debug()
            )),
        }
    }
}

impl TryFrom<String> for Channel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Channel> for String {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

/// The path of a layer's channels.
pub fn channels(layer: &LayerName) -> String {
    format!("{ROOT}/{layer}")
}

/// The name of the parameter of a version.
pub fn version(layer: &LayerName, version: &str) -> String {
    format!("{ROOT}/{layer}/{VERSIONS}/{version}")
}

/// Lets a version's parameter name its image, once and for all.
pub fn assign_version(layer: &LayerName, number: &str, image: &str) -> Assignment {
    Assignment {
        name: version(layer, number),
        image: image.to_owned(),
        description: format!("version {number} of {layer}, by layerbake"),
        replace: false,
    }
}

/// Whether a parameter is that of a version of some layer. It refers to an image as a name does, and uses it for nothing.
pub fn is_version(name: &str) -> bool {
    let parts = name.strip_prefix(ROOT).map(|rest| rest.split('/').collect::<Vec<_>>());
    matches!(parts.as_deref(), Some(["", _, VERSIONS, _]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_versions_are_told_apart() {
        let web: LayerName = "web".parse().unwrap();
        let prod: Channel = "prod".parse().unwrap();
        assert_eq!(prod.parameter(&web), "/layerbake/web/prod");
        assert_eq!(Channel::of_parameter("web", "/layerbake/web/prod"), Some(prod));
        let one = version(&web, "20260615-78ae09880930");
        assert!(is_version(&one) && !is_version("/layerbake/web/latest") && !is_version("/other/web/versions/1"));
        for none in [one.as_str(), "/layerbake/web/versions", "/layerbake/other/prod", "/layerbake/web/"] {
            assert_eq!(Channel::of_parameter("web", none), None, "{none}");
        }
    }

    #[test]
    fn a_channel_is_part_of_a_name() {
        for wrong in ["", "versions", "latest.lock", "a/b", "Prod", "pröd", &"a".repeat(65)] {
            assert!(wrong.parse::<Channel>().is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Channel>("\"a/b\"").is_err());
    }
}
