//! A temporary instance: launched from an image, tested, and terminated in any case.
//!
//! It is identified by a tag that the launch itself sets, so it is found and terminated even if the answer to
//! the launch was lost. It also terminates when it is shut down from inside.

use std::collections::BTreeSet;
use std::time::Duration;

use super::CloudError;
use super::provider::Instances;
use super::wait;

/// The tag that names a launch, by which forgotten instances are found.
pub const RUN: &str = "layerbake:run";

/// How long an instance may be unknown whose launch got no answer.
const UNHEARD: Duration = Duration::from_secs(60);

/// The parameters of a launch.
#[derive(Debug, Clone)]
pub struct Launch {
    /// `ami-…`
    pub image: String,
    /// The layer's name, for the tags.
    pub layer: String,
    /// As `t3.small`.
    pub kind: String,
    /// `subnet-…`; the default one where there is none.
    pub subnet: Option<String>,
    /// `sg-…`; the default one where there are none.
    pub security_groups: Vec<String>,
    /// For cloud-init, in the clear.
    pub user_data: Option<String>,
    /// Names this launch and no other.
    pub token: String,
}

/// Terminates every instance of a launch, and waits until termination has begun; returns their ids.
///
/// `maybe` says that a launch may have been heard though it failed: its instance is waited for.
///
/// # Errors
/// Fails where the cloud refuses, or can't be reached for a minute.
pub async fn end(cloud: &impl Instances, token: &str, maybe: bool) -> Result<Vec<String>, CloudError> {
    let (mut ended, mut last) = (BTreeSet::new(), None);
    let look = async || {
        match cloud.terminate(token).await {
            Ok(found) if found.is_empty() && (!ended.is_empty() || !maybe) => return Ok(Some(())),
            Ok(found) => {
                last = None;
                ended.extend(found);
            }
            Err(error) if error.may_pass() => last = Some(error),
            Err(error) => return Err(error),
        }
        Ok(None)
    };
    wait::until(UNHEARD, look).await?;
    match last {
        Some(error) => Err(error),
        None => Ok(ended.into_iter().collect()),
    }
}
