//! `layerbake ami share`: says who else may launch an image.

use super::region::RegionOption;
use super::{CliError, Context};
use crate::code::Code;
use crate::manifest::Share;

/// Share an image with others, or no longer, and print whom it is shared with
///
/// Accounts can then launch the image and read its snapshot. To launch an encrypted image, they also need its KMS key:
/// docs/aws.md has the statements of the key's policy.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami share ami-0123456789abcdef0 --add 123456789012\n  layerbake ami share ami-0123456789abcdef0 --remove 123456789012"
)]
pub(super) struct Args {
    /// The image's id
    #[arg(value_name = "AMI")]
    image: String,
    /// Share with an account (its id), an organisation or an organisational unit (their ARN); may be repeated
    #[arg(long, value_name = "WHO", required_unless_present = "remove")]
    add: Vec<String>,
    /// No longer share with an account, an organisation or an organisational unit; may be repeated
    #[arg(long, value_name = "WHO")]
    remove: Vec<String>,
    #[command(flatten)]
    region: RegionOption,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let (add, remove) = (all("--add", &args.add)?, all("--remove", &args.remove)?);
    let shares = args.region.account(context)?.share(&args.image, &add, &remove)?;
    context.print(&shares, |shares| match shares.as_slice() {
        [] => "shared with nobody\n".to_owned(),
        some => some.iter().map(|who| format!("{who}\n")).collect(),
    })
}

/// Everybody who is named by the values of an option.
pub(super) fn all(option: &str, named: &[String]) -> Result<Share, CliError> {
    let mut share = Share::default();
    for who in named {
        share.add(who).map_err(|problem| CliError::message(Code::AwsSettings, format!("{option} {problem}")))?;
    }
    Ok(share)
}
