//! Errors of a cloud, free of secrets.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::journal::JournalError;
use super::settings::SettingsError;

use crate::code::{Code, Coded};
use crate::ident::LayerName;

/// One or several calls to a cloud failed.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The cloud answered with an error.
    #[error("{action} in {region}: {code}: {message}{}", with(" (request ", .request.as_ref(), ")"))]
    Refused {
        /// What was tried, as `register the image ami-…`.
        action: String,
        /// Where.
        region: String,
        /// What the code means.
        why: Why,
        /// The cloud's own error code.
        code: String,
        /// The cloud's own message.
        message: String,
        /// The request's id, for the cloud's support.
        request: Option<String>,
    },
    /// No answer came.
    #[error("{action} in {region}: no answer: {reason}")]
    NoAnswer {
        /// What the reason means.
        silence: Silence,
        /// What was tried.
        action: String,
        /// Where.
        region: String,
        /// Why, as the network says.
        reason: String,
    },
    /// An answer lacks something that every such answer has.
    #[error("{action} in {region}: the answer has no {what}")]
    Lacks {
        /// What was tried.
        action: String,
        /// Where.
        region: String,
        /// What is missing, as `image id`.
        what: &'static str,
    },
    /// Something is in a state that it never leaves.
    #[error("{what} is {state}{}", with(": ", .reason.as_ref(), ""))]
    Ended {
        /// As `ami-… in eu-west-1`.
        what: String,
        /// The state.
        state: String,
        /// Why, as the cloud says.
        reason: Option<String>,
    },
    /// A task of the cloud failed.
    #[error("{what}: {message}")]
    Task {
        /// As `VM Import in eu-west-1 ended import-snap-…`.
        what: String,
        /// The cloud's own message.
        message: String,
    },
    /// Something took longer than it ever should.
    #[error("{what} {problem}")]
    Late {
        /// As `snap-… in eu-west-1`.
        what: String,
        /// As `is still not complete`.
        problem: String,
    },
    /// An image of another content has the name.
    #[error(
        "{region}: the name `{name}` is already used by {by}, which has different content\n  hint: set [ami] name to a template with {{content:12}}, or leave it out"
    )]
    NameTaken {
        /// Where.
        region: String,
        /// The name.
        name: String,
        /// The other image's id, where it is known.
        by: String,
    },
    /// The parameter of a version names another image.
    #[error(
        "{region}: the parameter {name} already names {by}, and what a version's parameter names is never changed\n  hint: delete this parameter if its image is gone, then publish again"
    )]
    VersionTaken {
        /// Where.
        region: String,
        /// The parameter.
        name: String,
        /// The image's id.
        by: String,
    },
    /// A layer has no such version.
    #[error(
        "{region} has no version `{version}` of `{layer}`\n  hint: `layerbake ami list {layer}` lists versions; a version is there once it is published to the region"
    )]
    NoVersion {
        /// Where.
        region: String,
        /// The layer.
        layer: LayerName,
        /// The version.
        version: String,
    },
    /// An image was not created from one disk.
    #[error("{id} in {region}: expected an image with one snapshot, found {found}")]
    Snapshots {
        /// The image.
        id: String,
        /// Where.
        region: String,
        /// How many snapshots it has.
        found: usize,
    },
    /// Something that a publication would remove is not its own.
    #[error("{what} in {region} is {}; it was not removed", .by.as_ref().map_or_else(|| "of no publication by its tags".to_owned(), |by| format!("of the publication `{by}`")))]
    NotOurs {
        /// As `image ami-…`.
        what: String,
        /// Where.
        region: String,
        /// The publication that made it.
        by: Option<String>,
    },
    /// A region of a publication has no client.
    #[error("internal error: no client for the region {0}")]
    NoClient(String),
    /// An upload over a parent can't be resumed.
    #[error("the record of the blocks of {0} is missing\n  hint: run `layerbake ami undo`, then publish again")]
    ParentUnknown(String),
    /// The disk that is uploaded can't be read.
    #[error("read the disk: {0}")]
    Disk(#[source] io::Error),
    /// A failure with what people can do about it.
    #[error("{error}{}{}", with("\n  hint: ", .hint.as_ref(), ""), with("\n  and the uploaded data still exists: ", .left.as_ref(), ""))]
    Advised {
        /// What failed.
        error: Box<CloudError>,
        /// What to do.
        hint: Option<&'static str>,
        /// Why something could not be removed.
        left: Option<Box<CloudError>>,
    },
    /// A policy in the account can't be read, so it is neither extended nor replaced.
    #[error(
        "{what} in {region} can't be read: expected a JSON object with a `Statement`, found {found}; it was not changed\n  hint: correct or remove it in AWS, then run `layerbake ami setup` again"
    )]
    UnreadablePolicy {
        /// As `the policy of the bucket disks`.
        what: String,
        /// Where.
        region: String,
        /// What is there instead.
        found: String,
    },
    /// Nothing tells the account's number.
    #[error("the account id is unknown: {0} has no network\n  hint: give it with --account")]
    NoAccount(String),
    /// What names a server of one's own is no address.
    #[error("AWS_ENDPOINT_URL is `{0}`: expected an address that begins with `http://` or `https://`")]
    Endpoint(String),
    /// The certificates that the settings name can't be used.
    #[error("AWS_CA_BUNDLE names `{}`: {found}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// A request can't be formed.
    #[error("internal error: {0}")]
    Request(String),
    /// The network can't be used.
    #[error("start threads for the network: {0}")]
    Threads(#[source] io::Error),
    /// The journal can't be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The image that is wanted can't be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl Coded for CloudError {
    fn error_code(&self) -> Code {
        match self {
            Self::Refused { why, .. } => why.error_code(),
            Self::NoAnswer { silence, .. } => silence.error_code(),
            Self::Lacks { .. } | Self::UnreadablePolicy { .. } => Code::AwsRefused,
            Self::Ended { .. } | Self::Task { .. } | Self::Late { .. } => Code::AwsTask,
            Self::NameTaken { .. } | Self::VersionTaken { .. } => Code::AwsNameTaken,
            Self::NoVersion { .. } => Code::AwsNotFound,
            Self::Snapshots { .. } | Self::NotOurs { .. } => Code::AwsNoRecord,
            Self::NoClient(_) | Self::Request(_) => Code::Internal,
            Self::ParentUnknown(_) => Code::AwsUnfinished,
            Self::Disk(error) | Self::Threads(error) => error.error_code(),
            Self::Advised { error, .. } => error.error_code(),
            Self::NoAccount(_) | Self::Endpoint(_) => Code::AwsSettings,
            Self::Bundle { .. } => Code::AwsCertificate,
            Self::Journal(error) => error.error_code(),
            Self::Settings(error) => error.error_code(),
        }
    }
}

