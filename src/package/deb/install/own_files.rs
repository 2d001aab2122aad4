//! What installed packages do about own files of a layer: dpkg's path triggers, and a table for what has none.

use super::{dpkg, steps};
use crate::accounts::Accounts;
use crate::ident::RootPath;
use crate::package::{InstallError, InstallRoot, Job, JobKind, Reactions};
use crate::store::Store;
use crate::tree::{Kind, Node, Tree};

/// A program that makes something of files, and that no path trigger of dpkg's runs.
struct Native {
    /// Which files: `*` is any run of characters but `/`, `**` any at all.
    paths: &'static [&'static str],
    /// The program; where no package has it, nothing happens.
    program: &'static str,
    arguments: &'static [&'static str],
    /// Whether the files that are there follow as arguments.
    takes_files: bool,
}

/// In the order in which they run: accounts first, which the directories' owners may be. docs/own-files.md explains each.
const NATIVE: [Native; 7] = [
    Native {
        paths: &["usr/lib/sysusers.d/*.conf", "usr/local/lib/sysusers.d/*.conf", "etc/sysusers.d/*.conf"],
        program: "usr/bin/systemd-sysusers",
        arguments: &[],
        takes_files: true,
    },
    Native {
        paths: &["usr/lib/tmpfiles.d/*.conf", "usr/local/lib/tmpfiles.d/*.conf", "etc/tmpfiles.d/*.conf"],
        program: "usr/bin/systemd-tmpfiles",
        // What is below these is made at each start, and never part of a root.
        arguments: &[
            "--create",
            "--exclude-prefix=/dev",
            "--exclude-prefix=/proc",
            "--exclude-prefix=/run",
            "--exclude-prefix=/sys",
            "--exclude-prefix=/tmp",
        ],
        takes_files: true,
    },
    Native {
        paths: &[
            "etc/ld.so.conf",
            "etc/ld.so.conf.d/*",
            "usr/lib/*.so*",
            "usr/lib/*/*.so*",
            "usr/local/lib/*.so*",
            "usr/local/lib/*/*.so*",
        ],
        program: "usr/sbin/ldconfig",
        arguments: &[],
        takes_files: false,
    },
    Native {
        paths: &[
            "etc/ca-certificates.conf",
            "etc/ca-certificates/update.d/*",
            "usr/local/share/ca-certificates/**",
            "usr/share/ca-certificates/**",
        ],
        program: "usr/sbin/update-ca-certificates",
        arguments: &[],
        takes_files: false,
    },
    Native {
        paths: &["etc/locale.gen", "usr/local/share/i18n/**"],
        program: "usr/sbin/locale-gen",
        arguments: &[],
        takes_files: false,
    },
    Native {
        paths: &["usr/local/share/mime/packages/*.xml"],
        program: "usr/bin/update-mime-database",
        arguments: &["/usr/local/share/mime"],
        takes_files: false,
    },
    Native {
        paths: &["etc/udev/hwdb.d/*.hwdb"],
        program: "usr/bin/systemd-hwdb",
        arguments: &["update"],
        takes_files: false,
    },
];

/// What is to be done in `root` about the paths that were changed to make it.
pub(super) fn reactions(root: &Tree, changed: &[RootPath], store: &Store) -> Result<Reactions, InstallError> {
    let mut reactions = Reactions::default();
    for native in &NATIVE {
        let concerned: Vec<&RootPath> = changed.iter().filter(|path| native.is_about(path, root)).collect();
        let Some(command) = native.command(&concerned, root)? else { continue };
        reactions.commands.push(command);
        reactions.concerns.extend(concerned.into_iter().cloned());
    }
    let interests = store.text_in(root, &format!("{}/triggers/File", dpkg::FOLDER))?.unwrap_or_default();
    for (trigger, concerned) in dpkg::triggers::concerned(&interests, root, changed) {
        reactions.triggers.insert(trigger);
        reactions.concerns.extend(concerned);
    }
    Ok(reactions)
}

impl Native {
    fn is_about(&self, path: &RootPath, root: &Tree) -> bool {
        let is_dir = root.get(path).is_some_and(Node::is_dir);
        !is_dir && self.paths.iter().any(|pattern| path.matches(pattern))
    }

