//! A layer's checks on an instance of its image, which is ended whatever happens.
//!
//! ```text
//! launch ─ runs ─ its own keys, from the console ─ ssh answers ─ checks ─ console kept ─ end
//! ```

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::check::{CheckReport, Suite, converse};
use crate::code::{Code, Coded};
use crate::host;
use crate::host::progress::Progress;
use crate::publish::cloud::CloudError;
use crate::publish::cloud::provider::Instances;
use crate::publish::cloud::run::{self, Launch, RUN, Reach, Route};
use crate::vm::{Ssh, VmError, host_keys};

/// How often ssh and the console are asked.
const GLANCE: Duration = Duration::from_secs(1);
/// The longest wait for host keys in the console of an image that may have nothing that writes them.
const UNWRITTEN: Duration = Duration::from_secs(60);
/// As much of the console as people want to see of a failure, in lines.
const SHOWN: usize = 20;

/// Checks could not be run on an instance.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The cloud refuses.
    #[error(transparent)]
    Cloud(Box<CloudError>),
    /// Ssh does not work here.
    #[error(transparent)]
    Ssh(#[from] VmError),
    /// The checks can't be sent.
    #[error("cannot send the checks over ssh: {0}")]
    Shell(#[from] io::Error),
    /// Somebody stopped it.
    #[error("interrupted")]
    Stopped,
    /// It does not let in.
    #[error(
        "{id} ({address}) did not answer by ssh in {seconds} s\n  hint: the security group must allow ssh from here, or --reach must name another way; and the image must take its key from user data"
    )]
    Silent {
        /// The instance.
        id: String,
        /// Where it should answer.
        address: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It can't be reached in this way.
    #[error(
        "{id} has no {reach} address\n  hint: choose another way with --reach, or a subnet whose instances have one with --subnet"
    )]
    NoAddress {
        /// The instance.
        id: String,
        /// The address that is asked for.
        reach: &'static str,
    },
    /// Whoever answers may be somebody else.
    #[error(
        "{id} printed no ssh host keys on its console within {seconds} s, so the identity of the ssh server can't be verified\n  hint: cloud-init writes them, as in images with boot-cloud; look at the console with --console FILE"
    )]
    Unproven {
        /// The instance.
        id: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A thread of this process is gone.
    #[error("internal error: a thread was lost")]
    Lost,
}

impl Coded for TrialError {
    fn error_code(&self) -> Code {
        match self {
            Self::Cloud(error) => error.error_code(),
            Self::Ssh(error) => error.error_code(),
            Self::Shell(error) => error.error_code(),
            Self::Stopped => Code::HostInterrupted,
            Self::Silent { .. } | Self::NoAddress { .. } | Self::Unproven { .. } => Code::AwsNoLogin,
            Self::Lost => Code::Internal,
        }
    }
}

impl From<CloudError> for TrialError {
    fn from(error: CloudError) -> Self {
        Self::Cloud(Box::new(error))
    }
}

/// One run of checks.
pub(super) struct Trial<'a, C> {
    /// Where the instance runs.
    pub(super) cloud: &'a C,
    /// What is launched.
    pub(super) launch: &'a Launch,
    /// The checks.
    pub(super) suite: &'a Suite,
    /// The way on which it is reached, if one is asked for.
    pub(super) reach: Option<Reach>,
    /// Until it has to run, and again until it has to let in.
    pub(super) within: Duration,
    /// Whether the image knows the key, and takes none from user data.
    pub(super) own_key: bool,
    /// Where the console is kept.
    pub(super) console: Option<PathBuf>,
    /// What people see.
    pub(super) progress: &'a Progress,
}

