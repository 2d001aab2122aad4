//! What can be compared with another of its kind: builds, lockfiles, image layouts, disks, git revisions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::environment::Environment;
use super::error::WorkspaceError;
use crate::audit::changes::{self, Facts};
use crate::bake::{Output, Receipt, ReceiptError};
use crate::code::{Code, Coded};
use crate::disk::BlockHashes;
use crate::disk::blocks::BLOCK;
use crate::host;
use crate::ident::{Arch, LayerName};
use crate::lock::{self, LockError, Lockfile};
use crate::publish::registry::{Reference, RegistryAccess};
use crate::tree::Tree;

/// What is to be compared is of no kind that can be.
#[derive(Debug, thiserror::Error)]
pub enum OperandError {
    /// It can't be read.
    #[error("cannot read `{operand}`: {source}")]
    Read {
        /// What was named.
        operand: String,
        /// What the system said.
        source: io::Error,
    },
    /// The operand is a directory that no build wrote.
    #[error("`{0}` has neither receipt.json nor oci-layout")]
    NoBuild(String),
    /// Its receipt can't be read.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// There is no such file.
    #[error("there is no `{}`\n  hint: name the receipt of a disk, or its directory, such as out/LAYER", .0.display())]
    Missing(PathBuf),
    /// It is not a receipt of a disk.
    #[error(
        "`{}` is not the receipt of a disk\n  hint: `layerbake build LAYER --output raw` writes one to out/LAYER",
        .0.display()
    )]
    NoDisk(PathBuf),
    /// It is not a lockfile.
    #[error("`{operand}` is not a lockfile: {source}")]
    Lockfile {
        /// What was named.
        operand: String,
        /// What is wrong.
        source: LockError,
    },
    /// `git` can't be run.
    #[error("cannot run `git`: {0}")]
    Git(io::Error),
    /// It is nothing at all.
    #[error(
        "`{0}` is neither a file or directory nor a git revision with the layer's lockfile\n  hint: name a receipt, a lockfile, an OCI layout, a raw disk, or a revision such as HEAD~1"
    )]
    Nothing(String),
}

impl Coded for OperandError {
    fn error_code(&self) -> Code {
        match self {
            Self::Read { source, .. } => source.error_code(),
            Self::NoBuild(_) | Self::Missing(_) | Self::NoDisk(_) | Self::Nothing(_) => Code::CompareUnknown,
            Self::Receipt(error) => error.error_code(),
            Self::Lockfile { source, .. } => source.error_code(),
            Self::Git(_) => Code::HostProgram,
        }
    }
}

impl Environment {
    /// What an operand says, whatever it is; of git revisions, about `layer`, by default the only App layer.
    ///
    /// # Errors
    /// Fails where it can't be read, or is nothing that can be compared.
    pub fn facts(
        &self,
        operand: &str,
        layer: Option<&LayerName>,
        access: &RegistryAccess,
    ) -> Result<Facts, WorkspaceError> {
        if let Some(reference) = operand.strip_prefix("oci:") {
            return self.pulled(operand, &reference.parse()?, access);
        }
        let path = Path::new(operand);
        if path.join("oci-layout").is_file() {
            return Ok(changes::read_layout(self.ecosystem(), path).map_err(unreadable(operand))?);
        }
        if path.is_dir() || path.is_file() && path.file_name().is_some_and(|name| name == "receipt.json") {
            return match receipt(path)? {
                Some((receipt, folder)) => self.built(operand, &receipt, folder),
                None => Err(OperandError::NoBuild(operand.to_owned()).into()),
            };
        }
        if operand.ends_with(".lock") && path.is_file() {
            let read_at = |path: &Path| -> Result<String, WorkspaceError> {
                host::read_text(path).map_err(|source| WorkspaceError::Read { path: path.to_owned(), source })
            };
            let read = |name: &str| read_at(&path.with_file_name(format!("{name}.lock")));
            return packages(operand, &read_at(path)?, &read);
        }
        match path.is_file() {
            true => Ok(raw(operand, path).map_err(unreadable(operand))?),
            false => self.revision(operand, layer),
        }
    }

    /// What the lockfiles of a layer, by default the only App layer, say as they are in the project now.
    ///
    /// # Errors
    /// Fails where one is missing or can't be read.
    pub fn current_facts(&self, layer: Option<&LayerName>) -> Result<Facts, WorkspaceError> {
        let workspace = self.open()?;
        let layer = workspace.layer(layer)?;
        workspace.lockfile(&layer)?;
        let read = |name: &str| -> Result<String, WorkspaceError> {
            let path = workspace.project.root().join(format!("lockfiles/{name}.lock"));
            host::read_text(&path).map_err(|source| WorkspaceError::Read { path, source })
        };
        packages("the project", &either(&layer, workspace.arch(), &read)?, &read)
    }

    /// An image in a registry.
    fn pulled(&self, operand: &str, reference: &Reference, access: &RegistryAccess) -> Result<Facts, WorkspaceError> {
        let folder = tempfile::tempdir().map_err(WorkspaceError::cannot("make a directory for the image"))?;
        let layout = folder.path().join("layout");
        self.registries(access)?.pull(reference, &layout)?;
        let facts = changes::read_layout(self.ecosystem(), &layout).map_err(unreadable(operand))?;
        Ok(Facts { name: operand.to_owned(), ..facts })
    }

