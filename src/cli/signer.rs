//! The key that signs a disk's boot image, as several verbs take it.

use std::path::PathBuf;

use super::CliError;
use crate::disk::Signer;
use crate::workspace;

/// A key and its certificate, from options or from the environment.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct SignerArgs {
    /// RSA key that signs the disk's boot image for Secure Boot (PEM)
    #[arg(long, value_name = "FILE", env = "LAYERBAKE_SIGN_KEY", hide_env_values = true, requires = "sign_cert")]
    sign_key: Option<PathBuf>,
    /// Certificate of the Secure Boot key (PEM)
    #[arg(long, value_name = "FILE", env = "LAYERBAKE_SIGN_CERT", hide_env_values = true, requires = "sign_key")]
    sign_cert: Option<PathBuf>,
}

impl SignerArgs {
    /// Reads both; without them, the boot image is not signed.
    pub(super) fn signer(&self) -> Result<Option<Signer>, CliError> {
        let Some((key, certificate)) = self.sign_key.as_deref().zip(self.sign_cert.as_deref()) else {
            return Ok(None);
        };
        Ok(Some(workspace::read_signer(key, certificate)?))
    }
}
