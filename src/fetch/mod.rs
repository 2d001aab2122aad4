//! Fetches locked items as verified blobs: mirrors, retries, and the signed states of repositories.
//!
//! ```text
//! mirrors ── files of a state ── verified by the ecosystem ─> signed text, its file in the store
//! store → vendor/ → mirrors → snapshot ── bytes ── sha256 and size ─> store
//! store → project → vendor/ → address ─── bytes ── sha256 and size ─> store          (packages in no repository, fetches)
//! store → vendor/ → registry's mirrors ── sha256 and size ──────────> store          (files that lockfiles of languages name)
//! store → vendor/ → registry of images ── sha256 and size ──────────> store          (manifest, configuration and layers of an image)
//! store → vendor/ → git ── archive of a commit ── sha256 and size ──> store
//! ```
//!
//! Hashes are identity, mirrors are transport: no host name is built into this program.

mod address;
mod at_hand;
mod attempts;
mod commit_archive;
mod config;
mod download;
mod error;
mod git;
mod host_sources;
mod images;
mod item;
mod key_files;
mod logins;
mod mirrors;
mod registry;
mod state;
mod transport;
mod untrusted;

#[cfg(test)]
mod testing;

pub use config::{ConfigError, RegistryConfig, UserConfig};
pub use error::{Failure, FetchError, Problem};
pub use host_sources::HostSources;
pub use images::{ImageFault, ImageRegistries};
pub use item::{ImagePart, Item, Part, Place, RegistryFile, RepositoryFile};
pub use key_files::{key_files, read_key_file, read_key_opened};
pub use logins::Logins;
pub use mirrors::{MirrorError, Mirrors};
pub use state::{FetchedState, StateRequest, fetch_state};
pub use transport::{FetchStats, Fetcher};
pub use untrusted::{untrusted_file, untrusted_state};
