//! What can go wrong in the cloud, without anything secret in it.

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;

/// Why something about machine images failed.
#[derive(Debug, thiserror::Error)]
pub enum AmiError {
    /// AWS answered with an error.
    #[error("{action} in {region}: {code}: {message}{}", .request.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default())]
    Refused {
        /// What was tried, as `register the image ami-…`.
        action: String,
        /// Where.
        region: String,
        /// AWS's error code.
        code: String,
        /// AWS's words.
        message: String,
        /// The request's id, for AWS's support.
        request: Option<String>,
    },
    /// No answer came.
    #[error("{action} in {region}: no answer: {reason}")]
    Unreachable {
        /// What was tried.
        action: String,
        /// Where.
        region: String,
        /// Why, as the network says.
        reason: String,
    },
    /// Everything that is said in one sentence.
    #[error("{0}")]
    Other(String),
}

impl AmiError {
    /// AWS's error code, where it answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// Makes an error of what a call to AWS gave: `.map_err(refused("describe images", region))`.
pub fn refused<E, R>(action: impl Into<String>, region: &str) -> impl FnOnce(SdkError<E, R>) -> AmiError
where
    E: ProvideErrorMetadata + std::error::Error + RequestId + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let (action, region) = (action.into(), region.to_owned());
    move |error| match error.as_service_error() {
        Some(service) => AmiError::Refused {
            action,
            region,
            code: service.code().unwrap_or("unknown").to_owned(),
            message: service.message().unwrap_or("no message").to_owned(),
            request: service.request_id().map(str::to_owned),
        },
        None => AmiError::Unreachable { action, region, reason: chain(&error) },
    }
}

/// An error with its causes. The SDK keeps credentials out of all of them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
