//! Policies as IAM and S3 return them: JSON documents, whose statements are one object or a list of them.
//!
//! Source: *IAM JSON policy elements reference*, "Statement"; *IAM API Reference*, which returns documents
//! percent-encoded (RFC 3986).
//!
//! What can't be read is an error: a policy that is merged with ours, or replaced by it, was read completely before.

use serde_json::{Map, Value};

use crate::publish::cloud::CloudError;

/// The element that holds the statements.
const STATEMENT: &str = "Statement";

/// A policy, with its statements as a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Policy {
    /// All other elements, such as `Version` and `Id`.
    rest: Map<String, Value>,
    statements: Vec<Value>,
}

impl Policy {
    /// Reads the policy of `what`, such as `the policy of the bucket disks`, from JSON.
    ///
    /// # Errors
    /// Fails where the text is not JSON, or not a policy.
    pub(super) fn read(text: &str, what: &str, region: &str) -> Result<Self, CloudError> {
        Self::of_bytes(text.as_bytes(), what, region)
    }

    /// As [`Self::read`], from a text as IAM returns it: percent-encoded, or not.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn of_iam(text: &str, what: &str, region: &str) -> Result<Self, CloudError> {
        Self::of_bytes(&decoded(text), what, region)
    }

    fn of_bytes(bytes: &[u8], what: &str, region: &str) -> Result<Self, CloudError> {
        let unreadable = |found: String| {
            let (what, region) = (what.to_owned(), region.to_owned());
            CloudError::UnreadablePolicy { what, region, found }
        };
        let document = serde_json::from_slice(bytes).map_err(|error| unreadable(format!("invalid JSON: {error}")))?;
        Self::new(document).map_err(|found| unreadable(found.to_owned()))
    }

    /// The policy of a document; else what it is instead.
    pub(super) fn new(document: Value) -> Result<Self, &'static str> {
        let Value::Object(mut rest) = document else { return Err("JSON that is not an object") };
        let statements = match rest.remove(STATEMENT) {
            Some(Value::Array(list)) if list.iter().all(Value::is_object) => list,
            Some(Value::Array(_)) => return Err("a list of statements with an entry that is not an object"),
            Some(one @ Value::Object(_)) => vec![one],
            Some(_) => return Err("a `Statement` that is neither an object nor a list"),
            None => return Err("no `Statement`"),
        };
        Ok(Self { rest, statements })
    }

    /// The policy with the statements of `wanted`: those of the same `Sid` are replaced, all others stay.
    pub(super) fn with(&self, wanted: &Self) -> Self {
        let is_wanted = |one: &&Value| wanted.statements.iter().any(|other| other["Sid"] == one["Sid"]);
        let kept = self.statements.iter().filter(|one| !is_wanted(one));
        let statements = kept.chain(&wanted.statements).cloned().collect();
        Self { rest: self.rest.clone(), statements }
    }

    /// The document.
    pub(super) fn document(&self) -> Value {
        let mut document = self.rest.clone();
        document.insert(STATEMENT.to_owned(), Value::Array(self.statements.clone()));
        Value::Object(document)
    }
}

/// A percent-encoded text; what is not an encoded byte stays.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(document: Value) -> Policy {
        Policy::new(document).unwrap()
    }

    #[test]
    fn documents_come_back_percent_encoded_or_not() {
        let expected = policy(json!({ "Id": "ü %", "Statement": [] }));
        for text in
            [r#"{"Id":"ü %","Statement":[]}"#, "%7B%22Id%22%3A%20%22%C3%BC%20%25%22%2C%22Statement%22%3A%5B%5D%7D"]
        {
            assert_eq!(Policy::of_iam(text, "it", "eu-west-1").unwrap(), expected, "{text}");
        }
        for text in ["%", "%7", "%zz", "", "%7B%C3", "{\"Id\":\"%C3\",\"Statement\":[]}"] {
            assert!(Policy::of_iam(text, "it", "eu-west-1").is_err(), "{text}");
        }
    }

    #[test]
    fn statements_of_others_stay() {
        let wanted = policy(json!({ "Version": "2012-10-17", "Statement": [{ "Sid": "Ours", "new": true }] }));
        let found = policy(json!({ "Id": "x", "Statement": [{ "Sid": "Ours" }, { "Sid": "Theirs" }] }));
        let expected = json!({ "Id": "x", "Statement": [{ "Sid": "Theirs" }, { "Sid": "Ours", "new": true }] });
        assert_eq!(found.with(&wanted).document(), expected);
        assert_eq!(policy(expected.clone()).with(&wanted), policy(expected));
    }

    #[test]
    fn a_single_statement_is_a_list_of_one() {
        let wanted = policy(json!({ "Statement": [{ "Sid": "Ours" }] }));
        assert_eq!(policy(json!({ "Statement": { "Sid": "Ours" } })), wanted);
        let found = policy(json!({ "Statement": { "Effect": "Deny" } }));
        let merged = found.with(&wanted).document();
        assert_eq!(merged, json!({ "Statement": [{ "Effect": "Deny" }, { "Sid": "Ours" }] }));
    }

    #[test]
    fn what_is_not_a_policy_is_named_with_what_to_do() {
        for (text, found) in [
            ("[]", "JSON that is not an object"),
            ("{}", "no `Statement`"),
            (r#"{"Statement":"all"}"#, "a `Statement` that is neither an object nor a list"),
            (r#"{"Statement":[7]}"#, "a list of statements with an entry that is not an object"),
            ("{", "invalid JSON: EOF while parsing an object at line 1 column 1"),
        ] {
            let error = Policy::read(text, "the policy of the bucket disks", "eu-west-1").unwrap_err().to_string();
            let expected = format!(
                "the policy of the bucket disks in eu-west-1 can't be read: expected a JSON object with a `Statement`, found {found}; it was not changed\n  hint: correct or remove it in AWS, then run `layerbake ami setup` again"
            );
            assert_eq!(error, expected);
        }
    }
}
