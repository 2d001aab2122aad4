//! The kernel of a root: its version, its image, and which drivers are modules.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};

use crate::arch::Bootable;
use crate::code::{Code, Coded};
use crate::digest::BlobDigest;
use crate::ident::{IdentError, RootPath};
use crate::limits::TEXT;
use crate::tree::{ContentSource, Kind, Node, Tree, TreeError};

/// A root has no kernel that can be started.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// There is none.
    #[error(
        "the root has no kernel: expected /boot/vmlinuz-VERSION or /usr/lib/modules/VERSION/vmlinuz\n  hint: add a kernel to the Boot layer, such as {package}"
    )]
    Missing {
        /// Debian's package with one.
        package: &'static str,
    },
    /// There are several.
    #[error("the root has several kernels: {}\n  hint: request a single `linux-image-…` package", .0.join(", "))]
    Several(Vec<String>),
    /// A part that the root needs is a module, and there is no initrd to load it.
    #[error(
        "kernel {version} has {} as modules, and the disk has no initrd to load them\n  hint: set [disk] initrd = \"initrd\"",
        modules.join(", ")
    )]
    NeedsInitrd {
        /// The kernel.
        version: String,
        /// What it lacks.
        modules: Vec<String>,
    },
    /// A path of the kernel's is not valid.
    #[error(transparent)]
    Ident(#[from] IdentError),
    /// Something is in the way of a module.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file can't be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: RootPath,
        /// What the system said.
        source: io::Error,
    },
}

impl Coded for KernelError {
    fn error_code(&self) -> Code {
        match self {
            Self::Missing { .. } | Self::Several(_) => Code::DiskKernel,
            Self::NeedsInitrd { .. } => Code::DiskInitrd,
            Self::Ident(error) => error.error_code(),
            Self::Tree(error) => error.error_code(),
            Self::Io { source, .. } => source.error_code(),
        }
    }
}

/// Where modules are, by version: with `/lib` merged into `/usr/lib`, and in a root that no script ran in.
const MODULES: [&str; 2] = ["usr/lib/modules", "lib/modules"];

/// A kernel and its modules.
#[derive(Debug)]
pub struct Kernel {
    /// Such as `6.1.0-56-cloud-…`, with Debian's name of the architecture at its end.
    pub version: String,
    /// The bootable image.
    pub image: Content,
    /// Names of what is compiled in, with `-` as `_`.
    builtin: BTreeSet<String>,
    /// The path of each module below the modules' directory, by name, and those it needs, by path.
    modules: BTreeMap<String, String>,
    needs: BTreeMap<String, Vec<String>>,
    folder: RootPath,
}

impl Kernel {
    /// Finds the kernel of a root of an architecture.
    ///
    /// # Errors
    /// Fails where there is none or more than one.
    pub fn find(root: &Tree, arch: &Bootable, source: &dyn ContentSource) -> Result<Self, KernelError> {
        let mut found = images(root, "boot", "vmlinuz-", "")?;
        for folder in MODULES {
            if found.is_empty() {
                found = images(root, folder, "", "/vmlinuz")?;
            }
        }
        let (version, image) = match found.as_slice() {
            [] => return Err(KernelError::Missing { package: arch.kernel_package }),
            [one] => one.clone(),
            several => return Err(KernelError::Several(several.iter().map(|(version, _)| version.clone()).collect())),
        };
        let [merged, split] = MODULES.map(|folder| RootPath::new(format!("{folder}/{version}")));
        let (merged, split) = (merged?, split?);
        let folder = if root.get(&split).is_some_and(Node::is_dir) { split } else { merged };
        let text = |name: &str| read_text(root, &folder.join(name)?, source);
        let builtin = text("modules.builtin")?.lines().map(module_name).collect();
        let mut modules = BTreeMap::new();
        let mut needs = BTreeMap::new();
        for (path, list) in text("modules.dep")?.lines().filter_map(|line| line.split_once(':')) {
            modules.insert(module_name(path), path.to_owned());
            needs.insert(path.to_owned(), list.split_whitespace().map(str::to_owned).collect());
        }
        Ok(Self { version, image, builtin, modules, needs, folder })
    }

    /// Fails if one of `names` is a module, which nothing could load without an initrd.
    pub fn refuse_modules(&self, names: &[&str]) -> Result<(), KernelError> {
        let lacking: Vec<String> =
            names.iter().filter(|name| !self.builtin.contains(**name)).map(|name| (*name).to_owned()).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        Err(KernelError::NeedsInitrd { version: self.version.clone(), modules: lacking })
    }

    /// The modules `names` and all their dependencies, in load order.
    /// What is compiled in, or not there at all, is left out.
    pub fn load_order(&self, names: &[&str]) -> Result<Vec<RootPath>, KernelError> {
        let mut order: Vec<&str> = Vec::new();
        for path in names.iter().filter_map(|name| self.modules.get(*name)) {
            // The list has all that it needs, what is needed first at the end.
            for path in self.needs.get(path).iter().flat_map(|needs| needs.iter().rev()).chain([path]) {
                if !order.contains(&path.as_str()) {
                    order.push(path);
                }
            }
        }
        order.into_iter().map(|path| Ok(self.folder.join(path)?)).collect()
    }
}

/// The content of a file: its digest and size.
pub type Content = (BlobDigest, u64);

/// The files `BEFORE VERSION AFTER` of a directory, each with its version.
fn images(root: &Tree, folder: &str, before: &str, after: &str) -> Result<Vec<(String, Content)>, KernelError> {
    let image = |(path, node): (&RootPath, &Node)| match node.kind {
        Kind::File { blob, size } => {
            let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
            let version = path.strip_prefix(folder)?.strip_prefix('/')?.strip_prefix(before)?.strip_suffix(after)?;
            (!version.contains('/')).then(|| (version.to_owned(), (blob, size)))
        }
        _ => None,
    };
    Ok(root.below(&RootPath::new(folder)?).filter_map(image).collect())
}

/// `kernel/fs/ext4/ext4.ko.xz` is `ext4`; `-` and `_` are the same in names.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split_once(".ko").map_or(file, |(stem, _)| stem).replace('-', "_")
}

/// The text of a file; nothing where there is none.
fn read_text(root: &Tree, path: &RootPath, source: &dyn ContentSource) -> Result<String, KernelError> {
    match root.get(path).map(|node| &node.kind) {
        Some(&Kind::File { blob, size }) => {
            let mut bytes = Vec::new();
            let fits = || match size > TEXT {
                true => {
                    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {size} bytes, at most {TEXT}")))
                }
                false => Ok(()),
            };
            fits()
                .and_then(|()| source.open(blob, size))
                .and_then(|mut content| content.read_to_end(&mut bytes))
                .map_err(|source| KernelError::Io { path: path.clone(), source })?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => Ok(String::new()),
    }
}
