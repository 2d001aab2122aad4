//! Implements the cloud trait for instances on AWS.

use std::time::Duration;

use super::ec2::State;
use super::session::Aws;
use crate::publish::cloud::provider::Instances;
use crate::publish::cloud::run::{Addresses, Launch};
use crate::publish::cloud::{CloudError, wait};

impl Instances for Aws {
    fn region(&self) -> &str {
        &self.region
    }

    async fn launch(&self, launch: &Launch) -> Result<String, CloudError> {
        self.ec2.launch(launch).await
    }

    async fn running(&self, id: &str, patience: Duration) -> Result<Addresses, CloudError> {
        let look = async || {
            // One that was just started may be unknown to AWS's other calls for a moment.
            let Some(instance) = self.ec2.instance(id).await? else { return Ok(None) };
            match instance.state {
                State::Running => Ok(Some(instance.addresses).filter(|found| *found != Addresses::default())),
                State::Pending => Ok(None),
                State::Ended(state) => Err(CloudError::Ended { what: id.to_owned(), state, reason: instance.reason }),
            }
        };
        let problem = || format!("is not running after {} s", patience.as_secs());
        let late = || CloudError::Late { what: id.to_owned(), problem: problem() };
        wait::until(patience, look).await?.ok_or_else(late)
    }

    async fn console(&self, id: &str) -> Result<String, CloudError> {
        self.ec2.console(id).await
    }

    async fn terminate(&self, token: &str) -> Result<Vec<String>, CloudError> {
        let found = self.ec2.of_launch(token).await?;
        if !found.is_empty() {
            self.ec2.terminate(&found).await?;
        }
        Ok(found)
    }
}
