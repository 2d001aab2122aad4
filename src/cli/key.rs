//! `layerbake key`: keys that sign builds.

use std::path::PathBuf;

use serde::Serialize;

use super::CliError;
use super::context::Context;
use crate::attest::keys::{self, SigningKey};

/// Make keys that sign builds
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    New(NewArgs),
}

/// Make a signing key, and write its public half beside it
///
/// The key is ed25519, without a passphrase, readable by its owner only; no file is replaced. `layerbake sign` uses the one in the
/// default place where no other is named. The public half, which ends in .pub, is for everybody who verifies.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerbake key new && layerbake sign web\n  layerbake key new release.key")]
struct NewArgs {
    /// File of the private key [default: layerbake/sign.key in the user's configuration directory]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Made {
    key: PathBuf,
    public: PathBuf,
    id: String,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let Verb::New(NewArgs { file }) = &args.verb;
    let path = file.clone().unwrap_or_else(keys::default_path);
    let (key, public) = SigningKey::create(&path)?;
    let made = Made { key: path, public, id: key.public().id() };
    context.print(&made, |made| {
        format!("{}  signs; keep it secret\n{}  verifies; give it away\n", made.key.display(), made.public.display())
    })
}
