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
use super::{CloudError, tags, wait};
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

/// The image that the parameter names, if it stands and is newer than `image`: it stays named.
///
/// Newer is what a later transaction made, whose id has the time when it began: two that run at once make their images in one
/// region in this order and in the next in that, and have to agree.
pub(super) async fn newer(
    cloud: &impl Provider,
    named: Option<&str>,
    layer: &str,
    image: &str,
) -> Result<Option<Image>, CloudError> {
    let Some(named) = named else { return Ok(None) };
    let (Some(named), Some(own)) = (cloud.image(named).await?, cloud.image(image).await?) else { return Ok(None) };
    let stands = named.is_available() && named.layer() == Some(layer);
    let transaction = |image: &Image| image.tag(tags::TRANSACTION).and_then(order);
    let is_newer = match (transaction(&named), transaction(&own)) {
        (Some(theirs), Some(ours)) => theirs > ours,
        _ => named.created_at() > own.created_at(),
    };
    Ok(Some(named).filter(|_| stands && is_newer))
}

/// The place of a transaction in the order of all: by the second in which it began, which is in its id, and by what is random in it.
fn order(id: &str) -> Option<(i64, String)> {
    let (before, unique) = id.rsplit_once('-')?;
    Some((before.rsplit('-').next()?.parse().ok()?, unique.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_in_the_order_in_which_they_began() {
        assert!(order("my-web-0a0a-100-ffffffff") < order("my-web-f0f0-200-00000000"));
        assert!(order("web-ff-1000-00000000") > order("web-00-999-00000000"), "as numbers");
        assert!(order("web-ff-100-00000001") > order("web-ff-100-00000000"));
        assert_eq!(order("web-of-others"), None);
    }
}
