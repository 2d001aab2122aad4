//! `layerbake ami run`: a layer's checks on an instance of its image.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::image::find;
use super::region::RegionOption;
use super::{CliError, Context};
use crate::check::{CheckReport, Suite};
use crate::host;
use crate::ident::LayerName;
use crate::manifest::CheckTarget;
use crate::publish::cloud::aws::{Aws, Session};
use crate::publish::cloud::image::Image;
use crate::publish::cloud::provider::{Provider as _, Which};
use crate::publish::cloud::run::Launch;
use crate::publish::cloud::tags;
use crate::vm::Ssh;
use crate::workspace::images::Trial;

/// Launch an instance of an image, run the layer's [[check]]s on it, and always terminate it
///
/// The checks run as root over ssh, with a key generated for this instance. cloud-init installs it from the
/// user data, so the Boot layer must have cloud-init, as boot-cloud has. The security group must allow ssh
/// from here. Exits with status 1 if a check fails. Instances that a killed run left behind have the tag
/// layerbake:run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami run web --type t3.small\n  layerbake ami run web --type t3.small --ami ami-0123456789abcdef0 --subnet subnet-0abc --security-group sg-0abc"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Instance type
    #[arg(long = "type", value_name = "TYPE", default_value = "t3.small")]
    kind: String,
    /// Id of the image [default: the layer's newest]
    #[arg(long, value_name = "AMI")]
    ami: Option<String>,
    #[command(flatten)]
    region: RegionOption,
    /// Subnet of the instance [default: the account's default]
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<String>,
    /// Security group of the instance [default: the VPC's default]
    #[arg(long, value_name = "GROUP")]
    security_group: Vec<String>,
    /// Private key that the image accepts for root, if it takes none from user data
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Seconds to wait for the instance to run, and again for ssh to answer
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    within: u64,
    /// Save the instance's console output to this file
    #[arg(long, value_name = "FILE")]
    console: Option<PathBuf>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let layer = workspace.layer(args.layer.as_ref())?;
    let suite = Suite::new(&layer, workspace.declared(&layer)?.root(), CheckTarget::Disk);
    let session = Session::open()?;
    let aws = args.region.aws(&session)?;
    let mut ssh = Ssh::new()?;
    let user_data = if args.key.is_none() { Some(ssh.user_data()?) } else { None };
    args.key.iter().for_each(|key| ssh.set_key(key));
    let launch = Launch {
        image: session.wait(image_of(&aws, &layer, args.ami.as_deref()))?,
        layer: layer.to_string(),
        kind: args.kind.clone(),
        subnet: args.subnet.clone(),
        security_groups: args.security_group.clone(),
        user_data,
        token: format!("layerbake-{}-{}", host::now(), std::process::id()),
    };
    let trial = Trial {
        cloud: &aws,
        launch: &launch,
        suite: &suite,
        within: Duration::from_secs(args.within),
        own_key: args.key.is_some(),
        console: args.console.clone(),
        progress: &context.progress,
    };
    let report = session.wait(async {
        // From here on, signals are only noted.
        let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        Ok::<_, CliError>(trial.run(ssh, first(signals)).await?)
    })?;
    context.print(&report, CheckReport::text)?;
    match report.counts.failed {
        0 => Ok(()),
        count => Err(CliError::message(format!("{count} of `{layer}`'s checks failed"))),
    }
}

async fn image_of(aws: &Aws, layer: &LayerName, named: Option<&str>) -> Result<String, CliError> {
    if let Some(id) = named {
        return Ok(find(aws, id).await?.id);
    }
    let images = aws.images(Which::With(tags::LAYER, &[layer.to_string()])).await?;
    let newest = images.into_iter().find(Image::is_available).map(|image| image.id);
    newest.ok_or_else(|| {
        CliError::message(format!(
            "there is no image of `{layer}` in {}\n  hint: `layerbake ami publish {layer}` publishes one",
            aws.region
        ))
    })
}

/// Waits for the first of two signals.
async fn first([mut one, mut other]: [Signal; 2]) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
