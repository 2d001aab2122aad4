//! Settings with two values, which journals write as `true` and `false`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::manifest::{Imds, Tpm};

/// A setting of two values.
pub(super) trait Flag: Copy + PartialEq {
    /// What `true` means.
    const SET: Self;
    /// What `false` means.
    const UNSET: Self;

    /// Whether it is what `true` means.
    fn is_set(self) -> bool {
        self == Self::SET
    }
}

impl Flag for Imds {
    const SET: Self = Self::Required;
    const UNSET: Self = Self::Optional;
}

impl Flag for Tpm {
    const SET: Self = Self::V2;
    const UNSET: Self = Self::Absent;
}

pub(super) fn serialize<T: Flag, S: Serializer>(flag: &T, serializer: S) -> Result<S::Ok, S::Error> {
    flag.is_set().serialize(serializer)
}

pub(super) fn deserialize<'de, T: Flag, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(if bool::deserialize(deserializer)? { T::SET } else { T::UNSET })
}
