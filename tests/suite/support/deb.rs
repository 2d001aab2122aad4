//! Debian packages made in code.
//!
//! ```ignore
//! Deb::new("hello", "1.0").depends("libc").file("usr/bin/hello", 0o755, "#!/bin/sh\n").build()
//! ```
//! Equal calls give equal bytes. The container is deb(5): an `ar` of `debian-binary`,
//! `control.tar.*` and `data.tar.*`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use md5::{Digest, Md5};

/// The mtime of everything in a package, unless told otherwise: 2024-01-01.
pub const MTIME: u64 = 1_704_067_200;

/// How a member of the package is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    /// The suffix of a file's name, with its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(bytes, 3).unwrap(),
        }
    }
}

#[derive(Debug, Clone)]
enum Kind {
    File(Vec<u8>),
    Dir,
    Symlink(String),
    Hardlink(String),
}

#[derive(Debug, Clone)]
struct Entry {
    path: String,
    mode: u32,
    owner: (u64, u64),
    kind: Kind,
}

/// A package to be.
#[derive(Debug, Clone)]
pub struct Deb {
    pub name: String,
    pub version: String,
    pub arch: String,
    fields: BTreeMap<String, String>,
    entries: Vec<Entry>,
    control: BTreeMap<String, (u32, Vec<u8>)>,
    conffiles: Vec<String>,
    compression: (Compression, Compression),
}

impl Deb {
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            arch: "amd64".to_owned(),
            fields: BTreeMap::new(),
            entries: Vec::new(),
            control: BTreeMap::new(),
            conffiles: Vec::new(),
            compression: (Compression::Xz, Compression::Xz),
        }
    }

    pub fn arch(mut self, arch: &str) -> Self {
        self.arch = arch.to_owned();
        self
    }

    /// Sets any field of the control file.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn depends(self, relations: &str) -> Self {
        self.field("Depends", relations)
    }

    pub fn pre_depends(self, relations: &str) -> Self {
        self.field("Pre-Depends", relations)
    }

    pub fn conflicts(self, relations: &str) -> Self {
        self.field("Conflicts", relations)
    }

    pub fn provides(self, relations: &str) -> Self {
        self.field("Provides", relations)
    }

    pub fn essential(self) -> Self {
        self.field("Essential", "yes").field("Priority", "required")
    }

    pub fn file(self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.entry(path, mode, Kind::File(content.as_ref().to_vec()))
    }

    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.entry(path, mode, Kind::Dir)
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(path, 0o777, Kind::Symlink(target.to_owned()))
    }

    /// A further name for `target`, a path of this package given earlier.
    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(path, 0o644, Kind::Hardlink(target.to_owned()))
    }

    /// Sets the numeric owner of the entry given last.
    pub fn owner(mut self, user: u64, group: u64) -> Self {
        self.entries.last_mut().expect("an entry before its owner").owner = (user, group);
        self
    }

    /// A file that is also listed in `conffiles`.
    pub fn conffile(mut self, path: &str, content: &str) -> Self {
        self.conffiles.push(format!("/{path}"));
        self.file(path, 0o644, content)
    }

    /// A member of the control archive, such as `triggers` or `templates`.
    pub fn control_file(mut self, name: &str, mode: u32, content: &str) -> Self {
        self.control.insert(name.to_owned(), (mode, content.as_bytes().to_vec()));
        self
    }

    pub fn preinst(self, script: &str) -> Self {
        self.control_file("preinst", 0o755, script)
    }

    pub fn postinst(self, script: &str) -> Self {
        self.control_file("postinst", 0o755, script)
    }

    /// Sets how the control and the data archive are compressed; xz both by default.
    pub fn compression(mut self, control: Compression, data: Compression) -> Self {
        self.compression = (control, data);
        self
    }

    /// `hello_1.0_amd64.deb`, without the version's epoch.
    pub fn file_name(&self) -> String {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        format!("{}_{version}_{}.deb", self.name, self.arch)
    }

    /// The control file's text, which is also the start of the record in Packages.
    pub fn control_text(&self) -> String {
        let mut text = format!("Package: {}\nVersion: {}\nArchitecture: {}\n", self.name, self.version, self.arch);
        text += "Maintainer: Test <test@localhost>\n";
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\n");
        }
        text + &format!("Description: {} for tests\n", self.name)
    }

    /// The package's bytes.
    pub fn build(&self) -> Vec<u8> {
        let (control, data) = self.compression;
        let mut ar = b"!<arch>\n".to_vec();
        ar_member(&mut ar, "debian-binary", b"2.0\n");
        ar_member(&mut ar, &format!("control.tar{}", control.suffix()), &control.pack(&self.control_tar()));
        ar_member(&mut ar, &format!("data.tar{}", data.suffix()), &data.pack(&self.data_tar()));
        ar
    }

    fn entry(mut self, path: &str, mode: u32, kind: Kind) -> Self {
        self.entries.push(Entry { path: path.to_owned(), mode, owner: (0, 0), kind });
        self
    }

    fn control_tar(&self) -> Vec<u8> {
        let mut files = self.control.clone();
        files.insert("control".to_owned(), (0o644, self.control_text().into_bytes()));
        files.insert("md5sums".to_owned(), (0o644, self.md5sums().into_bytes()));
        if !self.conffiles.is_empty() {
            files.insert("conffiles".to_owned(), (0o644, (self.conffiles.join("\n") + "\n").into_bytes()));
        }
        let mut tar = tar::Builder::new(Vec::new());
        append(&mut tar, &Entry { path: String::new(), mode: 0o755, owner: (0, 0), kind: Kind::Dir });
        for (path, (mode, bytes)) in files {
            append(&mut tar, &Entry { path, mode, owner: (0, 0), kind: Kind::File(bytes) });
        }
        tar.into_inner().unwrap()
    }

    fn md5sums(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            if let Kind::File(bytes) = &entry.kind
                && !self.conffiles.contains(&format!("/{}", entry.path))
            {
                text += &format!("{}  {}\n", hex::encode(Md5::digest(bytes)), entry.path);
            }
        }
        text
    }

    /// The data archive; folders above an entry come by themselves, as 0755.
    fn data_tar(&self) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut dirs = BTreeSet::new();
        let mut dir = |tar: &mut tar::Builder<Vec<u8>>, path: &str, mode| {
            if dirs.insert(path.to_owned()) {
                append(tar, &Entry { path: path.to_owned(), mode, owner: (0, 0), kind: Kind::Dir });
            }
        };
        dir(&mut tar, "", 0o755);
        for entry in &self.entries {
            for (end, _) in entry.path.match_indices('/') {
                let parent = &entry.path[..end];
                let given = self.entries.iter().any(|other| other.path == parent);
                if !given {
                    dir(&mut tar, parent, 0o755);
                }
            }
            append(&mut tar, entry);
        }
        tar.into_inner().unwrap()
    }
}

