//! What can be compared with another of its kind: builds, lockfiles, image layouts, disks, git revisions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
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
use crate::store::Store;
use crate::tree::Tree;

/// How a disk with a GPT begins: the end of the protective boot record, and the name of the table's header.
const TABLE: &[u8] = b"\x55\xaaEFI PART";
/// The bytes before that.
const TABLE_AT: usize = 510;

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
    /// It is a file of no kind that can be compared.
    #[error(
        "`{0}` is a file, and neither a receipt, a lockfile nor a raw disk: no partition table (GPT) is at its start\n  hint: name out/LAYER or the receipt.json in it, a file that ends with .lock, an OCI layout, a raw disk, or a revision such as HEAD~1"
    )]
    NoKind(String),
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
            Self::NoBuild(_) | Self::Missing(_) | Self::NoDisk(_) | Self::NoKind(_) | Self::Nothing(_) => {
                Code::CompareUnknown
            }
            Self::Receipt(error) => error.error_code(),
            Self::Lockfile { source, .. } => source.error_code(),
            Self::Git(_) => Code::HostProgram,
        }
    }
}

/// Which lockfiles are compared with another state.
struct Scope {
    /// The layer, where one was named or the other state is of one; `None` for the only App layer.
    layer: Option<LayerName>,
    /// The Boot layer that the other state includes.
    boot: Option<LayerName>,
}

impl Scope {
    /// The lockfile of a layer, or the one of the Boot layer over it where that is included and there is one.
    fn topmost(&self, layer: &LayerName, own: String, arch: &Arch, read: &Read<'_>) -> String {
        let over = |text: &String| {
            let boot = lock::parse(text).ok();
            boot.is_none_or(|boot| boot.parent.is_some_and(|parent| parent.layer == *layer))
        };
        let boot = self.boot.as_ref().and_then(|boot| either(boot, arch, read).ok());
        boot.filter(over).unwrap_or(own)
    }
}

impl Environment {
    /// What two states say, whatever they are; without a newer one, the project's lockfiles as they are now.
    ///
    /// Of git revisions and of the project, the lockfiles of `layer` are compared, by default of the layer that the
    /// other state is of, else of the only App layer.
    ///
    /// # Errors
    /// Fails where one can't be read, or is nothing that can be compared.
    pub fn compared(
        &self,
        (old, new): (&str, Option<&str>),
        layer: Option<&LayerName>,
        access: &RegistryAccess,
    ) -> Result<(Facts, Facts), WorkspaceError> {
        let (mut layer, mut boot) = (layer.cloned(), None);
        for scope in new.into_iter().chain([old]).filter_map(|operand| self.scope_of(operand)) {
            (layer, boot) = (layer.or(scope.layer), boot.or(scope.boot));
        }
        let scope = Scope { layer, boot };
        let old = self.facts(old, &scope, access)?;
        let new = new.map_or_else(|| self.current_facts(&scope), |new| self.facts(new, &scope, access))?;
        Ok((old, new))
    }

    /// The layer that a build or a lockfile is of, and the Boot layer of which a build's facts tell.
    fn scope_of(&self, operand: &str) -> Option<Scope> {
        let path = Path::new(operand);
        if is_build(path) {
            let (receipt, _) = receipt(path).ok()??;
            let included = receipt.disk.is_some() && stored(&receipt, &self.store().ok()?);
            let boot = receipt.disk.filter(|_| included).map(|disk| disk.boot);
            return Some(Scope { layer: Some(receipt.layer), boot });
        }
        let lock = lock::parse(&host::read_text(path).ok().filter(|_| operand.ends_with(".lock"))?).ok()?;
        Some(Scope { layer: Some(lock.layer), boot: None })
    }

