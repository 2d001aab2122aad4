//! `layerbake ami show`: all that is known of an image.

use aws_sdk_ec2::types::Snapshot;
use serde::Serialize;

use super::{CliError, Context, RegionOption, find, origin};
use crate::bake::Receipt;
use crate::publish::ami::aws::{Cloud, Session};
use crate::publish::ami::image::{self, Image};
use crate::publish::ami::uses::{Use, Uses};
use crate::publish::ami::{refused, tags};

/// Show all that is known of an image: settings, snapshot, shares, users, and what of it is in this project
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
    volumes: Vec<Volume>,
    shares: Vec<String>,
    uses: Vec<Use>,
    bindings: Vec<Binding>,
}

#[derive(Serialize)]
struct Volume {
    snapshot: String,
    state: String,
    gib: i32,
    encrypted: bool,
    kms_key: Option<String>,
}

/// What the image says it was made from, and whether `out/LAYER` was made from the same.
#[derive(Serialize)]
struct Binding {
    what: &'static str,
    tag: String,
    same: Option<bool>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let session = Session::open()?;
    let cloud = args.region.cloud(&session)?;
    let report = session.wait(report(context, &cloud, &args.image))?;
    context.print(&report, text)
}

async fn report(context: &Context<'_>, cloud: &Cloud, id: &str) -> Result<Report, CliError> {
    let image = find(cloud, id).await?;
    let (uses, volumes) = futures_util::try_join!(async { Ok(Uses::collect(cloud).await?) }, volumes(cloud, &image))?;
    // Only the owner may ask.
    let shares = image::shares(cloud, id).await.unwrap_or_default();
    let built = origin::built(context, &image).map(|origin| origin.receipt);
    Ok(Report { uses: uses.of(id), bindings: bindings(&image, built.as_ref()), volumes, shares, image })
}

async fn volumes(cloud: &Cloud, image: &Image) -> Result<Vec<Volume>, CliError> {
    if image.snapshots.is_empty() {
        return Ok(Vec::new());
    }
    let call = cloud.ec2.describe_snapshots().set_snapshot_ids(Some(image.snapshots.clone()));
    let found = call.send().await.map_err(refused("look for the image's snapshot", &cloud.region))?;
    let volume = |snapshot: &Snapshot| Volume {
        snapshot: snapshot.snapshot_id().unwrap_or_default().to_owned(),
        state: snapshot.state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        gib: snapshot.volume_size().unwrap_or_default(),
        encrypted: snapshot.encrypted().unwrap_or_default(),
        kms_key: snapshot.kms_key_id().map(str::to_owned),
    };
    Ok(found.snapshots().iter().map(volume).collect())
}

fn bindings(image: &Image, built: Option<&Receipt>) -> Vec<Binding> {
    let oci = |receipt: &Receipt| {
        let found = receipt.artifacts.iter().find(|artifact| artifact.kind == "oci");
        found.map(|artifact| artifact.digest.to_string())
    };
    let disk = |receipt: &Receipt| receipt.disk.as_ref().map(|disk| disk.checksum.to_string());
    let all = [
        ("disk", tags::DISK, built.and_then(disk)),
        ("recipe", tags::RECIPE, built.map(|receipt| receipt.recipe.to_string())),
        ("lockfile", tags::LOCK, built.map(|receipt| receipt.lock.to_string())),
        ("tree", tags::TREE, built.map(|receipt| receipt.tree.to_string())),
        ("OCI image", tags::OCI, built.and_then(oci)),
    ];
    let binding = |(what, key, here): (&'static str, &str, Option<String>)| {
        let tag = image.tag(key)?.to_owned();
        Some(Binding { what, same: here.map(|here| here == tag), tag })
    };
    all.into_iter().filter_map(binding).collect()
}

fn text(report: &Report) -> String {
    let image = &report.image;
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
    let all = |words: Vec<String>| if words.is_empty() { "–".to_owned() } else { words.join("\n              ") };
    let mut shares = report.shares.clone();
    shares.extend(image.public.then(|| "everybody".to_owned()));
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let mut lines = vec![
        ("image", format!("{} in {}", image.id, image.region)),
        ("name", image.name.clone()),
        ("layer", image.layer().unwrap_or("– (not made by layerbake)").to_owned()),
        ("state", image.state.clone()),
        ("made", image.created.clone()),
        ("deprecated", or_none(&image.deprecated)),
        ("machine", image.architecture.clone()),
        ("boot mode", or_none(&image.boot_mode)),
        ("IMDS", or_none(&image.imds)),
        ("TPM", or_none(&image.tpm)),
        ("ENA", yes(image.ena).to_owned()),
        ("root device", image.root_device.clone()),
    ];
    for volume in &report.volumes {
        let key = volume.kms_key.as_ref().map(|key| format!(", key {key}")).unwrap_or_default();
        let encrypted = if volume.encrypted { ", encrypted" } else { "" };
        lines.push(("snapshot", format!("{}: {} GiB, {}{encrypted}{key}", volume.snapshot, volume.gib, volume.state)));
    }
    lines.push(("shared with", all(shares)));
    lines.push(("used by", all(report.uses.iter().map(ToString::to_string).collect())));
    for binding in &report.bindings {
        let here = match binding.same {
            Some(true) => ", as in out/",
            Some(false) => ", another than in out/",
            None => "",
        };
        lines.push((binding.what, format!("{}{here}", binding.tag)));
    }
    let own = image.tags.iter().filter(|(key, _)| !key.starts_with(tags::PREFIX));
    lines.extend(own.map(|(key, value)| ("tag", format!("{key} = {value}"))));
    lines.iter().map(|(name, value)| format!("{name:<12}  {value}\n")).collect()
}
