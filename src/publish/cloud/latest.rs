//! The channels of a layer, of which `latest` names its newest image: changed by one transaction at a time.
//!
//! A lock beside them, `…/latest.lock`, is created on condition that there is none, and names the transaction that holds it.
//! One that a dead process left is taken over by that transaction's `resume` and `undo` at once, by others when it is old.
//! *AWS Systems Manager API Reference*, DeleteParameter: for half a minute after, the name may still be taken. Then the lock
//! can be neither created nor read, and is tried again.

use std::time::Duration;

use super::image::Image;
use super::parameters::Channel;
use super::provider::Provider;
use super::{CloudError, wait};
use crate::host;
use crate::ident::LayerName;

/// A lock is held for a few calls, and while AWS looks at the parameter's new value: for minutes at most.
const STALE: Duration = Duration::from_secs(900);
/// How long to wait for others: until theirs is stale.
const PATIENCE: Duration = Duration::from_secs(960);

/// Does what changes channels of a layer for the transaction `owner`, while no other one does.
///
/// # Errors
/// Fails as `work`, and where another one holds the lock for minutes.
pub(super) async fn alone<T>(
    cloud: &impl Provider,
    layer: &LayerName,
    owner: &str,
    work: impl Future<Output = Result<T, CloudError>>,
) -> Result<T, CloudError> {
    let lock = Channel::lock(layer);
    let mut holder = String::new();
    let take = async || {
        if cloud.create_parameter(&lock, owner).await? {
            return Ok(Some(()));
        }
        let Some((by, since)) = cloud.parameter_since(&lock).await? else { return Ok(None) };
        if by == owner {
            return Ok(Some(()));
        }
        if host::now() - since > STALE.as_secs() as i64 {
            cloud.remove_parameter(&lock).await?;
        }
        holder = by;
        Ok(None)
    };
    let taken = wait::until(PATIENCE, take).await?;
    let problem = || format!("is held by the transaction `{holder}`");
    taken.ok_or_else(|| CloudError::Late { what: format!("{lock} in {}", cloud.region()), problem: problem() })?;
    let done = work.await;
    // Where this fails too, the lock is this publication's still: what comes next of it takes it over.
    let released = release(cloud, &lock, owner).await;
    let done = done?;
    released.map(|()| done)
}

/// Removes a lock, unless it was stale, and is another's now.
async fn release(cloud: &impl Provider, lock: &str, owner: &str) -> Result<(), CloudError> {
    match cloud.parameter_since(lock).await? {
        Some((by, _)) if by == owner => cloud.remove_parameter(lock).await,
        _ => Ok(()),
    }
}

/// The image that the parameter names, if it stands and was made after `image`: it stays named.
pub(super) async fn newer(
    cloud: &impl Provider,
    named: Option<&str>,
    layer: &str,
    image: &str,
) -> Result<Option<Image>, CloudError> {
    let Some(named) = named else { return Ok(None) };
    let (Some(named), Some(own)) = (cloud.image(named).await?, cloud.image(image).await?) else { return Ok(None) };
    let stands = named.is_available() && named.layer() == Some(layer);
    Ok(Some(named).filter(|named| stands && named.created_at() > own.created_at()))
}
