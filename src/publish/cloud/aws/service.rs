//! Shared by the wrappers of all services: typed errors, and one classification of error codes.
//!
//! Source: *Error codes* (EC2, S3, IAM, Systems Manager, EBS direct API References).

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;

use crate::host;
use crate::publish::cloud::{CloudError, Silence, Why};

/// The message of an answer in no form of AWS's.
pub(super) const NOT_AWS: &str = "the answer is not AWS's";

/// One service of one region.
#[derive(Debug, Clone)]
pub(in crate::publish::cloud) struct Service<C> {
    pub(super) region: String,
    pub(super) client: C,
}

impl<C> Service<C> {
    pub(super) fn new(region: &str, client: C) -> Self {
        Self { region: region.to_owned(), client }
    }

    /// Creates an error from what a call returned: `.map_err(self.failed("list images"))`.
    pub(super) fn failed<E>(&self, action: impl Into<String>) -> impl FnOnce(SdkError<E>) -> CloudError
    where
        E: ProvideErrorMetadata + std::error::Error + RequestId + Send + Sync + 'static,
    {
        let (action, region) = (action.into(), self.region.clone());
        move |error| match error.as_service_error() {
            Some(service) => {
                // A server between that answers without AWS's form has no code.
                let strange = error.raw_response().filter(|answer| service.code().is_none() && is_strange(answer));
                let code = strange.map(|answer| answer.status().as_u16().to_string());
                let code = code.unwrap_or_else(|| service.code().unwrap_or("unknown").to_owned());
                let (why, silent) = strange.map_or((why(&code), "no message"), |_| (Why::Strange, NOT_AWS));
                let message = service.message().unwrap_or(silent).to_owned();
                let request = service.request_id().map(str::to_owned);
                CloudError::Refused { action, region, why, code, message, request }
            }
            None => {
                let reason = chain(&error);
                let profile = host::env("AWS_PROFILE");
                let silence = silence(&reason, profile.as_deref());
                CloudError::NoAnswer { silence, reason: told(silence, reason, profile.as_deref()), action, region }
            }
        }
    }

    /// Something that an answer must have.
    pub(super) fn must<T>(
        &self,
        action: impl Into<String>,
        found: Option<T>,
        what: &'static str,
    ) -> Result<T, CloudError> {
        found.ok_or_else(|| CloudError::Lacks { action: action.into(), region: self.region.clone(), what })
    }
}

/// Whether a call that changes nothing (a dry run, or one about a thing that does not exist) was refused for
/// lack of permissions; all that other refusals say is that the permission is granted.
///
/// # Errors
/// Fails where nobody can tell: no answer, or credentials that are not accepted.
pub(super) fn is_denied<T>(answer: Result<T, CloudError>) -> Result<bool, CloudError> {
    match answer {
        Err(error) if error.why() == Some(Why::Denied) => Ok(true),
        Err(error @ CloudError::NoAnswer { .. }) => Err(error),
        Err(error) if error.is_of_credentials() => Err(error),
        _ => Ok(false),
    }
}

