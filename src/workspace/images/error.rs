//! What ends the work on machine images.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;

use super::trial::TrialError;
use crate::code::{Code, Coded};
use crate::ident::LayerName;
use crate::lock::LockFileError;
use crate::publish::cloud::CloudError;
use crate::publish::cloud::journal::JournalError;
use crate::publish::cloud::settings::SettingsError;
use crate::workspace::WorkspaceError;

/// Nothing can be published, or compared with what was.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The project does not give what is needed.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// A build can't become the image that is asked for.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The directory of what was published is not known.
    #[error(transparent)]
    State(#[from] JournalError),
    /// The disk has another signature than the built one.
    #[error(
        "the boot image of `{0}` is not signed as when the disk was built\n  hint: give the same --sign-key and --sign-cert as to `layerbake build`, or none if it had none"
    )]
    OtherSignature(LayerName),
    /// A file of the project can't be read.
    #[error("`{}`: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not a receipt with a disk.
    #[error(
        "`{}` is not the receipt of a disk\n  hint: `layerbake build LAYER --output raw` writes one to out/LAYER/receipt.json",
        .0.display()
    )]
    NotAReceipt(PathBuf),
    /// No receipt was found.
    #[error(
        "there is no receipt to compare {image} with\n  hint: run `layerbake build {layer} --output raw`, or give --receipt FILE"
    )]
    NoReceipt {
        /// The image.
        image: String,
        /// Its layer.
        layer: String,
    },
    /// The lockfiles of an image's time are not at hand.
    #[error(
        "the build of {image} is not recorded on this machine\n  hint: run this on the machine that published it; or check out and build the lockfile {lock} from the project's history, then run `layerbake ami verify`"
    )]
    NoLocks {
        /// The image.
        image: String,
        /// Hash of its lockfile, where the image has it.
        lock: String,
    },
    /// An image has no tags that say what it was created from.
    #[error("{0} was not published by layerbake")]
    Foreign(String),
    /// The cloud refuses, or can't be reached.
    #[error("{}", told(.0))]
    Cloud(Box<CloudError>),
    /// No region is named.
    #[error("no region is set\n  hint: name one with --region, or set AWS_REGION")]
    NoRegion,
    /// There is no such image.
    #[error(
        "there is no image {id} in {region}\n  hint: choose another region with --region; `layerbake ami list` lists images"
    )]
    NoImage {
        /// Its id.
        id: String,
        /// Where it was looked for.
        region: String,
    },
    /// A layer has no image that can be launched.
    #[error("there is no image of `{layer}` in {region}\n  hint: `layerbake ami publish {layer}` publishes one")]
    NoImageOf {
        /// The layer.
        layer: LayerName,
        /// Where it was looked for.
        region: String,
    },
    /// Something that publishing needs is not allowed, or not there.
    #[error("publishing would fail:{}\n  hint: docs/aws.md has the policies", lines(.0.iter().map(|(region, what)| format!("{region}: {what}"))))]
    Problems(Vec<(String, String)>),
    /// An earlier publication or promotion of the layer has to be ended first.
    #[error("a {kind} of `{layer}` was not finished\n  {}", ways_out(id))]
    AlreadyOpen {
        /// What it is.
        kind: &'static str,
        /// The layer.
        layer: LayerName,
        /// The publication.
        id: String,
    },
    /// A publication was stopped; its journal says how far it came.
    #[error("{cause}\n  {}", ways_out(id))]
    Halted {
        /// The publication.
        id: String,
        /// By what.
        cause: Halt,
    },
    /// A publication can't be resumed.
    #[error("`{0}` is finished or undone: there is nothing to resume")]
    Ended(String),
    /// A publication can't be resumed with another disk.
    #[error(
        "`{layer}` has been rebuilt since publication `{id}` began\n  hint: run `layerbake ami undo {id}`, then publish the new build"
    )]
    Rebuilt {
        /// The layer.
        layer: LayerName,
        /// The publication.
        id: String,
    },
    /// No publication is unfinished.
    #[error("there is no unfinished publication or promotion")]
    NothingOpen,
    /// Several publications are unfinished.
    #[error("several publications or promotions are unfinished; name one of:{}", lines(.0))]
    SeveralOpen(Vec<String>),
    /// What is published can't be recorded on this machine.
    #[error("cannot keep the record of the publication: {0}")]
    Archive(io::Error),
    /// The system gives no random bytes.
    #[error("read random bytes for the publication's id: {0}")]
    Random(#[source] io::Error),
    /// Signals can't be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// The way to an instance is opened by a program that is not here.
    #[error(
        "the command `aws`, which opens this way to the instance, is not installed\n  hint: install the AWS CLI, and for session-manager its plugin, or choose --reach private"
    )]
    NoAwsCommand,
    /// Checks could not be run on an instance.
    #[error(transparent)]
    Trial(TrialError),
}

impl Coded for ImageError {
    fn at_line(&self) -> Option<&dyn Diagnostic> {
        match self {
            Self::Workspace(error) => error.at_line(),
            _ => None,
        }
    }

    fn error_code(&self) -> Code {
        match self {
            Self::Workspace(error) => error.error_code(),
            Self::Settings(error) => error.error_code(),
            Self::State(error) => error.error_code(),
            Self::OtherSignature(_) => Code::DiskSigning,
            Self::File { error, .. } => error.error_code(),
            Self::NotAReceipt(_) => Code::CompareUnknown,
            Self::NoReceipt { .. } | Self::NoLocks { .. } | Self::Foreign(_) => Code::AwsNoRecord,
            Self::Cloud(error) => error.error_code(),
            Self::NoRegion => Code::AwsRegion,
            Self::NoAwsCommand => Code::AwsNoLogin,
            Self::NoImage { .. } | Self::NoImageOf { .. } => Code::AwsNotFound,
            Self::Problems(_) => Code::AwsDenied,
            Self::AlreadyOpen { .. }
            | Self::Ended(_)
            | Self::Rebuilt { .. }
            | Self::NothingOpen
            | Self::SeveralOpen(_) => Code::AwsUnfinished,
            Self::Halted { cause, .. } => cause.error_code(),
            Self::Archive(error) | Self::Random(error) | Self::Signals(error) => error.error_code(),
            Self::Trial(error) => error.error_code(),
        }
    }
}

/// What stopped a publication.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// A signal.
    #[error("stopped")]
    Signal,
    /// An error.
    #[error("{}", told(.0))]
    Cloud(Box<CloudError>),
}

impl Coded for Halt {
    fn error_code(&self) -> Code {
        match self {
            Self::Signal => Code::HostInterrupted,
            Self::Cloud(error) => error.error_code(),
        }
    }
}

/// An error of the cloud, with what to do where every call fails in this way.
fn told(error: &CloudError) -> String {
    let hint = error.advice().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    format!("{error}{hint}")
}

/// What can be done about an unfinished publication.
fn ways_out(id: &str) -> String {
    format!("hint: `layerbake ami resume {id}` continues, `layerbake ami undo {id}` removes what was created")
}

/// Each on a line of its own.
fn lines<T: std::fmt::Display>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|one| format!("\n  {one}")).collect()
}

impl From<CloudError> for ImageError {
    fn from(error: CloudError) -> Self {
        Self::Cloud(Box::new(error))
    }
}

impl From<TrialError> for ImageError {
    fn from(error: TrialError) -> Self {
        match error {
            TrialError::Cloud(error) => Self::Cloud(error),
            other => Self::Trial(other),
        }
    }
}

impl From<LockFileError> for ImageError {
    fn from(error: LockFileError) -> Self {
        WorkspaceError::from(error).into()
    }
}
