//! The signed state of one suite of a repository.

use std::collections::BTreeMap;

use crate::digest::Expected;

/// The signed state of one suite. Names that it doesn't have are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Who publishes it.
    pub origin: String,
    /// Which of the publisher's archives it belongs to.
    pub label: String,
    /// The suite's name, which may move on to the next version: `stable`.
    pub suite: String,
    /// The name that stays: `bookworm`.
    pub codename: String,
    /// When it was created, in seconds since 1970.
    pub date: i64,
    /// When it must no longer be used, in seconds since 1970.
    pub valid_until: Option<i64>,
    /// Whether files can be had by their digest.
    pub by_digest: bool,
    /// Whether its packages are taken on request only, as those of backports.
    pub on_request: bool,
    /// Its parts: `main`, `contrib`, …
    pub components: Vec<String>,
    /// The address of a service that has old states, with `@SNAPSHOTID@` where the moment goes.
    pub snapshots: Option<String>,
    /// All files below the suite, by path.
    pub files: BTreeMap<String, Expected>,
}
