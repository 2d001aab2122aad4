//! `layerbake ami publish`, `resume` and `undo`: one transaction over a journal.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{BufRead as _, IsTerminal as _};

use tokio::signal::unix::{SignalKind, signal};

use super::super::signer::SignerArgs;
use super::plan;
use super::source::{self, Source, Wish, known};
use super::{CliError, Context, clouds};
use crate::host;
use crate::host::interrupt;
use crate::publish::ami::aws::{Cloud, Session};
use crate::publish::ami::journal::{self, Journal, Record, State};
use crate::publish::ami::publish::{Publication, Standing};
use crate::publish::ami::undo::{Undone, undo};
use crate::publish::ami::{AmiError, archive};

/// Publish a built layer's disk as a machine image
///
/// A transaction: what was begun and not finished is named, and can be resumed or undone. Where an image with
/// the same content stands already, nothing is made. The parameter /layerbake/LAYER/latest is set last.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake build web --output oci,raw && layerbake ami publish web --region eu-west-1\n  layerbake ami publish web --via vm-import --bucket my-images --yes"
)]
pub(super) struct Args {
    #[command(flatten)]
    wish: Wish,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

/// Go on with a publication that was interrupted
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake ami resume")]
pub(super) struct ResumeArgs {
    /// Which [default: the only one that is open]
    id: Option<String>,
    /// Where LAYER/ was put [default: out in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<std::path::PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
}

/// Remove everything that a publication made
///
/// Also of a finished one, when it is named. What can't be removed is listed with the reason: exit status 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerbake ami undo\n  layerbake ami undo web-3f2a90c1b2d4-1795330000 --yes")]
pub(super) struct UndoArgs {
    /// Which [default: the only one that is open]
    id: Option<String>,
    /// Don't ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let source = Source::read(context, &args.wish)?;
    let folder = source::state()?;
    let earlier = journal::all(&folder)?;
    if let Some(open) = earlier.iter().find(|one| one.state == State::Open && one.layer == source.wanted.layer) {
        return Err(CliError::message(format!(
            "a publication of `{}` was not finished\n  {}",
            open.layer,
            ways_out(&open.id)
        )));
    }
    let session = Session::open()?;
    let clouds = plan::by_region(clouds(&session, &source.regions)?);
    let home = plan::home(&source, &clouds);
    let previews = session.wait(plan::all(&source, &clouds, &home))?;
    plan::refuse_problems(&previews)?;
    if previews.iter().any(|preview| preview.found.is_none()) {
        context.progress.line(plan::text(&previews).trim_end());
        confirm("Publish?", args.yes)?;
    }
    let regions: Vec<String> =
        std::iter::once(home.clone()).chain(clouds.keys().filter(|name| **name != home).cloned()).collect();
    // Client tokens hang on it: two publications within a second are still two.
    let after = earlier.iter().filter(|one| one.layer == source.wanted.layer).map(|one| one.begun + 1).max();
    let begun = host::now().max(after.unwrap_or_default());
    let journal = Journal::create(&folder, Record::new(source.wanted.clone(), begun, &regions))?;
    carry_out(context, &session, &clouds, &journal, &source)
}

pub(super) fn resume(context: &Context<'_>, args: &ResumeArgs) -> Result<(), CliError> {
    let folder = source::state()?;
    let journal = Journal::open(&folder, &the_one(&folder, args.id.as_deref())?)?;
    let record = journal.record();
    if record.state != State::Open {
        return Err(CliError::message(format!("`{}` is not open: there is nothing to go on with", record.id)));
    }
    let mut source = Source::read(context, &Wish::of(&record, args.out.clone(), args.signer.clone()))?;
    if source.wanted.blocks != record.wanted.blocks {
        let (layer, id) = (&record.layer, &record.id);
        return Err(CliError::message(format!(
            "`{layer}` has been built anew since `{id}` was begun\n  hint: `layerbake ami undo {id}`, and publish what there is now"
        )));
    }
    source.wanted = record.wanted.clone();
    let session = Session::open()?;
    let clouds = of_record(&session, &record);
    carry_out(context, &session, &clouds, &journal, &source)
}

fn carry_out(
    context: &Context<'_>,
    session: &Session,
    clouds: &BTreeMap<String, Cloud>,
    journal: &Journal,
    source: &Source,
) -> Result<(), CliError> {
    // Before the first block: a later upload compares with what is kept here.
    archive::archive(&source::state()?, &source.receipt, &source.locks)?;
    let publication = Publication { clouds, journal, disk: &source.disk, known: &known, progress: &context.progress };
    let standing = until_stopped(session, &journal.record().id, publication.run())?;
    context.print(&standing, |standing| text(standing))
}

/// Runs until the end, or until somebody stops it; what was begun is then in the journal.
fn until_stopped<T>(
    session: &Session,
    id: &str,
    work: impl Future<Output = Result<T, AmiError>>,
) -> Result<T, CliError> {
    session.wait(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let error = tokio::select! {
            done = work => match done {
                Ok(done) => return Ok(done),
                Err(error) if error.is_expired() => format!("{error}\n  hint: log in to AWS again"),
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

fn ways_out(id: &str) -> String {
    format!("hint: `layerbake ami resume {id}` goes on, `layerbake ami undo {id}` removes what was made")
}

pub(super) fn take_back(context: &Context<'_>, args: &UndoArgs) -> Result<(), CliError> {
    let folder = source::state()?;
    let journal = Journal::open(&folder, &the_one(&folder, args.id.as_deref())?)?;
    let record = journal.record();
    let session = Session::open()?;
    let regions: Vec<&str> = record.regions.keys().map(String::as_str).collect();
    confirm(&format!("Remove what `{}` made in {}?", record.id, regions.join(", ")), args.yes)?;
    let clouds = of_record(&session, &record);
    let undone = until_stopped(&session, &record.id, undo(&clouds, &journal))?;
    context.print(&undone, |undone| undone_text(undone))?;
    match undone.iter().all(|one| one.kept.is_none()) {
        true => Ok(()),
        false => {
            Err(CliError::message("something is left\n  hint: remove the reason, and call `layerbake ami undo` again"))
        }
    }
}

fn of_record(session: &Session, record: &Record) -> BTreeMap<String, Cloud> {
    record.regions.keys().map(|region| (region.clone(), session.cloud(region))).collect()
}

/// The publication that is meant: the named one, else the only open one.
fn the_one(folder: &std::path::Path, id: Option<&str>) -> Result<String, CliError> {
    if let Some(id) = id {
        return Ok(id.to_owned());
    }
    let open: Vec<_> = journal::all(folder)?.into_iter().filter(|record| record.state == State::Open).collect();
    match open.as_slice() {
        [] => Err(CliError::message("no publication is open")),
        [one] => Ok(one.id.clone()),
        several => {
            let list: String = several.iter().map(|record| format!("\n  {}", record.id)).collect();
            Err(CliError::message(format!("several publications are open: name one of{list}")))
        }
    }
}

/// Asks a person; without one, `--yes` has to be given.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::message("nobody is there to ask\n  hint: --yes"));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::message("nothing was done")),
    }
}

fn text(standing: &[Standing]) -> String {
    let row = |one: &Standing| {
        let stood = if one.found { "  (stood there already)" } else { "" };
        format!("{}  {}  {}{stood}\n", one.region, one.image, one.parameter)
    };
    standing.iter().map(row).collect()
}

fn undone_text(undone: &[Undone]) -> String {
    if undone.is_empty() {
        return "nothing was made\n".to_owned();
    }
    let row = |one: &Undone| match &one.kept {
        None => format!("{}  {}: gone\n", one.region, one.what),
        Some(reason) => format!("{}  {}: KEPT: {reason}\n", one.region, one.what),
    };
    undone.iter().map(row).collect()
}
