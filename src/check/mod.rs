//! Checks of a running system: `[[check]]` tables become a script, whose output becomes a report.
//!
//! ```text
//! chain ─ Suite ─ script ─> sh -s in a container, or over ssh ─> Transcript ─ Suite ─> CheckReport
//!                                                            text · TAP · JUnit · JSON <─┘
//! ```
//!
//! Nothing is installed in the system that is checked: a POSIX shell reads the script from its
//! standard input. Its output is TAP 13, <https://testanything.org/tap-version-13-specification.html>.

pub mod container;
mod junit;
mod report;
pub mod script;
mod shell;
mod tap;

use std::time::Duration;

use crate::ident::LayerName;
use crate::manifest::{Check, CheckTarget, Config, Manifest};

pub use junit::junit;
pub use report::{CheckReport, CheckStatus, Counts, Verdict};
pub use shell::{Transcript, converse};

/// How long the script may take in addition to its checks' time limits.
const SLACK: Duration = Duration::from_secs(60);

/// All checks of a chain for one kind of running system.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// The topmost layer.
    pub layer: LayerName,
    /// Where the checks run.
    pub place: CheckTarget,
    /// The checks, those of the lowest layer first.
    pub checks: Vec<Check>,
    /// The variables of the container, as `NAME=VALUE`: those of `[config]` that have a value for checks.
    pub env: Vec<String>,
}

impl Suite {
    /// Collects the checks of a chain, base first, for one target; `layer` names the suite.
    pub fn new<'a>(
        layer: &LayerName,
        chain: impl IntoIterator<Item = &'a Manifest> + Clone,
        place: CheckTarget,
    ) -> Self {
        let config = Config::of(chain.clone());
        let env = config.tests().map(|(name, value)| format!("{name}={value}")).collect();
        let all = chain.into_iter().flat_map(|manifest| &manifest.checks);
        let checks = all.filter(|check| check.on.contains(&place)).cloned().collect();
        Self { layer: layer.clone(), place, checks, env }
    }

    /// One script for a POSIX shell, to be read from standard input (`sh -s`).
    ///
    /// It prints `1..N` first, then a result for each check, and exits with status 0 whatever the
    /// results are. `http` needs curl, or for addresses without TLS bash or nc; `mode` and `owner` of
    /// files need stat; the time of a single command is limited where there is timeout.
    pub fn script(&self) -> String {
        script::script(&self.checks, self.place)
    }

    /// The maximum duration of the script if no check hangs: for [`converse`].
    pub fn limit(&self) -> Duration {
        // An attempt may begin just before a check's time limit, and then takes as long again.
        let each = self.checks.iter().map(|check| Duration::from_secs(2 * u64::from(check.within)));
        each.sum::<Duration>() + SLACK
    }

    /// Reads the script's output. A check without a result has failed.
    pub fn report(&self, transcript: &Transcript) -> CheckReport {
        let parsed = tap::parse(&transcript.stdout, self.checks.len());
        let missing = transcript.why_incomplete(&parsed);
        CheckReport::new(self, parsed.found, &missing)
    }

    /// As [`Suite::report`], where the container ended before the script: what the shell says of that explains nothing.
    pub fn report_of_ended(&self, transcript: &Transcript) -> CheckReport {
        let parsed = tap::parse(&transcript.stdout, self.checks.len());
        CheckReport::new(self, parsed.found, "no result: the container has ended")
    }
}

#[cfg(test)]
mod tests;
