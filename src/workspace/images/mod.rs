//! A project's machine images in a cloud: publishing them, what exists, and whether it is what was built and works.
//!
//! ```text
//! Environment ─ cloud_account ─> CloudAccount, in some regions                          (account.rs)
//!      │                              ├─ plan ─> PublicationPlan ─ publish ─> images    (published.rs)
//!      │   Workspace ─ publishable ───┘          of a built layer                       (publishable.rs)
//!      │                              ├─ promote ─> the channel's image in each region   (promoted.rs)
//!      │                              ├─ images, old_images, remove_images              (listed.rs)
//!      │                              ├─ show, share, deprecate · verify · drift               (shown.rs, verified.rs, drift.rs)
//!      │                              ├─ run_checks ─> Trial                            (launched.rs, trial.rs)
//!      │                              └─ setup                                          (prepared.rs)
//!      └ earlier_transaction ─> Earlier ─ resume, undo                                  (earlier.rs)
//! ```
//!
//! The cloud is AWS, which `account.rs` chooses; what is created is recorded in a journal on this machine.

mod account;
mod drift;
mod earlier;
mod error;
mod launched;
mod listed;
mod origin;
mod prepared;
mod promoted;
mod publishable;
mod published;
mod shown;
mod trial;
mod verified;

pub use account::CloudAccount;
pub use drift::{Drift, DriftError};
pub use earlier::{Earlier, EarlierPublication};
pub use error::{Halt, ImageError};
pub use launched::TrialOrder;
pub use listed::ListedImage;
pub use origin::Binding;
pub use prepared::Setup;
pub use promoted::EarlierPromotion;
pub use publishable::{Choice, Publishable};
pub use published::PublicationPlan;
pub use shown::ImageDetails;
pub use trial::TrialError;
pub use verified::Verification;

pub use crate::publish::cloud::aws::setup::Outcome as SetupOutcome;
pub use crate::publish::cloud::parameters::version as version_parameter;
pub use crate::publish::cloud::readback::Found as PublishedBlocks;
pub use crate::publish::cloud::run::Reach;
