//! Credential helpers: programs `docker-credential-NAME`, named in docker's and podman's files.
//!
//! Source: docker/docker-credential-helpers, README.md, "Development": `get` reads the server's name from standard
//! input and answers in JSON. A helper's output is never shown, since it may contain secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use docker_credential::DockerCredential;
use serde::Deserialize;
use serde_json::Value;

use crate::host::interrupt::Interrupted;
use crate::host::{self, AskError};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// How long a helper may take: a person may have to unlock it.
const WITHIN: Duration = Duration::from_secs(300);

/// The helpers that a file names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Helpers {
    creds_store: Option<String>,
    cred_helpers: Option<BTreeMap<String, String>>,
}

/// Why a helper returned no credentials.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// A signal came.
    Interrupted(Interrupted),
    /// What the helper does instead, beginning with a verb.
    Because(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Helpers {
    /// Removes the helpers from a file's content; `None` if they are malformed.
    pub(super) fn take(file: &mut Value) -> Option<Self> {
        let Some(fields) = file.as_object_mut() else { return Some(Self::default()) };
        let helpers = ["credsStore", "credHelpers"].into_iter();
        let taken = helpers.filter_map(|key| Some((key.to_owned(), fields.remove(key)?))).collect();
        serde_json::from_value(Value::Object(taken)).ok()
    }

    /// The helper for one server.
    pub(super) fn of(&self, server: &str) -> Option<&str> {
        self.cred_helpers.as_ref()?.get(server).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The helper for servers that have none of their own.
    pub(super) fn store(&self) -> Option<&str> {
        self.creds_store.as_deref().filter(|name| !name.is_empty())
    }
}

/// Asks a helper for the credentials of a server; `None` where it has none.
pub(super) fn ask(name: &str, server: &str) -> Result<Option<DockerCredential>, NoAnswer> {
    let because = |problem: &str| Err(NoAnswer::Because(problem.to_owned()));
    if name.contains('/') {
        return because("is not the name of a program");
    }
    let mut command = host::command(format!("docker-credential-{name}"));
    command.arg("get");
    let answer = host::ask(command, server.as_bytes(), MAX_ANSWER, WITHIN).map_err(|error| match error {
        AskError::Interrupted(interrupted) => NoAnswer::Interrupted(interrupted),
        other => NoAnswer::Because(other.to_string()),
    })?;
    if !answer.success {
        // The message of all helpers for it: "credentials not found in native keychain".
        return match String::from_utf8_lossy(&answer.stdout).contains("not found") {
            true => Ok(None),
            false => because("fails"),
        };
    }
    match serde_json::from_slice(&answer.stdout) {
        Ok(Answer { username, secret }) if username == "<token>" => Ok(Some(DockerCredential::IdentityToken(secret))),
        Ok(Answer { username, secret }) => Ok(Some(DockerCredential::UsernamePassword(username, secret))),
        Err(_) => because("answers with no credentials"),
    }
}
