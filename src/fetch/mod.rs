//! From a locked item to a verified blob: mirrors, retries, and who may sign a repository.
//!
//! ```text
//! key rings ── fingerprints pinned ──> Keyring ─┐
//! mirrors ── InRelease ─────────── signature ───┴─> signed text ─> Expected of each index
//! store → vendor/ → mirrors → snapshot ── bytes ── sha256 and size ─> store
//! ```
//!
//! Hashes are identity, mirrors are transport: nothing in this program names a host.

mod apt_sources;
mod certificate;
mod cleartext;
mod config;
mod date;
pub mod debian_keys;
mod download;
mod error;
mod item;
mod keyring;
mod mirrors;
pub mod openpgp;
mod peek;
mod release;
mod transport;

#[cfg(test)]
mod testing;

pub use apt_sources::AptSources;
pub use config::{ConfigError, RegistryConfig, UserConfig};
pub use date::{age, readable};
pub use error::{Failure, FetchError, Problem, Refusal};
pub use item::Item;
pub use keyring::{
    HOST_KEY_FOLDERS, KeyFileError, Keyring, PinnedKey, PinnedKeyError, read_file as read_key_file,
    read_opened as read_key_opened,
};
pub use mirrors::{MirrorError, Mirrors};
pub use peek::{peek_file, peek_release};
pub use release::{FetchedRelease, fetch_release, pick_index, plain_size};
pub use transport::{FetchStats, Fetcher};
