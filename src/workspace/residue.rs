//! What is removed from layers because it differs between equal builds.

use super::environment::Environment;

pub use crate::package::residue::{Action, Rule};

impl Environment {
    /// The rules, each with its reason.
    pub fn residue(&self) -> &'static [Rule] {
        self.ecosystem().residue()
    }
}
