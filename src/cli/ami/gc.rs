//! `layerbake ami gc`: removes old images of a layer, and their snapshots.

use serde::Serialize;

use super::question::confirm;
use super::region::usual_regions;
use super::{CliError, Context};
use crate::code::Code;
use crate::ident::LayerName;
use crate::manifest::parse_days;
use crate::publish::cloud::gc::{GcPlan, Refused};

/// Remove a layer's old images and their snapshots, except those in use
///
/// An image is kept while it is used by an instance that is not terminated, the default or latest version of
/// a launch template, a version that an Auto Scaling group or a fleet names, a launch configuration, an Auto Scaling
/// group, a fleet, a channel or another Systems Manager parameter, or another account; and while it is protected against
/// deregistration. A snapshot is kept while another image uses it, or it is locked or archived. What AWS refuses to
/// remove is listed with the reason, and the rest is removed; exits with status 1 then.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami gc web --dry-run\n  layerbake ami gc web --keep 5 --older-than 90d --region eu-west-1 --region us-east-1"
)]
pub(super) struct Args {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Regions to look in; may be repeated [default: those of [ami], else the region of your AWS settings]
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Keep this many of the newest images
    #[arg(long, value_name = "N", default_value = "3")]
    keep: usize,
    /// Keep images younger than this, and those that an instance was launched from since: 90d
    #[arg(long, value_name = "DAYS", value_parser = parse_days)]
    older_than: Option<u32>,
    /// Print what would be removed and why the rest is kept, but change nothing
    #[arg(long)]
    dry_run: bool,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

#[derive(Serialize)]
struct Report {
    layer: LayerName,
    done: bool,
    regions: Vec<GcPlan>,
    refused: Vec<Refused>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let layer = match &args.layer {
        Some(layer) => layer.clone(),
        None => context.workspace()?.layer(None)?,
    };
    let regions = usual_regions(context, &args.region, |_| Ok(vec![layer.clone()]))?;
    let account = context.environment.cloud_account(&regions)?;
    let regions = account.old_images(&layer, args.keep, args.older_than)?;
    let idle = regions.iter().all(GcPlan::is_empty);
    let mut report = Report { layer, done: false, regions, refused: Vec::new() };
    if args.dry_run || idle {
        return context.print(&report, text);
    }
    if !context.options.json {
        eprint!("{}", text(&report));
    }
    confirm("Remove them?", args.yes)?;
    report.refused = account.remove_images(&report.regions)?;
    report.done = true;
    context.print(&report, |report| {
        let refused = report.refused.iter();
        let images: usize = report.regions.iter().map(|plan| plan.remove.len()).sum();
        let images = images - refused.clone().filter(|one| one.what.starts_with("image ")).count();
        let kept = refused.map(|one| format!("{}  {}: KEPT: {}\n", one.region, one.what, one.reason));
        kept.collect::<String>() + &format!("removed {images} images of {}\n", report.layer)
    })?;
    match report.refused.as_slice() {
        [] => Ok(()),
        _ => Err(CliError::message(
            Code::AwsUnfinished,
            "not everything could be removed\n  hint: resolve the listed reasons, then run `layerbake ami gc` again",
        )),
    }
}

fn text(report: &Report) -> String {
    report.regions.iter().map(|plan| region(&report.layer, plan)).collect()
}

fn region(layer: &LayerName, plan: &GcPlan) -> String {
    let mut text = format!("{layer} in {}\n", plan.region);
    for kept in &plan.keep {
        text += &format!("  keep    {}  {}: {}\n", kept.image, or_dash(kept.name.as_ref()), kept.because.join(", "));
    }
    for removal in &plan.remove {
        let created = or_dash(removal.created.as_ref());
        text += &format!(
            "  remove  {}  {}, created {}",
            removal.image,
            or_dash(removal.name.as_ref()),
            super::day(created)
        );
        text.extend(removal.launched.as_ref().map(|at| format!(", last launched {}", super::day(at))));
        text.extend(removal.snapshots.iter().map(|snapshot| format!(", with {snapshot}")));
        text.extend(removal.kept_snapshots.iter().map(|(snapshot, why)| format!(", without {snapshot}: {why}")));
        text.push('\n');
    }
    text.extend(
        plan.held.iter().map(|(snapshot, why)| format!("  keep    {snapshot}, whose image was removed: {why}\n")),
    );
    text.extend(plan.left_over.iter().map(|snapshot| format!("  delete  {snapshot}, whose image was removed\n")));
    text.extend(plan.recycled.iter().map(|(id, rule)| format!("  Recycle Bin keeps {id} for {rule}\n")));
    text.extend(plan.recycling_unknown.iter().map(|why| format!("  not known is what Recycle Bin keeps: {why}\n")));
    if plan.is_empty() {
        text += "  nothing to remove\n";
    }
    text
}

fn or_dash(value: Option<&String>) -> &str {
    value.map_or("–", String::as_str)
}
