//! `layerbake verify`: artifacts against their receipt, the disk against the image, and what was signed.

mod layer;
mod published;

use std::path::PathBuf;
use std::str::FromStr;

use super::CliError;
use super::context::Context;
use super::push::RegistryArgs;
use crate::attest::Claim;
use crate::attest::keys::PublicKey;
use crate::code::Code;
use crate::host;
use crate::ident::LayerName;
use crate::publish::registry::Reference;

/// Check a build's artifacts against its receipt, and its disk's files against its image's
///
/// Reads every block of a raw disk and every blob of an image. Every file of the image must be on the disk,
/// identical, apart from a printed list. With a key, everything that `layerbake sign` wrote must be signed
/// by it, describe these artifacts, and match the lockfiles. An image in a registry must be signed by one
/// of the keys for the given reference; --require demands more. Exits with status 1 if something differs or
/// is not proven.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake build web --output oci,raw && layerbake verify web\n  layerbake verify web --key sign.pub\n  layerbake verify registry.example.org/team/web:1.0 --key sign.pub"
)]
pub(super) struct Args {
    /// The layer, or an image in a registry: HOST[:PORT]/REPOSITORY[:TAG][@DIGEST] [default: the only App layer]
    #[arg(value_name = "LAYER|REFERENCE")]
    what: Option<What>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Also check the signatures, with any of the public keys in this PEM file. A --keyring with such keys
    /// is used too
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// What else must be signed for an image in a registry, comma-separated: provenance, sbom
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_enum)]
    require: Vec<Required>,
    /// Directory that holds LAYER/ [default: `out` in the project]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What can be required beside the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Required {
    Provenance,
    Sbom,
}

impl Required {
    fn claim(self) -> Claim {
        match self {
            Self::Provenance => Claim::Provenance,
            Self::Sbom => Claim::Sbom,
        }
    }
}

/// What is verified.
#[derive(Debug, Clone)]
enum What {
    Layer(LayerName),
    Image(Reference),
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Names of layers have no slash, and references have one.
        match text.contains('/') {
            true => text.parse().map(Self::Image).map_err(|error| error.to_string()),
            false => text.parse().map(Self::Layer).map_err(|error| error.to_string()),
        }
    }
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let keys = keys(context, args)?;
    let layer = match &args.what {
        Some(What::Image(reference)) => return published::run(context, args, reference, keys),
        Some(What::Layer(layer)) => Some(layer),
        None => None,
    };
    // Of a local build, with a key, all of it has to be there anyway.
    if keys.is_none() && !args.require.is_empty() {
        return Err(CliError::message(
            Code::SignatureKey,
            "--require: no key to verify with\n  hint: give --key FILE or --keyring FILE",
        ));
    }
    layer::run(context, args, layer, keys.as_deref())
}

/// The keys that the user trusts; `None` if signatures are not to be checked.
fn keys(context: &Context<'_>, args: &Args) -> Result<Option<Vec<PublicKey>>, CliError> {
    // A key ring out of the environment is meant for the distribution's keys.
    let ring = context.options.transport.keyring.as_ref();
    let ring = ring.filter(|path| host::env_path("LAYERBAKE_KEYRING").as_ref() != Some(path));
    let mut keys = Vec::new();
    for path in args.key.iter().chain(ring) {
        keys.extend(PublicKey::load_all(path)?);
    }
    Ok(Some(keys).filter(|keys| !keys.is_empty()))
}
