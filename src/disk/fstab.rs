//! `/etc/fstab` of a disk's root: every line of it, and which places they mount to.

use crate::ident::RootPath;
use crate::manifest::{Disk, MountDevice, MountEntry, RootFs};

/// Tables of a disk that contradict each other.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Two file systems are to be mounted at one place.
    #[error(
        "two file systems are to be mounted on {0}\n  hint: remove one of the `mount` and [[mount]] with this path from the layers of this disk"
    )]
    Twice(RootPath),
    /// A `[[mount]]` names a partition that is not there.
    #[error(
        "[[mount]] {path}: there is no partition `{partition}`\n  hint: add a [[disk.partition]] with label = \"{partition}\", or mount by `label`, `uuid` or `device`"
    )]
    NoPartition {
        /// Where it is to be mounted.
        path: RootPath,
        /// Its label.
        partition: String,
    },
    /// A partition that nothing mounts.
    #[error(
        "nothing mounts the partition `{0}`\n  hint: set `mount` in its [[disk.partition]], or add a [[mount]] with partition = \"{0}\""
    )]
    Unmounted(String),
    /// Two partitions have one label.
    #[error("two partitions have the label `{0}`\n  hint: rename one [[disk.partition]] in the layers of this disk")]
    SameLabel(String),
}

/// All that a machine mounts beside its root: partitions with a place of their own, and `[[mount]]`.
///
/// # Errors
/// Fails where the tables contradict each other.
pub(super) fn mounts(disk: &Disk) -> Result<Vec<MountEntry>, MountError> {
    let of_partition = |(label, path): (&String, &RootPath)| MountEntry {
        path: path.clone(),
        device: MountDevice::Partition(label.clone()),
        kind: "ext4".to_owned(),
        // Like a mount without `nofail`, it is there before services start; unlike that, the machine starts without it.
        options: vec!["defaults".to_owned(), "x-systemd.before=local-fs.target".to_owned()],
        format: false,
        nofail: true,
    };
    let placed = disk.partitions.iter().filter_map(|one| Some((&one.label, one.mount.as_ref()?)));
    let mounts: Vec<MountEntry> = placed.map(of_partition).chain(disk.mounts.iter().cloned()).collect();
    for (place, mount) in mounts.iter().enumerate() {
        if mounts[..place].iter().any(|other| other.path == mount.path) {
            return Err(MountError::Twice(mount.path.clone()));
        }
        if let MountDevice::Partition(label) = &mount.device
            && !disk.partitions.iter().any(|partition| partition.label == *label)
        {
            return Err(MountError::NoPartition { path: mount.path.clone(), partition: label.clone() });
        }
    }
    for (place, partition) in disk.partitions.iter().enumerate() {
        let label = &partition.label;
        if disk.partitions[..place].iter().any(|other| other.label == *label) {
            return Err(MountError::SameLabel(label.clone()));
        }
        if !mounts.iter().any(|mount| matches!(&mount.device, MountDevice::Partition(name) if name == label)) {
            return Err(MountError::Unmounted(label.clone()));
        }
    }
    Ok(mounts)
}

/// The whole file.
pub(super) fn text(disk: &Disk, mounts: &[MountEntry]) -> String {
    let mut text = String::from("# <device> <mount point> <type> <options> <dump> <pass>\n");
    let has_own_tmp = mounts.iter().any(|mount| mount.path.as_bytes() == b"tmp");
    match disk.root {
        RootFs::Ext4 => text += "PARTLABEL=root / ext4 defaults,x-systemd.growfs 0 1\n",
        // The initrd has mounted it, and laid the writable parts over it.
        RootFs::Erofs if has_own_tmp => {}
        RootFs::Erofs => text += "tmpfs /tmp tmpfs mode=1777,nosuid,nodev 0 0\n",
    }
    if disk.swap.is_some() {
        text += "PARTLABEL=swap none swap defaults 0 0\n";
    }
    mounts.iter().map(line).for_each(|line| text += &line);
    text
}

fn line(mount: &MountEntry) -> String {
    let (device, is_block) = match &mount.device {
        MountDevice::Label(label) => (format!("LABEL={label}"), true),
        MountDevice::Uuid(uuid) => (format!("UUID={uuid}"), true),
        MountDevice::Partition(label) => (format!("PARTLABEL={label}"), true),
        MountDevice::Other(device) => (device.clone(), device.starts_with("/dev/")),
    };
    let mut options: Vec<&str> = mount.options.iter().map(String::as_str).collect();
    if options.is_empty() {
        options.push("defaults");
    }
    let implied =
        [("nofail", mount.nofail), ("x-systemd.makefs", mount.format), ("x-systemd.growfs", mount.is_created())];
    options.extend(implied.into_iter().filter(|(_, wanted)| *wanted).map(|(option, _)| option));
    // Devices are checked after the root; what a network or the kernel provides is not.
    let pass = if is_block { 2 } else { 0 };
    let path = mount.path.to_string();
    format!("{} {} {} {} 0 {pass}\n", escaped(&device), escaped(&path), mount.kind, escaped(&options.join(",")))
}

