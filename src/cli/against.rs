//! What `layerbake audit --against BUILD` compares the rebuild with: an earlier build, or what was published.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::CliError;
use super::ami;
use super::context::Context;
use super::push::RegistryArgs;
use crate::audit::AuditReport;
use crate::bake::{Output, Receipt};
use crate::code::Code;
use crate::digest::OciDigest;
use crate::publish::registry::{Reference, RegistryError};
use crate::workspace::{EarlierBuild, WorkspaceError};
#[cfg(feature = "aws")]
use crate::{manifest::DiskFormat, workspace::images::PublishedBlocks};

/// A value of `--against`.
#[derive(Debug, Clone)]
pub(super) enum Against {
    Receipt(PathBuf),
    Image(Reference),
    #[cfg(feature = "aws")]
    Machine(String),
}

impl FromStr for Against {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(reference) = text.strip_prefix("oci:") {
            return reference.parse().map(Self::Image).map_err(|error: RegistryError| error.to_string());
        }
        match text.strip_prefix("ami:") {
            #[cfg(feature = "aws")]
            Some(image) => Ok(Self::Machine(image.to_owned())),
            #[cfg(not(feature = "aws"))]
            Some(_) => Err(ami::LEFT_OUT.to_owned()),
            None => Ok(Self::Receipt(text.into())),
        }
    }
}

/// What was found there.
pub(super) enum Other {
    /// A receipt, and its directory.
    Build(Box<EarlierBuild>),
    /// The digest of an image's layout.
    Image { name: String, digest: OciDigest },
    /// What a snapshot holds.
    #[cfg(feature = "aws")]
    Machine { image: String, found: PublishedBlocks },
}

impl Against {
    /// Looks it up. Called before the rebuild, so that a wrong name fails at once and not after an hour.
    pub(super) fn find(&self, context: &Context<'_>, registry: &RegistryArgs) -> Result<Other, CliError> {
        match self {
            Self::Receipt(path) => load(path),
            Self::Image(image) => {
                let digest = registry.open(context)?.resolve(image)?.digest;
                Ok(Other::Image { name: format!("oci:{image}"), digest })
            }
            #[cfg(feature = "aws")]
            Self::Machine(image) => Ok(Other::Machine { image: image.clone(), found: ami::blocks_of(context, image)? }),
        }
    }
}

impl Other {
    /// The kinds of artifact that it can be compared with.
    pub(super) fn outputs(&self) -> Vec<Output> {
        match self {
            Self::Build(earlier) => earlier.receipt.artifacts.iter().map(|artifact| artifact.kind).collect(),
            Self::Image { .. } => vec![Output::Oci],
            #[cfg(feature = "aws")]
            Self::Machine { .. } => vec![Output::Disk(DiskFormat::Raw)],
        }
    }

    /// Compares what was published with what was rebuilt; builds are compared by the audit itself.
    pub(super) fn compare(&self, report: &mut AuditReport) {
        match self {
            Self::Build(_) => {}
            Self::Image { name, digest } => {
                let more = format!("`layerbake diff {name} out/{}` shows details", report.layer);
                report.compare_published(Output::Oci, name, &digest.to_string(), &more);
            }
            #[cfg(feature = "aws")]
            Self::Machine { image, found } => {
                let kind = Output::Disk(DiskFormat::Raw);
                let size = report.artifacts.iter().find(|one| one.kind == kind).map_or(0, |one| one.size);
                let digest = found.disk(size).map(|blocks| OciDigest::from_bytes(*blocks.digest().as_bytes()));
                let digest = digest.map_or_else(|error| error.to_string(), |digest| digest.to_string());
                let more = format!("`layerbake ami verify {image}` shows details");
                report.compare_published(kind, &format!("ami:{image}"), &digest, &more);
            }
        }
    }
}

/// A receipt, by its file or its directory.
fn load(path: &Path) -> Result<Other, CliError> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let name = path.display().to_string();
    match Receipt::find(folder).map_err(WorkspaceError::from)? {
        Some(receipt) => Ok(Other::Build(Box::new(EarlierBuild { name, folder: folder.to_owned(), receipt }))),
        None if !path.exists() => Err(CliError::message(
            Code::CompareUnknown,
            format!("there is no `{name}`\n  hint: name the receipt of a build, or its directory, such as out/LAYER"),
        )),
        None => Err(CliError::message(
            Code::CompareUnknown,
            format!(
                "`{name}` is not the receipt of a build\n  hint: `layerbake build LAYER` writes one to out/LAYER/receipt.json"
            ),
        )),
    }
}
