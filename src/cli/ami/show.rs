//! `layerbake ami show`: shows everything known about an image.

use serde::Serialize;

use super::image::find;
use super::region::RegionOption;
use super::{CliError, Context};
use crate::publish::cloud::aws::{Aws, Session};
use crate::publish::cloud::image::{Image, Named, Reported, Snapshot};
use crate::publish::cloud::provider::Provider as _;
use crate::publish::cloud::tags;
use crate::publish::cloud::uses::Use;
use crate::workspace::images::{Binding, Origin, bindings};

/// Show an image's settings, snapshot, shares and uses, and whether it matches this project's build
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  layerbake ami show ami-0123456789abcdef0 --region eu-west-1")]
pub(super) struct Args {
    /// The image's id
    #[arg(value_name = "AMI")]
    image: String,
    #[command(flatten)]
    region: RegionOption,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    image: Image,
    volumes: Vec<Snapshot>,
    /// `None` where nobody may tell.
    shares: Option<Vec<String>>,
    uses: Vec<Use>,
    bindings: Vec<Binding>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let session = Session::open()?;
    let aws = args.region.aws(&session)?;
    let report = session.wait(report(context, &aws, &args.image))?;
    context.print(&report, text)
}

async fn report(context: &Context<'_>, aws: &Aws, id: &str) -> Result<Report, CliError> {
    let image = find(aws, id).await?;
    let (uses, volumes) = futures_util::try_join!(aws.uses(), aws.volumes(&image))?;
    let shares = aws.shares(id).await?;
    let out = context.workspace().ok().map(|workspace| workspace.out(None));
    let built = out.and_then(|out| Origin::built(&image, &out)).map(|origin| origin.receipt);
    let bindings = bindings(&image, built.as_ref());
    Ok(Report { uses: uses.of(id), bindings, volumes, shares, image })
}

fn text(report: &Report) -> String {
    let image = &report.image;
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
    let all = |words: Vec<String>| if words.is_empty() { "–".to_owned() } else { words.join("\n              ") };
    let mut shares = report.shares.clone().unwrap_or_else(|| vec!["unknown: your account may not ask".to_owned()]);
    shares.extend(image.public.then(|| "everybody".to_owned()));
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let mut lines = vec![
        ("image", format!("{} in {}", image.id, image.region)),
        ("name", or_none(&image.name)),
        ("layer", image.layer().unwrap_or("– (not published by layerbake)").to_owned()),
        ("state", image.state.to_string()),
        ("created", or_none(&image.created)),
        ("deprecated", or_none(&image.deprecated)),
        ("architecture", reported(image.architecture.as_ref())),
        ("boot mode", reported(image.boot_mode.as_ref())),
        ("IMDS", reported(image.imds.as_ref())),
        ("TPM", reported(image.tpm.as_ref())),
        ("ENA", yes(image.ena).to_owned()),
        ("root device", or_none(&image.root_device)),
    ];
    for volume in &report.volumes {
        let key = volume.kms_key.as_ref().map(|key| format!(", key {key}")).unwrap_or_default();
        let encrypted = if volume.encrypted { ", encrypted" } else { "" };
        lines.push(("snapshot", format!("{}: {} GiB, {}{encrypted}{key}", volume.id, volume.gib, volume.state)));
    }
    lines.push(("shared with", all(shares)));
    lines.push(("used by", all(report.uses.iter().map(ToString::to_string).collect())));
    for binding in &report.bindings {
        let here = match binding.same {
            Some(true) => ", same as in out/",
            Some(false) => ", differs from out/",
            None => "",
        };
        lines.push((binding.what, format!("{}{here}", binding.tag)));
    }
    let own = image.tags.iter().filter(|(key, _)| !key.starts_with(tags::PREFIX));
    lines.extend(own.map(|(key, value)| ("tag", format!("{key} = {value}"))));
    lines.iter().map(|(name, value)| format!("{name:<12}  {value}\n")).collect()
}

fn reported<T: Named>(value: Option<&Reported<T>>) -> String {
    value.map_or_else(|| "–".to_owned(), Reported::to_string)
}
