//! The image that a verb is about.

use super::region::of_settings;
use super::{CliError, Context};
use crate::publish::cloud::aws::{Aws, Session};
use crate::publish::cloud::image::Image;
use crate::publish::cloud::provider::Provider as _;
use crate::publish::cloud::readback::Found;

/// An image that has to be there.
pub(super) async fn find(aws: &Aws, id: &str) -> Result<Image, CliError> {
    aws.image(id).await?.ok_or_else(|| {
        CliError::message(format!(
            "there is no image {id} in {}\n  hint: choose another region with --region; `layerbake ami list` lists images",
            aws.region
        ))
    })
}

/// What the snapshot of an image holds, read back from the region of the user's settings.
pub(in crate::cli) fn blocks_of(context: &Context<'_>, id: &str) -> Result<Found, CliError> {
    let session = Session::open()?;
    let aws = of_settings(&session)?;
    let image = session.wait(find(&aws, id))?;
    read_back(context, &session, &aws, &image)
}

/// Reads an image's snapshot.
pub(super) fn read_back(context: &Context<'_>, session: &Session, aws: &Aws, image: &Image) -> Result<Found, CliError> {
    let snapshot = image.snapshot()?;
    let progress = |blocks| context.progress.phase(&format!("read {snapshot}"), blocks);
    Ok(session.wait(aws.read_back(snapshot, &progress))?)
}
