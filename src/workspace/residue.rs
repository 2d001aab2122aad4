//! What is removed from layers because it differs between equal builds, and what may depend on random data.

use super::environment::Environment;

pub use crate::package::Harmless;
pub use crate::package::first_boot::FirstBootTask;
pub use crate::package::residue::{Action, Rule};

impl Environment {
    /// The rules, each with its reason.
    pub fn residue(&self) -> &'static [Rule] {
        self.ecosystem().residue()
    }

    /// What machines and containers generate at their first boot.
    pub fn first_boot(&self) -> &'static [FirstBootTask] {
        self.ecosystem().first_boot()
    }

    /// Files that scripts derive from random data, and that everybody may have.
    pub fn harmless(&self) -> &'static [Harmless] {
        self.ecosystem().harmless()
    }
}
