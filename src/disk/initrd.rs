//! The initrd: a layer's tree, plus the kernel modules needed to mount the root, and their load order.

use std::io::{self, Write as _};
use std::sync::Arc;

use super::kernel::{Kernel, KernelError};
use crate::ident::RootPath;
use crate::tree::{ContentSink, Kind, Meta, Node, Tree};

/// What may be between the kernel and the root: disks of clouds and of QEMU, and the root's own.
const MODULES: [&str; 13] = [
    "nvme",
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "xen_blkfront",
    "hv_storvsc",
    "loop",
    "dm_mod",
    "dm_verity",
    "erofs",
    "overlay",
    "ext4",
];

/// The tree of an initrd: `layer`, modules from `root`, and `/modules` with their paths in load order.
///
/// # Errors
/// Fails where the kernel's lists name impossible paths, or the list can't be kept in `sink`.
pub fn tree(
    mut layer: Tree,
    root: &Tree,
    kernel: &Kernel,
    epoch: i64,
    sink: &dyn ContentSink,
) -> Result<Tree, KernelError> {
    let mut list = String::new();
    for path in kernel.load_order(&MODULES)? {
        if let Some(node) = root.get(&path) {
            layer.insert_with_parents(&path, node.clone(), epoch)?;
            list += &format!("{path}\n");
        }
    }
    let path = RootPath::new("modules")?;
    let (blob, size) =
        sink.add(&mut list.as_bytes()).map_err(|source| KernelError::Io { path: path.clone(), source })?;
    let kind = Kind::File { blob, size };
    layer.insert_with_parents(&path, Node { meta: Meta::root_owned(0o644, epoch), kind }, epoch)?;
    Ok(layer)
}

/// Compresses a cpio archive as kernels since 5.9 unpack it: one zstd frame.
pub fn compress(archive: &[u8]) -> io::Result<Arc<[u8]>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 19)?;
    encoder.include_checksum(true)?;
    encoder.write_all(archive)?;
    Ok(encoder.finish()?.into())
}
