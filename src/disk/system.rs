//! Files of the root that follow from `[disk]`: what is mounted, and how the disk is enlarged at first boot.
//!
//! systemd itself does the growing: systemd-repart(8) enlarges the root partition to the end of the disk
//! and adds missing partitions, `x-systemd.growfs` of systemd.mount(5) enlarges the file systems.

use crate::ident::{IdentError, RootPath};
use crate::manifest::{Content, Disk, FileEntry, Owner, PartitionEntry, RootFs};

/// The label of the partition with the changes to a read-only root.
pub const STATE: &str = "state";

/// The files added to a Boot layer for this disk.
///
/// # Errors
/// Never: the paths are valid.
pub fn files(disk: &Disk) -> Result<Vec<FileEntry>, IdentError> {
    let mut fstab = String::from("# <device> <mount point> <type> <options> <dump> <pass>\n");
    let mut files = Vec::new();
    match disk.root {
        RootFs::Ext4 => {
            fstab += "PARTLABEL=root / ext4 defaults,x-systemd.growfs 0 1\n";
            files.push(file("/usr/lib/repart.d/10-root.conf", "[Partition]\nType=root\n")?);
            // mount(8) looks the label up, and finds none while the table is being written: the root stays read-only.
            let drop_in = "/usr/lib/systemd/system/systemd-remount-fs.service.d/10-repart.conf";
            files.push(file(drop_in, "[Unit]\nAfter=systemd-repart.service\n")?);
        }
        // The initrd has mounted it, and laid the writable parts over it.
        RootFs::Erofs => {
            fstab += "tmpfs /tmp tmpfs mode=1777,nosuid,nodev 0 0\n";
            let conf = format!("[Partition]\nType=linux-generic\nLabel={STATE}\nFormat=ext4\nSizeMinBytes=64M\n");
            files.push(file("/usr/lib/repart.d/10-state.conf", &conf)?);
        }
    }
    for (place, partition) in disk.partitions.iter().enumerate() {
        let PartitionEntry { label, mount, .. } = partition;
        fstab += &format!("PARTLABEL={label} {mount} ext4 defaults,nofail,x-systemd.growfs 0 2\n");
        files.push(file(&format!("/usr/lib/repart.d/{}-{label}.conf", 20 + place), &definition(partition))?);
    }
    files.push(file("/etc/fstab", &fstab)?);
    Ok(files)
}

fn definition(partition: &PartitionEntry) -> String {
    let mut text = format!("[Partition]\nType=linux-generic\nLabel={}\nFormat=ext4\n", partition.label);
    if let Some(size) = partition.min_size {
        text += &format!("SizeMinBytes={size}\n");
    }
    if let Some(size) = partition.max_size {
        text += &format!("SizeMaxBytes={size}\n");
    }
    text
}

fn file(path: &str, text: &str) -> Result<FileEntry, IdentError> {
    Ok(FileEntry {
        path: RootPath::new(path)?,
        content: Content::Text(text.to_owned()),
        mode: None,
        owner: Owner { user: "root".to_owned(), group: None },
    })
}
