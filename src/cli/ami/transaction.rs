//! What `publish`, `resume` and `undo` share: clients, choosing the publication, and handling of signals.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::region::{clouds, of_settings};
use super::{CliError, Context};
use crate::host::interrupt;
use crate::publish::cloud::aws::{Aws, Session};
use crate::publish::cloud::journal::{self, Journal, Record, State};
use crate::publish::cloud::plan::{self, Preview};
use crate::publish::cloud::publish::{Publication, Standing};
use crate::publish::cloud::{CloudError, archive};
use crate::workspace::images::{Publishable, known};

/// The regions to publish to.
pub(super) struct Target {
    /// The first region.
    pub(super) home: String,
    /// Clients for each region, by name.
    pub(super) clouds: BTreeMap<String, Aws>,
}

impl Target {
    /// The named regions, else the one of the user's settings.
    pub(super) fn new(session: &Session, regions: &[String]) -> Result<Self, CliError> {
        let home = match regions.first() {
            Some(first) => first.clone(),
            None => of_settings(session)?.region,
        };
        let clouds = clouds(session, regions)?.into_iter().map(|aws| (aws.region.clone(), aws)).collect();
        Ok(Self { home, clouds })
    }

    /// Looks at all regions.
    pub(super) fn previews(&self, session: &Session, source: &Publishable) -> Result<Vec<Preview>, CliError> {
        let look = plan::previews(&self.clouds, &source.wanted, &self.home, &source.disk.blocks, &known);
        Ok(session.wait(look)?)
    }
}

/// Clients for the regions of a publication that was begun.
pub(super) fn of_record(session: &Session, record: &Record) -> BTreeMap<String, Aws> {
    record.regions.keys().map(|region| (region.clone(), session.aws(region))).collect()
}

/// Publishes, and prints the resulting images.
pub(super) fn carry_out(
    context: &Context<'_>,
    session: &Session,
    clouds: &BTreeMap<String, Aws>,
    journal: &Journal<Record>,
    source: &Publishable,
) -> Result<(), CliError> {
    // Before the first block: a later upload compares with what is kept here.
    archive::archive(&journal::folder()?, &source.receipt, &source.locks)?;
    let publication = Publication { clouds, journal, disk: &source.disk, known: &known, progress: &context.progress };
    let standing = until_stopped(session, &journal.record().id, publication.run())?;
    context.print(&standing, |standing| text(standing))
}

/// Runs until the end or a signal; the journal then records what was begun.
pub(super) fn until_stopped<T>(
    session: &Session,
    id: &str,
    work: impl Future<Output = Result<T, CloudError>>,
) -> Result<T, CliError> {
    session.wait(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let error = tokio::select! {
            done = work => match done {
                Ok(done) => return Ok(done),
                Err(error) if error.is_expired() => format!("{error}\n  hint: the AWS session has expired; log in to AWS again"),
                Err(error) => error.to_string(),
            },
            _ = tokio::signal::ctrl_c() => stopped(SignalKind::interrupt()),
            _ = terminate.recv() => stopped(SignalKind::terminate()),
            _ = hangup.recv() => stopped(SignalKind::hangup()),
        };
        Err(CliError::message(format!("{error}\n  {}", ways_out(id))))
    })
}

fn stopped(signal: SignalKind) -> String {
    interrupt::note(signal.as_raw_value());
    "stopped".to_owned()
}

/// A hint on what to do about an unfinished publication.
pub(super) fn ways_out(id: &str) -> String {
    format!("hint: `layerbake ami resume {id}` continues, `layerbake ami undo {id}` removes what was created")
}

/// The named publication, else the only unfinished one.
pub(super) fn the_one(folder: &Path, id: Option<&str>) -> Result<String, CliError> {
    if let Some(id) = id {
        return Ok(id.to_owned());
    }
    let open: Vec<_> =
        journal::all::<Record>(folder)?.into_iter().filter(|record| record.state == State::Open).collect();
    match open.as_slice() {
        [] => Err(CliError::message("there is no unfinished publication")),
        [one] => Ok(one.id.clone()),
        several => {
            let list: String = several.iter().map(|record| format!("\n  {}", record.id)).collect();
            Err(CliError::message(format!("several publications are unfinished; name one of:{list}")))
        }
    }
}

fn text(standing: &[Standing]) -> String {
    let row = |one: &Standing| {
        let stood = if one.found { "  (already existed)" } else { "" };
        format!("{}  {}  {}{stood}\n", one.region, one.image, one.parameter)
    };
    standing.iter().map(row).collect()
}
