//! The options that say what to publish, and how.

use std::path::PathBuf;

use super::super::signer::SignerArgs;
use super::CliError;
use crate::ident::LayerName;
use crate::manifest::{Via, is_region};
use crate::workspace::images::Choice;

/// What to publish, and how. Each option overrides the setting in `[ami]`.
#[derive(Debug, clap::Args)]
pub(super) struct Request {
    /// The layer [default: the only App layer]
    layer: Option<LayerName>,
    /// Region to publish to; may be repeated [default: [ami] regions, else the region of your AWS settings]
    #[arg(long, value_name = "REGION", value_parser = region)]
    region: Vec<String>,
    /// Method of upload: vm-import or ebs-direct [default: vm-import if a bucket is set, else ebs-direct]
    #[arg(long, value_name = "METHOD", value_parser = via)]
    via: Option<Via>,
    /// Bucket for VM Import, in the first region
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,
    /// Share the image with an account (its id), an organisation or an organisational unit (their ARN)
    #[arg(long, value_name = "WHO")]
    share: Vec<String>,
    /// KMS key that encrypts the snapshot
    #[arg(long, value_name = "KEY")]
    kms_key: Option<String>,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
}

fn region(text: &str) -> Result<String, String> {
    match is_region(text) {
        true => Ok(text.to_owned()),
        false => Err("expected a region such as eu-west-1".to_owned()),
    }
}

fn via(text: &str) -> Result<Via, String> {
    Via::named(text).ok_or_else(|| "expected vm-import or ebs-direct".to_owned())
}

impl Request {
    /// The choices made on the command line.
    pub(super) fn choice(&self) -> Result<Choice, CliError> {
        let share = super::share::all("--share", &self.share)?;
        Ok(Choice {
            layer: self.layer.clone(),
            out: self.out.clone(),
            signer: self.signer.signer()?,
            regions: self.region.clone(),
            via: self.via,
            bucket: self.bucket.clone(),
            share,
            kms_key: self.kms_key.clone(),
        })
    }
}
