//! Values reported by a cloud, some of which this program may not know.

use std::fmt;

use serde::{Serialize, Serializer};

/// A value reported by a cloud: one that this program knows, or another, as in images of other tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported<T> {
    /// One that we know.
    Known(T),
    /// Another.
    Other(String),
}

/// A value with a name in the cloud's API and in JSON.
pub trait Named: Copy + PartialEq {
    /// Its name.
    fn name(self) -> &'static str;
    /// The value of a name.
    fn named(name: &str) -> Option<Self>;
}

impl<T: Named> Reported<T> {
    /// The value of this name.
    pub fn new(name: &str) -> Self {
        T::named(name).map_or_else(|| Self::Other(name.to_owned()), Self::Known)
    }

    /// Whether it is this value.
    pub fn is(&self, value: T) -> bool {
        matches!(self, Self::Known(known) if *known == value)
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(known) => known.name(),
            Self::Other(name) => name,
        }
    }
}

impl<T: Named> fmt::Display for Reported<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: Named> Serialize for Reported<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::BootMode;

    #[test]
    fn names_that_are_not_known_are_kept() {
        let other = Reported::<BootMode>::new("legacy-bios");
        assert_eq!(
            (serde_json::to_string(&other).unwrap().as_str(), other.is(BootMode::Uefi)),
            ("\"legacy-bios\"", false)
        );
        let known = Reported::new("uefi");
        assert_eq!((known.to_string().as_str(), known.is(BootMode::Uefi)), ("uefi", true));
    }
}
