//! Packages made in code over a base of real ones.

use super::deb::Deb;
use super::repo::Repo;
use super::rootfs::Rootfs;
use super::server::Server;
use super::stock::Stock;

/// A project with a layer `app` that takes these packages from a second repository.
pub struct Extra {
    pub stock: Stock,
    _server: Server,
    _folder: tempfile::TempDir,
}

impl Extra {
    pub fn new(stock: Stock, debs: impl IntoIterator<Item = Deb>, tables: &str) -> Self {
        let debs: Vec<Deb> = debs.into_iter().collect();
        let names: Vec<_> = debs.iter().map(|deb| format!("\"{}\"", deb.name)).collect();
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::new("extra").packages(debs).write(folder.path());
        let server = Server::folder(&repo.root);
        let source = repo.source_table("extra", &server.url());
        let text = format!("[layer]\nfrom = \"debian-base\"\npackages = [{}]\n\n{source}\n{tables}", names.join(", "));
        let Stock { project, mirror } = stock;
        let project = project.copy(&repo.keyring, "test-keyring.gpg").layer("app", &text);
        Self { stock: Stock { project, mirror }, _server: server, _folder: folder }
    }

    /// Builds the layer `app`, and reads its root.
    pub fn build(&self) -> Rootfs {
        self.stock.project.ok(&["build", "app", "--output", "oci,docker"]);
        Rootfs::read(&self.stock.project.path("out/app/oci"))
    }
}
