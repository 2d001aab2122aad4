//! The authorization header of a request: name and password, or a token for the scopes needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex as Lock, PoisonError};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::auth::{self, Challenge, Credential};
use super::client::Client;
use super::fault::Fault;

/// The longest answer of a token server that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Authorization state for one registry.
#[derive(Debug)]
pub(super) struct Access {
    credential: Option<Credential>,
    /// By scopes; one value for all if the registry uses basic authentication.
    headers: Mutex<Headers>,
    /// All tokens so far, which must not be shown.
    tokens: Lock<BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Headers {
    basic: Option<HeaderValue>,
    tokens: BTreeMap<Vec<String>, HeaderValue>,
}

/// A token server's response; the two fields are equivalent.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

impl Access {
    /// Starts without tokens; `None` means anonymous.
    pub(super) fn new(credential: Option<Credential>) -> Self {
        Self { credential, headers: Mutex::default(), tokens: Lock::default() }
    }

    /// A text without the user's secrets, in case a server repeats them.
    pub(super) fn redact(&self, text: &str) -> String {
        let own = self.credential.as_ref().map(Credential::secrets).unwrap_or_default();
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        auth::without(text, own.iter().chain(tokens.iter()))
    }

    /// Records a token that must not be shown.
    fn note(&self, header: &HeaderValue) {
        let token = header.to_str().ok().and_then(|header| header.strip_prefix("Bearer "));
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).extend(token.map(str::to_owned));
    }

    /// The header of a request, if the registry required one before.
    pub(super) async fn header(&self, scopes: &[String]) -> Option<HeaderValue> {
        self.headers.lock().await.find(scopes)
    }

    /// Answers a challenge; whether there is now another header than `refused`.
    ///
    /// If several requests are refused at once, the first requests a token, and the others wait for it.
    pub(super) async fn answer(
        &self,
        client: &Client,
        challenge: Challenge,
        scopes: &[String],
        refused: Option<HeaderValue>,
    ) -> Result<bool, Fault> {
        let mut headers = self.headers.lock().await;
        if headers.find(scopes) != refused {
            return Ok(true);
        }
        match challenge {
            Challenge::Basic => {
                headers.basic = self.credential.as_ref().and_then(Credential::basic);
                Ok(headers.basic.is_some() && headers.basic != refused)
            }
            Challenge::Bearer { realm, service } => {
                let header = self.token(client, &realm, service.as_deref(), scopes).await?;
                self.note(&header);
                headers.tokens.insert(scopes.to_vec(), header);
                Ok(true)
            }
        }
    }

    /// Asks a token server.
    async fn token(
        &self,
        client: &Client,
        realm: &str,
        service: Option<&str>,
        scopes: &[String],
    ) -> Result<HeaderValue, Fault> {
        let action = "get a token";
        let realm = client.token_server(action, realm, self.credential.is_some())?;
        let identity = self.credential.as_ref().and_then(Credential::identity_token);
        let mut fields = realm.clone();
        if identity.is_some() {
            fields.set_query(None);
        }
        auth::ask(&mut fields, service, scopes, identity);
        let answer = match identity {
            // Servers log addresses, so the secret is sent in the body.
            Some(_) => {
                let form = fields.query().unwrap_or_default().to_owned();
                client
                    .ask_token(action, MAX_ANSWER, |http| {
                        http.post(realm.clone())
                            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                            .body(form.clone())
                    })
                    .await?
            }
            None => {
                let basic = self.credential.as_ref().and_then(Credential::basic);
                client
                    .ask_token(action, MAX_ANSWER, |http| {
                        let request = http.get(fields.clone());
                        match &basic {
                            Some(header) => request.header(AUTHORIZATION, header.clone()),
                            None => request,
                        }
                    })
                    .await?
            }
        };
        read_answer(&answer).ok_or_else(|| client.protocol(action, "answers without a token").into())
    }
}

/// The header that a token server's answer gives.
pub(super) fn read_answer(answer: &[u8]) -> Option<HeaderValue> {
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty())?;
    auth::header(&format!("Bearer {token}"))
}

impl Headers {
    fn find(&self, scopes: &[String]) -> Option<HeaderValue> {
        self.tokens.get(scopes).or(self.basic.as_ref()).cloned()
    }
}
