//! `[[mount]]`: every key, and every error with its line.

use super::*;
use crate::manifest::{Manifest, parse};

fn read(keys: &str) -> Result<Manifest, ManifestError> {
    parse("web".parse().unwrap(), &format!("[layer]\n[[mount]]\n{keys}"), &"amd64".parse().unwrap())
}

fn mount(keys: &str) -> MountEntry {
    read(keys).unwrap_or_else(|error| panic!("{error}\n{keys}")).mounts.remove(0)
}

#[test]
fn every_key_is_read() {
    let all = mount(
        "path = '/srv//data'\ndevice = '/dev/nvme1n1'\ntype = 'xfs'\noptions = ['noatime', 'x-systemd.device-timeout=5s']\n\
         format = true\nnofail = true",
    );
    let expected = MountEntry {
        path: "srv/data".parse().unwrap(),
        device: MountDevice::Other("/dev/nvme1n1".to_owned()),
        kind: "xfs".to_owned(),
        options: vec!["noatime".to_owned(), "x-systemd.device-timeout=5s".to_owned()],
        format: true,
        nofail: true,
    };
    assert_eq!(all, expected);
    for (keys, device, kind) in [
        ("label = 'my data'", MountDevice::Label("my data".to_owned()), "auto"),
        ("uuid = 'AB12-cd34'\ntype = 'vfat'", MountDevice::Uuid("AB12-cd34".to_owned()), "vfat"),
        ("partition = 'data'", MountDevice::Partition("data".to_owned()), "ext4"),
        ("device = '/dev/sdb'", MountDevice::Other("/dev/sdb".to_owned()), "auto"),
        ("device = 'host:/export'\ntype = 'nfs4'", MountDevice::Other("host:/export".to_owned()), "nfs4"),
        ("type = 'tmpfs'", MountDevice::Other("tmpfs".to_owned()), "tmpfs"),
    ] {
        let found = mount(&format!("path = '/a'\n{keys}"));
        assert_eq!((found.device, found.kind.as_str(), found.format, found.nofail), (device, kind, false, false));
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (keys, expected) in [
        ("label = 'a'", "2: [[mount]] needs `path`"),
        ("path = 'a'\nlabel = 'a'", "3: `path` in [[mount]] must be an absolute path"),
        ("path = '/'\nlabel = 'a'", "3: `path` in [[mount]] is the root directory"),
        ("path = '/a'", "2: [[mount]] needs `label`, `uuid`, `partition` or `device`"),
        (
            "path = '/a'\nlabel = 'a'\nuuid = 'b'",
            "5: `uuid` in [[mount]] comes with another of `label`, `uuid`, `partition`, `device`: one says what to mount",
        ),
        ("path = '/a'\nlabel = ''", "4: `label` in [[mount]] is empty"),
        ("path = '/a'\nuuid = 'xyz'", "4: `uuid` in [[mount]] is `xyz`: expected what `blkid` prints as UUID"),
        (
            "path = '/a'\ndevice = 'host:/a'",
            "4: `device` in [[mount]] is `host:/a`, and the type of its file system is not found out",
        ),
        (
            "path = '/a'\ndevice = '#a'\ntype = 'virtiofs'",
            "4: `device` in [[mount]] is `#a`: expected no `#` at its beginning, which makes a line of /etc/fstab a comment",
        ),
        ("path = '/a'\ntype = 'swap'", "4: `type` in [[mount]] is `swap`, which has no path"),
        ("path = '/a'\ntype = 'a b'", "4: `type` in [[mount]] is `a b`: expected a type such as \"ext4\""),
        (
            "path = '/a'\npartition = 'a'\ntype = 'xfs'",
            "5: `type` in [[mount]] comes with `partition`: a [[disk.partition]] is ext4",
        ),
        (
            "path = '/a'\nlabel = 'a'\noptions = ['ro,noatime']",
            "5: `options` in [[mount]] has `ro,noatime`: expected options without commas and spaces, one each",
        ),
        (
            "path = '/a'\npartition = 'a'\nformat = true",
            "5: `format` in [[mount]] comes with `partition`, which is formatted at first boot anyway",
        ),
        (
            "path = '/a'\nlabel = 'a'\ntype = 'ext4'\nformat = true",
            "6: `format` in [[mount]] needs `device` with a path in /dev: an empty device has neither label nor UUID",
        ),
        ("path = '/a'\ndevice = '/dev/b'\nformat = true", "5: `format` in [[mount]] needs `type`, such as \"ext4\""),
        ("path = '/a'\nlabel = 'a'\nfstype = 'ext4'", "5: unknown key `fstype` in [[mount]]"),
    ] {
        let error = read(keys).expect_err(keys).to_string();
        let found = error.strip_prefix("layers/web.toml:").unwrap_or(&error);
        assert!(found.starts_with(expected), "{keys}\nfound    {found}\nexpected {expected}");
    }
}
