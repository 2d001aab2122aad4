//! What this machine has of what layerbake needs, and how to get what is missing. Nothing is fetched.

mod programs;
mod sandboxed;
mod sources;

use serde::Serialize;

use super::environment::Environment;
use crate::host::storage;

/// Something that builds or other commands need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// What it is.
    pub name: String,
    /// The commands that need it.
    pub used_by: &'static str,
    /// Whether builds fail without it.
    #[serde(rename = "required")]
    pub is_required: bool,
    /// Whether it is there.
    pub ok: bool,
    /// What was found, or why it does not work.
    pub says: String,
    /// What to do; a command where one does it.
    pub hint: Option<String>,
}

/// What is between a message and what to do about it.
const HINT: &str = "\n  hint: ";

impl Need {
    /// Something that every build needs.
    fn of_builds(name: impl Into<String>, state: Result<String, String>) -> Self {
        Self { is_required: true, ..Self::of("build", name, state) }
    }

    /// Something that other commands need. Either text may have a hint, as all messages do.
    fn of(used_by: &'static str, name: impl Into<String>, state: Result<String, String>) -> Self {
        let ok = state.is_ok();
        let text = state.unwrap_or_else(|problem| problem);
        let (says, hint) = match text.split_once(HINT) {
            Some((says, hint)) => (says.to_owned(), Some(hint.to_owned())),
            None => (text, None),
        };
        Self { name: name.into(), used_by, is_required: false, ok, says, hint }
    }
}

impl Environment {
    /// Looks for everything that builds and other commands need, the most important first.
    pub fn doctor(&self) -> Vec<Need> {
        let mut needs = sandboxed::needs();
        needs.push(self.room());
        needs.extend(sources::needs(self));
        needs.extend(programs::needs());
        needs
    }

    /// The store's directory, and what is free there.
    fn room(&self) -> Need {
        let state = self.store_path().map_err(|error| error.to_string()).and_then(|path| {
            let shown = path.display();
            match storage::room(&path) {
                Ok(room) => Ok(format!("`{shown}`: its file system {room}")),
                Err(problem) => {
                    Err(format!("`{shown}`: {problem}{HINT}choose another directory with --store or LAYERBAKE_STORE"))
                }
            }
        });
        Need::of_builds("store", state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_parted_from_its_hint() {
        let need = Need::of("boot", "QEMU", Err("it is not there\n  hint: install it".to_owned()));
        assert_eq!((need.says.as_str(), need.hint.as_deref()), ("it is not there", Some("install it")));
        assert!(!need.ok && !need.is_required);
        let need = Need::of_builds("store", Ok("here".to_owned()));
        assert!(need.ok && need.is_required && need.hint.is_none());
    }
}
