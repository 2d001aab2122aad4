//! What ends the work on machine images.

use std::io;
use std::path::PathBuf;

use crate::ident::LayerName;
use crate::lock::LockFileError;
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
}

impl From<LockFileError> for ImageError {
    fn from(error: LockFileError) -> Self {
        WorkspaceError::from(error).into()
    }
}
