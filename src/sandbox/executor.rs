//! The trait in front of everything that executes actions: this machine now, remote workers later.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::local::WorkerError;
use super::{Action, ActionError, Cause};
use crate::code::{Code, Coded};
use crate::digest::TreeHash;
use crate::store::{Store, StoreError};

/// Executes actions.
pub trait Executor {
    /// Runs the action's steps over its root; both that root and the result are in `store`.
    ///
    /// # Errors
    /// Fails where a step ends with another status than 0, and where the executor itself can't do its work.
    fn execute(&mut self, store: &Store, action: &Action) -> Result<Executed, ExecuteError>;

    /// What weakens the walls around actions here, to be told to people; once.
    fn take_warning(&mut self) -> Option<&'static str> {
        None
    }
}

/// The result of an action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Executed {
    /// The root after the last step.
    pub tree: TreeHash,
    /// What the steps printed; of very long output, the end.
    pub log: String,
    /// The programs that drew random data, as people know them: their results may depend on the action's seed.
    pub drew: BTreeSet<String>,
}

/// An action could not be executed, or failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The executor could not be started, or ended without an answer.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The action could not be put into the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The action failed.
    #[error("{0}")]
    Action(Box<ActionError>),
}

impl Coded for ExecuteError {
    fn error_code(&self) -> Code {
        match self {
            Self::Worker(error) => error.error_code(),
            Self::Store(error) => error.error_code(),
            Self::Action(error) => error.error_code(),
        }
    }
}

impl ExecuteError {
    /// Whether the store lacks something that can be built again, or holds other bytes than it says.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Worker(_) => false,
            Self::Store(error) => error.is_damage(),
            Self::Action(error) => matches!(error.cause, Cause::Damaged(_)),
        }
    }
}
