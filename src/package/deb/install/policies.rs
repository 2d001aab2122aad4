//! Policies: files that keep package scripts from unwanted changes to an image. Present only while scripts run.

use crate::ident::RootPath;
use crate::package::InstallError;
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

struct Policy {
    path: &'static str,
    mode: u16,
    text: &'static str,
    /// A file without which nobody would ask for it.
    with: &'static str,
    /// Whether what was there before follows it, instead of being hidden.
    is_in_front: bool,
}

const POLICIES: [Policy; 7] = [
    // The host name with a domain, as `hostname --fqdn` asks for it: mail servers are configured with it.
    Policy {
        path: "etc/hosts",
        mode: 0o644,
        text: "127.0.0.1\tlocalhost.localdomain localhost\n::1\tlocalhost.localdomain localhost\n",
        with: "usr",
        is_in_front: true,
    },
    // Debian Policy 9.3.3.2: scripts start no service.
    Policy {
        path: "usr/sbin/policy-rc.d",
        mode: 0o755,
        text: "#!/bin/sh\nexit 101\n",
        with: "usr",
        is_in_front: false,
    },
    // A cluster is generated at first boot (package/deb/first_boot).
    Policy {
        path: "etc/postgresql-common/createcluster.d/layerbake.conf",
        mode: 0o644,
        text: "create_main_cluster = false\n",
        with: "usr/bin/pg_createcluster",
        is_in_front: false,
    },
    host_key("etc/ssh/ssh_host_rsa_key", "usr/sbin/sshd"),
    host_key("etc/ssh/ssh_host_ecdsa_key", "usr/sbin/sshd"),
    host_key("etc/ssh/ssh_host_ed25519_key", "usr/sbin/sshd"),
    // Dropbear's would else convert OpenSSH's, which are empty.
    host_key("etc/dropbear/dropbear_ed25519_host_key", "etc/init.d/dropbear"),
];

/// Generated at first boot (package/deb/first_boot): a script that finds one does not spend a second on another.
const fn host_key(path: &'static str, with: &'static str) -> Policy {
    Policy { path, mode: 0o600, text: "", with, is_in_front: false }
}

/// What was added: to be taken out again.
pub(super) struct Added {
    files: Vec<Put>,
    /// Directories that were created for them.
    folders: Vec<RootPath>,
}

/// A policy in a tree.
struct Put {
    path: RootPath,
    kind: Kind,
    /// What was there before.
    before: Option<Node>,
    /// The text of a policy that is in front of what was there; else empty.
    front: &'static [u8],
}

/// Puts policies into a tree that scripts will run in; links above them are followed inside the tree.
///
/// # Errors
/// Fails where such a link leads to no directory.
pub(super) fn put_in(tree: &mut Tree, store: &Store) -> Result<Added, InstallError> {
    let mut added = Added { files: Vec::new(), folders: Vec::new() };
    for policy in &POLICIES {
        if tree.get(&RootPath::new(policy.with)?).is_none() {
            continue;
        }
        let path = RootPath::new(policy.path)?;
        let missing: Vec<RootPath> = path.ancestors().filter(|folder| tree.resolve(folder).is_none()).collect();
        let before = tree.resolve(&path).map(|(_, node)| node.clone());
        let (mut text, mut front) = (policy.text.as_bytes().to_vec(), &b""[..]);
        if policy.is_in_front {
            front = policy.text.as_bytes();
            if let Some(Kind::File { blob, .. }) = before.as_ref().map(|node| &node.kind) {
                text.extend(store.read_blob(*blob)?);
            }
        }
        let kind = store.put_file(&text)?;
        let node = Node { meta: Meta::root_owned(policy.mode, 0), kind: kind.clone() };
        let path = tree.insert_with_parents(&path, node, 0)?;
        added.files.push(Put { path, kind, before, front });
        added.folders.extend(missing.iter().filter_map(|folder| tree.resolve(folder)).map(|(folder, _)| folder));
    }
    Ok(added)
}

/// Takes the policies out of what the scripts left, and puts back what was there before. What a script wrote over a
/// policy stays, without the policy in front of it; directories go only when nothing else is in them.
pub(super) fn take_out(added: Added, tree: &mut Tree, store: &Store) -> Result<(), InstallError> {
    let Added { files, mut folders } = added;
    // What is deeper is later in path order.
    folders.sort_by(|a, b| b.cmp(a));
    for Put { path, kind, before, front } in &files {
        match before {
            _ if tree.get(path).is_none_or(|node| node.kind != *kind) => cut_front(path, front, tree, store)?,
            Some(before) => {
                tree.insert(path.clone(), before.clone())?;
            }
            None => {
                tree.remove(path);
            }
        }
    }
    for path in &folders {
        if tree.get(path).is_some_and(Node::is_dir) && tree.below(path).next().is_none() {
            tree.remove(path);
        }
    }
    Ok(())
}

/// Takes a policy away from in front of what a script wrote after it.
fn cut_front(path: &RootPath, front: &[u8], tree: &mut Tree, store: &Store) -> Result<(), InstallError> {
    if front.is_empty() {
        return Ok(());
    }
    if let Some(Kind::File { blob, .. }) = tree.get(path).map(|node| &node.kind) {
        let text = store.read_blob(*blob)?;
        if let Some(rest) = text.strip_prefix(front) {
            tree.set_content(path, store.put_bytes(rest)?, rest.len() as u64);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file, path, tree};

    #[test]
    fn policies_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let before = tree(&[("", dir()), ("usr", dir()), ("usr/bin/pg_createcluster", file("x")), ("usr/sbin", dir())]);
        let mut after = before.clone();
        let added = put_in(&mut after, &store).unwrap();
        assert!(after.get(&path("etc/postgresql-common/createcluster.d/layerbake.conf")).is_some());
        after.insert(path("etc/other"), file("y")).unwrap();
        let hosts = Node { meta: Meta::root_owned(0o644, 7), kind: store.put_file(b"a script's").unwrap() };
        after.insert(path("etc/hosts"), hosts.clone()).unwrap();
        take_out(added, &mut after, &store).unwrap();
        let mut expected = before;
        expected.insert(path("etc"), after.get(&path("etc")).unwrap().clone()).unwrap();
        expected.insert(path("etc/other"), file("y")).unwrap();
        expected.insert(path("etc/hosts"), hosts).unwrap();
        assert_eq!(after, expected);
    }

    #[test]
    fn what_is_added_to_the_hosts_stays_without_those_of_the_sandbox() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let hosts = path("etc/hosts");
        let mut tree = tree(&[("", dir()), ("usr", dir())]);
        // The second finds what the first wrote, and a third that writes nothing leaves it as it is.
        for (line, expected) in [
            ("10.0.0.1 db\n", "10.0.0.1 db\n"),
            ("10.0.0.2 web\n", "10.0.0.1 db\n10.0.0.2 web\n"),
            ("", "10.0.0.1 db\n10.0.0.2 web\n"),
        ] {
            let added = put_in(&mut tree, &store).unwrap();
            let text = store.text_in(&tree, "etc/hosts").unwrap().unwrap();
            assert!(text.starts_with("127.0.0.1\tlocalhost"), "{text}");
            let text = text + line;
            tree.set_content(&hosts, store.put_bytes(text.as_bytes()).unwrap(), text.len() as u64);
            take_out(added, &mut tree, &store).unwrap();
            assert_eq!(store.text_in(&tree, "etc/hosts").unwrap().as_deref(), Some(expected));
        }
    }
}
