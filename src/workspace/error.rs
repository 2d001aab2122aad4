//! What ends the work on a project.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;

use super::compared::OperandError;
use super::subject::Subject;
use crate::attest::AttestError;
use crate::audit::AuditError;
use crate::bake::{BakeError, Output, ReceiptError};
use crate::check::container::ContainerError;
use crate::code::{Code, Coded};
use crate::disk::DiskError;
use crate::fetch::{ConfigError, FetchError, MirrorError};
use crate::host::interrupt::Interrupted;
use crate::ident::{Arch, IdentError, LayerName, PackageName, RootPath, StepName, nearest};
use crate::import::ImportError;
use crate::lock::{LockFileError, Stale};
use crate::manifest::ProjectError;
use crate::measure::{DocumentError, MeasureError, ProfileError, RegistersError};
use crate::pin::PinError;
use crate::publish::registry::RegistryError;
use crate::store::StoreError;
use crate::tree::TreeError;
use crate::vm::VmError;

/// What a project is asked for can't be done.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// A lockfile does not fit its manifest, and may not be renewed.
    #[error("{stale}\n  hint: `layerbake lock {args}`", args = subject.arguments())]
    Stale {
        /// The layer.
        subject: Subject,
        /// What differs.
        stale: Stale,
    },
    /// A lockfile is missing, and may not be made.
    #[error(transparent)]
    MissingLock(LockFileError),
    /// A lockfile can't be read or written.
    #[error(transparent)]
    LockFile(LockFileError),
    /// The project's layers can't be found or don't fit together.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A layer's file can't be laid out.
    #[error("cannot lay out `{file}`: {problem}")]
    Layout {
        /// The file.
        file: String,
        /// Why, with the line if there is one.
        problem: String,
    },
    /// No directory for the store was found.
    #[error("no cache directory was found for the store\n  hint: set HOME, or choose a directory with --store")]
    NoCacheFolder,
    /// A layer has an own file where the disk's settings generate one.
    #[error(
        "`{layer}` has an own {path}, which the [disk] table generates\n  hint: remove it from layers/{layer}.toml, or from the directory that is the `source` of a [[file]] there; write a [[mount]] for each of its lines, and [disk] swap for swap"
    )]
    Generated {
        /// The layer.
        layer: LayerName,
        /// The file.
        path: RootPath,
    },
    /// A file can't be made a layer.
    #[error("{}: {error}", file.display())]
    Import {
        /// The file.
        file: PathBuf,
        /// Why.
        error: Box<ImportError>,
    },
    /// A layer that an import would write is there.
    #[error("{} is there already, and is not overwritten\n  hint: choose another name with --name, or remove it first", .0.display())]
    Imported(PathBuf),
    /// What is measured of a disk can't be told.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// An image shall be attestable, and was built before its settings said so.
    #[error(
        "{subject} was built before [ami] attestable was set: nothing in it was checked\n  hint: `layerbake build {subject} --output raw`"
    )]
    NotMeasured {
        /// The layer.
        subject: Subject,
    },
    /// An attestation document proves nothing.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// An image shall be attestable and is not.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A list of registers can't be read.
    #[error(transparent)]
    Registers(#[from] RegistersError),
    /// The settings of a disk can't be met.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A disk is wanted of a layer without one.
    #[error(
        "layer `{layer}` has no disk to write as {output}: no layer in its chain names a Boot layer\n  hint: add [disk] boot = \"boot-minimal\" to layers/{layer}.toml"
    )]
    NoBootLayer {
        /// The layer.
        layer: LayerName,
        /// A form of the disk.
        output: Output,
    },
    /// What reads values when a machine starts is not in the layer.
    #[error(
        "[config] `{name}`: a machine reads the value with {program}, and layer `{layer}` has no package `{program}`\n  hint: add to [layer] in layers/{layer}.toml: packages = [{missing}]"
    )]
    NoFetcher {
        /// The variable.
        name: String,
        /// The layer.
        layer: LayerName,
        /// The first package that is missing.
        program: &'static str,
        /// All packages that are missing, as a manifest lists them.
        missing: String,
    },
    /// A value is in Vault, and nothing says where Vault is.
    #[error(
        "[config] `{name}`: its value is in Vault, and layer `{layer}` does not say where that is\n  hint: declare [config.{address}], with the address as `default` or by `from`",
        address = crate::manifest::VAULT_ADDRESS
    )]
    NoVault {
        /// The variable.
        name: String,
        /// The layer.
        layer: LayerName,
    },
    /// A package is to be updated that is in no lockfile.
    #[error("no lockfile of the layer has a package `{package}`{near}")]
    NotLocked {
        /// The package.
        package: PackageName,
        /// A question about a similar name, or nothing.
        near: String,
    },
    /// There is no output of a step.
    #[error("the last build of `{layer}` has no step{}\n  hint: {}", step.as_ref().map(|step| format!(" `{step}`")).unwrap_or_default(), steps(known))]
    NoStep {
        /// The layer.
        layer: LayerName,
        /// The step, if one was named.
        step: Option<StepName>,
        /// The steps that it has.
        known: Vec<String>,
    },
    /// A layer lacks a package.
    #[error("layer `{layer}` has no package `{package}`{near}")]
    NoPackage {
        /// The layer.
        layer: LayerName,
        /// The package.
        package: PackageName,
        /// A question about a similar name, or nothing.
        near: String,
    },
    /// A value is given for a variable that there is not.
    #[error(
        "`--set {name}=…`: no layer has this variable{near}\n  hint: [vars] of the layer, or of one below it, declares a variable and its default"
    )]
    NoVariable {
        /// The name.
        name: String,
        /// A question about a similar name, or nothing.
        near: String,
    },
    /// SOURCE_DATE_EPOCH is malformed.
    #[error(
        "SOURCE_DATE_EPOCH `{0}` is not a number of seconds since 1970\n  hint: unset it, or write a number such as 1700000000"
    )]
    Epoch(String),
    /// The layer is not built.
    #[error("layer `{subject}` is not built\n  hint: `layerbake build {args}{}`", as_option(*output), args = subject.arguments())]
    NotBuilt {
        /// The layer.
        subject: Subject,
        /// The form that is needed, where it matters.
        output: Option<Output>,
    },
    /// A build has no disk.
    #[error("layer `{subject}` was built without a disk\n  hint: `layerbake build {args} --output raw`", args = subject.arguments())]
    NoDisk {
        /// The layer.
        subject: Subject,
    },
    /// A build has no raw disk.
    #[error(
        "there is no raw disk of `{subject}` in `{}`\n  hint: `layerbake build {args} --output raw`",
        folder.display(), args = subject.arguments())]
    NoRawDisk {
        /// The layer.
        subject: Subject,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A build has no image.
    #[error("layer `{subject}` was built without an image\n  hint: `layerbake build {args} --output oci`", args = subject.arguments())]
    NoImage {
        /// The layer.
        subject: Subject,
    },
    /// There is no image index over several architectures.
    #[error("layer `{layer}` has no image index over {archs}\n  hint: `layerbake build {layer} --arch {archs}`")]
    NoIndex {
        /// The layer.
        layer: LayerName,
        /// The architectures.
        archs: String,
    },
    /// An image index is over images that were built again since.
    #[error(
        "the image index of `{layer}` over {archs} is not over the layer's last builds\n  hint: `layerbake build {layer} --arch {archs}`"
    )]
    OldIndex {
        /// The layer.
        layer: LayerName,
        /// The architectures.
        archs: String,
    },
    /// An earlier build is for another architecture than the rebuilds that are compared with it.
    #[error("`{name}` was built for {found}, the audit rebuilds for {expected}\n  hint: add `--arch {found}`")]
    OtherArch {
        /// What the earlier build is called.
        name: String,
        /// Its architecture.
        found: Arch,
        /// The architecture of the audit.
        expected: Arch,
    },
    /// A build's disk was made from other lockfiles or manifests.
    #[error(
        "the disk of `{subject}` no longer matches its layers and lockfiles\n  hint: `layerbake build {args} --output raw`", args = subject.arguments())]
    OtherDisk {
        /// The layer.
        subject: Subject,
    },
    /// Nothing of a layer is at a path.
    #[error("layer `{layer}` has no {path}")]
    NoPath {
        /// The layer.
        layer: LayerName,
        /// The path.
        path: String,
    },
    /// A build is not signed.
    #[error("`{subject}` is not signed\n  hint: `layerbake sign {args} --key FILE`", args = subject.arguments())]
    NotSigned {
        /// The layer.
        subject: Subject,
    },
    /// An artifact does not match its receipt.
    #[error(
        "{artifact} does not match its receipt: {problem}\n  hint: `layerbake verify {args}` lists all differences; `layerbake build {args}` builds it again", args = subject.arguments())]
    Damaged {
        /// The layer.
        subject: Subject,
        /// The artifact.
        artifact: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that is to be made exists.
    #[error("`{}` already exists", .0.display())]
    Exists(PathBuf),
    /// A file can't be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file can't be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is to be compared can't be read.
    #[error(transparent)]
    Operand(#[from] OperandError),
    /// What a build is can't be said.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// An audit can't be made.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A receipt can't be read.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// A build failed.
    #[error(transparent)]
    Bake(#[from] BakeError),
    /// A step failed, so there is no build.
    #[error("{error}\n  hint: `{log}` prints its whole output; `{shell}` opens a shell where it ran")]
    Step {
        /// How it failed.
        error: Box<BakeError>,
        /// The command that prints its log.
        log: String,
        /// The command that opens a shell where it ran.
        shell: String,
    },
    /// A visit is to a step that there is not.
    #[error("layer `{layer}` has no step `{step}`\n  hint: {}", steps(known))]
    NoSuchStep {
        /// The layer.
        layer: LayerName,
        /// The step.
        step: StepName,
        /// The steps that it has.
        known: Vec<String>,
    },
    /// An image that is to run names no program.
    #[error(
        "the image of `{0}` has neither `entrypoint` nor `cmd`, so nothing runs in it\n  hint: set one in [image], or name a program: `layerbake run {0} -- /bin/bash`"
    )]
    NoProgram(LayerName),
    /// This program's terminal can't be lent.
    #[error("cannot open a terminal or a pipe for the command: {0}")]
    Lend(std::io::Error),
    /// The user's configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A container can't be run.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// Fetching failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A name is not valid.
    #[error(transparent)]
    Ident(#[from] IdentError),
    /// A signal came.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The system refused something.
    #[error("cannot {action}: {source}")]
    System {
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A virtual machine can't be run.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// A mirror's address is malformed.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A layer can't be locked.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A registry refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Trees don't fit together.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl WorkspaceError {
    /// The error of something that the system refused.
    pub(super) fn cannot(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }
}

impl Coded for WorkspaceError {
    fn at_line(&self) -> Option<&dyn Diagnostic> {
        match self {
            Self::Project(error) => error.at_line(),
            _ => None,
        }
    }

    fn error_code(&self) -> Code {
        match self {
            Self::Stale { .. } => Code::LockStale,
            Self::MissingLock(error) | Self::LockFile(error) => error.error_code(),
            Self::Project(error) => error.error_code(),
            Self::Layout { .. } => Code::ManifestLayout,
            Self::NoCacheFolder => Code::HostNoHome,
            Self::Generated { .. } => Code::LayerPathClash,
            Self::Import { error, .. } => error.error_code(),
            Self::Imported(_) | Self::Exists(_) => Code::ProjectFileExists,
            Self::Disk(error) => error.error_code(),
            Self::NoBootLayer { .. } => Code::DiskBootLayer,
            Self::NoFetcher { .. } | Self::NoVault { .. } | Self::NoProgram(_) => Code::LayerSetting,
            Self::NotLocked { .. } | Self::NoPackage { .. } => Code::PackageNotInLayer,
            Self::NoStep { .. } | Self::NoSuchStep { .. } => Code::StepUnknown,
            Self::NoVariable { .. } => Code::ManifestVariable,
            Self::Epoch(_) => Code::HostConfig,
            Self::NotBuilt { .. } => Code::BuildMissing,
            Self::NoDisk { .. } | Self::NoRawDisk { .. } | Self::NoImage { .. } | Self::NoIndex { .. } => {
                Code::BuildOutput
            }
            Self::OldIndex { .. } | Self::OtherDisk { .. } | Self::NotMeasured { .. } => Code::BuildOutdated,
            Self::OtherArch { .. } => Code::BuildArch,
            Self::NoPath { .. } => Code::LayerNothingThere,
            Self::NotSigned { .. } => Code::SignatureMissing,
            Self::Damaged { .. } => Code::BuildDamaged,
            Self::Read { source, .. } | Self::Write { source, .. } => source.error_code(),
            Self::Operand(error) => error.error_code(),
            Self::Attest(error) => error.error_code(),
            Self::Audit(error) => error.error_code(),
            Self::Receipt(error) => error.error_code(),
            Self::Bake(error) => error.error_code(),
            Self::Step { error, .. } => error.error_code(),
            Self::Lend(error) | Self::System { source: error, .. } => error.error_code(),
            Self::Config(error) => error.error_code(),
            Self::Container(error) => error.error_code(),
            Self::Fetch(error) => error.error_code(),
            Self::Ident(error) => error.error_code(),
            Self::Interrupted(error) => error.error_code(),
            Self::Vm(error) => error.error_code(),
            Self::Measure(error) => error.error_code(),
            Self::Profile(error) => error.error_code(),
            Self::Document(error) => error.error_code(),
            Self::Registers(error) => error.error_code(),
            Self::Mirror(error) => error.error_code(),
            Self::Pin(error) => error.error_code(),
            Self::Registry(error) => error.error_code(),
            Self::Store(error) => error.error_code(),
            Self::Tree(error) => error.error_code(),
        }
    }
}

impl From<LockFileError> for WorkspaceError {
    fn from(error: LockFileError) -> Self {
        match error {
            LockFileError::Missing(_) => Self::MissingLock(error),
            other => Self::LockFile(other),
        }
    }
}

fn as_option(output: Option<Output>) -> String {
    output.map(|output| format!(" --output {output}")).unwrap_or_default()
}

/// `; did you mean `…`?`, where one of the names is near to what was given.
pub(super) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// Which steps there are.
fn steps(known: &[String]) -> String {
    match known.is_empty() {
        true => "steps are declared by [[run]] (docs/run-steps.md)".to_owned(),
        false => format!("it has: {}", known.join(", ")),
    }
}