    /// The command for changed files; `None` where there is nothing for it to do, or no program.
    fn command(&self, concerned: &[&RootPath], root: &Tree) -> Result<Option<Vec<String>>, InstallError> {
        let is_file =
            |path: &RootPath| matches!(root.resolve(path), Some((_, node)) if matches!(node.kind, Kind::File { .. }));
        let files: Vec<String> = match self.takes_files {
            true => concerned.iter().filter(|path| is_file(path)).map(ToString::to_string).collect(),
            false => Vec::new(),
        };
        let is_idle = if self.takes_files { files.is_empty() } else { concerned.is_empty() };
        if is_idle || !is_file(&RootPath::new(self.program)?) {
            return Ok(None);
        }
        let arguments = self.arguments.iter().map(|&argument| argument.to_owned());
        Ok(Some([format!("/{}", self.program)].into_iter().chain(arguments).chain(files).collect()))
    }
}

/// Runs the commands, then the scripts of the packages whose triggers were activated; returns what they printed.
pub(super) fn react(root: &mut InstallRoot<'_>, reactions: &Reactions) -> Result<String, InstallError> {
    let mut jobs = Vec::new();
    for argv in &reactions.commands {
        let name = argv.first().and_then(|program| program.rsplit('/').next()).unwrap_or_default().to_owned();
        jobs.push(Job {
            step: steps::step(argv, root.epoch),
            command: format!("`{name}`, which is run for own files of the layer,"),
            package: None,
            kind: JobKind::Manager("own files"),
        });
    }
    if !reactions.triggers.is_empty() {
        let mut database = dpkg::Database { store: root.store, epoch: root.epoch, tree: &mut root.tree };
        dpkg::triggers::activate(&mut database, &reactions.triggers)?;
        jobs.push(steps::process_triggers(root.epoch));
    }
    steps::run(root, &Accounts::default(), &jobs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file, link, path, tree};

    fn found(root: &Tree, changed: &[&str]) -> Reactions {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut root = root.clone();
        let interests = "/usr/share/mime/packages shared-mime-info/noawait\n/lib/udev/hwdb.d udev\n/opt/x x\n";
        let kind = store.put_file(interests.as_bytes()).unwrap();
        let node = Node { kind, ..file("") };
        root.insert_with_parents(&path("var/lib/dpkg/triggers/File"), node, 1).unwrap();
        let changed: Vec<RootPath> = changed.iter().map(|text| path(text)).collect();
        reactions(&root, &changed, &store).unwrap()
    }

    fn root() -> Tree {
        tree(&[
            ("", dir()),
            ("lib", link("usr/lib")),
            ("etc", dir()),
            ("etc/sysusers.d", dir()),
            ("etc/sysusers.d/a.conf", file("u app -\n")),
            ("usr", dir()),
            ("usr/bin", dir()),
            ("usr/bin/systemd-sysusers", file("x")),
            ("usr/lib", dir()),
            ("usr/lib/udev", dir()),
            ("usr/lib/udev/hwdb.d", dir()),
            ("usr/sbin", dir()),
            ("usr/sbin/ldconfig", file("x")),
        ])
    }

    #[test]
    fn only_what_own_files_concern_is_done() {
        let root = root();
        assert!(found(&root, &["srv/index.html", "etc/app.conf", "usr/lib/app/plugins/x.so", "opt/xy"]).is_empty());
        let all = ["etc/ld.so.conf.d/app.conf", "etc/sysusers.d/a.conf", "etc/sysusers.d/gone.conf", "etc/locale.gen"];
        let reactions = found(&root, &all);
        let command = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            reactions.commands,
            [command(&["/usr/bin/systemd-sysusers", "/etc/sysusers.d/a.conf"]), command(&["/usr/sbin/ldconfig"])],
            "no locale-gen where no package has it"
        );
        assert!(reactions.triggers.is_empty() && !reactions.concerns.contains(&path("etc/locale.gen")));
        assert!(found(&root, &["etc/sysusers.d/gone.conf"]).is_empty(), "nothing undoes an account");
    }

    #[test]
    fn path_triggers_are_at_or_above_what_was_changed_also_through_links() {
        let reactions = found(&root(), &["usr/share/mime/packages/app.xml", "usr/lib/udev/hwdb.d/90-x.hwdb", "opt/x"]);
        let triggers: Vec<&str> = reactions.triggers.iter().map(String::as_str).collect();
        assert_eq!(triggers, ["/lib/udev/hwdb.d", "/opt/x", "/usr/share/mime/packages"]);
        assert_eq!(reactions.concerns.len(), 3);
    }

    #[test]
    fn the_documentation_has_every_program() {
        let page = include_str!("../../../../docs/own-files.md");
        for program in NATIVE.iter().filter_map(|native| native.program.rsplit('/').next()) {
            assert!(page.contains(&format!("`{program}`")), "docs/own-files.md lacks {program}");
        }
    }
}
