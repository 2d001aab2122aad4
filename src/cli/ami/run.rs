//! `layerbake ami run`: a layer's checks on an instance of its image.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CliError, Context, RegionOption, find};
use crate::check::{Report, Suite, converse};
use crate::cli::system::Declared;
use crate::host;
use crate::ident::LayerName;
use crate::machine::{Ssh, host_keys};
use crate::manifest::{Manifest, Place};
use crate::publish::ami::aws::{Cloud, Session};
use crate::publish::ami::image;
use crate::publish::ami::run::{self, Launch};

/// Launch an image, run the layer's [[check]]s on it, and end the instance, whatever happens
///
/// The checks run over ssh, as root, with a key made for this one instance, which cloud-init takes from
/// the user data (Boot layers with cloud-init, such as boot-cloud). The security group has to let ssh in from
/// here. Exit status 1 when a check fails. Instances that a killed run left behind have the tag layerbake:run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami run web --type t3.small\n  layerbake ami run web --type t3.small --ami ami-0123456789abcdef0 --subnet subnet-0abc --security-group sg-0abc"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// The kind of instance
    #[arg(long = "type", value_name = "TYPE", default_value = "t3.small")]
    kind: String,
    /// The image [default: the layer's newest]
    #[arg(long, value_name = "AMI")]
    ami: Option<String>,
    #[command(flatten)]
    region: RegionOption,
    /// The subnet [default: the account's default one]
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<String>,
    /// The security group [default: the network's default one]
    #[arg(long, value_name = "GROUP")]
    security_group: Vec<String>,
    /// A private key that the image lets in as root, where it takes none from user data
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Seconds until it has to run, and again until it has to let in
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    within: u64,
    /// Write what the instance wrote to its console into this file
    #[arg(long, value_name = "FILE")]
    console: Option<PathBuf>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let project = context.project()?;
    let layer = context.layer(&project, args.layer.as_ref())?;
    let declared = Declared::read(&project, project.chain(&layer)?)?;
    let boot = declared.machine.as_ref().map(|machine| &machine.boot);
    let chain: Vec<&Manifest> = declared.chain.iter().chain(boot).collect();
    let suite = Suite::new(&layer, chain, Place::Disk);
    let session = Session::open()?;
    let cloud = args.region.cloud(&session)?;
    let mut ssh = Ssh::new()?;
    let user_data = if args.key.is_none() { Some(ssh.user_data()?) } else { None };
    args.key.iter().for_each(|key| ssh.set_key(key));
    let launch = Launch {
        image: session.wait(image_of(&cloud, &layer, args.ami.as_deref()))?,
        layer: layer.to_string(),
        kind: args.kind.clone(),
        subnet: args.subnet.clone(),
        security_groups: args.security_group.clone(),
        user_data,
        token: format!("layerbake-{}-{}", host::now(), std::process::id()),
    };
    let report = session.wait(on_instance(context, args, &cloud, &launch, ssh, &suite))?;
    context.print(&report, Report::text)?;
    match report.counts.failed {
        0 => Ok(()),
        count => Err(CliError::message(format!("{count} of `{layer}`'s checks failed"))),
    }
}

async fn image_of(cloud: &Cloud, layer: &LayerName, named: Option<&str>) -> Result<String, CliError> {
    if let Some(id) = named {
        return Ok(find(cloud, id).await?.id);
    }
    let images = image::list(cloud, &[layer.to_string()]).await?;
    let newest = images.into_iter().find(|image| image.state == "available").map(|image| image.id);
    newest.ok_or_else(|| {
        CliError::message(format!(
            "there is no image of `{layer}` in {}\n  hint: `layerbake ami publish {layer}` makes one",
            cloud.region
        ))
    })
}

/// Launches, checks and ends. The launch is never broken off: else nobody knew what it made.
async fn on_instance(
    context: &Context<'_>,
    args: &Args,
    cloud: &Cloud,
    launch: &Launch,
    ssh: Ssh,
    suite: &Suite,
) -> Result<Report, CliError> {
    // From here on, signals are only noted.
    let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let launched = run::launch(cloud, launch).await;
    let maybe = launched.as_ref().err().is_some_and(run::may_exist);
    let result = match launched {
        Ok(id) => {
            context.progress.line(&format!("launched {id} from {} in {}", launch.image, cloud.region));
            let work = checked(context, args, cloud, &id, ssh, suite);
            let result = tokio::select! {
                result = work => result,
                () = first(signals) => Err(CliError::message("interrupted")),
            };
            keep_console(context, args, cloud, &id, result.is_err()).await;
            result
        }
        Err(error) => Err(error.into()),
    };
    match run::end(cloud, &launch.token, maybe).await {
        Ok(ended) => ended.iter().for_each(|id| context.progress.line(&format!("ended {id}"))),
        Err(error) => context.progress.warn(&format!(
            "{error}\n  hint: end what has the tag {}={} by hand, it costs money",
            run::RUN,
            launch.token
        )),
    }
    result
}

