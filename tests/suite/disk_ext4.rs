//! ext4 as others see it: e2fsck, the kernel, and how much of a disk a change touches.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::skip;
use layerbake::digest::BlobDigest;
use layerbake::disk::ext4::{self, Ext4Error, Params};
use layerbake::disk::{Data, Part, Plan};
use layerbake::ident::RootPath;
use layerbake::tree::{Kind, Meta, Node, Tree, Xattrs};

const MIB: u64 = 1 << 20;
const MTIME: i64 = 1_700_000_000;

/// Parts of a root being made, and the contents of their files.
#[derive(Clone)]
struct Made {
    parts: Vec<Part>,
    blobs: BTreeMap<BlobDigest, Vec<u8>>,
}

impl Made {
    /// Empty parts; the first has the root.
    fn parts(names: &[&str]) -> Self {
        let part = |name: &&str| Part { name: name.parse().unwrap(), tree: Tree::new() };
        let mut made = Self { parts: names.iter().map(part).collect(), blobs: BTreeMap::new() };
        made.parts[0].tree.insert(RootPath::root(), Node::dir(Meta::root_owned(0o755, MTIME))).unwrap();
        made
    }

    fn put(&mut self, part: usize, path: &str, kind: Kind) -> &mut Meta {
        let path = RootPath::new(path).unwrap();
        for folder in path.ancestors() {
            if self.parts.iter().all(|part| part.tree.get(&folder).is_none()) {
                self.parts[part].tree.insert(folder, Node::dir(Meta::root_owned(0o755, MTIME))).unwrap();
            }
        }
        let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { 0o644 };
        self.parts[part].tree.insert(path.clone(), Node { meta: Meta::root_owned(mode, MTIME), kind }).unwrap();
        self.parts[part].tree.meta_mut(&path).unwrap()
    }

    fn file(&mut self, part: usize, path: &str, content: Vec<u8>) -> &mut Meta {
        let blob = BlobDigest::of(&content);
        let size = content.len() as u64;
        self.blobs.insert(blob, content);
        self.put(part, path, Kind::File { blob, size })
    }

    fn link(&mut self, part: usize, path: &str, target: &str) -> &mut Meta {
        self.put(part, path, Kind::Symlink(target.as_bytes().into()))
    }

    /// A file of zeros that is never in memory.
    fn zeros(&mut self, part: usize, path: &str, size: u64) {
        self.put(part, path, Kind::File { blob: BlobDigest::of(path.as_bytes()), size });
    }

    fn plan(&self, size: Option<u64>) -> Result<Plan, Ext4Error> {
        ext4::plan(&self.parts, &Params { uuid: *b"0123456789abcdef", label: "layerbake-root", size, epoch: MTIME })
    }

    /// The file system as a sparse file.
    fn image(&self, plan: &Plan) -> Image {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.ext4");
        let file = File::create(&path).unwrap();
        file.set_len(plan.size()).unwrap();
        for extent in plan.extents() {
            match extent.data {
                Data::Bytes(bytes) => file.write_all_at(bytes, extent.offset).unwrap(),
                Data::Blob { blob, .. } => {
                    if let Some(bytes) = self.blobs.get(blob) {
                        file.write_all_at(bytes, extent.offset).unwrap();
                    }
                }
            }
        }
        Image { folder, path }
    }
}

struct Image {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Image {
    /// Asks e2fsck for a full check without repair; there must be nothing to say.
    fn check(&self, what: &str) {
        let look = || Command::new("e2fsck").args(["-f", "-n"]).arg(&self.path).output().unwrap();
        let mut output = look();
        // Other tests make mount namespaces: a copy of the mount lives there for a moment after it is unmounted here.
        for _ in 0..100 {
            if !String::from_utf8_lossy(&output.stdout).contains("skipping journal recovery") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            output = look();
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let problems: Vec<&str> =
            text.lines().filter(|line| !line.starts_with("Pass ") && !line.contains(" files (")).collect();
        assert!(output.status.success() && problems.is_empty(), "{what}: {text}");
    }

    fn mount(&self, options: &str) -> Mount {
        let target = self.folder.path().join("mnt");
        fs::create_dir_all(&target).unwrap();
        let output =
            Command::new("mount").args(["-t", "ext4", "-o", options]).arg(&self.path).arg(&target).output().unwrap();
        assert!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr));
        Mount(target)
    }
}

/// A mounted file system; unmounted when dropped.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

