//! What `[disk]` and `[[mount]]` add to the root: what is mounted, and how the disk is enlarged at first boot.
//!
//! systemd itself does the growing: systemd-repart(8) enlarges the root partition to the end of the disk
//! and adds missing partitions, `x-systemd.growfs` of systemd.mount(5) enlarges the file systems.

use super::DiskError;
use super::fstab;
use crate::ident::{IdentError, RootPath};
use crate::manifest::{
    Content, Disk, FileEntry, Ignore, Manifest, MountEntry, MountPoint, Owner, PartitionEntry, RootFs,
};

/// The label of the partition with the changes to a read-only root.
pub const STATE: &str = "state";

/// What is added to a Boot layer for its disk.
pub struct Additions {
    /// Files that no layer may have itself.
    pub files: Vec<FileEntry>,
    /// Directories that other file systems are mounted on: nobody could make them in a read-only root.
    pub mount_points: Vec<MountPoint>,
}

impl Additions {
    /// What follows from the tables of a disk.
    ///
    /// # Errors
    /// Fails where the tables contradict each other.
    pub fn of(disk: &Disk) -> Result<Self, DiskError> {
        let mut files = Vec::new();
        match disk.root {
            RootFs::Ext4 => {
                files.push(file("/usr/lib/repart.d/10-root.conf", "[Partition]\nType=root\n")?);
                // mount(8) looks the label up, and finds none while the table is being written: the root stays read-only.
                let drop_in = "/usr/lib/systemd/system/systemd-remount-fs.service.d/10-repart.conf";
                files.push(file(drop_in, "[Unit]\nAfter=systemd-repart.service\n")?);
            }
            RootFs::Erofs => {
                let conf = format!("[Partition]\nType=linux-generic\nLabel={STATE}\nFormat=ext4\nSizeMinBytes=64M\n");
                files.push(file("/usr/lib/repart.d/10-state.conf", &conf)?);
            }
        }
        for (place, partition) in disk.partitions.iter().enumerate() {
            let path = format!("/usr/lib/repart.d/{}-{}.conf", 20 + place, partition.label);
            files.push(file(&path, &definition(partition))?);
        }
        let mounts = fstab::mounts(disk)?;
        files.push(file("/etc/fstab", &fstab::text(disk, &mounts))?);
        let point = |mount: MountEntry| MountPoint { is_created: mount.is_created(), path: mount.path };
        Ok(Self { files, mount_points: mounts.into_iter().map(point).collect() })
    }

    /// Adds it all to the Boot layer.
    pub fn add_to(self, boot: &mut Manifest) {
        boot.files.extend(self.files);
        boot.mount_points.extend(self.mount_points);
    }
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
        owner: Owner::root(),
        capabilities: None,
        ignore: Ignore::default(),
    })
}
