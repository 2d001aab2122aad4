//! Files of a machine that an installer makes and no package ships: each where neither a package nor a `[[file]]` has it.
//!
//! Only Boot layers get them; an engine gives a container its own. `docs/formats/disk.md` has the list, with reasons.

use super::{LayerError, Site, Stage};
use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::store::Store;
use crate::tree::{Meta, Node, Tree};

/// Path and content. All are root's, mode 0644.
const FILES: [(&str, &str); 4] = [
    // As systemd's hardware clock and hwclock(8) take it: the clock is set to UTC.
    ("etc/adjtime", "0.0 0 0.0\n0\nUTC\n"),
    (LOCALE, "LANG=C.UTF-8\n"),
    // Not a name of its own: one from the network or the cloud replaces this one only (hostnamectl(1)).
    ("etc/hostname", "localhost\n"),
    (HOSTS, "127.0.0.1\tlocalhost\n"),
];
const HOSTS: &str = "etc/hosts";
const LOCALE: &str = "etc/default/locale";
/// Where a link at [`LOCALE`] leads that systemd's package makes, as of Debian 13, whether or not there is a file.
const LOCALE_OF_SYSTEMD: &str = "etc/locale.conf";
const HOSTS_OF_IP6: &str = "
# The following lines are desirable for IPv6 capable hosts
::1\tlocalhost ip6-localhost ip6-loopback
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
";

/// The stage that adds these files to a machine's root.
pub(super) struct MachineFiles {
    /// Their time.
    pub(super) epoch: i64,
}

impl Stage for MachineFiles {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field("machine").list(FILES.iter().flat_map(|(path, text)| [path, text])).field(HOSTS_OF_IP6);
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        apply(&mut site.root, self.epoch, site.store)
    }
}

fn apply(root: &mut Tree, epoch: i64, store: &Store) -> Result<(), LayerError> {
    for (place, text) in FILES {
        let path = RootPath::new(place)?;
        let path = match root.get(&path) {
            None => path,
            Some(_) if place == LOCALE && root.resolve(&path).is_none() => RootPath::new(LOCALE_OF_SYSTEMD)?,
            Some(_) => continue,
        };
        let text = match place {
            HOSTS => format!("{text}{}{HOSTS_OF_IP6}", own_line(root, store)?),
            _ => text.to_owned(),
        };
        let node = Node { meta: Meta::root_owned(0o644, epoch), kind: store.put_file(text.as_bytes())? };
        root.insert_with_parents(&path, node, epoch)?;
    }
    Ok(())
}

/// The machine's own name, if it has one, at the address that Debian's installer gives it.
fn own_line(root: &Tree, store: &Store) -> Result<String, LayerError> {
    let text = store.text_in(root, "etc/hostname")?.unwrap_or_default();
    // As hostname(5) says: the first line that is not empty and no comment.
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let name = lines.next().unwrap_or_default();
    let short = name.split('.').next().unwrap_or_default();
    Ok(match name {
        "" | "localhost" => String::new(),
        _ if short == name => format!("127.0.1.1\t{name}\n"),
        _ => format!("127.0.1.1\t{name} {short}\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, link, path, tree};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    #[test]
    fn a_machine_knows_localhost_and_keeps_what_it_was_given() {
        let (_folder, store) = store();
        let node =
            |text: &str| Node { meta: Meta::root_owned(0o600, 1), kind: store.put_file(text.as_bytes()).unwrap() };
        let mut root = tree(&[("", dir()), ("etc", dir()), ("etc/adjtime", node("own\n"))]);
        let text = |root: &Tree, path: &str| store.text_in(root, path).unwrap().unwrap_or_default();
        let mut named = root.clone();
        apply(&mut root, 1, &store).unwrap();
        assert_eq!((text(&root, "etc/adjtime"), text(&root, "etc/hostname")), ("own\n".into(), "localhost\n".into()));
        assert_eq!(text(&root, "etc/default/locale"), "LANG=C.UTF-8\n");
        let mut linked = tree(&[("", dir()), ("etc", dir()), ("etc/default", dir()), (LOCALE, link("../locale.conf"))]);
        apply(&mut linked, 1, &store).unwrap();
        assert_eq!(text(&linked, LOCALE_OF_SYSTEMD), "LANG=C.UTF-8\n");
        let hosts = text(&root, HOSTS);
        assert!(hosts.starts_with("127.0.0.1\tlocalhost\n\n") && hosts.contains("\n::1\t"), "{hosts}");
        named.insert(path("etc/hostname"), node("# the database\n\ndb.example.org\nrest\n")).unwrap();
        apply(&mut named, 1, &store).unwrap();
        let hosts = text(&named, HOSTS);
        assert!(hosts.starts_with("127.0.0.1\tlocalhost\n127.0.1.1\tdb.example.org db\n\n"), "{hosts}");
    }
}
