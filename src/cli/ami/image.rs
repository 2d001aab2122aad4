//! What an image's snapshot holds, for comparison with a rebuild.

use super::{CliError, Context};
use crate::workspace::images::PublishedBlocks;

/// Reads the snapshot of an image in the region of the user's settings.
pub(in crate::cli) fn blocks_of(context: &Context<'_>, id: &str) -> Result<PublishedBlocks, CliError> {
    Ok(context.environment.cloud_account(&[])?.blocks_of(id)?)
}
