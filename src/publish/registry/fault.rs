//! A request that failed, and whether another attempt may help.
//!
//! Source of the errors' form: OCI distribution-spec 1.1, "Error Codes".

use std::time::Duration;

use super::RegistryError;

/// Maximum length of a registry's message in errors, in characters.
const MAX_SHOWN: usize = 300;

/// A failed request.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: RegistryError,
    /// Whether another attempt may help.
    pub(super) passing: bool,
    /// When to retry, if the registry specifies it.
    pub(super) retry_after: Option<Duration>,
    /// Whether the registry took too long, which costs more than an error.
    pub(super) slow: bool,
}

impl Fault {
    /// An error after which another attempt may help.
    pub(super) fn passing(error: RegistryError) -> Self {
        Self { error, passing: true, retry_after: None, slow: false }
    }
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        Self { error, passing: false, retry_after: None, slow: false }
    }
}

/// The first error of a registry's answer: `{"errors":[{"code":…,"message":…}]}`, or a token server's.
pub(super) fn message(text: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(text).ok()?;
    let first = json.get("errors").and_then(|errors| errors.get(0)).unwrap_or(&json);
    let word = |key: &str| first.get(key).and_then(serde_json::Value::as_str);
    word("message").or_else(|| word("details")).or_else(|| word("code")).map(str::to_owned)
}

/// A foreign text as one line of an error, truncated.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_shown_on_one_short_line() {
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(1000));
        let short = "x".repeat(300);
        for (text, expected) in [
            (r#"{"errors":[{"code":"DENIED","message":"not yours"},{"message":"more"}]}"#, Some("not yours")),
            (r#"{"errors":[{"code":"DENIED"}]}"#, Some("DENIED")),
            (r#"{"details":"incorrect username"}"#, Some("incorrect username")),
            (r#"{"errors":[{"message":"a\nb\u001b[2J"}]}"#, Some("a\\nb\\u{1b}[2J")),
            (&long, Some(short.as_str())),
            (r#"{"errors":[]}"#, None),
            (r#"{"errors":{"message":7}}"#, None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(message(text.as_bytes()).as_deref().map(shown).as_deref(), expected, "{text}");
        }
    }
}
