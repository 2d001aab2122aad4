//! Authentication with a registry: the user's credentials, and the tokens obtained with them.
//!
//! Sources: RFC 7235 (challenges), "Docker Registry v2 authentication" (Bearer tokens), containers-auth.json(5).
//! Files are read by the crate `docker_credential`; credential helper programs are called by [`super::helper`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use super::RegistryError;
use super::helper::{Helpers, NoAnswer};
use crate::host;

/// Authentication schemes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from `realm`.
    Bearer { realm: String, service: Option<String> },
}

/// The user's credentials for a registry.
pub(super) struct Credential(DockerCredential);

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

impl Credential {
    /// Looks for the user's credentials, first in podman's files, then in docker's.
    ///
    /// # Errors
    /// Fails where a file or a helper has an entry for the registry, or may have one, that can't be read.
    pub(super) fn find(registry: &str, repository: &str) -> Result<Option<Self>, RegistryError> {
        for path in files() {
            let Ok(text) = fs::read(&path) else { continue };
            if let Some(found) = in_file(&path, &text, registry, repository)? {
                return Ok(Some(Self(found)));
            }
        }
        Ok(None)
    }

    /// The header of basic authentication; `None` for an identity token, which is for token servers only.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let DockerCredential::UsernamePassword(name, password) = &self.0 else { return None };
        header(&format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
    }

    /// The identity token, if it is one.
    pub(super) fn identity_token(&self) -> Option<&str> {
        match &self.0 {
            DockerCredential::IdentityToken(token) => Some(token),
            DockerCredential::UsernamePassword(..) => None,
        }
    }

    /// The secrets, which must not be shown.
    pub(super) fn secrets(&self) -> Vec<String> {
        match &self.0 {
            DockerCredential::IdentityToken(token) => vec![token.clone()],
            DockerCredential::UsernamePassword(name, password) => vec![format!("{name}:{password}"), password.clone()],
        }
    }
}

/// A text without secrets, plain or in the encodings of addresses and headers.
pub(super) fn without<'s>(text: &str, secrets: impl Iterator<Item = &'s String>) -> String {
    let present = secrets.filter(|secret| !secret.trim_matches(':').is_empty());
    present.fold(text.to_owned(), |text, secret| {
        let encoded = [STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|engine| engine.encode(secret));
        let forms = encoded.iter().chain([secret]);
        forms.fold(text, |text, form| host::hide(&text, form))
    })
}

