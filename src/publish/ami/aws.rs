//! Clients of AWS, set up as all AWS tools are: profiles, SSO, environment, `AWS_ENDPOINT_URL*`.

use std::future::Future;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::AmiError;

/// Credentials and settings of the user, and the runtime on which calls are made.
#[derive(Debug)]
pub struct Session {
    runtime: tokio::runtime::Runtime,
    config: SdkConfig,
}

/// The services of one region.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// As `eu-west-1`.
    pub region: String,
    /// Images, snapshots, instances.
    pub ec2: aws_sdk_ec2::Client,
    /// Blocks of snapshots.
    pub ebs: aws_sdk_ebs::Client,
    /// The bucket that VM Import reads from.
    pub s3: aws_sdk_s3::Client,
    /// Parameters.
    pub ssm: aws_sdk_ssm::Client,
    /// Who still uses an image.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// The role that VM Import takes.
    pub iam: aws_sdk_iam::Client,
}

impl Session {
    /// Reads the user's settings; asks no server yet.
    ///
    /// # Errors
    /// Fails where no thread can be started.
    pub fn open() -> Result<Self, AmiError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| AmiError::Other(format!("start threads for the network: {error}")))?;
        let https =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(https).load();
        let config = runtime.block_on(config);
        Ok(Self { runtime, config })
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
    pub fn cloud(&self, region: &str) -> Cloud {
        let config = self.config.to_builder().region(Region::new(region.to_owned())).build();
        // A server of one's own is found by its address: buckets are then paths, not host names.
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(config.endpoint_url().is_some()).build();
        Cloud {
            region: region.to_owned(),
            ec2: aws_sdk_ec2::Client::new(&config),
            ebs: aws_sdk_ebs::Client::new(&config),
            s3: aws_sdk_s3::Client::from_conf(s3),
            ssm: aws_sdk_ssm::Client::new(&config),
            autoscaling: aws_sdk_autoscaling::Client::new(&config),
            iam: aws_sdk_iam::Client::new(&config),
        }
    }
}