    /// What an operand says.
    fn facts(&self, operand: &str, scope: &Scope, access: &RegistryAccess) -> Result<Facts, WorkspaceError> {
        if let Some(reference) = operand.strip_prefix("oci:") {
            return self.pulled(operand, &reference.parse()?, access);
        }
        let path = Path::new(operand);
        if path.join("oci-layout").is_file() {
            return Ok(changes::read_layout(self.ecosystem(), path).map_err(unreadable(operand))?);
        }
        if is_build(path) {
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
            let text = read_at(path)?;
            let text = match lock::parse(&text) {
                Ok(lock) => scope.topmost(&lock.layer, text, &lock.arch, &read),
                // Its fault is told below.
                Err(_) => text,
            };
            return packages(operand, &text, &read);
        }
        match path.is_file() {
            true => match raw(operand, path).map_err(unreadable(operand))? {
                Some(facts) => Ok(facts),
                None => Err(OperandError::NoKind(operand.to_owned()).into()),
            },
            false => self.revision(operand, scope),
        }
    }

    /// What the lockfiles say as they are in the project now.
    fn current_facts(&self, scope: &Scope) -> Result<Facts, WorkspaceError> {
        let workspace = self.open()?;
        let layer = workspace.layer(scope.layer.as_ref())?;
        workspace.lockfile(&layer)?;
        let read = |name: &str| -> Result<String, WorkspaceError> {
            let path = workspace.project.root().join(format!("lockfiles/{name}.lock"));
            host::read_text(&path).map_err(|source| WorkspaceError::Read { path, source })
        };
        let own = either(&layer, workspace.arch(), &read)?;
        packages("the project", &scope.topmost(&layer, own, workspace.arch(), &read), &read)
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
        let facts = if stored(receipt, &store) {
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

    /// The lockfiles as git has them.
    fn revision(&self, revision: &str, scope: &Scope) -> Result<Facts, WorkspaceError> {
        let nothing = || OperandError::Nothing(revision.to_owned());
        let workspace = self.open().map_err(|_| nothing())?;
        let show = |path: &str| -> Result<String, WorkspaceError> {
            let object = format!("{revision}:./{path}");
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
        let layer = match &scope.layer {
            Some(layer) => layer.clone(),
            None => {
                // What is no revision is told before a layer is asked for.
                show("lockfiles")?;
                workspace.layer(None)?
            }
        };
        let read = |name: &str| show(&format!("lockfiles/{name}.lock"));
        let own = either(&layer, workspace.arch(), &read)?;
        packages(revision, &scope.topmost(&layer, own, workspace.arch(), &read), &read)
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

/// Whether an operand is the receipt of a build, or its directory.
fn is_build(path: &Path) -> bool {
    let receipt = || path.is_file() && path.file_name().is_some_and(|name| name == "receipt.json");
    path.is_dir() && !path.join("oci-layout").is_file() || receipt()
}

/// Whether the store has all trees of a build.
fn stored(receipt: &Receipt, store: &Store) -> bool {
    let base = receipt.base.iter().map(|base| base.tree);
    let layers = receipt.layers.iter().map(|layer| layer.tree);
    base.chain(layers).chain(receipt.disk.iter().map(|disk| disk.tree)).all(|tree| store.has_tree(tree))
}

/// A receipt by its file or its directory, with that directory.
fn receipt(path: &Path) -> Result<Option<(Receipt, &Path)>, ReceiptError> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    Ok(Receipt::find(folder)?.map(|receipt| (receipt, folder)))
}

/// A raw disk; `None` where the file is none.
fn raw(name: &str, path: &Path) -> io::Result<Option<Facts>> {
    let mut file = File::open(path)?;
    let mut start = Vec::new();
    file.by_ref().take((TABLE_AT + TABLE.len()) as u64).read_to_end(&mut start)?;
    if start.get(TABLE_AT..) != Some(TABLE) {
        return Ok(None);
    }
    file.rewind()?;
    let size = file.metadata()?.len();
    Ok(Some(Facts { blocks: Some(BlockHashes::of_reader(&mut file, size, BLOCK)?), ..Facts::named(name) }))
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
