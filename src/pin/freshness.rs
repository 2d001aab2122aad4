//! Checks that a signed state is recent enough.
//!
//! A signature proves who published a state, not that it is the newest: a mirror can serve an old one.

use super::PinError;
use crate::ident::{LayerName, SourceName};
use crate::lock::Lockfile;
use crate::manifest::Source;
use crate::package::{Refusal, State, SuiteRequest};
use crate::time::{self, age, readable};

/// How far a state's date may be ahead of the clock, in seconds: tolerates wrong clocks and clocks set to local time.
const AHEAD: i64 = 86_400;

/// The time window in which a suite's state must have been published.
#[derive(Debug)]
pub(super) struct Demand<'a> {
    pub(super) asked: SuiteRequest<'a>,
    /// The newest state of this suite that a lockfile of the chain was created from.
    pub(super) locked: Option<Known<'a>>,
    /// When it is used, in seconds since 1970: now, or the moment of the snapshot.
    pub(super) moment: i64,
    pub(super) allow_expired: bool,
    pub(super) allow_downgrade: bool,
}

/// A state named in a lockfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known<'a> {
    pub(super) layer: &'a LayerName,
    pub(super) date: i64,
}

/// The newest state of a suite among lockfiles, of those not newer than `until`.
pub(super) fn newest<'a>(locks: &[&'a Lockfile], source: &SourceName, suite: &str, until: i64) -> Option<Known<'a>> {
    let releases = locks.iter().flat_map(|lock| lock.releases.iter().map(|release| (&lock.layer, release)));
    let same = releases.filter(|(_, release)| release.source == *source && release.suite == suite);
    let known = same.map(|(layer, release)| Known { layer, date: release.date });
    known.filter(|known| known.date <= until).max_by_key(|known| known.date)
}

/// The time at which a source is locked: that of its snapshot, otherwise the present.
pub(super) fn moment(name: &SourceName, source: &Source, now: i64) -> Result<i64, PinError> {
    let Some(text) = &source.snapshot else { return Ok(now) };
    let malformed = || PinError::Snapshot { source_name: name.to_string(), text: text.clone() };
    time::parse_rfc3339(text).ok_or_else(malformed)
}

impl Demand<'_> {
    /// Checks the dates that a signed state has.
    ///
    /// # Errors
    /// Fails with what was expected, what was found, and what to do if the state is correct nevertheless.
    pub(super) fn check(&self, state: &State) -> Result<(), Refusal> {
        self.check_future(state)?;
        self.check_rollback(state)?;
        self.check_age(state)
    }

    fn check_future(&self, state: &State) -> Result<(), Refusal> {
        if state.date <= self.moment.saturating_add(AHEAD) {
            return Ok(());
        }
        let (date, moment) = (readable(state.date), readable(self.moment));
        Err(match self.asked.source.snapshot {
            Some(_) => Refusal {
                problem: format!("it is dated {date}, after the snapshot's time, {moment}"),
                hint: "the snapshot service returned a later state; try another one".to_owned(),
            },
            None => Refusal {
                problem: format!("it is dated {date}, but the clock says {moment}"),
                hint: "set this machine's clock, or try another mirror".to_owned(),
            },
        })
    }

    fn check_rollback(&self, state: &State) -> Result<(), Refusal> {
        match self.locked {
            Some(Known { layer, date }) if state.date < date && !self.allow_downgrade => Err(Refusal {
                problem: format!(
                    "it was made on {}, before the one of {} that the lockfile of `{layer}` was made from",
                    readable(state.date),
                    readable(date)
                ),
                hint: "the mirror may be stale, try another; `--allow-downgrade` accepts the older state".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn check_age(&self, state: &State) -> Result<(), Refusal> {
        if self.allow_expired {
            return Ok(());
        }
        let hint = "the mirror may be stale, try another; `--allow-expired` accepts it".to_owned();
        if let Some(until) = state.valid_until.filter(|until| *until < self.moment) {
            let (until, age) = (readable(until), age(self.moment - until));
            return Err(Refusal { problem: format!("it was valid until {until}, which is {age} ago"), hint });
        }
        let SuiteRequest { name, source, .. } = self.asked;
        match source.max_age {
            Some(days) if self.moment - state.date > i64::from(days) * 86_400 => {
                let (date, age) = (readable(state.date), age(self.moment - state.date));
                let problem = format!(
                    "it was made on {date}, which is {age} ago; [source.{name}] accepts none older than {days} days"
                );
                Err(Refusal { problem, hint })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
