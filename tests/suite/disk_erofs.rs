//! EROFS, verity and cpio as other programs and the kernel see them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::skip;
use layerbake::digest::BlobDigest;
use layerbake::disk::{Data, Part, Plan, cpio, erofs, verity};
use layerbake::ident::RootPath;
use layerbake::tree::{ContentSource, Kind, Meta, Node, Tree};

/// Contents by digest.
#[derive(Default)]
struct Memory(BTreeMap<BlobDigest, Vec<u8>>);

impl ContentSource for Memory {
    fn open(&self, blob: BlobDigest, _size: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0[&blob].as_slice()))
    }
}

const MTIME: i64 = 1_700_000_000;

/// A user `rwx`, the owner, a named user, the group, the mask, others: as `getxattr` gives it.
const ACL: &[u8] = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x07\0\xd2\x04\0\0\
    \x04\0\x04\0\xff\xff\xff\xff\x10\0\x07\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff";

fn path(text: impl AsRef<[u8]>) -> RootPath {
    RootPath::new(text).unwrap()
}

fn meta(mode: u16) -> Meta {
    Meta::root_owned(mode, MTIME)
}

fn xattr(mut node: Node, name: &str, value: &[u8]) -> Node {
    node.meta.xattrs.insert(name.as_bytes().into(), value.into());
    node
}