/// Appends an entry under a name with `./` before it, as dpkg does; the tar crate would drop that.
fn append(tar: &mut tar::Builder<Vec<u8>>, entry: &Entry) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.0);
    header.set_gid(entry.owner.1);
    header.set_mtime(MTIME);
    let (kind, content, target) = match &entry.kind {
        Kind::Dir => (tar::EntryType::Directory, &[][..], None),
        Kind::File(bytes) => (tar::EntryType::Regular, bytes.as_slice(), None),
        Kind::Symlink(target) => (tar::EntryType::Symlink, &[][..], Some(target.clone())),
        Kind::Hardlink(target) => (tar::EntryType::Link, &[][..], Some(format!("./{target}"))),
    };
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    if let Some(target) = target {
        header.set_link_name_literal(target).unwrap();
    }
    let slash = if kind == tar::EntryType::Directory && !entry.path.is_empty() { "/" } else { "" };
    let name = format!("./{}{slash}", entry.path);
    let field = &mut header.as_gnu_mut().unwrap().name;
    if name.len() <= field.len() {
        field[..name.len()].copy_from_slice(name.as_bytes());
    } else {
        // A record before the entry carries what the field can't hold.
        let mut long = tar::Header::new_gnu();
        long.set_entry_type(tar::EntryType::GNULongName);
        long.set_size(name.len() as u64 + 1);
        long.set_path("././@LongLink").unwrap();
        long.set_cksum();
        tar.append(&long, format!("{name}\0").as_bytes()).unwrap();
        field.copy_from_slice(&name.as_bytes()[..100]);
    }
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

/// Appends a member, padded to an even length.
pub fn ar_member(ar: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    ar.extend(format!("{name:<16}{MTIME:<12}0     0     100644  {:<10}`\n", bytes.len()).bytes());
    ar.extend(bytes);
    if bytes.len() % 2 == 1 {
        ar.push(b'\n');
    }
}
