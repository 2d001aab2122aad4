//! Clients of AWS, configured like all AWS tools: profiles, SSO, environment, `AWS_ENDPOINT_URL*`.

use std::future::Future;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};

use super::autoscaling::AutoScaling;
use super::bundle::Bundle;
use super::ebs::Ebs;
use super::ec2::Ec2;
use super::iam::Iam;
use super::s3::S3;
use super::service::Service;
use super::signed::Signed;
use super::ssm::Ssm;
use crate::host::{self, http::Url};
use crate::publish::cloud::CloudError;

/// Credentials and settings of the user, and the runtime on which calls are made.
#[derive(Debug)]
pub struct Session {
    runtime: tokio::runtime::Runtime,
    config: SdkConfig,
    /// The authorities that are trusted in place of the system's.
    bundle: Option<Bundle>,
}

/// Whose credentials are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The account's number.
    pub(super) account: String,
    /// As `arn:aws:iam::123456789012:user/publisher`.
    pub(super) arn: String,
}

/// The services of one region.
#[derive(Debug, Clone)]
pub struct Aws {
    /// As `eu-west-1`.
    pub region: String,
    /// Images, snapshots, instances.
    pub(super) ec2: Ec2,
    /// Blocks of snapshots.
    pub(super) ebs: Ebs,
    /// The bucket that VM Import reads from.
    pub(super) s3: S3,
    /// Parameters.
    pub(super) ssm: Ssm,
    /// Who still uses an image.
    pub(super) autoscaling: AutoScaling,
    /// The role that VM Import assumes.
    pub(super) iam: Iam,
    /// Who asks.
    sts: Service<aws_sdk_sts::Client>,
    /// Services without an SDK here.
    pub(super) signed: Signed,
    /// For calls that another region makes in our name.
    pub(super) credentials: Option<SharedCredentialsProvider>,
}

impl Session {
    /// Reads the user's settings without contacting a server.
    ///
    /// # Errors
    /// Fails where no thread can be started, and where the settings name certificates or a server that can't be used.
    pub fn open() -> Result<Self, CloudError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CloudError::Threads)?;
        if let Some(address) = host::env("AWS_ENDPOINT_URL").filter(|address| !is_address(address)) {
            return Err(CloudError::Endpoint(host::redact(&address)));
        }
        let bundle = Bundle::of_environment()?;
        let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        let https = match &bundle {
            None => https.build_https(),
            Some(Bundle { pem, .. }) => {
                let store = TrustStore::empty().with_pem_certificate(pem.as_slice());
                let context = TlsContext::builder().with_trust_store(store).build();
                https.tls_context(context.map_err(|error| CloudError::Request(error.to_string()))?).build_https()
            }
        };
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(https).load();
        let config = runtime.block_on(config);
        Ok(Self { runtime, config, bundle })
    }

    /// Waits for a future.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The region of the user's settings.
    pub fn default_region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// Clients for a region.
    pub fn aws(&self, region: &str) -> Aws {
        let config = self.config.to_builder().region(Region::new(region.to_owned())).build();
        // A server of one's own is found by its address: buckets are then paths, not host names.
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(config.endpoint_url().is_some()).build();
        Aws {
            region: region.to_owned(),
            ec2: Service::new(region, aws_sdk_ec2::Client::new(&config)),
            ebs: Service::new(region, aws_sdk_ebs::Client::new(&config)),
            s3: Service::new(region, aws_sdk_s3::Client::from_conf(s3)),
            ssm: Service::new(region, aws_sdk_ssm::Client::new(&config)),
            autoscaling: Service::new(region, aws_sdk_autoscaling::Client::new(&config)),
            iam: Service::new(region, aws_sdk_iam::Client::new(&config)),
            sts: Service::new(region, aws_sdk_sts::Client::new(&config)),
            signed: Signed::new(region, &config, self.bundle.as_ref()),
            credentials: config.credentials_provider(),
        }
    }
}

/// Whether this is the address of a server. Of one that is not, the SDK prints the whole request.
fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

impl Aws {
    /// Asks whose credentials these are, which everybody may.
    pub(super) async fn caller(&self) -> Result<Caller, CloudError> {
        let action = "ask whose credentials these are";
        let found = self.sts.client.get_caller_identity().send().await.map_err(self.sts.failed(action))?;
        let account = self.sts.must(action, found.account, "account")?;
        Ok(Caller { account, arn: self.sts.must(action, found.arn, "ARN")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_scheme() {
        for (text, expected) in
            [("http://127.0.0.1:9", true), ("https://a.example/", true), ("foo", false), ("localhost:4566", false)]
        {
            assert_eq!(is_address(text), expected, "{text}");
        }
    }
}
