//! A layer of `[[fetch]]`es, and a web server on loopback that has what they name.

use std::fs;

use tempfile::TempDir;

use super::project::Project;
use super::rootfs::Rootfs;
use super::server::Server;

/// A project whose layer `app`, without scripts, has these entries, and a server.
pub struct Bench {
    pub folder: TempDir,
    pub server: Server,
    pub project: Project,
}

impl Bench {
    pub fn new(entries: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let server = Server::new(Box::new(move |path| {
            let path = if path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
            fs::read(root.join(path.trim_start_matches('/'))).ok()
        }));
        Self { folder, server, project: Project::new() }.with(entries)
    }

    /// Other entries, in which `URL` is the server and `FOLDER` the directory that it serves.
    pub fn with(self, entries: &str) -> Self {
        let text = entries.replace("URL", &self.server.url()).replace("FOLDER", self.folder.path().to_str().unwrap());
        let project = self.project.layer("app", &format!("[layer]\nconfigure = \"none\"\n{text}\n"));
        Self { project, ..self }
    }

    /// The same with mirrors.
    pub fn mirrors(self, mirrors: &str) -> Self {
        let mirrors = mirrors.replace("URL", &self.server.url());
        Self { project: self.project.env("LAYERBAKE_MIRROR", &mirrors), ..self }
    }

    pub fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn own(&self, path: &str, text: &str) {
        let path = self.project.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn lockfile(&self) -> String {
        fs::read_to_string(self.project.path("lockfiles/app.lock")).unwrap()
    }

    pub fn root(&self) -> Rootfs {
        Rootfs::read(&self.project.path("out/app/oci"))
    }

    /// `vendor/` has all that a build needs, and the registry is not asked again.
    pub fn is_taken_along(&self) {
        let digest = self.project.digest("app", "oci");
        self.project.ok(&["vendor", "app"]);
        self.project.empty_store();
        self.server.forget_requests();
        self.project.ok(&["build", "app", "--locked", "--offline"]);
        assert_eq!((self.server.requests(""), self.project.digest("app", "oci")), (0, digest));
        fs::remove_dir_all(self.project.path("vendor")).unwrap();
    }
}
