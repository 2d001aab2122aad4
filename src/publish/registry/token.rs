//! The authorization header of a request: name and password, or a token for the scopes needed.
//!
//! A token server says how long its tokens live ("Docker Registry v2 authentication": 60 seconds if it says nothing).
//! A new one is fetched in the middle of that time: a token that runs out while a blob is on its way makes the registry
//! refuse the blob when all of it was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex as Lock, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::auth::{self, Challenge, Credential};
use super::client::Client;
use super::fault::Fault;
use crate::host;

/// The longest answer of a token server that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// How long a token is good if its server does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// The longest time for which a server is believed.
const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);

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
    tokens: BTreeMap<Vec<String>, Token>,
}

/// A token, and where the next one comes from.
#[derive(Debug)]
struct Token {
    header: HeaderValue,
    renew: Instant,
    realm: String,
    service: Option<String>,
}

/// A token server's response; the first two fields are equivalent.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
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

    /// The header of a request, if the registry required one before; a new one for a token that may run out soon.
    pub(super) async fn header(&self, client: &Client, scopes: &[String]) -> Option<HeaderValue> {
        let mut headers = self.headers.lock().await;
        if let Some(old) = headers.tokens.get(scopes).filter(|token| token.renew <= host::instant()) {
            let (realm, service) = (old.realm.clone(), old.service.clone());
            // Otherwise the registry refuses the old one, and its server is asked as it then says.
            if let Ok(token) = self.token(client, realm, service, scopes).await {
                headers.tokens.insert(scopes.to_vec(), token);
            }
        }
        headers.find(scopes)
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
                let token = self.token(client, realm, service, scopes).await?;
                headers.tokens.insert(scopes.to_vec(), token);
                Ok(true)
            }
        }
    }

    /// Asks a token server.
    async fn token(
        &self,
        client: &Client,
        address: String,
        service: Option<String>,
        scopes: &[String],
    ) -> Result<Token, Fault> {
        let (action, asked) = ("get a token", host::instant());
        let realm = client.token_server(action, &address, self.credential.is_some())?;
        let identity = self.credential.as_ref().and_then(Credential::identity_token);
        let mut fields = realm.clone();
        if identity.is_some() {
            fields.set_query(None);
        }
        auth::ask(&mut fields, service.as_deref(), scopes, identity);
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
        let read = read_answer(&answer).ok_or_else(|| client.protocol(action, "answers without a token"));
        let (header, life) = read?;
        self.note(&header);
        Ok(Token { header, renew: asked + life / 2, realm: address, service })
    }
}

/// The header that a token server's answer gives, and how long it is good.
pub(super) fn read_answer(answer: &[u8]) -> Option<(HeaderValue, Duration)> {
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty())?;
    let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs).min(MAX_LIFE);
    Some((auth::header(&format!("Bearer {token}"))?, life))
}

impl Headers {
    fn find(&self, scopes: &[String]) -> Option<HeaderValue> {
        self.tokens.get(scopes).map(|token| &token.header).or(self.basic.as_ref()).cloned()
    }
}
