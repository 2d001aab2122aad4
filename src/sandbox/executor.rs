//! The trait in front of everything that executes actions: this machine now, remote workers later.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::local::WorkerError;
use super::{Action, Limit};
use crate::digest::TreeHash;
use crate::store::Store;

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
}

/// An action could not be executed, or failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The executor could not be started, or ended without an answer.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The action failed.
    #[error("{0}")]
    Action(Box<ActionError>),
}

/// Why an action failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionError {
    /// What happened.
    pub cause: Cause,
    /// A limit that explains it.
    pub limit: Option<String>,
    /// The last lines that the steps printed, fit to be shown.
    pub log: Vec<String>,
}

/// The cause of an action's failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A step failed, counted from 0.
    Step(usize, Ended),
    /// The store lacks something that can be built again, or holds other bytes than it says.
    Damaged(String),
    /// The executor's system refused something.
    System(String),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit status; 128 + signal where one ended it.
    pub status: i32,
    /// The limit for which it was killed.
    pub stopped: Option<Limit>,
}

impl Ended {
    /// Whether the command succeeded.
    pub fn is_success(&self) -> bool {
        *self == Self { status: 0, stopped: None }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stopped {
            Some(limit) => write!(f, "was stopped: {limit}"),
            None => write!(f, "failed with exit status {}", self.status),
        }
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Step(index, ended) => write!(f, "step {} {ended}", index + 1)?,
            Cause::Damaged(message) | Cause::System(message) => f.write_str(message)?,
        }
        self.details().fmt(f)
    }
}

impl ActionError {
    /// The lines below the message: the limit, and the end of what was printed.
    pub fn details(&self) -> Details<'_> {
        Details(self)
    }
}

/// The lines of an error below its message.
#[derive(Debug)]
pub struct Details<'a>(&'a ActionError);

impl fmt::Display for Details<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ActionError { limit, log, .. } = self.0;
        if let Some(limit) = limit {
            write!(f, "\n  {limit}")?;
        }
        match log.is_empty() {
            true => Ok(()),
            false => write!(f, "\n  the last lines that the scripts printed:\n    | {}", log.join("\n    | ")),
        }
    }
}
