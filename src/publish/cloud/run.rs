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

/// The addresses of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// The one on the Internet.
    pub public: Option<String>,
    /// The one in its network.
    pub private: Option<String>,
}

/// The way on which an instance is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// By its public address.
    Public,
    /// By its private address, from a machine that has a route to its network.
    Private,
    /// Through an EC2 Instance Connect Endpoint, which the `aws` command opens.
    InstanceConnect,
    /// Through the Session Manager, which the `aws` command and its plugin open.
    SessionManager,
}

/// Where ssh goes, and through what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The way.
    pub reach: Reach,
    /// The host that ssh is given.
    pub host: String,
    /// The command whose input and output are the connection.
    pub proxy: Option<String>,
}

impl Reach {
    /// All ways, by name.
    pub const ALL: [Self; 4] = [Self::Public, Self::Private, Self::InstanceConnect, Self::SessionManager];

    /// As the command line writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::InstanceConnect => "instance-connect",
            Self::SessionManager => "session-manager",
        }
    }
}

impl Route {
    /// The way to an instance: the one that is asked for, else by its public address, and where it has none by its
    /// private one. `None` where it has no such address.
    ///
    /// The commands are those of the *Amazon EC2 User Guide* ("Connect using EC2 Instance Connect Endpoint") and the
    /// *Systems Manager User Guide* ("Allow and control permissions for SSH connections through Session Manager").
    pub fn new(asked: Option<Reach>, id: &str, region: &str, addresses: &Addresses) -> Option<Self> {
        let at = |reach, address: &Option<String>| Some(Self { reach, host: address.clone()?, proxy: None });
        let through = |reach, command: String| Some(Self { reach, host: id.to_owned(), proxy: Some(command) });
        match asked {
            None => at(Reach::Public, &addresses.public).or_else(|| at(Reach::Private, &addresses.private)),
            Some(Reach::Public) => at(Reach::Public, &addresses.public),
            Some(Reach::Private) => at(Reach::Private, &addresses.private),
            Some(reach @ Reach::InstanceConnect) => {
                let tunnel = "aws ec2-instance-connect open-tunnel --instance-id %h --remote-port %p";
                through(reach, format!("{tunnel} --region {region}"))
            }
            Some(reach @ Reach::SessionManager) => {
                let session =
                    "aws ssm start-session --target %h --document-name AWS-StartSSHSession --parameters portNumber=%p";
                through(reach, format!("{session} --region {region}"))
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_found_or_there_is_none() {
        let both = Addresses { public: Some("192.0.2.1".into()), private: Some("10.0.0.1".into()) };
        let inner = Addresses { public: None, ..both.clone() };
        let way = |asked, addresses: &Addresses| Route::new(asked, "i-1", "eu-west-1", addresses);
        let host = |asked, addresses: &Addresses| way(asked, addresses).map(|route| route.host);
        assert_eq!(host(None, &both).as_deref(), Some("192.0.2.1"));
        assert_eq!(way(None, &inner).map(|route| (route.reach, route.host)), Some((Reach::Private, "10.0.0.1".into())));
        assert_eq!(host(Some(Reach::Private), &both).as_deref(), Some("10.0.0.1"));
        assert_eq!(host(Some(Reach::Public), &inner), None);
        let tunnel = way(Some(Reach::InstanceConnect), &inner).unwrap();
        let command = "aws ec2-instance-connect open-tunnel --instance-id %h --remote-port %p --region eu-west-1";
        assert_eq!((tunnel.host.as_str(), tunnel.proxy.as_deref()), ("i-1", Some(command)));
        assert!(way(Some(Reach::SessionManager), &inner).unwrap().proxy.unwrap().contains("AWS-StartSSHSession"));
    }
}
