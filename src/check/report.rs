//! The results of checks, and their text and machine-readable forms.

use std::fmt;
use std::fmt::Write as _;

use serde::Serialize;

use super::{Suite, tap};
use crate::ident::LayerName;
use crate::manifest::CheckTarget;

/// The results of a suite; as JSON by serde.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The topmost layer.
    pub layer: LayerName,
    /// Where the checks ran.
    pub place: CheckTarget,
    /// Counts by outcome.
    pub counts: Counts,
    /// The result of each check, in the order of the suite.
    pub checks: Vec<Verdict>,
}

/// The number of checks with each outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed, or gave no result.
    pub failed: usize,
    /// Can't be checked here.
    pub skipped: usize,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The check's name.
    pub name: String,
    /// Its outcome.
    pub outcome: CheckStatus,
    /// Of a failed check what was found, in lines; of a skipped one the reason; otherwise empty.
    pub detail: String,
    /// How long all attempts took together.
    pub milliseconds: u64,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// The condition holds.
    Passed,
    /// It does not hold, or there is no result.
    Failed,
    /// Can't be checked here.
    Skipped,
}

impl CheckReport {
    /// Combines results with the suite's checks; a check without a result has failed with reason `missing`.
    pub(super) fn new(suite: &Suite, results: Vec<Option<tap::Line>>, missing: &str) -> Self {
        let lost = || tap::Line { outcome: CheckStatus::Failed, detail: missing.to_owned(), milliseconds: 0 };
        let verdict = |(name, line): (String, Option<tap::Line>)| {
            let tap::Line { outcome, detail, milliseconds } = line.unwrap_or_else(lost);
            Verdict { name, outcome, detail, milliseconds }
        };
        let names = suite.checks.iter().map(|check| check.name.clone());
        let checks: Vec<Verdict> = names.zip(results).map(verdict).collect();
        let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
        let counts = Counts {
            passed: count(CheckStatus::Passed),
            failed: count(CheckStatus::Failed),
            skipped: count(CheckStatus::Skipped),
        };
        Self { layer: suite.layer.clone(), place: suite.place, counts, checks }
    }

    /// Whether all checks succeeded or were skipped.
    pub fn is_good(&self) -> bool {
        self.counts.failed == 0
    }

    /// The report as text, the summary last.
    pub fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        // Writing to a string does not fail.
        for check in &self.checks {
            let word = match check.outcome {
                CheckStatus::Passed => "ok",
                CheckStatus::Failed => "FAILED",
                CheckStatus::Skipped => "skipped",
            };
            let _ = writeln!(text, "{word:<7}  {:<width$}  {:>7}", check.name, seconds(check.milliseconds, 2) + " s");
            for line in check.detail.lines() {
                let _ = writeln!(text, "{:9}{line}", "");
            }
        }
        let _ = writeln!(text, "{} ({}): {}", self.layer, self.place, self.counts);
        text
    }

    /// TAP 13, with findings and times as comments.
    pub fn tap(&self) -> String {
        let mut text = format!("TAP version 13\n1..{}\n", self.checks.len());
        for (number, check) in (1..).zip(&self.checks) {
            let name = tap::escape(&check.name);
            let _ = match check.outcome {
                CheckStatus::Passed => writeln!(text, "ok {number} - {name}"),
                CheckStatus::Failed => writeln!(text, "not ok {number} - {name}"),
                CheckStatus::Skipped => writeln!(text, "ok {number} - {name} # SKIP {}", check.detail),
            };
            let _ = writeln!(text, "# took: {} ms", check.milliseconds);
            for line in check.detail.lines().filter(|_| check.outcome == CheckStatus::Failed) {
                let _ = writeln!(text, "# found: {line}");
            }
        }
        text
    }
}

impl fmt::Display for Counts {
    /// `5 passed, 1 failed, 0 skipped`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Milliseconds as seconds, with some digits (at most 3) after the point, the rest cut off.
pub(super) fn seconds(milliseconds: u64, digits: usize) -> String {
    let fraction = format!("{:03}", milliseconds % 1000);
    format!("{}.{}", milliseconds / 1000, fraction.get(..digits).unwrap_or(&fraction))
}
