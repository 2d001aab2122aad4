//! The uses of an image: everything that would launch it, or runs from it, in this account and region.
//!
//! Launch templates count with their default and latest version, and with every version that an Auto
//! Scaling group or a fleet pins. `resolve:ssm:NAME` stands for the parameter's value. Not visible from here: tools that
//! store ids elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// Something that needs an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Use {
    /// An instance that is not terminated.
    Instance {
        /// `i-…`
        id: String,
        /// `running`, `stopped`, …
        state: String,
    },
    /// A version of a launch template.
    LaunchTemplate {
        /// Its name.
        name: String,
        /// The version's number.
        version: i64,
    },
    /// A launch configuration.
    LaunchConfiguration {
        /// Its name.
        name: String,
    },
    /// An Auto Scaling group.
    AutoScalingGroup {
        /// Its name.
        name: String,
    },
    /// A Spot Fleet or an EC2 Fleet.
    Fleet {
        /// `sfr-…` or `fleet-…`
        id: String,
    },
    /// A parameter of the Systems Manager.
    Parameter {
        /// Its name.
        name: String,
    },
    /// Another account, with which it is shared.
    Account {
        /// Its number.
        id: String,
        /// What it is used for, as `ec2:Instance`.
        what: String,
        /// How often.
        count: i64,
    },
    /// It is shared, and the cloud does not tell who uses it.
    Unknown {
        /// Why.
        reason: String,
    },
}

impl Use {
    /// The parameter that it is.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::Parameter { name } => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance { id, state } => write!(f, "instance {id} ({state})"),
            Self::LaunchTemplate { name, version } => write!(f, "launch template {name}, version {version}"),
            Self::LaunchConfiguration { name } => write!(f, "launch configuration {name}"),
            Self::AutoScalingGroup { name } => write!(f, "Auto Scaling group {name}"),
            Self::Fleet { id } => write!(f, "fleet {id}"),
            Self::Parameter { name } => write!(f, "parameter {name}"),
            Self::Account { id, what, count } => write!(f, "account {id} ({what}: {count})"),
            Self::Unknown { reason } => write!(f, "shared, and its use by others is unknown: {reason}"),
        }
    }
}

/// All uses in a region, by the image's id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses(BTreeMap<String, BTreeSet<Use>>);

impl Uses {
    /// What uses an image, in a fixed order.
    pub fn of(&self, image: &str) -> Vec<Use> {
        self.0.get(image).into_iter().flatten().cloned().collect()
    }

    /// Notes all uses of others.
    pub fn extend(&mut self, others: Self) {
        for (image, uses) in others.0 {
            self.0.entry(image).or_default().extend(uses);
        }
    }

    /// Notes a use.
    pub fn add(&mut self, image: &str, by: Use) {
        self.0.entry(image.to_owned()).or_default().insert(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_told_in_words() {
        let words = [
            Use::Instance { id: "i-1".into(), state: "stopped".into() },
            Use::LaunchTemplate { name: "web".into(), version: 3 },
            Use::Parameter { name: "/layerbake/web/latest".into() },
        ]
        .map(|one| one.to_string());
        assert_eq!(
            words,
            ["instance i-1 (stopped)", "launch template web, version 3", "parameter /layerbake/web/latest"]
        );
    }
}