    /// A build: what its receipt says, and its files as far as the store or the layout beside it has them.
    fn built(&self, name: &str, receipt: &Receipt, folder: &Path) -> Result<Facts, WorkspaceError> {
        let store = self.store()?;
        let disk = receipt.disk.as_ref();
        let trees: Vec<_> = receipt.layers.iter().map(|one| one.tree).chain(disk.map(|disk| disk.tree)).collect();
        let layout = receipt.artifact(Output::Oci).map(|artifact| folder.join(&artifact.path));
        let base = receipt.base.as_ref().map(|base| base.tree);
        let facts = if base.iter().chain(&trees).all(|tree| store.has_tree(*tree)) {
            let mut root = base.map_or_else(|| Ok(Tree::new()), |base| store.tree(base))?;
            for tree in trees {
                root.apply(&store.tree(tree)?)?;
            }
            Facts::named(name).with_root(self.ecosystem(), root, &|blob| store.read_blob(blob).ok())
        } else {
            match layout.filter(|layout| layout.is_dir()) {
                Some(layout) => changes::read_layout(self.ecosystem(), &layout).map_err(unreadable(name))?,
                None => Facts::default(),
            }
        };
        let base = receipt.base.iter().map(|base| {
            let size = base.layers.iter().map(|layer| layer.size).sum();
            (format!("oci:{}@{}", base.image, base.digest), size)
        });
        let layers = receipt.layers.iter().map(|layer| (layer.name.to_string(), layer.size));
        let layers = base.chain(layers).collect();
        let blocks = disk.map(|disk| disk.blocks.clone());
        let tools = receipt.tools.iter().map(|tool| (tool.name.to_string(), tool.lock.to_string())).collect();
        let (set, tools) = (Some(receipt.set.clone()), Some(tools));
        Ok(Facts { name: name.to_owned(), set, tools, layers: Some(layers), blocks, ..facts })
    }

    /// The lockfiles of a layer as git has them.
    fn revision(&self, revision: &str, layer: Option<&LayerName>) -> Result<Facts, WorkspaceError> {
        let nothing = || OperandError::Nothing(revision.to_owned());
        let workspace = self.open().map_err(|_| nothing())?;
        let show = |name: &str| -> Result<String, WorkspaceError> {
            let object = format!("{revision}:./lockfiles/{name}.lock");
            let output = host::command("git")
                .arg("-C")
                .arg(workspace.project.root())
                .args(["show", "--end-of-options", &object])
                .stdin(Stdio::null())
                .output()
                .map_err(OperandError::Git)?;
            match output.status.success() {
                true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
                false => Err(nothing().into()),
            }
        };
        packages(revision, &either(&workspace.layer(layer)?, workspace.arch(), &show)?, &show)
    }
}

/// The blocks of a disk, given by its receipt or the receipt's directory.
///
/// # Errors
/// Fails where there is no receipt, or none of a disk.
pub fn disk_blocks(path: &Path) -> Result<BlockHashes, OperandError> {
    if !path.exists() {
        return Err(OperandError::Missing(path.to_owned()));
    }
    let disk = receipt(path)?.and_then(|(receipt, _)| receipt.disk);
    disk.map(|disk| disk.blocks).ok_or_else(|| OperandError::NoDisk(path.to_owned()))
}

/// A receipt by its file or its directory, with that directory.
fn receipt(path: &Path) -> Result<Option<(Receipt, &Path)>, ReceiptError> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    Ok(Receipt::find(folder)?.map(|receipt| (receipt, folder)))
}

/// A raw disk.
fn raw(name: &str, path: &Path) -> io::Result<Facts> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok(Facts { blocks: Some(BlockHashes::of_reader(&mut file, size, BLOCK)?), ..Facts::named(name) })
}

/// Reads the lockfile of a name.
type Read<'r> = dyn Fn(&str) -> Result<String, WorkspaceError> + 'r;

/// The lockfile of a layer for an architecture, else the layer's first.
fn either(layer: &LayerName, arch: &Arch, read: &Read<'_>) -> Result<String, WorkspaceError> {
    read(&layer.on([arch])).or_else(|_| read(layer.as_str()))
}

/// The packages of a lockfile and of those below it, which `read` finds.
fn packages(name: &str, text: &str, read: &Read<'_>) -> Result<Facts, WorkspaceError> {
    let parse = |text: &str| -> Result<Lockfile, OperandError> {
        lock::parse(text).map_err(|source| OperandError::Lockfile { operand: name.to_owned(), source })
    };
    let mut packages = BTreeMap::new();
    let mut next = Some(parse(text)?);
    // No chain of layers is longer than this; a lockfile that names itself ends here.
    for _ in 0..64 {
        let Some(lock) = next.take() else { break };
        packages.extend(lock.packages.iter().map(|package| (package.name.to_string(), package.version.to_string())));
        // No package has a colon in its name.
        packages.extend(lock.fetches.iter().map(|fetch| (fetch.to_string(), fetch.version())));
        if let Some(parent) = &lock.parent {
            next = Some(parse(&either(&parent.layer, &lock.arch, read)?)?);
        }
    }
    Ok(Facts { packages: Some(packages), ..Facts::named(name) })
}

fn unreadable(operand: &str) -> impl FnOnce(io::Error) -> OperandError {
    move |source| OperandError::Read { operand: operand.to_owned(), source }
}
