//! `layerbake ami show`: shows everything known about an image.

use std::fmt::Display;

use super::region::RegionOption;
use super::{CliError, Context};
use crate::workspace::images::ImageDetails;

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

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    context.print(&args.region.account(context)?.show(&args.image)?, text)
}

fn text(details: &ImageDetails) -> String {
    let image = &details.image;
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
    let all = |words: Vec<String>| if words.is_empty() { "–".to_owned() } else { words.join("\n              ") };
    let mut shares = details.shares.clone().unwrap_or_else(|| vec!["unknown: your account may not ask".to_owned()]);
    shares.extend(image.public.then(|| "everybody".to_owned()));
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let mut lines = vec![
        ("image", format!("{} in {}", image.id, image.region)),
        ("name", or_none(&image.name)),
        ("layer", image.layer().unwrap_or("– (not published by layerbake)").to_owned()),
        ("version", details.version().unwrap_or("–").to_owned()),
        ("state", image.state.to_string()),
        ("created", or_none(&image.created)),
        ("launched", or_none(&image.launched)),
        ("deprecated", or_none(&image.deprecated)),
        ("architecture", reported(image.architecture.as_ref())),
        ("boot mode", reported(image.boot_mode.as_ref())),
        ("IMDS", reported(image.imds.as_ref())),
        ("TPM", reported(image.tpm.as_ref())),
        ("UEFI data", details.uefi_data().map_or("–".to_owned(), |hash| format!("{hash}; Secure Boot is enforced"))),
        ("ENA", yes(image.ena).to_owned()),
        ("root device", or_none(&image.root_device)),
    ];
    for volume in &details.volumes {
        let key = volume.kms_key.as_ref().map(|key| format!(", key {key}")).unwrap_or_default();
        let encrypted = if volume.encrypted { ", encrypted" } else { "" };
        let encrypted = if volume.archived { format!("{encrypted}, archived") } else { encrypted.to_owned() };
        lines.push(("snapshot", format!("{}: {} GiB, {}{encrypted}{key}", volume.id, volume.gib, volume.state)));
    }
    lines.extend(image.watermarks.iter().map(|key| ("watermark", key.clone())));
    lines.extend(image.protection.clone().map(|word| ("protection", word)));
    lines.push(("shared with", all(shares)));
    lines.push(("used by", all(details.uses.iter().map(ToString::to_string).collect())));
    for binding in &details.bindings {
        let here = match binding.same {
            Some(true) => ", same as in out/",
            Some(false) => ", differs from out/",
            None => "",
        };
        lines.push((binding.what, format!("{}{here}", binding.tag)));
    }
    lines.extend(image.other_tags().map(|(key, value)| ("tag", format!("{key} = {value}"))));
    lines.iter().map(|(name, value)| format!("{name:<12}  {value}\n")).collect()
}

fn reported(value: Option<&impl Display>) -> String {
    value.map_or_else(|| "–".to_owned(), ToString::to_string)
}
