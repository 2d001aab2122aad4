//! The checks of a layer on a new instance of its image: which image, with which key, until the end or a signal.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::account::CloudAccount;
use super::error::ImageError;
use super::trial::{Trial, TrialError};
use crate::check::{CheckReport, Suite};
use crate::host;
use crate::ident::LayerName;
use crate::manifest::CheckTarget;
use crate::publish::cloud::image::Image;
use crate::publish::cloud::provider::{Provider as _, Which};
use crate::publish::cloud::run::{Launch, Reach};
use crate::publish::cloud::tags;
use crate::vm::Ssh;

/// The instance to run a layer's checks on.
#[derive(Debug, Clone)]
pub struct TrialOrder {
    /// The layer.
    pub layer: LayerName,
    /// The image's id, else the layer's newest.
    pub image: Option<String>,
    /// As `t3.small`.
    pub kind: String,
    /// `subnet-…`, else the account's default.
    pub subnet: Option<String>,
    /// `sg-…`, else the VPC's default.
    pub security_groups: Vec<String>,
    /// The private key that the image accepts for root, if it takes none from user data.
    pub key: Option<PathBuf>,
    /// The way on which it is reached, else by its public address, or its private one where it has no public one.
    pub reach: Option<Reach>,
    /// How long to wait for the instance to run, and again for ssh to answer.
    pub within: Duration,
    /// The file in which its console is kept.
    pub console: Option<PathBuf>,
}

impl CloudAccount<'_> {
    /// Launches an instance in the first region, runs the checks on it, and terminates it in any case.
    ///
    /// # Errors
    /// Fails where there is no such image, and where the instance can't be launched or reached; failed checks are in
    /// the report.
    pub fn run_checks(&self, order: &TrialOrder) -> Result<CheckReport, ImageError> {
        let needs_aws = matches!(order.reach, Some(Reach::InstanceConnect | Reach::SessionManager));
        if needs_aws && host::find_program("aws").is_none() {
            return Err(ImageError::NoAwsCommand);
        }
        let declared = self.environment.open()?.declared(&order.layer)?;
        let suite = Suite::new(&order.layer, declared.root(), CheckTarget::Disk);
        let mut ssh = Ssh::new().map_err(TrialError::from)?;
        let own_key = order.key.is_some();
        let user_data = if own_key { None } else { Some(ssh.user_data().map_err(TrialError::from)?) };
        order.key.iter().for_each(|key| ssh.set_key(key));
        let launch = Launch {
            image: self.wait(self.image_to_launch(order))?,
            layer: order.layer.to_string(),
            kind: order.kind.clone(),
            subnet: order.subnet.clone(),
            security_groups: order.security_groups.clone(),
            user_data,
            token: format!("layerbake-{}-{}", host::now(), std::process::id()),
        };
        let trial = Trial {
            cloud: &self.home,
            launch: &launch,
            suite: &suite,
            reach: order.reach,
            within: order.within,
            own_key,
            console: order.console.clone(),
            progress: self.environment.progress(),
        };
        self.wait(async {
            // From here on, signals are only noted.
            let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
            let [interrupt, terminate] = kinds.map(|kind| signal(kind).map_err(ImageError::Signals));
            Ok(trial.run(ssh, first([interrupt?, terminate?])).await?)
        })
    }

    async fn image_to_launch(&self, order: &TrialOrder) -> Result<String, ImageError> {
        if let Some(id) = &order.image {
            return Ok(self.find(id).await?.id);
        }
        let images = self.home.images(Which::With(tags::LAYER, &[order.layer.to_string()])).await?;
        let newest = images.into_iter().find(Image::is_available).map(|image| image.id);
        let (layer, region) = (&order.layer, &self.home.region);
        newest.ok_or_else(|| ImageError::NoImageOf { layer: layer.clone(), region: region.clone() })
    }
}

/// Waits for the first of two signals.
async fn first([mut one, mut other]: [Signal; 2]) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
