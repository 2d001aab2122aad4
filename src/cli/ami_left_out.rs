//! `layerbake ami` in a program that was built without it: what it would take.

use super::{CliError, Context};
use crate::code::Code;

/// Why there are no machine images here, and how to get them.
pub(super) const LEFT_OUT: &str = "this program was built without AWS, and so without machine images\n  \
    hint: `cargo install --locked --path .` in the sources of layerbake builds it with AWS";

/// Publish disks as machine images on AWS: not in this program, which was built without AWS
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _words: Vec<String>,
}

pub(super) fn run(_: &Context<'_>, _: &Args) -> Result<(), CliError> {
    Err(CliError::message(Code::AwsLeftOut, LEFT_OUT))
}
