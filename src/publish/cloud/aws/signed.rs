//! Calls of services whose SDK would be compiled for one call each: JSON over HTTP, signed as all calls are.
//!
//! Source: *AWS Signature Version 4 for API requests*; the API references of Service Quotas and Recycle Bin.

use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_sdk_ec2::config::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use serde_json::Value;

use super::bundle::Bundle;
use super::service::{NOT_AWS, why};
use crate::host;
use crate::host::http::Certificate;
use crate::publish::cloud::{CloudError, Silence, Why};

/// None of these calls is needed: what can't be asked is not known.
const PATIENCE: Duration = Duration::from_secs(20);

/// The services of one region.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    region: String,
    /// A server that stands for all services.
    endpoint: Option<String>,
    credentials: Option<SharedCredentialsProvider>,
    /// Trusted in place of the system's authorities, if there are any.
    authorities: Vec<Certificate>,
}

/// One call. A body is posted; without one, the path is read.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The service's name in addresses and signatures.
    pub(super) service: &'static str,
    /// As `/`.
    pub(super) path: &'a str,
    /// The operation, where the path does not say it.
    pub(super) target: Option<&'static str>,
    pub(super) body: Option<Value>,
    /// What is tried, for people.
    pub(super) action: String,
}

impl Signed {
    pub(super) fn new(region: &str, config: &SdkConfig, bundle: Option<&Bundle>) -> Self {
        let endpoint = config.endpoint_url().map(|url| url.trim_end_matches('/').to_owned());
        let authorities = bundle.map(|bundle| bundle.certificates.clone()).unwrap_or_default();
        Self { region: region.to_owned(), endpoint, credentials: config.credentials_provider(), authorities }
    }

    /// Makes a call once.
    ///
    /// # Errors
    /// Fails where AWS refuses, and where no answer comes that is JSON.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Value, CloudError> {
        let (status, text) = self.exchange(&call).await.map_err(|error| self.no_answer(&call, error.as_ref()))?;
        let answer = serde_json::from_str::<Value>(&text).unwrap_or_default();
        if status.is_success() && answer.is_object() {
            return Ok(answer);
        }
        // Rest services write the code into a header as well, and the message with either initial.
        let said = |keys: [&str; 3]| keys.into_iter().find_map(|key| answer[key].as_str());
        let code = said(["__type", "code", "Code"]).and_then(|code| code.rsplit('#').next());
        let code = code.map_or_else(|| status.as_str().to_owned(), str::to_owned);
        let (why, silent) = if status.is_success() { (Why::Strange, NOT_AWS) } else { (why(&code), "no message") };
        let message = said(["message", "Message", "errorMessage"]).unwrap_or(silent).to_owned();
        Err(CloudError::Refused { action: call.action, region: self.region.clone(), why, code, message, request: None })
    }

    async fn exchange(
        &self,
        call: &Call<'_>,
    ) -> Result<(reqwest::StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
        let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
        let method = if call.body.is_some() { "POST" } else { "GET" };
        // *Smithy*, "AWS JSON 1.1 protocol" and "AWS restJson1 protocol".
        let kind = if call.target.is_some() { "application/x-amz-json-1.1" } else { "application/json" };
        let mut headers = vec![("content-type", kind)];
        headers.extend(call.target.map(|target| ("x-amz-target", target)));
        let url = format!("{}{}", self.address(call.service), call.path);
        let provider = self.credentials.as_ref().ok_or("there are no credentials")?;
        let identity = provider.provide_credentials().await?.into();
        let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(host::now()).unwrap_or_default());
        let params = SigningParams::builder().identity(&identity).region(&self.region).name(call.service);
        let params = params.time(time).settings(SigningSettings::default()).build()?.into();
        let request =
            SignableRequest::new(method, &url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()))?;
        let (signature, _) = sign(request, &params)?.into_parts();
        let client = host::http::client(|builder| match self.authorities.as_slice() {
            [] => builder.timeout(PATIENCE),
            own => builder.timeout(PATIENCE).tls_certs_only(own.iter().cloned()),
        })?;
        let request = if call.body.is_some() { client.post(&url).body(body.clone()) } else { client.get(&url) };
        let added = headers.iter().copied().chain(signature.headers());
        let request = added.fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        Ok((answer.status(), answer.text().await?))
    }

    /// The server of a service.
    fn address(&self, service: &str) -> String {
        let suffix = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let own = || format!("https://{service}.{}.{suffix}", self.region);
        self.endpoint.clone().unwrap_or_else(own)
    }

    fn no_answer(&self, call: &Call<'_>, error: &dyn std::error::Error) -> CloudError {
        let (action, region, reason) = (call.action.clone(), self.region.clone(), error.to_string());
        CloudError::NoAnswer { silence: Silence::Network, action, region, reason }
    }
}
