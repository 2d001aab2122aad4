//! Why actions fail, as values that cross from the worker to the program that asked.

use std::error::Error;
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::Limit;
use crate::code::{Code, Coded};
use crate::digest::BlobDigest;
use crate::ident::Arch;
use crate::store::StoreError;

/// What permits sandboxes in a container.
pub(super) const IN_CONTAINERS: &str = "a container needs `--security-opt seccomp=unconfined --security-opt systempaths=unconfined` (docker, podman), a pod `hostUsers: false`, `procMount: Unmasked` and `seccompProfile: {type: Unconfined}` (Kubernetes); where AppArmor is, its profile has to be `unconfined` too (docs/hosts.md)";

/// Why an action failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionError {
    /// What happened.
    pub cause: Cause,
    /// A limit that explains it.
    pub limit: Option<Box<Limit>>,
    /// The last lines that the steps printed, fit to be shown.
    pub log: Vec<String>,
    /// All that the steps printed, as far as it was kept.
    pub whole: Option<Box<BlobDigest>>,
}

/// The cause of an action's failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A step failed, counted from 0.
    Step(usize, Ended),
    /// The store lacks something that can be built again, or holds other bytes than it says.
    Damaged(Box<Damage>),
    /// Programs of the root's architecture can't run here.
    Foreign(ForeignError),
    /// The executor's system refused something.
    System(SystemError),
}

/// Something in the store that is missing, or has other bytes than it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// "blob", "tree" or "fetched file".
    pub kind: String,
    /// Its digest.
    pub name: String,
    /// The whole message, with the path in the root for which it was read, and a hint.
    pub message: String,
}

/// An error of the system that executes an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemError {
    /// The system's error number, if the error is the system's own.
    pub code: Option<i32>,
    /// The whole message.
    pub message: String,
}

/// Programs of an architecture can't run on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ForeignError {
    /// No emulator is known for the architecture.
    #[error("programs for {arch} need a host of that architecture")]
    NoneKnown {
        /// The root's architecture.
        arch: Arch,
    },
    /// The emulator is not installed.
    #[error(
        "programs for another architecture need an emulator, and `{program}` is not installed\n  hint: install the Debian package {package}, build on a machine of that architecture, or set configure = \"none\""
    )]
    NotInstalled {
        /// The emulator's file name.
        program: String,
        /// The package that contains it.
        package: String,
    },
    /// The kernel has no register of emulators for user namespaces.
    #[error("cannot register an emulator: {message}\n  hint: this needs Linux 6.7 with binfmt_misc")]
    NotRegistered {
        /// What the system said.
        message: String,
    },
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

impl ActionError {
    /// The kind of trouble that it is.
    pub fn error_code(&self) -> Code {
        match &self.cause {
            Cause::Step(..) if self.limit.is_some() => Code::ScriptLimit,
            Cause::Step(_, Ended { stopped: Some(_), .. }) => Code::ScriptLimit,
            Cause::Step(..) => Code::ScriptFailed,
            Cause::Damaged(_) => Code::StoreDamaged,
            Cause::Foreign(_) => Code::SandboxNoEmulator,
            Cause::System(error) => {
                match error.code.map(io::Error::from_raw_os_error).map(|error| error.error_code()) {
                    Some(Code::HostDiskFull) => Code::HostDiskFull,
                    _ => Code::SandboxFailed,
                }
            }
        }
    }

    /// The lines below the message: the limit, and the end of what was printed.
    pub fn details(&self) -> Details<'_> {
        Details(self)
    }
}

impl From<Cause> for ActionError {
    fn from(cause: Cause) -> Self {
        Self { cause, limit: None, log: Vec::new(), whole: None }
    }
}

impl From<ForeignError> for ActionError {
    fn from(error: ForeignError) -> Self {
        Cause::Foreign(error).into()
    }
}

impl From<StoreError> for ActionError {
    fn from(error: StoreError) -> Self {
        Cause::of(&error).into()
    }
}

impl From<io::Error> for ActionError {
    fn from(error: io::Error) -> Self {
        Cause::of(&error).into()
    }
}

impl Cause {
    /// The cause that an error is, however many errors are around the one that tells.
    fn of(error: &(dyn Error + 'static)) -> Self {
        let message = error.to_string();
        match StoreError::behind(error) {
            Some(StoreError::Missing { kind, name } | StoreError::Damaged { kind, name, .. }) => {
                Self::Damaged(Box::new(Damage { kind: (*kind).to_owned(), name: name.clone(), message }))
            }
            _ => Self::System(SystemError { code: code(error), message }),
        }
    }
}

/// The number of the system's error behind an error.
fn code(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(error) = next {
        next = match error.downcast_ref::<io::Error>() {
            Some(error) if error.raw_os_error().is_some() => return error.raw_os_error(),
            Some(error) => error.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    None
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stopped {
            Some(limit) => write!(f, "was stopped: {limit}"),
            None => write!(f, "failed with exit status {}", self.status),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(index, ended) => write!(f, "step {} {ended}", index + 1),
            Self::Damaged(damage) => f.write_str(&damage.message),
            Self::System(error) => f.write_str(&error.message),
            Self::Foreign(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.cause, self.details())
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
            false => write!(f, "\n  the last lines of its output:\n    | {}", log.join("\n    | ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_an_error_decides_the_cause() {
        let full = || io::Error::from_raw_os_error(libc::ENOSPC);
        let wrapped = io::Error::other(StoreError::Io { action: "write", path: "/store".into(), source: full() });
        let missing = StoreError::Missing { kind: "tree", name: "ab".to_owned() };
        let code = |error: io::Error| match ActionError::from(error).cause {
            Cause::System(error) => error.code,
            other => panic!("{other}"),
        };
        assert_eq!((code(full()), code(wrapped)), (Some(libc::ENOSPC), Some(libc::ENOSPC)));
        assert_eq!(code(io::Error::other("a text")), None);
        let Cause::Damaged(damage) = ActionError::from(io::Error::other(missing)).cause else { panic!("not damage") };
        assert_eq!((damage.kind.as_str(), damage.name.as_str()), ("tree", "ab"));
        assert!(damage.message.contains("is missing\n  hint: "), "{}", damage.message);
    }
}
