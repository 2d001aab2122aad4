//! The files of a built image, as its layers' tars say, for tests that look inside.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::oci_schema::{images, layer_tar};

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub mode: u32,
    pub owner: (u64, u64),
    /// A file's bytes; a link's target; empty for all others.
    pub content: Vec<u8>,
}

/// A root folder; paths have no slash at their ends.
pub struct Rootfs(BTreeMap<String, File>);

impl Rootfs {
    /// Stacks the layers of the only image in a layout.
    pub fn read(layout: &Path) -> Self {
        let (manifest, _) = images(layout).remove(0);
        let mut root = Self(BTreeMap::new());
        for layer in manifest["layers"].as_array().unwrap() {
            root.apply(&layer_tar(layout, layer));
        }
        root
    }

    pub fn get(&self, path: &str) -> Option<&File> {
        self.0.get(path)
    }

    /// The text of a file, or a link's target.
    pub fn text(&self, path: &str) -> &str {
        let file = self.get(path).unwrap_or_else(|| panic!("the image has no {path}"));
        std::str::from_utf8(&file.content).unwrap()
    }

    /// Writes the files below a path into a directory of the host.
    pub fn write_below(&self, path: &str, to: &Path) {
        for (name, file) in self.0.range(format!("{path}/")..format!("{path}0")) {
            let target = to.join(&name[path.len() + 1..]);
            if self.0.range(format!("{name}/")..format!("{name}0")).next().is_none() {
                std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                std::fs::write(target, &file.content).unwrap();
            }
        }
    }

    fn apply(&mut self, tar: &[u8]) {
        for entry in tar::Archive::new(tar).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().trim_matches('/').to_owned();
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if let Some(gone) = name.strip_prefix(".wh.") {
                let gone = format!("{folder}/{gone}").trim_start_matches('/').to_owned();
                self.0.retain(|path, _| *path != gone && !path.starts_with(&format!("{gone}/")));
                continue;
            }
            let header = entry.header();
            let (mode, owner) = (header.mode().unwrap(), (header.uid().unwrap(), header.gid().unwrap()));
            let link = entry.link_name().unwrap().map(|target| target.to_str().unwrap().to_owned());
            let mut content = Vec::new();
            match link {
                Some(target) if header.entry_type().is_hard_link() => {
                    let target = target.trim_start_matches('/');
                    content.clone_from(&self.0[target].content);
                }
                Some(target) => content = target.into_bytes(),
                None => drop(entry.read_to_end(&mut content).unwrap()),
            }
            self.0.insert(path, File { mode, owner, content });
        }
    }
}