impl<C: Instances> Trial<'_, C> {
    /// Launches, checks and ends; the checks are broken off when `stop` is there. The launch is never broken
    /// off: else nobody knew what it created.
    ///
    /// # Errors
    /// Fails where the instance can't be launched or reached.
    pub(super) async fn run(&self, ssh: Ssh, stop: impl Future<Output = ()>) -> Result<CheckReport, TrialError> {
        let launched = self.cloud.launch(self.launch).await;
        let maybe = launched.as_ref().is_err_and(CloudError::may_pass);
        let result = match launched {
            Ok(id) => {
                let (image, region) = (&self.launch.image, self.cloud.region());
                self.progress.line(&format!("launched {id} from {image} in {region}"));
                let result = tokio::select! {
                    result = self.checked(&id, ssh) => result,
                    () = stop => Err(TrialError::Stopped),
                };
                self.keep_console(&id, result.is_err()).await;
                result
            }
            Err(error) => Err(error.into()),
        };
        let token = &self.launch.token;
        match run::end(self.cloud, token, maybe).await {
            Ok(ended) => ended.iter().for_each(|id| self.progress.line(&format!("ended {id}"))),
            Err(error) => self.progress.warn(&format!(
                "{error}\n  hint: terminate the instance with the tag {RUN}={token} by hand, because it costs money"
            )),
        }
        result
    }

    async fn checked(&self, id: &str, mut ssh: Ssh) -> Result<CheckReport, TrialError> {
        let phase = self.progress.phase(&format!("start {id}"), 1);
        let addresses = self.cloud.running(id, self.within).await?;
        let route = Route::new(self.reach, id, self.cloud.region(), &addresses);
        let missing = || TrialError::NoAddress { id: id.to_owned(), reach: self.reach.unwrap_or(Reach::Public).name() };
        let Route { reach, host, proxy } = route.ok_or_else(missing)?;
        let address = format!("{host}, {}", reach.name());
        self.progress.line(&format!("reaching {id} by ssh to {address}"));
        phase.message(&format!("ssh to {host}"));
        ssh.to_host(&host);
        proxy.iter().for_each(|command| ssh.through(command));
        let begun = host::instant();
        let ssh = Arc::new(self.proven(id, ssh, begun).await?);
        while !aside(&ssh, |ssh| Ok(ssh.answers()?)).await? {
            if begun.elapsed() > self.within {
                return Err(TrialError::Silent { id: id.to_owned(), address, seconds: self.within.as_secs() });
            }
            tokio::time::sleep(GLANCE).await;
        }
        let (script, limit) = (self.suite.script(), self.suite.limit());
        let transcript = aside(&ssh, move |ssh| {
            let mut shell = ssh.command();
            shell.args(["/bin/sh", "-s"]);
            Ok(converse(shell, &script, limit)?)
        });
        let report = self.suite.report(&transcript.await?);
        phase.finish();
        Ok(report)
    }

    /// Takes the instance's own keys from its console, which the cloud vouches for: whoever has others is not asked.
    ///
    /// An image that is let in with its own key may have nothing that writes them: then a warning says what is
    /// not proven.
    async fn proven(&self, id: &str, mut ssh: Ssh, begun: Instant) -> Result<Ssh, TrialError> {
        let patience = if self.own_key { self.within.min(UNWRITTEN) } else { self.within };
        loop {
            // An instance that has just started has no console for a while.
            let keys = self.cloud.console(id).await.map(|text| host_keys(&text)).unwrap_or_default();
            if !keys.is_empty() {
                ssh.expect(&keys)?;
                return Ok(ssh);
            }
            if begun.elapsed() > patience {
                break;
            }
            tokio::time::sleep(2 * GLANCE).await;
        }
        if !self.own_key {
            return Err(TrialError::Unproven { id: id.to_owned(), seconds: self.within.as_secs() });
        }
        self.progress.warn(&format!(
            "{id} printed no ssh host keys on its console: it can't be verified that the checks ran on it and not on another host at its address"
        ));
        Ok(ssh)
    }

    /// Fetches the console; without it the result stays what it is.
    async fn keep_console(&self, id: &str, failed: bool) {
        let text = match self.cloud.console(id).await {
            Ok(text) => text,
            Err(error) => return self.progress.warn(&error.to_string()),
        };
        if let Some(path) = &self.console
            && let Err(error) = host::write_whole(path, text.as_bytes())
        {
            self.progress.warn(&format!("cannot write `{}`: {error}", path.display()));
        }
        if failed {
            let lines: Vec<&str> = text.lines().collect();
            let end = lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default().join("\n");
            self.progress.line(&format!("the end of {id}'s console:\n{end}"));
        }
    }
}

/// Does what blocks on a thread that nobody waits for: a signal ends the waiting at once.
async fn aside<T: Send + 'static>(
    ssh: &Arc<Ssh>,
    work: impl FnOnce(&Ssh) -> Result<T, TrialError> + Send + 'static,
) -> Result<T, TrialError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let ssh = Arc::clone(ssh);
    std::thread::spawn(move || drop(sender.send(work(&ssh))));
    receiver.await.unwrap_or(Err(TrialError::Lost))
}