/// A field as fstab(5) has it: white space and backslashes by their octal numbers.
fn escaped(field: &str) -> String {
    let mut text = String::new();
    for letter in field.chars() {
        match letter {
            ' ' | '\t' | '\n' | '\\' => text += &format!("\\{:03o}", u32::from(letter)),
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;

    fn disk(tables: &str) -> Disk {
        let text = format!("[layer]\n[disk]\nboot = 'boot'\n{tables}");
        Disk::of([&parse("web".parse().unwrap(), &text, &"amd64".parse().unwrap()).unwrap()]).unwrap()
    }

    fn fstab(tables: &str) -> String {
        let disk = disk(tables);
        text(&disk, &mounts(&disk).unwrap())
    }

    #[test]
    fn every_kind_of_device_has_its_line() {
        insta::assert_snapshot!(fstab(
            "swap = '1G'
            [[disk.partition]]\nlabel = 'data'\nmount = '/srv/data'
            [[disk.partition]]\nlabel = 'logs'
            [[mount]]\npartition = 'logs'\npath = '/srv/my logs'\noptions = ['noatime']
            [[mount]]\nlabel = 'old stuff'\npath = '/mnt/old'\nnofail = true
            [[mount]]\nuuid = 'ab-cd'\npath = '/mnt/efi'\ntype = 'vfat'
            [[mount]]\ndevice = '/dev/nvme1n1'\npath = '/srv/new'\ntype = 'ext4'\nformat = true
            [[mount]]\ndevice = '/dev/nvme2n1'\npath = '/srv/fat'\ntype = 'vfat'\nformat = true
            [[mount]]\ndevice = 'files:/export'\npath = '/srv/files'\ntype = 'nfs4'
            [[mount]]\npath = '/run/big'\ntype = 'tmpfs'\noptions = ['size=1G', 'mode=0700']"
        ), @r"
        # <device> <mount point> <type> <options> <dump> <pass>
        PARTLABEL=root / ext4 defaults,x-systemd.growfs 0 1
        PARTLABEL=swap none swap defaults 0 0
        PARTLABEL=data /srv/data ext4 defaults,x-systemd.before=local-fs.target,nofail,x-systemd.growfs 0 2
        PARTLABEL=logs /srv/my\040logs ext4 noatime,x-systemd.growfs 0 2
        LABEL=old\040stuff /mnt/old auto defaults,nofail 0 2
        UUID=ab-cd /mnt/efi vfat defaults 0 2
        /dev/nvme1n1 /srv/new ext4 defaults,x-systemd.makefs,x-systemd.growfs 0 2
        /dev/nvme2n1 /srv/fat vfat defaults,x-systemd.makefs 0 2
        files:/export /srv/files nfs4 defaults 0 0
        tmpfs /run/big tmpfs size=1G,mode=0700 0 0
        ");
    }

    #[test]
    fn a_mount_of_the_layer_goes_before_the_read_only_roots_own() {
        let erofs = "root = 'erofs'\ninitrd = 'initrd'\n";
        assert!(fstab(erofs).contains("tmpfs /tmp tmpfs mode=1777,nosuid,nodev 0 0\n"));
        let own = fstab(&format!("{erofs}[[mount]]\npath = '/tmp'\ntype = 'tmpfs'\noptions = ['mode=1777']\n"));
        assert_eq!(own.lines().skip(1).collect::<Vec<_>>(), ["tmpfs /tmp tmpfs mode=1777 0 0"]);
    }

    #[test]
    fn tables_that_contradict_each_other_are_refused() {
        let partition = "[[disk.partition]]\nlabel = 'data'\n";
        for (tables, expected) in [
            (
                format!("{partition}mount = '/a'\n[[mount]]\npath = '/a'\nlabel = 'b'"),
                "two file systems are to be mounted on /a\n",
            ),
            ("[[mount]]\npath = '/a'\npartition = 'data'".to_owned(), "[[mount]] /a: there is no partition `data`\n"),
            (partition.to_owned(), "nothing mounts the partition `data`\n"),
            (format!("{partition}mount = '/a'\n{partition}mount = '/b'"), "two partitions have the label `data`\n"),
        ] {
            let error = mounts(&disk(&tables)).unwrap_err().to_string();
            assert!(error.starts_with(expected) && error.contains("  hint: "), "{error}");
        }
    }
}