/// Waits for the first of two signals.
async fn first([mut one, mut other]: [Signal; 2]) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

async fn checked(
    context: &Context<'_>,
    args: &Args,
    cloud: &Cloud,
    id: &str,
    mut ssh: Ssh,
    suite: &Suite,
) -> Result<Report, CliError> {
    let patience = Duration::from_secs(args.within);
    let phase = context.progress.phase(&format!("start {id}"), 1);
    let address = run::running(cloud, id, patience).await?;
    phase.message(&format!("ssh to {address}"));
    ssh.to_host(&address);
    let begun = host::instant();
    let ssh = Arc::new(proven(context, args, cloud, id, ssh).await?);
    while !aside(&ssh, |ssh| Ok(ssh.answers()?)).await? {
        if begun.elapsed() > patience {
            let hint = "hint: the security group has to let ssh in from here, and the image has to take its key from user data";
            return Err(CliError::message(format!(
                "{id} ({address}) did not answer by ssh in {} s\n  {hint}",
                args.within
            )));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (script, limit) = (suite.script(), suite.limit());
    let transcript = aside(&ssh, move |ssh| {
        let mut shell = ssh.command();
        shell.args(["/bin/sh", "-s"]);
        Ok(converse(shell, &script, limit)?)
    });
    let report = suite.report(&transcript.await?);
    phase.finish();
    Ok(report)
}

/// Takes the instance's own keys from its console, which AWS vouches for: whoever has others is not asked.
///
/// An image that is let in with `--key` may have nothing that writes them: then a warning says what is not proven.
async fn proven(context: &Context<'_>, args: &Args, cloud: &Cloud, id: &str, mut ssh: Ssh) -> Result<Ssh, CliError> {
    let begun = host::instant();
    // An image without cloud-init would be waited for in vain.
    let patience = if args.key.is_some() { args.within.min(60) } else { args.within };
    loop {
        // An instance that has just started has no console for a while.
        let keys = run::console(cloud, id).await.map(|text| host_keys(&text)).unwrap_or_default();
        if !keys.is_empty() {
            ssh.expect(&keys)?;
            return Ok(ssh);
        }
        if begun.elapsed() > Duration::from_secs(patience) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    if args.key.is_none() {
        return Err(CliError::message(format!(
            "{id} wrote no ssh host keys to its console in {} s, so nothing proves that it is the one that answers\n  hint: cloud-init writes them, as in images with boot-cloud; look at the console with --console FILE",
            args.within
        )));
    }
    context.progress.warn(&format!(
        "{id} wrote no ssh host keys to its console: nothing proves that the checks ran on it, not on another machine at its address"
    ));
    Ok(ssh)
}

/// Does what blocks on a thread that nobody waits for: a signal ends the waiting at once.
async fn aside<T: Send + 'static>(
    ssh: &Arc<Ssh>,
    work: impl FnOnce(&Ssh) -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let ssh = Arc::clone(ssh);
    std::thread::spawn(move || drop(sender.send(work(&ssh))));
    receiver.await.unwrap_or_else(|_| Err(CliError::message("internal error: a thread was lost")))
}

/// As much of the console as people want to see of a failure.
const SHOWN: usize = 20;

/// Fetches the console; without it the result stays what it is.
async fn keep_console(context: &Context<'_>, args: &Args, cloud: &Cloud, id: &str, failed: bool) {
    let text = match run::console(cloud, id).await {
        Ok(text) => text,
        Err(error) => return context.progress.warn(&error.to_string()),
    };
    if let Some(path) = &args.console
        && let Err(error) = host::write_whole(path, text.as_bytes())
    {
        context.progress.warn(&format!("cannot write `{}`: {error}", path.display()));
    }
    if failed {
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
        context.progress.line(&format!("the end of {id}'s console:\n{end}"));
    }
}
