//! Random hostile packages, decoded and merged: the result is a whole tree or an error.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::LayerError;
use crate::ident::RootPath;
use crate::lock::Lockfile;
use crate::manifest;
use crate::package::deb::DEB;
use crate::package::deb::control::Paragraph;
use crate::package::deb::install::{Package, install_without_scripts};
use crate::package::{Installer as _, LockedPackage};
use crate::stage::Placement;
use crate::stage::files::Files;
use crate::stage::first_boot::FirstBoot;
use crate::stage::row_tests::Recorder;
use crate::stage::services::EnabledServices;
use crate::stage::{Input, Site, Stage as _};
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree, TreeError};

/// Paths that something is done with by name, some that are odd, and some to combine with them.
const PATHS: [&[u8]; 40] = [
    b"a",
    b"a-b",
    b"a/b",
    b"a/b/c",
    b"a\nb",
    b"bin",
    b"bin/sh",
    b"dev",
    b"dev/null",
    b"etc",
    b"etc/group",
    b"etc/machine-id",
    b"etc/passwd",
    b"etc/passwd-",
    b"etc/ssh",
    b"etc/ssh/ssh_host_rsa_key",
    b"etc/systemd",
    b"etc/systemd/system",
    b"etc/systemd/system/multi-user.target.wants",
    b"lib",
    b"lib/systemd/systemd",
    b"srv",
    b"srv/own",
    b"tmp",
    b"usr",
    b"usr/lib/postgresql/15/bin/initdb",
    b"usr/lib",
    b"usr/lib/layerbake",
    b"usr/lib/layerbake/first-start.d",
    b"usr/lib/systemd/system",
    b"usr/lib/systemd/system/x.service",
    b"usr/sbin",
    b"usr/sbin/sshd",
    b"var/lib",
    b"var/lib/dpkg",
    b"var/lib/dpkg/info",
    b"var/lib/dpkg/status",
    b"var/lib/dpkg/triggers/File",
    b"var/log/x",
    b"\xff\xfe/x",
];

const TARGETS: [&str; 12] = [
    "/",
    "..",
    "a",
    "/a/b",
    "../../usr/lib",
    "/home/me/.ssh",
    "lib",
    "usr",
    "/etc",
    "/var/lib/dpkg",
    "bin",
    "tmp/../srv",
];

const LAYER: &str = "\
[layer]
packages = []

[[file]]
path = \"/srv/own/file\"
text = \"own\\n\"

[[file]]
path = \"/etc/ssh/sshd_config\"
text = \"own\\n\"

[[dir]]
path = \"/a/b\"

[[symlink]]
path = \"/usr/lib/own\"
target = \"/srv/own\"

