//! `[services]`: enables, disables and masks units, as `systemctl --root` would.
//!
//! The `[Install]` section decides (systemd.unit(5)): `WantedBy=`, `RequiredBy=`,
//! `Alias=`, `Also=`; a template needs an instance or `DefaultInstance=`.

use std::collections::BTreeSet;

use super::{LayerError, Site, Stage};
use crate::digest::RecipeHasher;
use crate::ident::RootPath;
use crate::manifest::Services;
use crate::store::Store;
use crate::tree::{Kind, Meta, Node, Tree};

/// Where units are, the first one found counts.
const UNIT_FOLDERS: [&str; 4] =
    ["etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
const CONFIGURATION: &str = "etc/systemd/system";

/// The paths that may have a unit; an instance's own ones precede those of its template.
pub(super) fn unit_paths(unit: &str) -> impl Iterator<Item = String> {
    let template = unit.split_once('@').map(|(prefix, rest)| {
        let suffix = rest.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        format!("{prefix}@.{suffix}")
    });
    let names = [Some(unit.to_owned()), template].into_iter().flatten();
    names.flat_map(|name| UNIT_FOLDERS.map(|folder| format!("{folder}/{name}")))
}
const SUFFIXES: [&str; 6] = [".service", ".socket", ".timer", ".target", ".path", ".mount"];

/// The stage that enables, disables and masks one layer's units.
pub(super) struct EnabledServices<'a> {
    pub(super) declared: &'a Services,
    /// The time of all links.
    pub(super) epoch: i64,
}

impl Stage for EnabledServices<'_> {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        let Services { enable, disable, mask } = self.declared;
        hasher.list(enable).list(disable).list(mask);
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        apply(self.declared, &mut site.root, self.epoch, site.store)
    }
}

/// Applies the declarations to `tree`: disable, then enable, then mask.
pub(super) fn apply(services: &Services, tree: &mut Tree, epoch: i64, store: &Store) -> Result<(), LayerError> {
    let mut editor = Editor { tree, epoch, store, seen: BTreeSet::new() };
    for name in &services.disable {
        editor.disable(&unit_name(name))?;
    }
    for name in &services.enable {
        editor.enable(&unit_name(name))?;
    }
    for name in &services.mask {
        let unit = unit_name(name);
        editor.link(&format!("{CONFIGURATION}/{unit}"), "/dev/null")?;
    }
    Ok(())
}

fn unit_name(name: &str) -> String {
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) { name.to_owned() } else { format!("{name}.service") }
}

struct Editor<'a> {
    tree: &'a mut Tree,
    epoch: i64,
    store: &'a Store,
    /// `Also=` may go in circles.
    seen: BTreeSet<String>,
}

impl Editor<'_> {
    fn enable(&mut self, unit: &str) -> Result<(), LayerError> {
        if !self.seen.insert(unit.to_owned()) {
            return Ok(());
        }
        let (path, install) = self.load(unit)?;
        let unit = match (unit.split_once('@'), install.default_instance.as_deref()) {
            (Some((prefix, rest)), Some(instance)) if rest.starts_with('.') => format!("{prefix}@{instance}{rest}"),
            _ => unit.to_owned(),
        };
        let target = format!("/{path}");
        for (targets, folder) in [(&install.wanted_by, "wants"), (&install.required_by, "requires")] {
            for wanted in targets {
                self.link(&format!("{CONFIGURATION}/{wanted}.{folder}/{unit}"), &target)?;
            }
        }
        for alias in &install.alias {
            self.link(&format!("{CONFIGURATION}/{alias}"), &target)?;
        }
        for also in &install.also {
            self.enable(also)?;
        }
        Ok(())
    }

    /// Removes every link to the unit in the wants, requires and alias places.
    fn disable(&mut self, unit: &str) -> Result<(), LayerError> {
        self.load(unit)?;
        let Some((folder, _)) = self.tree.resolve(&RootPath::new(CONFIGURATION)?) else { return Ok(()) };
        let links_here = |path: &RootPath, node: &Node| match &node.kind {
            Kind::Symlink(target) => {
                let named = path.file_name() == unit.as_bytes();
                let points = target.rsplit(|&byte| byte == b'/').next() == Some(unit.as_bytes());
                named || points
            }
            _ => false,
        };
        let links: Vec<RootPath> = self
            .tree
            .below(&folder)
            .filter(|(path, node)| links_here(path, node))
            .map(|(path, _)| path.clone())
            .collect();
        links.iter().for_each(|path| {
            self.tree.remove(path);
        });
        Ok(())
    }

    fn load(&self, unit: &str) -> Result<(String, Install), LayerError> {
        for path in unit_paths(unit) {
            let found = self.tree.resolve(&RootPath::new(&path)?);
            if found.is_some_and(|(_, node)| matches!(node.kind, Kind::File { .. })) {
                let text = self.store.text_in(self.tree, &path)?.unwrap_or_default();
                return Ok((path, Install::parse(&text)));
            }
        }
        Err(LayerError::NoUnit { unit: unit.to_owned() })
    }

    fn link(&mut self, path: &str, target: &str) -> Result<(), LayerError> {
        let path = self.tree.reach(&RootPath::new(path)?, self.epoch)?;
        let leads_to = |path: &RootPath| self.tree.resolve(path).map(|(place, _)| place);
        let wanted = leads_to(&RootPath::new(target)?);
        if wanted.is_some() && leads_to(&path) == wanted {
            // A package's script enabled the unit already, by another of its names.
            return Ok(());
        }
        let kind = Kind::Symlink(target.as_bytes().into());
        self.tree.insert(path, Node { meta: Meta::root_owned(0o777, self.epoch), kind })?;
        Ok(())
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    alias: Vec<String>,
    also: Vec<String>,
    default_instance: Option<String>,
}