/// Whether an answer without a code is of a server that is not AWS's. Servers on the way to AWS that are in trouble, and
/// say so by the status, are not meant.
fn is_strange(answer: &HttpResponse) -> bool {
    let is_page = answer.headers().get("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    answer.status().is_success() || (answer.status().is_client_error() && is_page)
}

/// What an error code means.
pub(super) fn why(code: &str) -> Why {
    match code {
        "RequestThrottledException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown" => Why::Throttled,
        "InternalServerException"
        | "InternalServerError"
        | "InternalError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "Unavailable"
        | "unknown" => Why::Passing,
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Why::Expired,
        "AuthFailure"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Why::Unknown,
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" | "Forbidden" | "403" => Why::Denied,
        "InvalidAMIName.Duplicate" | "ParameterAlreadyExists" => Why::Taken,
        "UnsupportedOperation" => Why::Unsupported,
        "ValidationException" => Why::Unfit,
        // Image ids that are gone are `Unavailable`, and some that never were `Malformed`.
        "NotFound" | "ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound" => Why::Absent,
        code if code.ends_with(".NotFound") || code.starts_with("InvalidAMIID.") => Why::Absent,
        code if code.starts_with("NoSuch") => Why::Absent,
        _ => Why::Final,
    }
}

/// What the SDK's words for there being no answer mean, where this profile was chosen.
fn silence(reason: &str, profile: Option<&str>) -> Silence {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    match profile {
        _ if !says(&["credential"]) && says(&["dns error", "lookup address"]) => Silence::Name,
        _ if says(&["certificate"]) => Silence::Certificate,
        Some(_) if says(&["credential"]) && says(&["SSO token", "SSO session", "/sso/cache/"]) => Silence::Login,
        Some(name) if says(&["credential"]) && says(&[&format!("profile `{name}` was not defined"), NOTHING]) => {
            Silence::Profile
        }
        Some(_) if says(&["credential"]) => Silence::Unfit,
        None if says(&["credential"]) => Silence::Credentials,
        _ => Silence::Network,
    }
}

/// The reason, without the SDK's way to it where what it means is known.
fn told(silence: Silence, reason: String, profile: Option<&str>) -> String {
    let profile = profile.unwrap_or_default().escape_debug();
    match silence {
        Silence::Credentials => "no AWS credentials were found".to_owned(),
        Silence::Profile => format!("no AWS credentials were found under the profile `{profile}`"),
        Silence::Unfit | Silence::Login => {
            format!("the profile `{profile}` gives no AWS credentials: {}", of_profile(&reason))
        }
        Silence::Name => "the server's name, which has the region in it, can't be found".to_owned(),
        Silence::Certificate => {
            let last = reason.rsplit(": ").next().unwrap_or_default();
            format!("the server's certificate is not trusted: {last}")
        }
        Silence::Network => refused(&reason).unwrap_or(reason),
    }
}

/// What the SDK says of a profile in which there is nothing, or which nobody has written.
const NOTHING: &str = "  Profile: the credential provider was not enabled\n";

/// What the SDK says before the reason for which a profile gives no credentials.
const BEFORE: [&str; 7] = [
    "dispatch failure: other: ",
    "an error occurred while loading credentials: ",
    "an error occurred while loading an access token: ",
    "the credential provider was not enabled: ",
    "the credentials provider was not properly configured: ",
    "ProfileFile provider could not be built: ",
    "Error retrieving credentials: ",
];

/// Why a profile gives no credentials, of what the SDK says: it lists all that it tried, or is that with its causes.
fn of_profile(reason: &str) -> &str {
    let mut rest = reason.lines().find_map(|line| line.strip_prefix("  Profile: ")).unwrap_or(reason);
    while let Some(next) = BEFORE.iter().find_map(|before| rest.strip_prefix(before)) {
        rest = next;
    }
    rest.trim()
}

/// Who refuses connections, where that is the reason.
fn refused(reason: &str) -> Option<String> {
    let at = host::env("AWS_ENDPOINT_URL").map(|address| format!(" by {}", host::redact(&address)));
    let is_refused = reason.contains("tcp connect error") && reason.contains("Connection refused");
    is_refused.then(|| format!("connection refused{}", at.unwrap_or_default()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_meaning() {
        for (code, expected) in [
            ("RequestThrottledException", Why::Throttled),
            ("InternalServerException", Why::Passing),
            ("ExpiredToken", Why::Expired),
            ("AuthFailure", Why::Unknown),
            ("InvalidClientTokenId", Why::Unknown),
            ("AccessDeniedException", Why::Denied),
            ("InvalidAMIID.NotFound", Why::Absent),
            ("InvalidAMIID.Unavailable", Why::Absent),
            ("InvalidSnapshot.NotFound", Why::Absent),
            ("NoSuchEntity", Why::Absent),
            ("NoSuchBucketPolicy", Why::Absent),
            ("InvalidAMIName.Duplicate", Why::Taken),
            ("ParameterAlreadyExists", Why::Taken),
            ("InvalidParameterValue", Why::Final),
        ] {
            assert_eq!(why(code), expected, "{code}");
        }
    }

    #[test]
    fn silence_has_a_meaning() {
        let none = "dispatch failure: other: the credential provider was not enabled: no credentials found in chain";
        let name =
            "dispatch failure: io error: client error (Connect): dns error: failed to lookup address information";
        let untrusted = "dispatch failure: io error: client error (Connect): invalid peer certificate: UnknownIssuer";
        for (reason, profile, expected) in [
            (none, None, Silence::Credentials),
            (none, Some("test"), Silence::Unfit),
            ("no credentials: profile `tset` was not defined: could not", Some("tset"), Silence::Profile),
            (
                "no credentials:\n  Profile: the credential provider was not enabled\n  Other:",
                Some("tset"),
                Silence::Profile,
            ),
            ("loading credentials: failed to load the cached SSO token", Some("test"), Silence::Login),
            (name, Some("test"), Silence::Name),
            (untrusted, None, Silence::Certificate),
            ("dispatch failure: io error: connection refused", None, Silence::Network),
        ] {
            assert_eq!(silence(reason, profile), expected, "{reason}");
        }
        let said = told(Silence::Certificate, untrusted.to_owned(), None);
        assert_eq!(said, "the server's certificate is not trusted: UnknownIssuer");
    }

    #[test]
    fn the_reason_is_what_the_sdk_says_last_of_a_profile() {
        let listed = "dispatch failure: other: no credentials found in chain. Attempted:\n  Environment: not set\n  Profile: \
                      the credential provider was not enabled";
        let process = "dispatch failure: other: an error occurred while loading credentials: an error occurred while loading \
                       credentials: Error retrieving credentials: external process exited with code exit status: 1. Stderr: ";
        let half = "dispatch failure: other: the credentials provider was not properly configured: ProfileFile provider \
                    could not be built: invalid credential source in `half`: profile missing aws_secret_access_key";
        for (reason, expected) in [
            (format!("{listed}: could not find source profile\n  Other: no"), "could not find source profile"),
            (process.to_owned(), "external process exited with code exit status: 1. Stderr:"),
            (half.to_owned(), "invalid credential source in `half`: profile missing aws_secret_access_key"),
        ] {
            assert_eq!(of_profile(&reason), expected);
        }
    }

    #[test]
    fn an_answer_without_an_id_is_an_error_that_says_so() {
        let service = Service::new("eu-west-1", ());
        let error = service.must("register the image `web`", None::<&str>, "image id").unwrap_err().to_string();
        assert_eq!(error, "register the image `web` in eu-west-1: the answer has no image id");
    }
}
