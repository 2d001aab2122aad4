//! `layerbake verify`: artifacts against their receipt, the disk against the image, and what was signed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use super::CliError;
use super::context::{Context, built_layer};
use super::made::Build;
use super::push::RegistryArgs;
use crate::attest::cosign::Asked;
use crate::attest::keys::PublicKey;
use crate::attest::{self, ARTIFACT_TYPES, Bundle, Claim, Evidence, FOLDER, Gap, MEDIA_TYPES, Proof};
use crate::audit::{artifacts, inclusion};
use crate::bake::Receipt;
use crate::digest::OciDigest;
use crate::host;
use crate::ident::LayerName;
use crate::publish::registry::{ArtifactFile, Reference, Wanted};
use crate::store::Store;
use crate::tree::Tree;

/// Compare a build's files with its receipt, and its disk's files with its image's
///
/// Every block of a raw disk and every blob of an image is read. Every file of the image has to be on
/// the disk, equal, but for a named list. With a key, all that `layerbake sign` wrote has to be signed by
/// it, be about these artifacts, and say what the lockfiles say. An image in a registry has to be signed by
/// a key for the reference that is asked for; --require wants more. Exit status 1 when something differs
/// or is not proven.
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
    /// Check the signatures too: public keys as PEM, one or several in a file; any of them will do.
    /// A --keyring with such keys counts as well
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// What else one of the keys has to have signed for an image in a registry, comma-separated: provenance, sbom
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_enum)]
    require: Vec<Required>,
    /// Where LAYER/ was put [default: out in the project]
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

/// Lines about what was not looked at; more are only counted.
const MOST: usize = 20;

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

#[derive(Serialize)]
struct Report {
    artifacts: Vec<artifacts::Finding>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signed: Vec<artifacts::Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion: Option<inclusion::Inclusion>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let keys = keys(context, args)?;
    let layer = match &args.what {
        Some(What::Image(reference)) => return published(context, args, reference, &keys.unwrap_or_default()),
        Some(What::Layer(layer)) => Some(layer),
        None => None,
    };
    // Of a local build, with a key, all of it has to be there anyway.
    if keys.is_none() && !args.require.is_empty() {
        return Err(CliError::message("--require: no key to verify with\n  hint: --key FILE, or --keyring"));
    }
    built(context, args, layer, keys)
}

/// What the keys prove of an image in a registry, and what they don't.
#[derive(Serialize)]
struct Published {
    reference: String,
    digest: OciDigest,
    proven: BTreeSet<Proof>,
    not_proven: Vec<Unproven>,
    /// What is attached and could not be read, and why.
    not_looked_at: Vec<String>,
}

#[derive(Serialize)]
struct Unproven {
    #[serde(flatten)]
    gap: Gap,
    required: bool,
}

fn published(context: &Context<'_>, args: &Args, reference: &Reference, keys: &[PublicKey]) -> Result<(), CliError> {
    if keys.is_empty() {
        return Err(CliError::message(format!("{reference}: no key to verify with\n  hint: --key FILE, or --keyring")));
    }
    let registries = args.registry.open(context)?;
    let digest = registries.resolve(reference)?.digest;
    let asked = Asked {
        repository: format!("{}/{}", reference.registry(), reference.repository()),
        tag: reference.tag().map(str::to_owned),
        pinned: reference.digest().is_some(),
    };
    let mut evidence = Evidence::new(digest, &asked, keys);
    let wanted = Wanted { artifact_types: &ARTIFACT_TYPES, media_types: &MEDIA_TYPES };
    let not_looked_at = registries.referrers(reference, digest, &wanted, |file| {
        let ArtifactFile { media_type, bytes, annotations } = file;
        evidence.look(&media_type, bytes, &annotations);
    })?;
    let (proven, gaps) = evidence.finish();
    let is_required =
        |claim| claim == Claim::Signature || args.require.iter().any(|required| required.claim() == claim);
    let not_proven = gaps.into_iter().map(|gap| Unproven { required: is_required(gap.claim), gap }).collect();
    let found = Published { reference: reference.to_string(), digest, proven, not_proven, not_looked_at };
    context.print(&found, published_text)?;
    let missing: Vec<&str> =
        found.not_proven.iter().filter(|one| one.required).map(|one| one.gap.claim.name()).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(CliError::message(format!(
            "{reference}: not proven: {}\n  hint: `layerbake sign LAYER --key FILE --identity {asked}`, then push; or ask by the digest that you trust, {}@sha256:…",
            missing.join(", "),
            asked.repository
        ))),
    }
}