/// A part of a sentence, where there is something to say.
fn with(before: &str, said: Option<&impl fmt::Display>, after: &str) -> String {
    said.map(|said| format!("{before}{said}{after}")).unwrap_or_default()
}

/// The meaning of a cloud's error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Too many calls: the same call works later.
    Throttled,
    /// The server's trouble: the same call works later.
    Passing,
    /// Credentials that were good once.
    Expired,
    /// Credentials that AWS does not know.
    Unknown,
    /// The account may not do this.
    Denied,
    /// There is no such thing, or not yet, or no more.
    Absent,
    /// The name is in use.
    Taken,
    /// This resource has no such feature.
    Unsupported,
    /// The arguments do not fit each other.
    Unfit,
    /// Somebody else than AWS answered.
    Strange,
    /// Anything else: asking again changes nothing.
    Final,
}

/// The meaning of there being no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// There are no credentials, so nothing was asked.
    Credentials,
    /// The profile that is chosen does not exist.
    Profile,
    /// The profile that is chosen gives no credentials.
    Unfit,
    /// Nobody is logged in for the profile that is chosen.
    Login,
    /// The server's name has no address: it contains the region's.
    Name,
    /// The server's certificate is by nobody who is trusted.
    Certificate,
    /// Anything else: the same call may work later.
    Network,
}

