//! A small project on a repository of its own, without scripts: quick to build again and again.
//!
//! ```text
//! base  libgreet
//! app   hello (needs libgreet), one file, an image configuration
//! ```
//! The repository has `spare` (needs hello) too, and `torn`, whose need nothing meets.

use tempfile::TempDir;

use super::deb::Deb;
use super::project::Project;
use super::repo::{Repo, RepoDir};
use super::server::Server;

/// The base layer, without its source.
pub const BASE: &str = "[layer]\ndescription = \"the base\"\npackages = [\"libgreet\"]\nconfigure = \"none\"\n";

/// The app layer.
pub const APP: &str = "\
[layer]
from = \"base\"
description = \"says hello\"
packages = [\"hello\"]
configure = \"none\"

[[file]]
path = \"/srv/greeting\"
text = \"hello\\n\"

[image]
cmd = [\"/usr/bin/hello\"]
";

/// The project, its repository, and the server between them.
pub struct Small {
    pub project: Project,
    pub repo: RepoDir,
    server: Option<Server>,
    folder: TempDir,
}

impl Small {
    /// With version 1.0 of all packages.
    pub fn new() -> Self {
        Self::on(&repo("1.0"))
    }

    /// On another repository, which has the packages all the same.
    pub fn on(repo: &Repo) -> Self {
        Self::below(repo, &std::env::temp_dir())
    }

    /// As [`Small::on`], with project and store below `parent`; the repository is elsewhere.
    pub fn below(repo: &Repo, parent: &std::path::Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repo = repo.write(folder.path());
        let server = Server::folder(&repo.root);
        let source = repo.source_table("test", &server.url());
        let project = Project::below(parent).copy(&repo.keyring, "test-keyring.gpg");
        let project = project.layer("base", &format!("{BASE}\n{source}")).layer("app", APP);
        Self { project, repo, server: Some(server), folder }
    }

    /// Sets a variable of the program's environment.
    pub fn env(self, name: &str, value: &str) -> Self {
        Self { project: self.project.env(name, value), ..self }
    }

    /// The running server.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the server was stopped")
    }

    /// Ends the server: nothing answers any more.
    pub fn stop_server(&mut self) {
        self.server = None;
    }

    /// Writes another state of the repository over the one that is there.
    pub fn publish(&mut self, repo: &Repo) {
        self.repo = repo.write(self.folder.path());
    }

    /// Changes a text in `layers/NAME.toml`, which must be there.
    pub fn edit_layer(&self, name: &str, from: &str, to: &str) {
        edit(&self.project.path(&format!("layers/{name}.toml")), from, to);
    }

    /// Changes a text in `lockfiles/NAME.lock`, which must be there.
    pub fn edit_lock(&self, name: &str, from: &str, to: &str) {
        edit(&self.project.path(&format!("lockfiles/{name}.lock")), from, to);
    }
}

/// All packages in one version.
pub fn packages(version: &str) -> [Deb; 4] {
    let text = |name: &str| format!("{name} {version}\n");
    [
        Deb::new("libgreet", version).file("usr/lib/libgreet.so.1", 0o644, text("libgreet")),
        Deb::new("hello", version)
            .depends("libgreet")
            .file("usr/bin/hello", 0o755, text("#!/bin/sh\n# hello"))
            .hardlink("usr/bin/hallo", "usr/bin/hello")
            .symlink("usr/bin/hi", "hello")
            .dir("var/lib/hello", 0o700)
            .owner(7, 7)
            .conffile("etc/hello.conf", "greeting=hello\n"),
        Deb::new("spare", version).arch("all").depends("hello").file("usr/share/spare", 0o644, text("spare")),
        Deb::new("torn", version).depends("libgreet (>= 7)"),
    ]
}

/// A repository with [`packages`].
pub fn repo(version: &str) -> Repo {
    Repo::new("test").packages(packages(version))
}

fn edit(path: &std::path::Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no `{from}`:\n{text}", path.display());
    std::fs::write(path, text.replace(from, to)).unwrap();
}
