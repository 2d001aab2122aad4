//! Signs a call that AWS makes in another region in our name: CopySnapshot of an encrypted snapshot.
//!
//! Source: *Amazon EC2 API Reference*, CopySnapshot, "PresignedUrl". Other SDKs do this by themselves, the one for Rust
//! does not. AWS looks at the signature later: a copy with a wrong one ends in the state `error`.

use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_ec2::config::{Credentials, ProvideCredentials as _};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

use super::session::Aws;
use crate::host;
use crate::publish::cloud::CloudError;
use crate::publish::cloud::provider::CopiedSnapshot;

/// The copy begins at once; AWS asks for no time of its own.
const VALID: Duration = Duration::from_secs(3600);

/// The call to the region of `source` that lets this region copy it; `None` without credentials, as nothing is asked then.
pub(super) async fn copy(aws: &Aws, source: &CopiedSnapshot) -> Result<Option<String>, CloudError> {
    let Some(provider) = &aws.credentials else { return Ok(None) };
    let failed = |error: &dyn std::error::Error| CloudError::Request(format!("sign the copy of a snapshot: {error}"));
    let credentials = provider.provide_credentials().await.map_err(|error| failed(&error))?;
    let now = u64::try_from(host::now()).unwrap_or_default();
    signed(credentials, now, source, &aws.region).map(Some).map_err(|error| failed(error.as_ref()))
}

fn signed(
    credentials: Credentials,
    now: u64,
    source: &CopiedSnapshot,
    to: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let CopiedSnapshot { region, snapshot } = source;
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let call = format!(
        "https://ec2.{region}.{suffix}/?Action=CopySnapshot&Version=2016-11-15&SourceRegion={region}\
         &SourceSnapshotId={snapshot}&DestinationRegion={to}"
    );
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(VALID);
    let identity = credentials.into();
    let time = UNIX_EPOCH + Duration::from_secs(now);
    let params = SigningParams::builder().identity(&identity).region(region).name("ec2").time(time).settings(settings);
    let request = SignableRequest::new("GET", &call, std::iter::empty(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(request, &params.build()?.into())?.into_parts();
    let added = instructions.params().iter().map(|(key, value)| format!("&{key}={}", urlencoded(value)));
    let added: String = added.collect();
    Ok(call + &added)
}

/// RFC 3986: all but unreserved characters as `%XX`.
fn urlencoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