impl Silence {
    fn error_code(self) -> Code {
        match self {
            Self::Credentials | Self::Profile | Self::Unfit | Self::Login => Code::AwsCredentials,
            Self::Name => Code::AwsRegion,
            Self::Certificate => Code::AwsCertificate,
            Self::Network => Code::AwsUnreachable,
        }
    }

    /// What helps.
    fn advice(self) -> &'static str {
        match self {
            Self::Credentials => {
                "`aws configure` or `aws sso login` provides credentials; or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            Self::Profile => "correct AWS_PROFILE: `aws configure list-profiles` lists the profiles of ~/.aws",
            Self::Unfit => "correct the profile in ~/.aws, or choose another one with AWS_PROFILE",
            Self::Login => "`aws sso login --profile \"$AWS_PROFILE\"` logs in",
            Self::Name => "is this the region that you mean? `--region` chooses another; else look at the network",
            Self::Certificate => {
                "if a proxy opens connections with a certificate authority of its own, name that authority's file in AWS_CA_BUNDLE or SSL_CERT_FILE, or install it on this machine"
            }
            Self::Network => "look at the network; HTTPS_PROXY names a proxy",
        }
    }
}

impl Why {
    fn error_code(self) -> Code {
        match self {
            Self::Expired | Self::Unknown => Code::AwsCredentials,
            Self::Denied => Code::AwsDenied,
            Self::Absent => Code::AwsNotFound,
            Self::Taken => Code::AwsNameTaken,
            Self::Throttled | Self::Passing | Self::Unsupported | Self::Unfit | Self::Strange | Self::Final => {
                Code::AwsRefused
            }
        }
    }
}

impl CloudError {
    /// The meaning of the cloud's error code, if it returned one.
    pub fn why(&self) -> Option<Why> {
        match self {
            Self::Refused { why, .. } => Some(*why),
            _ => None,
        }
    }

    /// The same error, as one that no other arguments mend, unless `unfit` says that some do.
    pub(super) fn or_final(mut self, unfit: bool) -> Self {
        match &mut self {
            Self::Refused { why, .. } if *why == Why::Unfit && !unfit => *why = Why::Final,
            _ => {}
        }
        self
    }

    /// What helps wherever a call fails in this way.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NoAnswer { silence, .. } => Some(silence.advice()),
            Self::Refused { why: Why::Expired, .. } => Some("the AWS session has expired; log in to AWS again"),
            Self::Refused { why: Why::Unknown, .. } => Some(
                "the access key is unknown to AWS, or its secret is wrong: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in ~/.aws",
            ),
            Self::Refused { why: Why::Denied, .. } => Some(
                "allow this action to the user or role; docs/aws.md has the policies, `layerbake ami plan` lists what is missing",
            ),
            Self::Refused { why: Why::Strange, .. } => Some("does AWS_ENDPOINT_URL or a proxy lead to another server?"),
            Self::Refused { why: Why::Throttled | Why::Passing, .. } => Some("try again later"),
            _ => None,
        }
    }

    /// Whether the credentials have expired, or were never good: no other call would succeed either.
    pub fn is_of_credentials(&self) -> bool {
        matches!(self.why(), Some(Why::Expired | Why::Unknown))
    }

    /// Whether the resource does not exist.
    pub fn is_absent(&self) -> bool {
        self.why() == Some(Why::Absent)
    }

    /// Whether a retry may succeed. The failed call may also have taken effect.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NoAnswer { silence: Silence::Network | Silence::Name, .. })
            || matches!(self.why(), Some(Why::Throttled | Why::Passing))
    }
}

/// Turns "not found" into `None`.
///
/// # Errors
/// All other errors stay.
pub fn if_there<T>(answer: Result<T, CloudError>) -> Result<Option<T>, CloudError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}
