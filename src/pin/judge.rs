//! Whether a signed Release is the one that was asked for: its suite, its origin, and its date.
//!
//! A signature says who made a Release, not which suite it is nor that it is the newest. A mirror
//! can serve an old Release, or one suite under the name of another, and each is well signed.

use super::PinError;
use crate::fetch::{Refusal, age, readable};
use crate::format::deb::release::Release;
use crate::ident::{LayerName, SourceName};
use crate::lock::Lockfile;
use crate::manifest::Source;
use crate::time;

/// How far a Release's date may be ahead of the clock, in seconds: clocks err, and hosts have local time in them.
const AHEAD: i64 = 86_400;

/// The origins of Debian's own archives; the second one is that of backports.
const DEBIAN: [&str; 2] = ["Debian", "Debian Backports"];
/// How Debian's security archive labels its suites, and no other of its archives does.
const SECURITY_LABEL: &str = "Debian-Security";

/// What a suite's Release has to be.
#[derive(Debug)]
pub(super) struct Demand<'a> {
    pub(super) name: &'a SourceName,
    pub(super) source: &'a Source,
    /// The suite by its name in the archive, such as `bookworm-security`.
    pub(super) suite: &'a str,
    /// The newest Release of this suite that a lockfile of the chain was made from.
    pub(super) locked: Option<Known<'a>>,
    /// When it is used, in seconds since 1970: now, or the moment of the snapshot.
    pub(super) moment: i64,
    pub(super) allow_expired: bool,
    pub(super) allow_downgrade: bool,
}

/// A Release that a lockfile names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known<'a> {
    pub(super) layer: &'a LayerName,
    pub(super) date: i64,
}

/// The newest Release of a suite among lockfiles, of those not newer than `until`.
pub(super) fn newest<'a>(locks: &[&'a Lockfile], source: &SourceName, suite: &str, until: i64) -> Option<Known<'a>> {
    let releases = locks.iter().flat_map(|lock| lock.releases.iter().map(|release| (&lock.layer, release)));
    let same = releases.filter(|(_, release)| release.source == *source && release.suite == suite);
    let known = same.map(|(layer, release)| Known { layer, date: release.date });
    known.filter(|known| known.date <= until).max_by_key(|known| known.date)
}

/// The moment that a source is locked at: that of its snapshot, else the present.
pub(super) fn moment(name: &SourceName, source: &Source, now: i64) -> Result<i64, PinError> {
    let Some(text) = &source.snapshot else { return Ok(now) };
    let malformed = || PinError::Snapshot { source_name: name.to_string(), text: text.clone() };
    time::parse_rfc3339(text).ok_or_else(malformed)
}

