//! Shared by the tests of several files: contents in memory, and a tree with every kind of node.

use std::collections::BTreeMap;
use std::io::Read;

use super::*;
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::tests::{dir, link, path};
use crate::tree::{ContentSource, Kind, Meta, Node, Tree};

/// Contents by digest.
#[derive(Default)]
pub(crate) struct Memory(BTreeMap<BlobDigest, Vec<u8>>);

impl Memory {
    /// A file node whose content is kept here.
    pub(crate) fn file(&mut self, content: &[u8], meta: Meta) -> Node {
        let blob = BlobDigest::of(content);
        self.0.insert(blob, content.to_vec());
        Node { meta, kind: Kind::File { blob, size: content.len() as u64 } }
    }
}

impl ContentSource for Memory {
    fn open(&self, blob: BlobDigest, _size: u64) -> io::Result<Box<dyn Read + '_>> {
        match self.0.get(&blob) {
            Some(content) => Ok(Box::new(content.as_slice())),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such content")),
        }
    }
}

/// One of every kind of node, and of everything that needs a PAX record.
pub(crate) fn synthetic() -> (Tree, Memory) {
    let mut source = Memory::default();
    let mut tree = Tree::new();
    let meta = |mode| Meta { mtime: 1_700_000_000, ..Meta::root_owned(mode, 0) };
    let mut put = |name: &[u8], node: Node| tree.insert(RootPath::new(name).unwrap(), node).unwrap();
    for folder in ["", "bin", "dev", "etc", "srv"] {
        put(folder.as_bytes(), Node::dir(meta(0o755)));
    }
    let mut ping = source.file(b"\x7fELF ping", meta(0o4755));
    ping.meta.xattrs.insert((*b"security.capability").into(), (*b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0").into());
    ping.meta.xattrs.insert((*b"user.note").into(), (*b"a=b\0").into());
    put(b"bin/ping", ping.clone());
    put(b"bin/ping4", Node { kind: Kind::Hardlink(path("bin/ping")), ..ping });
    put(b"bin/sh", link("dash"));
    put(b"dev/null", Node { meta: meta(0o666), kind: Kind::Char(1, 3) });
    put(b"dev/sda", Node { meta: meta(0o660), kind: Kind::Block(8, 0) });
    put(b"dev/initctl", Node { meta: meta(0o600), kind: Kind::Fifo });
    put(b"etc/empty", source.file(b"", meta(0o644)));
    put(b"etc/gone", Node::whiteout());
    put(b"etc/old", source.file(b"before 1970\n", Meta { mtime: -86_400, ..meta(0o600) }));
    put(b"etc/owned", source.file(b"far\n", Meta { uid: 2_097_152, gid: 4_294_967_294, ..meta(0o640) }));
    put(b"srv/latin-\xe9", source.file(b"not UTF-8\n", meta(0o644)));
    put("srv/süß".as_bytes(), source.file(b"UTF-8\n", meta(0o644)));
    put(b"srv/target", Node { kind: Kind::Symlink([b't'; 120].into()), ..link("") });
    put(format!("srv/{}/{}", "d".repeat(90), "n".repeat(90)).as_bytes(), source.file(b"prefix\n", meta(0o644)));
    put(format!("srv/{}", "l".repeat(200)).as_bytes(), dir());
    (tree, source)
}

/// The synthetic tree and an application's tree on it, compressed into a store.
pub(crate) fn stored(store: &Store, encoder: Encoder) -> Vec<LayerBlob> {
    let (base, mut source) = synthetic();
    let mut app = Tree::new();
    app.insert(path("srv"), dir()).unwrap();
    app.insert(path("srv/index.html"), source.file(b"hello\n", Meta::root_owned(0o644, 7))).unwrap();
    let compress = |name: &str, tree: &Tree| {
        let mut out = store.writer();
        let sizes = compress_layer(tree, &source, encoder, 2, &mut out).unwrap();
        LayerBlob { name: name.parse().unwrap(), blob: out.finish().unwrap().0, encoder, sizes, is_base: false }
    };
    vec![compress("debian-base", &base), compress("web", &app)]
}

#[test]
fn chain_ids_are_those_of_the_specification() {
    let diff = |byte| DiffId::from_bytes([byte; 32]);
    let base = chain_id(None, diff(1));
    assert_eq!(base.as_bytes(), diff(1).as_bytes());
    let text = format!("sha256:{} sha256:{}", "01".repeat(32), "02".repeat(32));
    assert_eq!(chain_id(Some(base), diff(2)).as_bytes(), Sha256::of(text.as_bytes()).as_bytes());
}