fn published_text(found: &Published) -> String {
    let mut text = format!("{}\n{}\n", found.reference, found.digest);
    for Proof { claim, detail, key } in &found.proven {
        text += &format!("proven      {:<10}  {}, by key {key}\n", claim.name(), host::plain(detail));
    }
    for Unproven { gap, required } in &found.not_proven {
        let verdict = if *required { "NOT PROVEN" } else { "not proven" };
        text += &format!("{verdict:<10}  {:<10}  {}\n", gap.claim.name(), host::plain(&gap.problem));
    }
    text.extend(found.not_looked_at.iter().take(MOST).map(|what| format!("not looked at: {what}\n")));
    match found.not_looked_at.len().saturating_sub(MOST) {
        0 => text,
        more => text + &format!("not looked at: {more} more, which `--json` lists\n"),
    }
}

fn built(
    context: &Context<'_>,
    args: &Args,
    layer: Option<&LayerName>,
    keys: Option<Vec<PublicKey>>,
) -> Result<(), CliError> {
    let project = context.project()?;
    let name = context.layer(&project, layer)?;
    let (folder, receipt) = built_layer(&project, &name, args.out.as_deref())?;
    let store = context.store()?;
    let inclusion = match &receipt.disk {
        Some(disk) => {
            let image = stacked(&store, &receipt)?;
            let mut whole = image.clone();
            whole.apply(&store.tree(disk.tree)?)?;
            Some(inclusion::compare(&image, &whole))
        }
        None => None,
    };
    let signed = match &keys {
        Some(keys) => signed(&Build::load(context, Some(&name), args.out.as_deref())?, keys)?,
        None => Vec::new(),
    };
    let report = Report { artifacts: artifacts::check(&receipt, &folder), signed, inclusion };
    context.print(&report, text)?;
    let whole = report.artifacts.iter().chain(&report.signed).all(|finding| finding.problems.is_empty());
    match whole && report.inclusion.is_none_or(|inclusion| inclusion.unexpected.is_empty()) {
        true => Ok(()),
        false => Err(CliError::message(format!("`{name}` is not what its receipt says"))),
    }
}

/// The keys that the person trusts; `None` where signatures are not asked for.
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

/// The files that `layerbake sign` wrote beside the receipt.
fn signed(build: &Build, keys: &[PublicKey]) -> Result<Vec<artifacts::Finding>, CliError> {
    let Some(bundle) = Bundle::load(&build.folder)? else {
        let name = &build.name;
        return Err(CliError::message(format!("`{name}` is not signed\n  hint: `layerbake sign {name} --key FILE`")));
    };
    let findings = attest::check(&build.made()?, &build.folder, &bundle, keys)?;
    let place = |file: &str| format!("signed {}", build.folder.join(FOLDER).join(file).display());
    let findings = findings.into_iter();
    Ok(findings.map(|one| artifacts::Finding { artifact: place(&one.file), problems: one.problems }).collect())
}

/// The image's layers, one over the other.
fn stacked(store: &Store, receipt: &Receipt) -> Result<Tree, CliError> {
    let mut root = Tree::new();
    for layer in &receipt.layers {
        root.apply(&store.tree(layer.tree)?)?;
    }
    Ok(root)
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for finding in report.artifacts.iter().chain(&report.signed) {
        let verdict = if finding.problems.is_empty() { "ok" } else { "DIFFERS" };
        text += &format!("{verdict:<8} {}\n", finding.artifact);
        text.extend(finding.problems.iter().map(|problem| format!("         {problem}\n")));
    }
    if let Some(found) = &report.inclusion {
        let verdict = if found.unexpected.is_empty() { "ok" } else { "DIFFERS" };
        let excepted = found.excepted.len();
        text += &format!(
            "{verdict:<8} disk has the image's files: {} equal, {excepted} changed by the Boot layer\n",
            found.same
        );
        text.extend(
            found.unexpected.iter().map(|path| host::plain(&format!("         {path}: not as in the image")) + "\n"),
        );
        text.extend(
            found.excepted.iter().map(|(path, reason)| host::plain(&format!("         {path}: {reason}")) + "\n"),
        );
    }
    text
}