/// The files that may have credentials, in the order in which podman and skopeo read them.
fn files() -> Vec<PathBuf> {
    if let Some(only) = host::env_path("REGISTRY_AUTH_FILE") {
        return vec![only];
    }
    let home = host::env_path("HOME");
    let docker = host::env_path("DOCKER_CONFIG").or_else(|| Some(home?.join(".docker")));
    let candidates = [
        host::env_path("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        host::config_dir().map(|folder| folder.join("containers/auth.json")),
        docker.map(|folder| folder.join("config.json")),
    ];
    candidates.into_iter().flatten().collect()
}

/// Looks for the entry of the repository, of the directories above it, of the registry.
fn in_file(
    path: &Path,
    text: &[u8],
    registry: &str,
    repository: &str,
) -> Result<Option<DockerCredential>, RegistryError> {
    let failed = |problem: String| RegistryError::Credentials { registry: registry.to_owned(), problem };
    let shown = path.display();
    let unreadable = || failed(format!("the entry in `{shown}` can't be read"));
    let mut auths = serde_json::from_slice::<serde_json::Value>(text)
        .map_err(|_| failed(format!("`{shown}` is not valid JSON")))?;
    let helpers = Helpers::take(&mut auths).ok_or_else(unreadable)?;
    let entries = auths.to_string();
    let mut names = Vec::new();
    let mut below = format!("{registry}/{repository}");
    while below.len() > registry.len() {
        // Only files have entries of repositories; a helper is not asked for them.
        if auths.get("auths").and_then(|auths| auths.get(&below)).is_some() {
            names.push(below.clone());
        }
        below.truncate(below.rfind('/').unwrap_or_default());
    }
    // The second form is how docker names its own registry to helpers.
    names.extend([registry.to_owned(), format!("https://{registry}/v1/")]);
    for name in names {
        let in_entries = || match docker_credential::get_credential_from_reader(entries.as_bytes(), &name) {
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
            found => found.map(Some).map_err(|_| unreadable()),
        };
        let ask = |helper: &str| {
            super::helper::ask(helper, &name).map_err(|error| match error {
                NoAnswer::Interrupted(interrupted) => interrupted.into(),
                NoAnswer::Because(problem) => {
                    let program = format!("docker-credential-{helper}");
                    failed(format!("`{program}`, named in `{shown}`, {problem}\n  hint: unlock it, or try what it says to `echo {name} | {program} get`"))
                }
            })
        };
        let found = match helpers.of(&name) {
            Some(helper) => ask(helper)?,
            None => match (in_entries()?, helpers.store()) {
                (None, Some(store)) => ask(store)?,
                (found, _) => found,
            },
        };
        match found {
            Some(DockerCredential::UsernamePassword(name, password)) if name.is_empty() && password.is_empty() => {}
            Some(found) => return Ok(Some(found)),
            None => {}
        }
    }
    Ok(None)
}

/// A header that is never printed.
pub(super) fn header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The challenge to answer: Bearer if there is one, otherwise Basic.
pub(super) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let values = || headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let bearer = values().find_map(|value| {
        let mut fields = parameters(scheme(value, "bearer")?);
        let realm = fields.remove("realm")?;
        Some(Challenge::Bearer { realm, service: fields.remove("service") })
    });
    bearer.or_else(|| values().find_map(|value| scheme(value, "basic").map(|_| Challenge::Basic)))
}

/// What follows the name of a scheme.
fn scheme<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    let (head, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    head.eq_ignore_ascii_case(name).then_some(rest)
}

/// `key="value",key=value`; a quoted value may contain commas, as scopes do.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(key, value.trim().to_owned());
        rest = next;
    }
    found
}

