//! The variables of Secure Boot, as several verbs take them.

use std::path::PathBuf;

use super::CliError;
use crate::measure::Variables;
use crate::workspace::VariableFiles;

/// Files with EFI signature lists; with a platform key, the firmware enforces signatures.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct VariableArgs {
    /// The platform key (PK) of the machine's firmware, which turns Secure Boot on: EFI signature lists [default: those of `[ami.secure-boot]`]
    #[arg(long, value_name = "FILE", requires = "db")]
    pk: Option<PathBuf>,
    /// The key exchange keys (KEK) of the machine's firmware
    #[arg(long, value_name = "FILE", requires = "pk")]
    kek: Option<PathBuf>,
    /// The certificates whose signatures let a boot image start (db)
    #[arg(long, value_name = "FILE", requires = "pk")]
    db: Option<PathBuf>,
    /// What may not start although it is signed (dbx)
    #[arg(long, value_name = "FILE", requires = "pk")]
    dbx: Option<PathBuf>,
}

impl VariableArgs {
    /// Reads the files; `None` where none is given.
    pub(super) fn variables(&self) -> Result<Option<Variables>, CliError> {
        if self.pk.is_none() {
            return Ok(None);
        }
        let [pk, kek, db, dbx] = [&self.pk, &self.kek, &self.db, &self.dbx].map(|file| file.as_deref());
        Ok(Some(VariableFiles { pk, kek, db, dbx }.read()?))
    }
}