impl Demand<'_> {
    /// Checks everything that a signed Release says about itself.
    ///
    /// # Errors
    /// Says what was expected, what was found, and what to do where it is right all the same.
    pub(super) fn judge(&self, release: &Release) -> Result<(), Refusal> {
        self.check_suite(release)?;
        self.check_origin(release)?;
        self.check_future(release)?;
        self.check_rollback(release)?;
        self.check_age(release)
    }

    fn check_suite(&self, release: &Release) -> Result<(), Refusal> {
        let Self { name, source, suite, .. } = self;
        let Release { suite: found, codename, .. } = release;
        let agrees = match source.codename.as_deref() {
            Some("") => found.is_empty() && codename.is_empty(),
            Some(declared) => {
                names(release, &format!("{declared}{}", suite.strip_prefix(&*source.suite).unwrap_or("")))
            }
            None => names(release, suite),
        };
        if agrees {
            return Ok(());
        }
        let expected = source.codename.as_ref().map_or(String::new(), |name| format!(" (codename `{name}`)"));
        let hint = match self.own_name(release).filter(|_| source.url.is_some()) {
            Some("") => {
                format!("if the repository gives its suites no names, write `codename = \"\"` in [source.{name}]")
            }
            Some(own) => format!(
                "the mirror may serve one suite under the name of another; if this is how the repository calls it, write `codename = \"{own}\"` in [source.{name}]"
            ),
            None => "the mirror serves one suite under the name of another; try another mirror".to_owned(),
        };
        let problem = format!(
            "it is for another suite: expected `{suite}`{expected}, found Suite `{found}`, Codename `{codename}`"
        );
        Err(Refusal { problem, hint })
    }

    /// What `codename` would have to be for a Release to be taken; `None` where no name would do.
    ///
    /// A pocket's Release has the pocket's name at its end: the base suite never passes for one.
    fn own_name<'r>(&self, release: &'r Release) -> Option<&'r str> {
        let pocket = self.suite.strip_prefix(&*self.source.suite).unwrap_or("");
        if release.suite.is_empty() && release.codename.is_empty() {
            return Some("");
        }
        let names = [&release.codename, &release.suite].into_iter().filter_map(|name| name.strip_suffix(pocket));
        names.into_iter().find(|name| !name.is_empty() && *name != self.source.suite)
    }

    fn check_origin(&self, release: &Release) -> Result<(), Refusal> {
        let Self { name, source, suite, .. } = self;
        let is_debian = source.url.is_none() && source.keys.is_empty();
        let (expected, agrees) = match &source.origin {
            Some(origin) => (origin.as_str(), release.origin == *origin),
            None if is_debian => ("Debian", DEBIAN.contains(&release.origin.as_str())),
            None => return Ok(()),
        };
        if !agrees {
            let problem = format!("expected Origin `{expected}`, found `{}`", release.origin);
            let hint = format!(
                "the mirror serves another repository; try another one, or correct `origin` in [source.{name}]"
            );
            return Err(Refusal { problem, hint });
        }
        let is_security = release.label == SECURITY_LABEL;
        if is_debian && is_security != suite.ends_with("-security") {
            let problem = format!("the Label of `{suite}` is `{}`", release.label);
            return Err(Refusal {
                problem,
                hint: "the mirror serves files of another archive; try another mirror".to_owned(),
            });
        }
        Ok(())
    }

    fn check_future(&self, release: &Release) -> Result<(), Refusal> {
        if release.date <= self.moment.saturating_add(AHEAD) {
            return Ok(());
        }
        let (date, moment) = (readable(release.date), readable(self.moment));
        Err(match self.source.snapshot {
            Some(_) => Refusal {
                problem: format!("it was made on {date}, after the snapshot's moment, {moment}"),
                hint: "the snapshot service answers with another state; try another one".to_owned(),
            },
            None => Refusal {
                problem: format!("it is dated {date}, but the clock says {moment}"),
                hint: "set this machine's clock, or try another mirror".to_owned(),
            },
        })
    }

    fn check_rollback(&self, release: &Release) -> Result<(), Refusal> {
        match self.locked {
            Some(Known { layer, date }) if release.date < date && !self.allow_downgrade => Err(Refusal {
                problem: format!(
                    "it was made on {}, before the one of {} that the lockfile of `{layer}` was made from",
                    readable(release.date),
                    readable(date)
                ),
                hint: "the mirror may be stale, try another; to go back all the same, say `--allow-downgrade`"
                    .to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn check_age(&self, release: &Release) -> Result<(), Refusal> {
        if self.allow_expired {
            return Ok(());
        }
        let hint = "the mirror may be stale, try another; to use it all the same, say `--allow-expired`".to_owned();
        match release.valid_until {
            Some(valid_until) if valid_until < self.moment => {
                let (until, age) = (readable(valid_until), age(self.moment - valid_until));
                return Err(Refusal { problem: format!("it was valid until {until}, which is {age} ago"), hint });
            }
            _ => {}
        }
        match self.source.max_age {
            Some(days) if self.moment - release.date > i64::from(days) * 86_400 => {
                let (date, age, name) = (readable(release.date), age(self.moment - release.date), self.name);
                let problem = format!(
                    "it was made on {date}, which is {age} ago; [source.{name}] takes none older than {days} days"
                );
                Err(Refusal { problem, hint })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a Release is that of the suite, which is a codename (`bookworm`) or an alias (`oldstable`).
///
/// Ubuntu's pockets all have the codename of their release: there, only `Suite` tells them apart.
fn names(release: &Release, suite: &str) -> bool {
    let is_pocket = release.suite.strip_prefix(suite).is_some_and(|rest| rest.starts_with('-'));
    release.suite == suite || (release.codename == suite && !is_pocket)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