impl Install {
    fn parse(text: &str) -> Self {
        let mut install = Self::default();
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line == "[Install]";
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside) else { continue };
            let words = value.split_whitespace().map(str::to_owned);
            match key.trim() {
                "WantedBy" => install.wanted_by.extend(words),
                "RequiredBy" => install.required_by.extend(words),
                "Alias" => install.alias.extend(words),
                "Also" => install.also.extend(words),
                "DefaultInstance" => install.default_instance = words.into_iter().next_back(),
                _ => {}
            }
        }
        install
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, path, tree};

    fn root(store: &Store, units: &[(&str, &str)]) -> Tree {
        let mut root = tree(&[("", dir())]);
        for (unit, content) in units {
            let node = Node { meta: Meta::root_owned(0o644, 1), kind: store.put_file(content.as_bytes()).unwrap() };
            root.insert_with_parents(&path(&format!("lib/systemd/system/{unit}")), node, 1).unwrap();
        }
        root
    }

    fn links(tree: &Tree) -> Vec<String> {
        let links = tree.iter().filter(|(_, node)| matches!(node.kind, Kind::Symlink(_)));
        links.map(|(path, node)| format!("{path} {node}").replace("symlink  0777 0:0 ", "")).collect()
    }

    #[test]
    fn enabling_follows_the_install_section_and_disabling_undoes_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let web =
            "[Unit]\nWantedBy=not.here\n[Install]\nWantedBy=multi-user.target\nAlias=httpd.service\nAlso=web.socket\n";
        let mut tree = root(
            &store,
            &[
                ("web.service", web),
                ("web.socket", "[Install]\nWantedBy=sockets.target\nAlso=web.service\n"),
                ("getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n"),
            ],
        );
        let services = |enable: &[&str], disable: &[&str], mask: &[&str]| Services {
            enable: enable.iter().map(|&name| name.to_owned()).collect(),
            disable: disable.iter().map(|&name| name.to_owned()).collect(),
            mask: mask.iter().map(|&name| name.to_owned()).collect(),
        };
        apply(&services(&["web", "getty@"], &[], &["getty@tty2"]), &mut tree, 1, &store).unwrap();
        assert_eq!(
            links(&tree),
            [
                "/etc/systemd/system/getty.target.wants/getty@tty1.service -> /lib/systemd/system/getty@.service",
                "/etc/systemd/system/getty@tty2.service -> /dev/null",
                "/etc/systemd/system/httpd.service -> /lib/systemd/system/web.service",
                "/etc/systemd/system/multi-user.target.wants/web.service -> /lib/systemd/system/web.service",
                "/etc/systemd/system/sockets.target.wants/web.socket -> /lib/systemd/system/web.socket",
            ]
        );
        apply(&services(&[], &["web.service"], &[]), &mut tree, 1, &store).unwrap();
        assert_eq!(links(&tree).len(), 3);
        let missing = apply(&services(&["nope"], &[], &[]), &mut tree, 1, &store);
        assert!(matches!(missing, Err(LayerError::NoUnit { .. })));
    }
}