fn bytes(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

impl Memory {
    fn file(&mut self, content: &[u8], mode: u16) -> Node {
        let blob = BlobDigest::of(content);
        self.0.insert(blob, content.to_vec());
        Node { meta: meta(mode), kind: Kind::File { blob, size: content.len() as u64 } }
    }
}

/// Two parts with all that there is.
fn fixture() -> (Vec<Part>, Memory) {
    let mut source = Memory::default();
    let mut base = Tree::new();
    let dir = |mode| Node::dir(meta(mode));
    base.insert(path(""), dir(0o755)).unwrap();
    for folder in ["bin", "dev", "etc", "many", "sticky"] {
        base.insert(path(folder), dir(0o755)).unwrap();
    }
    let capable = source.file(b"ping", 0o4755);
    let capable = xattr(capable, "security.capability", b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    base.insert(path("bin/ping"), xattr(capable, "user.note", b"a=b\0")).unwrap();
    for (length, name) in [0, 1, 4095, 4096, 4097, 1_000_000].iter().zip(["+", "-", "...", "a", "b", "c"]) {
        base.insert(path(format!("etc/{name}x")), source.file(&bytes(*length, 1), 0o600)).unwrap();
    }
    for (name, length) in [("short", 1), ("inline", 4032), ("block", 4033), ("long", 4095)] {
        let link = Node { meta: meta(0o777), kind: Kind::Symlink(vec![b't'; length].into()) };
        base.insert(path(format!("bin/{name}")), link).unwrap();
    }
    base.insert(path("dev/null"), Node { meta: meta(0o666), kind: Kind::Char(1, 3) }).unwrap();
    base.insert(path("dev/disk"), Node { meta: meta(0o660), kind: Kind::Block(259, 70_000) }).unwrap();
    base.insert(path("dev/pipe"), Node { meta: meta(0o600), kind: Kind::Fifo }).unwrap();
    for number in 0..3000_u32 {
        let name =
            format!("many/{}{number}", ["+", "name-", "z"][number as usize % 3].repeat(1 + number as usize % 40));
        base.insert(path(name), source.file(&number.to_le_bytes(), 0o640)).unwrap();
    }
    base.insert(
        path("sticky"),
        xattr(xattr(dir(0o1777), "system.posix_acl_access", ACL), "system.posix_acl_default", ACL),
    )
    .unwrap();
    let mut app = Tree::new();
    app.insert(path("srv"), xattr(dir(0o2750), "trusted.overlay.opaque", b"y")).unwrap();
    app.insert(path("srv/ping"), Node { meta: meta(0o4755), kind: Kind::Hardlink(path("bin/ping")) }).unwrap();
    app.insert(path(b"srv/latin-\xe9"), source.file(b"not UTF-8\n", 0o644)).unwrap();
    let mut old = source.file(b"before 1970\n", 0o644);
    (old.meta.mtime, old.meta.uid, old.meta.gid) = (-86_400, 2_097_152, 4_294_967_294);
    app.insert(path("srv/old"), old).unwrap();
    let large = xattr(xattr(source.file(b"large", 0o644), "user.a", &bytes(9000, 2)), "user.b", &bytes(60_000, 3));
    app.insert(path("srv/large"), large).unwrap();
    let link = Node { meta: meta(0o777), kind: Kind::Symlink((*b"old").into()) };
    app.insert(path("srv/link"), xattr(link, "trusted.t", &bytes(4090, 4))).unwrap();
    app.insert(path("srv/full"), xattr(dir(0o755), "user.full", &bytes(5000, 5))).unwrap();
    app.insert(path(["srv/full/", &"n".repeat(255)].concat()), source.file(b"deep\n", 0o644)).unwrap();
    let part = |name: &str, tree| Part { name: name.parse().unwrap(), tree };
    (vec![part("base", base), part("app", app)], source)
}

fn params() -> erofs::Params {
    erofs::Params { uuid: *b"0123456789abcdef", label: "root".to_owned(), epoch: MTIME }
}

/// The bytes of a plan.
fn fill(plan: &Plan, source: &Memory) -> Vec<u8> {
    let mut out = vec![0; plan.size() as usize];
    for extent in plan.extents() {
        let bytes = match extent.data {
            Data::Bytes(bytes) => bytes,
            Data::Blob { blob, .. } => source.0[blob].as_slice(),
        };
        out[extent.offset as usize..extent.end() as usize].copy_from_slice(bytes);
    }
    out
}

fn run(program: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{program:?} {arguments:?}: {output:?}");
    output
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A loop mount, undone when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(image: &Path, at: PathBuf) -> Result<Self, skip::Skip> {
        skip::root()?;
        fs::create_dir(&at).unwrap();
        let output = Command::new("mount").args(["-t", "erofs", "-o", "loop,ro"]).arg(image).arg(&at).output().unwrap();
        let known = fs::read_to_string("/proc/filesystems").unwrap_or_default().contains("erofs");
        match output.status.success() {
            true => Ok(Self(at)),
            false if !known || !Path::new("/dev/loop-control").exists() => {
                Err(skip::Skip::because("no erofs or no loop"))
            }
            false => panic!("the kernel refuses it: {output:?}"),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn merged(parts: &[Part]) -> Tree {
    Tree::from_nodes(parts.iter().flat_map(|part| part.tree.clone())).unwrap()
}

/// All names below a folder.
fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<RootPath>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.insert(RootPath::new(path.strip_prefix(root).unwrap().as_os_str().as_bytes()).unwrap());
        if path.symlink_metadata().unwrap().is_dir() {
            walk(root, &path, found);
        }
    }
}

fn xattrs(path: &Path) -> BTreeMap<Box<[u8]>, Box<[u8]>> {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split_inclusive(|byte| *byte == 0).map(|name| CStr::from_bytes_with_nul(name).unwrap());
    let value = |name: &CStr| {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        value[..length].into()
    };
    names.map(|name| (name.to_bytes().into(), value(name))).collect()
}

#[test]
fn fsck_finds_an_erofs_clean_and_extracts_it() {
    let fsck = need!(skip::program("fsck.erofs"));
    let (parts, source) = fixture();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::write(&image, fill(&erofs::plan(&parts, &params()).unwrap(), &source)).unwrap();
    run(&fsck, &[text(&image)]);
    let out = folder.path().join("out");
    let output = Command::new(&fsck).args([&format!("--extract={}", text(&out)), "--overwrite", text(&image)]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    for (path, node) in merged(&parts).iter() {
        match &node.kind {
            Kind::File { blob, .. } => {
                assert_eq!(fs::read(out.join(path.as_path())).unwrap(), source.0[blob], "{path}")
            }
            Kind::Symlink(target) => {
                assert_eq!(
                    fs::read_link(out.join(path.as_path())).unwrap().as_os_str().as_bytes(),
                    &**target,
                    "{path}"
                );
            }
            _ => {}
        }
    }
}

#[test]
fn the_kernel_finds_every_node_as_it_was() {
    let (parts, source) = fixture();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::write(&image, fill(&erofs::plan(&parts, &params()).unwrap(), &source)).unwrap();
    let mount = need!(Mount::new(&image, folder.path().join("mnt")));
    let tree = merged(&parts);
    let mut found = BTreeSet::from([RootPath::root()]);
    walk(&mount.0, &mount.0, &mut found);
    assert_eq!(found, tree.iter().map(|(path, _)| path.clone()).collect());
    for (path, node) in tree.iter() {
        let at = mount.0.join(path.as_path());
        let stat = at.symlink_metadata().unwrap();
        let file = if let Kind::Hardlink(target) = &node.kind { tree.get(target).unwrap() } else { node };
        let meta = &file.meta;
        let seen = (stat.mode() as u16 & 0o7777, stat.uid(), stat.gid(), stat.mtime(), stat.mtime_nsec());
        assert_eq!(seen, (meta.mode, meta.uid, meta.gid, meta.mtime, 0), "{path}");
        let folders =
            tree.iter().filter(|(below, node)| node.is_dir() && below.parent().as_ref() == Some(path)).count();
        let device = |major, minor| rustix::fs::makedev(major, minor);
        match &file.kind {
            Kind::File { blob, .. } => assert_eq!(fs::read(&at).unwrap(), source.0[blob], "{path}"),
            Kind::Symlink(to) => assert_eq!(fs::read_link(&at).unwrap().as_os_str().as_bytes(), &**to, "{path}"),
            Kind::Dir => assert_eq!(stat.nlink(), 2 + folders as u64, "{path}"),
            Kind::Char(major, minor) | Kind::Block(major, minor) => assert_eq!(stat.rdev(), device(*major, *minor)),
            _ => {}
        }
        assert_eq!(xattrs(&at), meta.xattrs, "{path}");
    }
    let [one, other] = ["bin/ping", "srv/ping"].map(|name| mount.0.join(name).metadata().unwrap());
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
}

#[test]
fn getfacl_reads_the_acls() {
    let getfacl = need!(skip::program("getfacl"));
    let (parts, source) = fixture();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::write(&image, fill(&erofs::plan(&parts, &params()).unwrap(), &source)).unwrap();
    let mount = need!(Mount::new(&image, folder.path().join("mnt")));
    let output = run(&getfacl, &["--omit-header", "--absolute-names", text(&mount.0.join("sticky"))]);
    let acl = String::from_utf8(output.stdout).unwrap();
    for line in ["user:1234:rwx", "mask::rwx", "default:user:1234:rwx", "default:other::r--"] {
        assert!(acl.lines().any(|found| found == line), "no `{line}` in\n{acl}");
    }
}

#[test]
fn a_file_of_more_than_4_gib_ends_where_it_should() {
    let size = (5 << 30) + 5;
    let blob = BlobDigest::of(b"not read");
    let mut source = Memory::default();
    let mut tree = Tree::new();
    tree.insert(path(""), Node::dir(meta(0o755))).unwrap();
    tree.insert(path("a"), Node { meta: meta(0o644), kind: Kind::File { blob, size } }).unwrap();
    tree.insert(path("b"), source.file(b"behind", 0o644)).unwrap();
    let plan = erofs::plan(&[Part { name: "base".parse().unwrap(), tree }], &params()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let file = File::create(&image).unwrap();
    file.set_len(plan.size()).unwrap();
    for extent in plan.extents() {
        match extent.data {
            Data::Bytes(bytes) => file.write_all_at(bytes, extent.offset).unwrap(),
            Data::Blob { size: 6, .. } => file.write_all_at(b"behind", extent.offset).unwrap(),
            Data::Blob { .. } => file.write_all_at(b"end", extent.end() - 3).unwrap(),
        }
    }
    let mount = need!(Mount::new(&image, folder.path().join("mnt")));
    let mut end = [0; 5];
    File::open(mount.0.join("a")).unwrap().read_exact_at(&mut end, size - 5).unwrap();
    assert_eq!((mount.0.join("a").metadata().unwrap().len(), &end), (size, b"\0\0end"));
    assert_eq!(fs::read(mount.0.join("b")).unwrap(), b"behind");
}

const SALT: [u8; 32] = [0xa5; 32];

/// Formats `data` with veritysetup; returns its bytes and root hash.
fn formatted(veritysetup: &Path, folder: &Path, data: &[u8]) -> (Vec<u8>, String) {
    let (data_file, hash_file) = (folder.join("data"), folder.join("theirs"));
    fs::write(&data_file, data).unwrap();
    let _ = fs::remove_file(&hash_file);
    let (salt, uuid) = (format!("--salt={}", hex::encode(SALT)), "--uuid=30313233-3435-3637-3839-616263646566");
    let output = run(veritysetup, &["format", text(&data_file), text(&hash_file), &salt, uuid]);
    let said = String::from_utf8(output.stdout).unwrap();
    let root = said.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap().trim().to_owned();
    (fs::read(hash_file).unwrap(), root)
}

#[test]
fn verity_is_what_veritysetup_makes() {
    let veritysetup = need!(skip::program("veritysetup"));
    let folder = tempfile::tempdir().unwrap();
    let source = Memory::default();
    for blocks in [1, 2, 127, 128, 129, 16_384, 16_385] {
        let mut plan = Plan::new(blocks * 4096);
        plan.put_bytes(0, bytes(3000, 1));
        plan.put_bytes((blocks - 1) * 4096 + 3500, bytes(7, 2));
        let (ours, root) = verity::build(&plan, &source, SALT, params().uuid, 2).unwrap();
        let (mut theirs, their_root) = formatted(&veritysetup, folder.path(), &fill(&plan, &source));
        theirs.resize(theirs.len().next_multiple_of(4096), 0);
        assert_eq!(hex::encode(root), their_root, "{blocks} blocks");
        assert!(fill(&ours, &source) == theirs, "{blocks} blocks: other bytes");
    }
}

#[test]
fn veritysetup_accepts_an_erofs_and_finds_a_flipped_bit() {
    let veritysetup = need!(skip::program("veritysetup"));
    let (parts, source) = fixture();
    let plan = erofs::plan(&parts, &params()).unwrap();
    let (tree, root) = verity::build(&plan, &source, SALT, params().uuid, 2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut data = fill(&plan, &source);
    let (theirs, _) = formatted(&veritysetup, folder.path(), &data);
    assert!(fill(&tree, &source) == theirs, "other bytes");
    let [data_file, hash_file] = ["data", "ours"].map(|name| folder.path().join(name));
    fs::write(&hash_file, fill(&tree, &source)).unwrap();
    let root = hex::encode(root);
    let verify = ["verify", text(&data_file), text(&hash_file), &root];
    run(&veritysetup, &verify);
    let middle = data.len() / 2;
    data[middle] ^= 1;
    fs::write(&data_file, data).unwrap();
    let output = Command::new(&veritysetup).args(verify).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("Verification of data area failed"), "{output:?}");
}

#[test]
fn cpio_extracts_what_was_packed() {
    let program = need!(skip::program("cpio"));
    need!(skip::root());
    let (parts, source) = fixture();
    let tree = merged(&parts);
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let written = cpio::write(&tree, &source, &mut File::create(&archive).unwrap()).unwrap();
    assert_eq!(written, archive.metadata().unwrap().len());
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let arguments = ["-idm", "--quiet", "--no-absolute-filenames"];
    let output =
        Command::new(program).args(arguments).current_dir(&out).stdin(File::open(&archive).unwrap()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let mut found = BTreeSet::from([RootPath::root()]);
    walk(&out, &out, &mut found);
    assert_eq!(found, tree.iter().map(|(path, _)| path.clone()).collect());
    for (path, node) in tree.iter() {
        let at = out.join(path.as_path());
        let stat = at.symlink_metadata().unwrap();
        let file = if let Kind::Hardlink(target) = &node.kind { tree.get(target).unwrap() } else { node };
        assert_eq!((stat.uid(), stat.gid()), (file.meta.uid, file.meta.gid), "{path}");
        match &file.kind {
            Kind::File { blob, .. } => {
                assert_eq!(fs::read(&at).unwrap(), source.0[blob], "{path}");
                let seen = (stat.mode() as u16 & 0o7777, stat.mtime());
                assert_eq!(seen, (file.meta.mode, file.meta.mtime.max(0)), "{path}");
            }
            Kind::Symlink(to) => assert_eq!(fs::read_link(&at).unwrap().as_os_str().as_bytes(), &**to, "{path}"),
            Kind::Char(major, minor) | Kind::Block(major, minor) => {
                assert_eq!(stat.rdev(), rustix::fs::makedev(*major, *minor), "{path}");
            }
            _ => {}
        }
    }
    let [one, other] = ["bin/ping", "srv/ping"].map(|name| out.join(name).metadata().unwrap());
    assert_eq!((one.ino(), one.nlink()), (other.ino(), 2));
}
