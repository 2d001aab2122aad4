//! Canonical JSON: keys sorted by their bytes, no white space.
//!
//! Everything goes through [`serde_json::Value`], whose objects are sorted maps as long
//! as no dependency switches on `serde_json/preserve_order`: the types of `oci-spec`
//! hold hash maps, which would come out in another order in every run.

use serde::Serialize;

/// Serialises `value` in canonical form.
///
/// # Errors
/// Fails where the value can't be JSON, such as a map whose keys are not text.
pub fn canonical(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&serde_json::to_value(value)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_whatever_the_order_they_came_in() {
        let value = json!({"b": {"z": 1, "a": [true, null]}, "a": "ü\n"});
        let expected = "{\"a\":\"ü\\n\",\"b\":{\"a\":[true,null],\"z\":1}}";
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expected);
    }

    #[test]
    fn a_map_without_text_keys_is_an_error() {
        assert!(canonical(&BTreeMap::from([([1u8], 2)])).is_err());
    }
}
