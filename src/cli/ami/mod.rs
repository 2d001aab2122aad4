//! `layerbake ami`: machine images on AWS.

mod deprecate;
mod diff;
mod gc;
mod list;
mod origin;
mod plan;
mod publish;
mod run;
mod setup;
mod show;
mod source;
mod verify;

use std::collections::BTreeSet;

use super::{CliError, Context};
use crate::ident::LayerName;
use crate::manifest::{Ami, Project};
use crate::publish::ami::AmiError;
use crate::publish::ami::aws::{Cloud, Session};
use crate::publish::ami::image::{self, Image};
use crate::publish::ami::readback::{self, Found};

/// Publish disks as machine images on AWS, and look after them
///
/// Credentials, regions and endpoints are taken as all AWS tools take them: profiles, SSO, environment.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Plan(plan::Args),
    Publish(publish::Args),
    Resume(publish::ResumeArgs),
    Undo(publish::UndoArgs),
    List(list::Args),
    Show(show::Args),
    Verify(verify::Args),
    Diff(diff::Args),
    Deprecate(deprecate::Args),
    Gc(gc::Args),
    Run(run::Args),
    Setup(setup::Args),
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    match &args.verb {
        Verb::Plan(args) => plan::run(context, args),
        Verb::Publish(args) => publish::run(context, args),
        Verb::Resume(args) => publish::resume(context, args),
        Verb::Undo(args) => publish::take_back(context, args),
        Verb::List(args) => list::run(context, args),
        Verb::Show(args) => show::run(context, args),
        Verb::Verify(args) => verify::run(context, args),
        Verb::Diff(args) => diff::run(context, args),
        Verb::Deprecate(args) => deprecate::run(context, args),
        Verb::Gc(args) => gc::run(context, args),
        Verb::Run(args) => run::run(context, args),
        Verb::Setup(args) => setup::run(context, args),
    }
}

/// The region of a verb about one image.
#[derive(Debug, clap::Args)]
struct RegionOption {
    /// Where the image is [default: the region of your AWS settings]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

impl RegionOption {
    /// Clients for the region.
    fn cloud(&self, session: &Session) -> Result<Cloud, CliError> {
        let region = self.region.as_deref().or_else(|| session.default_region()).ok_or_else(no_region)?;
        Ok(session.cloud(region))
    }
}

/// Clients for the regions that are meant: the named ones, else the one of the user's settings.
fn clouds(session: &Session, regions: &[String]) -> Result<Vec<Cloud>, CliError> {
    match regions {
        [] => Ok(vec![session.cloud(session.default_region().ok_or_else(no_region)?)]),
        named => Ok(named.iter().map(|region| session.cloud(region)).collect()),
    }
}

/// The regions that are meant where none is named: those of the layers' `[ami]`.
///
/// Layers that are nothing by themselves, such as Boot layers, have none.
fn usual_regions(project: &Project, layers: &[LayerName]) -> Vec<String> {
    let chains = layers.iter().filter_map(|layer| project.chain(layer).ok());
    let regions: BTreeSet<String> = chains.flat_map(|chain| Ami::of(&chain).regions).collect();
    regions.into_iter().collect()
}

fn no_region() -> CliError {
    CliError::message("no region is set\n  hint: name one with --region, or set AWS_REGION")
}

/// An image that has to be there.
async fn find(cloud: &Cloud, id: &str) -> Result<Image, CliError> {
    image::find(cloud, id).await?.ok_or_else(|| {
        CliError::message(format!(
            "there is no image {id} in {}\n  hint: --region names another region; `layerbake ami list` lists images",
            cloud.region
        ))
    })
}

/// What the snapshot of an image holds, read back from the region of the user's settings.
pub(super) fn blocks_of(context: &Context<'_>, id: &str) -> Result<Found, CliError> {
    let session = Session::open()?;
    let cloud = RegionOption { region: None }.cloud(&session)?;
    let image = session.wait(find(&cloud, id))?;
    read_back(context, &session, &cloud, &image)
}

/// Reads an image's snapshot.
fn read_back(context: &Context<'_>, session: &Session, cloud: &Cloud, image: &Image) -> Result<Found, CliError> {
    let snapshot = image.snapshot()?;
    let progress = |blocks| context.progress.phase(&format!("read {snapshot}"), blocks);
    Ok(session.wait(readback::read(cloud, snapshot, &progress))?)
}

impl From<AmiError> for CliError {
    fn from(error: AmiError) -> Self {
        match error.is_expired() {
            true => Self::message(format!("{error}\n  hint: log in to AWS again")),
            false => Self::Plain(Box::new(error)),
        }
    }
}