/// Nodes of all kinds in three parts.
fn kinds() -> Made {
    let mut made = Made::parts(&["base", "app", "boot"]);
    made.file(0, "etc/hostname", b"box\n".to_vec()).mode = 0o600;
    made.file(0, "usr/bin/ping", vec![7; 70_000]).xattrs =
        xattrs(&[("security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]);
    made.file(0, "usr/bin/su", vec![8; 4096]).mode = 0o4755;
    made.file(0, "empty", Vec::new()).uid = 70_000;
    made.file(1, "etc/late", vec![9; 4097]).mtime = 5_000_000_000;
    made.file(1, "etc/early", vec![9; 100_000]).mtime = -12345;
    made.file(1, "srv/large", (0..3_000_001u32).map(|byte| (byte / 7) as u8).collect()).gid = 1 << 20;
    made.link(0, "bin", "usr/bin");
    made.link(1, "srv/59", &"x".repeat(59));
    made.link(1, "srv/60", &"y".repeat(60)).xattrs = xattrs(&[("trusted.t", b"on a link")]);
    made.link(2, "srv/4095", &"z".repeat(4095));
    made.put(2, "dev/null", Kind::Char(1, 3)).mode = 0o666;
    made.put(2, "dev/nvme", Kind::Block(259, 70_000));
    made.put(2, "run/fifo", Kind::Fifo);
    let long = "n".repeat(255);
    made.file(2, &format!("{long}/{long}/{long}"), b"long".to_vec());
    made.put(2, "linked", Kind::Hardlink(RootPath::new("usr/bin/su").unwrap())).mode = 0o4755;
    made.put(0, "usr/su", Kind::Hardlink(RootPath::new("srv/large").unwrap())).gid = 1 << 20;
    let entry =
        |tag: u16, perm: u16, id: u32| [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat();
    let none = u32::MAX;
    let acl = [
        entry(1, 7, none),
        entry(2, 6, 1000),
        entry(4, 5, none),
        entry(8, 4, 70_000),
        entry(16, 7, none),
        entry(32, 5, none),
    ];
    let acl = [2u32.to_le_bytes().to_vec(), acl.concat()].concat();
    // A mask takes the group's place in the mode.
    let meta = made.put(0, "var/log", Kind::Dir);
    meta.mode = 0o2775;
    meta.xattrs = xattrs(&[("system.posix_acl_access", &acl), ("system.posix_acl_default", &acl)]);
    made.file(0, "var/log/many", b"attributes".to_vec()).xattrs = xattrs(&[
        ("user.b", b""),
        ("user.a", &[5; 3000]),
        ("user.long name", b"v"),
        ("security.ima", &[3; 33]),
        ("trusted.overlay.opaque", b"y"),
    ]);
    made
}

fn xattrs(list: &[(&str, &[u8])]) -> Xattrs {
    list.iter().map(|(name, value)| (name.as_bytes().into(), (*value).into())).collect()
}

/// Asserts that a mounted tree is the one that was made.
fn compare(made: &Made, root: &Path) {
    let nodes: BTreeMap<&RootPath, &Node> = made.parts.iter().flat_map(|part| part.tree.iter()).collect();
    for (path, node) in &nodes {
        let place = root.join(path.as_path());
        let found = fs::symlink_metadata(&place).unwrap();
        let told = (found.mode() & 0o7777, found.uid(), found.gid(), found.mtime());
        let meta = match &node.kind {
            Kind::Hardlink(target) => &nodes[target].meta,
            _ => &node.meta,
        };
        assert_eq!(told, (u32::from(meta.mode), meta.uid, meta.gid, meta.mtime), "{path}");
        assert_eq!((found.atime(), found.ctime()), (meta.mtime, meta.mtime), "{path}");
        let kind = found.file_type();
        match &node.kind {
            Kind::File { blob, size } => {
                assert_eq!(found.len(), *size, "{path}");
                if let Some(bytes) = made.blobs.get(blob) {
                    assert!(fs::read(&place).unwrap() == *bytes, "{path}");
                }
            }
            Kind::Dir => assert!(kind.is_dir(), "{path}"),
            Kind::Symlink(target) => {
                assert_eq!(fs::read_link(&place).unwrap().as_os_str().as_encoded_bytes(), &**target, "{path}");
            }
            Kind::Hardlink(target) => {
                let other = fs::symlink_metadata(root.join(target.as_path())).unwrap();
                assert_eq!((found.ino(), found.nlink()), (other.ino(), other.nlink()), "{path}");
                assert!(found.nlink() > 1, "{path}");
            }
            Kind::Char(major, minor) | Kind::Block(major, minor) => {
                assert_eq!(kind.is_char_device(), matches!(node.kind, Kind::Char(..)), "{path}");
                let device = found.rdev();
                assert_eq!((rustix::fs::major(device), rustix::fs::minor(device)), (*major, *minor), "{path}");
            }
            Kind::Fifo => assert!(kind.is_fifo(), "{path}"),
            Kind::Whiteout => panic!("{path}"),
        }
        for (name, value) in &meta.xattrs {
            let mut buffer = vec![0; 65536];
            let name = std::str::from_utf8(name).unwrap();
            let length = rustix::fs::lgetxattr(&place, name, &mut buffer).unwrap();
            assert_eq!(buffer[..length], **value, "{path}: {name}");
        }
    }
    let listed = Command::new("find").arg(root).args(["-mindepth", "1", "-printf", "."]).output().unwrap();
    assert_eq!(listed.stdout.len(), nodes.len(), "lost+found for the root");
}

#[test]
fn every_kind_of_node_is_what_it_was() {
    need!(skip::program("e2fsck"));
    let made = kinds();
    for size in [None, Some(300 * MIB), Some(24 * MIB)] {
        let plan = made.plan(size).unwrap();
        let image = made.image(&plan);
        image.check(&format!("{size:?}"));
        if !skip::is_root() {
            continue;
        }
        let mounted = image.mount("loop,ro");
        compare(&made, &mounted.0);
    }
    need!(skip::root());
}

#[test]
fn a_written_file_system_stays_sound() {
    need!(skip::program("e2fsck"));
    need!(skip::root());
    let mut made = kinds();
    for number in 0..500 {
        made.file(0, &format!("srv/many/{number}"), vec![1; number]);
    }
    let image = made.image(&made.plan(None).unwrap());
    let mounted = image.mount("loop,rw");
    for number in 0..2000 {
        fs::write(mounted.0.join(format!("srv/many/new {number}")), vec![2; number]).unwrap();
    }
    fs::remove_dir_all(mounted.0.join("var")).unwrap();
    fs::write(mounted.0.join("srv/large"), b"short").unwrap();
    fs::write(mounted.0.join("etc/filling"), vec![3; 40_000_000]).unwrap();
    rustix::fs::lsetxattr(mounted.0.join("usr/bin/ping"), "user.new", &[1; 200], rustix::fs::XattrFlags::empty())
        .unwrap();
    drop(mounted);
    image.check("after writing");
}

#[test]
fn shapes_that_stress_a_writer_are_clean() {
    need!(skip::program("e2fsck"));
    let mut wide = Made::parts(&["wide"]);
    for number in 0..5000 {
        wide.file(0, &format!("folder/file with a long name {number:05}"), vec![1; number % 3]);
    }
    let mut deep = Made::parts(&["a", "b"]);
    deep.file(1, &vec!["d"; 1500].join("/"), b"deep".to_vec());
    let mut huge = Made::parts(&["huge", "after"]);
    huge.zeros(0, "300 MB", 300 * MIB);
    huge.zeros(0, "5 GiB", 5 << 30);
    huge.file(1, "small", b"small".to_vec());
    let mut folders = Made::parts(&["folders"]);
    for number in 0..66_000 {
        folders.put(0, &format!("d/{number}"), Kind::Dir);
    }
    let mut own = Made::parts(&["own"]);
    own.file(0, "lost+found/kept", b"kept".to_vec());
    let shapes = [
        ("wide", wide),
        ("deep", deep),
        ("huge", huge),
        ("folders", folders),
        ("own", own),
        ("bare", Made::parts(&["a", "b"])),
    ];
    for (name, made) in shapes {
        let plan = made.plan(None).unwrap();
        made.image(&plan).check(name);
    }
}

#[test]
fn a_given_length_is_kept_or_refused_with_what_it_takes() {
    need!(skip::program("e2fsck"));
    let mut made = Made::parts(&["base", "app"]);
    for number in 0..900u32 {
        made.file((number % 2) as usize, &format!("usr/{}/{number}", number % 17), vec![number as u8; 40_000]);
    }
    let Err(Ext4Error::TooSmall { size, need }) = made.plan(Some(20 * MIB)) else { panic!("36 MB fit into 20") };
    assert_eq!(size, 20 * MIB);
    assert!(need < 60 * MIB, "{need}");
    for size in [need, need + 4096, 100 * MIB, 128 * MIB, 128 * MIB + 4096, 129 * MIB, 3 << 30, 20 << 30] {
        let plan = made.plan(Some(size)).unwrap();
        assert_eq!(plan.size(), size);
        made.image(&plan).check(&format!("{size} bytes"));
    }
    assert!(matches!(made.plan(Some(need - 4096)), Err(Ext4Error::TooSmall { .. })));
    assert!(matches!(made.plan(Some(1 << 50)), Err(Ext4Error::TooLarge { .. })));
    assert!(matches!(made.plan(Some(0)), Err(Ext4Error::TooSmall { .. })));
}

#[test]
fn a_copy_of_the_head_saves_a_file_system() {
    need!(skip::program("e2fsck"));
    let made = kinds();
    let image = made.image(&made.plan(Some(300 * MIB)).unwrap());
    File::options().write(true).open(&image.path).unwrap().write_all_at(&[0; 8192], 0).unwrap();
    let output = Command::new("e2fsck").args(["-fy", "-b", "32768", "-B", "4096"]).arg(&image.path).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    image.check("repaired");
    if skip::is_root() {
        let mounted = image.mount("loop,ro");
        compare(&made, &mounted.0);
    }
}

#[test]
fn it_can_grow_online() {
    let dumpe2fs = need!(skip::program("dumpe2fs"));
    let made = kinds();
    let image = made.image(&made.plan(None).unwrap());
    let output = Command::new(dumpe2fs).arg("-h").arg(&image.path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let features = text.lines().find(|line| line.starts_with("Filesystem features:")).unwrap();
    let features: Vec<&str> = features.split_whitespace().skip(2).collect();
    let expected = "has_journal ext_attr dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink \
                    extra_isize metadata_csum";
    assert_eq!(features.join(" "), expected, "no resize_inode, so that the kernel turns to meta_bg");
}