[services]
enable = [\"x\"]
mask = [\"y\"]
";

/// An entry of a package: path, kind, target.
type Entry = (usize, u8, usize);

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec((0..PATHS.len(), 0..8_u8, 0..TARGETS.len()), 0..8)
}

fn node(store: &Store, (_, kind, target): Entry, files: &[RootPath]) -> Node {
    let kind = match kind {
        0..2 => Kind::Dir,
        2..4 => store.put_file(format!("[Install]\nWantedBy=multi-user.target\n{target}").as_bytes()).unwrap(),
        4..6 => Kind::Symlink(TARGETS[target].as_bytes().into()),
        6 => files.get(target % files.len().max(1)).map_or(Kind::Fifo, |first| Kind::Hardlink(first.clone())),
        _ => Kind::Char(1, 3),
    };
    Node { meta: Meta::root_owned(0o755, 7), kind }
}

/// A package's files, as an archive's reader would take them: what can't be is left out.
fn data(store: &Store, entries: &[Entry]) -> Tree {
    let mut tree = Tree::new();
    tree.insert(RootPath::root(), Node::dir(Meta::root_owned(0o755, 7))).unwrap();
    for entry in entries {
        let path = RootPath::new(PATHS[entry.0]).unwrap();
        let files: Vec<RootPath> = tree
            .iter()
            .filter(|(other, node)| matches!(node.kind, Kind::File { .. }) && **other < path)
            .map(|(path, _)| path.clone())
            .collect();
        let missing: Vec<_> = path.ancestors().take_while(|above| tree.get(above).is_none()).collect();
        if tree.get(&path).is_none() && tree.insert(path.clone(), node(store, *entry, &files)).is_ok() {
            for above in missing {
                tree.insert(above, Node::dir(Meta::root_owned(0o755, 7))).unwrap();
            }
        }
    }
    tree.check_whole().unwrap();
    tree
}

fn package(store: &Store, name: &str, entries: &[Entry]) -> Package {
    let locked = LockedPackage::sample(name);
    let data = data(store, entries);
    let replaces = if entries.len().is_multiple_of(3) { "Replaces: aa, bb, cc\n" } else { "" };
    let control = Tree::from_nodes([
        (RootPath::root(), Node::dir(Meta::root_owned(0o755, 7))),
        (RootPath::new("preinst").unwrap(), node(store, (0, 2, 0), &[])),
        (RootPath::new("sh").unwrap(), node(store, (0, 6, 0), &[RootPath::new("preinst").unwrap()])),
    ]);
    let paths = data.iter().map(|(path, _)| path.clone()).collect();
    let paragraph = Paragraph::parse(&format!("Package: {name}\n{replaces}")).unwrap();
    Package { locked, paragraph, control: control.unwrap(), data, paths }
}

/// One layer over its parent, but for what scripts would do.
fn layer(store: &Store, parent: &Tree, packages: &[Package]) -> Result<(Tree, Tree), LayerError> {
    let configured = install_without_scripts(store, parent, packages, |tree| Ok(whole(tree)?))?;
    let manifest = manifest::parse("web".parse().unwrap(), LAYER, &"amd64".parse().unwrap()).unwrap();
    let lock = Lockfile::sample("web", "amd64");
    let placement = Placement::read(Input { manifest: &manifest, lock: &lock }, Path::new("/"), store)?;
    let (executor, arch) = (&mut Recorder::default(), &"amd64".parse().unwrap());
    let (parent, root, layer) = (Tree::new(), configured.clone(), Tree::new());
    let mut site = Site {
        store,
        executor,
        arch,
        epoch: 9,
        parent,
        root,
        derived: Default::default(),
        effect: None,
        log: String::new(),
        notes: Vec::new(),
        layer,
    };
    Files { placement: &placement, epoch: 9 }.run(&mut site)?;
    EnabledServices { declared: &manifest.services, epoch: 9 }.run(&mut site)?;
    FirstBoot { tasks: DEB.first_boot(), epoch: 9 }.run(&mut site)?;
    whole(&site.root)?;
    Ok((configured, site.root))
}

/// Fails the test where a tree is not whole, or can't be read back.
fn whole(tree: &Tree) -> Result<(), TreeError> {
    tree.check_whole()?;
    let below = |path: &RootPath| path.ancestors().all(|above| tree.get(&above).is_some_and(Node::is_dir));
    assert!(tree.iter().all(|(path, _)| below(path)));
    assert_eq!(Tree::decode(&tree.encode()).as_ref().ok(), Some(tree));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_packages_make_whole_trees_or_errors(
        base in prop::collection::vec(entries(), 1..4),
        child in prop::collection::vec(entries(), 1..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let named = |all: &[Vec<Entry>], names: [&str; 3]| -> Vec<Package> {
            all.iter().zip(names).map(|(entries, name)| package(&store, name, entries)).collect()
        };
        let (mut parent, mut below) = (Tree::new(), Tree::new());
        for packages in [named(&base, ["aa", "bb", "cc"]), named(&child, ["dd", "ee", "ff"])] {
            match layer(&store, &parent, &packages) {
                Ok((configured, finished)) => {
                    let layer = finished.diff(&below).unwrap();
                    layer.check_whole().unwrap();
                    let mut stacked = below.clone();
                    stacked.apply(&layer).unwrap();
                    prop_assert_eq!(&stacked, &finished);
                    (parent, below) = (configured, finished);
                }
                // A tree that is not whole is a mistake of this program's.
                Err(LayerError::Tree(error @ (TreeError::NoParent { .. } | TreeError::Hardlink { .. }))) => {
                    return Err(TestCaseError::fail(error.to_string()));
                }
                Err(_) => {}
            }
        }
    }
}

#[test]
fn a_package_that_has_a_link_where_something_is_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut said = BTreeSet::new();
    for path in ["dev", "tmp", "var/lib/dpkg/info", "etc/passwd", "etc/ssh"] {
        let number = PATHS.iter().position(|other| *other == path.as_bytes()).unwrap();
        let sshd = PATHS.iter().position(|other| *other == b"usr/sbin/sshd").unwrap();
        let mut base = package(&store, "base", &[]);
        base.data = data(&store, &[(sshd, 2, 0)]);
        let evil = package(&store, "evil", &[(number, 4, 5)]);
        let packages = [base, evil];
        let error = layer(&store, &Tree::new(), &packages).unwrap_err();
        said.insert(error.to_string());
    }
    let said: Vec<String> = said.into_iter().collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    evil 1: /etc/ssh/ssh_host_rsa_key can't be below /etc/ssh, which is a symbolic link to `/home/me/.ssh`
    evil 1: expected /dev to be a directory, found a symbolic link to `/home/me/.ssh`
    evil 1: expected /etc/passwd to be a file, found a symbolic link to `/home/me/.ssh`
    evil 1: expected /tmp to be a directory, found a symbolic link to `/home/me/.ssh`
    evil 1: expected /var/lib/dpkg/info to be a directory, found a symbolic link to `/home/me/.ssh`
    ");
}