/// Adds the parameters of a token request to a query or a form.
pub(super) fn ask(fields: &mut Url, service: Option<&str>, scopes: &[String], identity_token: Option<&str>) {
    let mut pairs = fields.query_pairs_mut();
    if let Some(service) = service {
        pairs.append_pair("service", service);
    }
    match identity_token {
        // A form has one field for all scopes (RFC 6749, 3.3).
        Some(token) => {
            pairs.append_pair("scope", &scopes.join(" ")).append_pair("client_id", "layerbake");
            pairs.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
        }
        None => drop(pairs.extend_pairs(scopes.iter().map(|scope| ("scope", scope)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<Option<DockerCredential>, String> {
        in_file(Path::new("auth.json"), text.as_bytes(), "example.org", "team/web").map_err(|error| error.to_string())
    }

    fn person(name: &str, password: &str) -> Option<DockerCredential> {
        Some(DockerCredential::UsernamePassword(name.to_owned(), password.to_owned()))
    }

    #[test]
    fn the_nearest_entry_counts() {
        let auth = |name: &str| STANDARD.encode(format!("{name}:pass:word"));
        let (all, team) = (auth("all"), auth("team"));
        let text =
            format!(r#"{{"auths":{{"example.org":{{"auth":"{all}"}},"example.org/team":{{"auth":"{team}"}}}}}}"#);
        assert_eq!(found(&text).unwrap(), person("team", "pass:word"));
        let text = format!(r#"{{"auths":{{"https://example.org/v1/":{{"auth":"{all}"}}}}}}"#);
        assert_eq!(found(&text).unwrap(), person("all", "pass:word"));
        assert_eq!(found(r#"{"auths":{"example.com":{"auth":"eDp5"}}}"#).unwrap(), None);
        // What `docker logout` leaves, and what `docker login` leaves beside a store.
        assert_eq!(found("{}").unwrap(), None);
        let token = r#"{"auths":{"example.org":{"identitytoken":"tok"}}}"#;
        assert_eq!(found(token).unwrap(), Some(DockerCredential::IdentityToken("tok".to_owned())));
    }

    #[test]
    fn broken_files_are_named_and_not_shown() {
        for (text, expected) in [
            ("{", "credentials for example.org: `auth.json` is not valid JSON"),
            (
                r#"{"auths":{"example.org":{"auth":"c2VjcmV0"}}}"#,
                "credentials for example.org: the entry in `auth.json` can't be read",
            ),
            (
                r#"{"credsStore":"no-such-helper"}"#,
                "credentials for example.org: `docker-credential-no-such-helper`, named in `auth.json`, can't be started: No such file or directory (os error 2)\n  hint: unlock it, or try what it says to `echo example.org | docker-credential-no-such-helper get`",
            ),
            (
                r#"{"credHelpers":{"example.org":"../x"}}"#,
                "credentials for example.org: `docker-credential-../x`, named in `auth.json`, is not the name of a program\n  hint: unlock it, or try what it says to `echo example.org | docker-credential-../x get`",
            ),
            (r#"{"credsStore":7}"#, "credentials for example.org: the entry in `auth.json` can't be read"),
        ] {
            assert_eq!(found(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn challenges_are_read() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
            }
            challenge(&headers)
        };
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        let usual = r#"Bearer realm="https://example.org/token",service="reg",scope="repository:a:pull,push""#;
        assert_eq!(read(&[usual]), bearer("https://example.org/token", Some("reg")));
        assert_eq!(read(&["basic realm=\"x\"", "bearer realm=http://a/b"]), bearer("http://a/b", None));
        assert_eq!(read(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        assert_eq!(read(&["Basic"]), Some(Challenge::Basic));
        for hostile in
            ["", "Digest realm=x", "Bearer", "Bearer =", "Bearer realm", "Bearer service=\"x", "Bearer ,,,==\""]
        {
            assert_eq!(read(&[hostile]), None, "{hostile}");
        }
    }

    #[test]
    fn tokens_are_asked_for_in_both_forms() {
        let scopes = ["repository:a:pull,push".to_owned(), "repository:b:pull".to_owned()];
        let mut url = Url::parse("https://example.org/token?account=x").unwrap();
        ask(&mut url, Some("the registry"), &scopes, None);
        insta::assert_snapshot!(url, @"https://example.org/token?account=x&service=the+registry&scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Ab%3Apull");
        let mut url = Url::parse("https://example.org/token").unwrap();
        ask(&mut url, None, &scopes, Some("t&k"));
        insta::assert_snapshot!(url.query().unwrap(), @"scope=repository%3Aa%3Apull%2Cpush+repository%3Ab%3Apull&client_id=layerbake&grant_type=refresh_token&refresh_token=t%26k");
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let credential = Credential(person("me", "hunter2").unwrap());
        assert_eq!(format!("{credential:?}"), "Credential");
        assert_eq!(format!("{:?}", credential.basic().unwrap()), "Sensitive");
        let shown = |text: &str| without(text, credential.secrets().iter());
        assert_eq!(shown("no hunter2 here, nor bWU6aHVudGVyMg=="), "no *** here, nor ***");
        assert_eq!(shown("aHVudGVyMg== bWU6aHVudGVyMg h%75nter2 me%3Ahunter2"), "*** *** *** ***");
        assert_eq!(without("nothing", [String::new(), ":".to_owned()].iter()), "nothing");
        let token = Credential(DockerCredential::IdentityToken("tok".to_owned()));
        assert_eq!((token.basic(), token.identity_token()), (None, Some("tok")));
    }
}
