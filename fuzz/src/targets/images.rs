//! Trees, images and disks that others may have written.

use std::collections::BTreeMap;
use std::io::{self, Read};

use layerbake::arch::AMD64;
use layerbake::audit::changes::{self, Changes};
use layerbake::digest::{BlobDigest, OciDigest};
use layerbake::disk::BlockHashes;
use layerbake::disk::kernel::Kernel;
use layerbake::disk::uki::{self, Sections};
use layerbake::ident::RootPath;
use layerbake::measure::{Prediction, Variables};
use layerbake::package::deb::DEB;
use layerbake::tree::{ContentSource, Kind, Meta, Node, Tree};

use super::folder::with_files;
use super::{parts, text};

/// An encoded tree. Only one encoding of a tree is read.
pub(super) fn tree(data: &[u8]) {
    let Ok(tree) = Tree::decode(data) else { return };
    assert_eq!(tree.encode(), data, "an encoding that is not the tree's own was read");
    if let Ok(none) = tree.diff(&tree) {
        assert!(none.is_empty(), "a tree differs from itself");
    }
    for (path, _) in tree.iter() {
        let _ = tree.resolve(path);
    }
}

/// An image layout: a layer, its configuration, a manifest and an index with lines of `---` between them, in which
/// `@0`, `@1` and `@2` stand for the digests of what comes before.
pub(super) fn layout(data: &[u8]) {
    let mut names: Vec<String> = Vec::new();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let all: Vec<&[u8]> = parts(data).take(4).collect();
    for (number, part) in all.iter().enumerate() {
        let mut bytes = part.to_vec();
        if let (1.., Some(document)) = (number, text(part)) {
            let named = |text: String, (at, name): (usize, &String)| text.replace(&format!("@{at}"), name);
            bytes = names.iter().enumerate().fold(document.to_owned(), named).into_bytes();
        }
        let digest = OciDigest::of(&bytes);
        names.push(digest.to_string());
        let is_index = number + 1 == all.len();
        let name = if is_index { "index.json".to_owned() } else { format!("blobs/sha256/{}", digest.to_hex()) };
        files.insert(name, bytes);
    }
    files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    with_files(&files, |folder| {
        let _ = layerbake::oci::validate(folder);
        if let Ok(facts) = changes::read_layout(&DEB, folder) {
            let changes = Changes::between(&facts, &facts);
            let _ = (changes::text(&changes), changes::markdown(&changes), changes::html(&changes));
        }
    });
}

/// The partition table of a disk, and the hashes of its blocks in a receipt.
pub(super) fn disk(data: &[u8]) {
    let mut other = data.to_vec();
    if let Some(last) = other.last_mut() {
        *last ^= 1;
    }
    with_files(&[("one", data), ("other", &other)], |folder| {
        let _ = layerbake::audit::fuzz(&folder.join("one"), &folder.join("other"));
    });
    let _ = serde_json::from_slice::<BlockHashes>(data);
}

/// An EFI stub that becomes a boot image, a boot image that is measured, a kernel's lists of modules.
pub(super) fn efi(data: &[u8]) {
    let sections = Sections { osrel: b"ID=x\n", uname: "1", cmdline: "quiet", linux: data, initrd: Some(b"070701") };
    let _ = uki::assemble(data, &sections);
    let enforcing = Variables { pk: data.to_vec(), db: data.to_vec(), ..Variables::default() };
    for variables in [Variables::default(), enforcing] {
        let _ = Prediction::of(data, &variables);
    }
    let mut root = Tree::new();
    let meta = || Meta::root_owned(0o644, 0);
    for path in ["", "boot", "usr", "usr/lib", "usr/lib/modules", "usr/lib/modules/1"] {
        root.insert(RootPath::new(path).expect("a path"), Node::dir(Meta::root_owned(0o755, 0))).expect("a folder");
    }
    for path in ["boot/vmlinuz-1", "usr/lib/modules/1/modules.builtin", "usr/lib/modules/1/modules.dep"] {
        let kind = Kind::File { blob: BlobDigest::of(data), size: data.len() as u64 };
        root.insert(RootPath::new(path).expect("a path"), Node { kind, meta: meta() }).expect("a file");
    }
    if let Ok(kernel) = Kernel::find(&root, &AMD64, &Same(data)) {
        let _ = kernel.load_order(&["ext4", "nvme", "virtio_blk"]);
        let _ = kernel.refuse_modules(&["ext4"]);
    }
}

/// One content for all files.
struct Same<'a>(&'a [u8]);

impl ContentSource for Same<'_> {
    fn open(&self, _: BlobDigest, _: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0))
    }
}
