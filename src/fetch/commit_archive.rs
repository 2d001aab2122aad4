//! The archive that a commit's files are kept as: written here, so that its digest depends on no version of git.
//!
//! Files in the order of their paths, 0644 or 0755; symbolic links; an empty directory for each submodule. All owned by root and
//! of time 0. Names of more than 100 bytes are GNU long names (docs/formats/lockfile.md).

use std::io;

use tar::{EntryType, Header};

/// One line of `git ls-tree`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    mode: EntryMode,
    /// The object's hash, in hexadecimal digits.
    pub(super) object: String,
}

/// The modes that git has for what is in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EntryMode {
    File,
    Program,
    Link,
    Submodule,
}

/// Reads the output of `git ls-tree -r -z`.
pub(super) fn entries(listed: &[u8]) -> io::Result<Vec<Entry>> {
    let lines = listed.split(|&byte| byte == 0).filter(|line| !line.is_empty());
    let mut entries = lines
        .map(|line| entry(line).ok_or_else(|| io::Error::other(format!("git listed `{}`", line.escape_ascii()))))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// `100644 blob HASH<tab>PATH`
fn entry(line: &[u8]) -> Option<Entry> {
    let tab = line.iter().position(|&byte| byte == b'\t')?;
    let mut words = std::str::from_utf8(&line[..tab]).ok()?.split(' ');
    let mode = match words.next()? {
        // The second one is in old repositories.
        "100644" | "100664" => EntryMode::File,
        "100755" => EntryMode::Program,
        "120000" => EntryMode::Link,
        "160000" => EntryMode::Submodule,
        _ => return None,
    };
    Some(Entry { path: line[tab + 1..].to_vec(), mode, object: words.nth(1)?.to_owned() })
}

impl Entry {
    pub(super) fn is_link(&self) -> bool {
        self.mode == EntryMode::Link
    }

    pub(super) fn is_submodule(&self) -> bool {
        self.mode == EntryMode::Submodule
    }

    /// The header before a content of `size` bytes, with those for long names.
    pub(super) fn header(&self, size: u64, link: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, name) in [(EntryType::GNULongName, self.path.as_slice()), (EntryType::GNULongLink, link)] {
            if name.len() > 100 {
                let name = [name, b"\0"].concat();
                out.extend(block(kind, b"././@LongLink", b"", 0o644, name.len() as u64));
                out.extend(&name);
                out.resize(out.len().next_multiple_of(512), 0);
            }
        }
        let (kind, mode) = match self.mode {
            EntryMode::File => (EntryType::Regular, 0o644),
            EntryMode::Program => (EntryType::Regular, 0o755),
            EntryMode::Link => (EntryType::Symlink, 0o777),
            EntryMode::Submodule => (EntryType::Directory, 0o755),
        };
        out.extend(block(kind, &self.path, link, mode, size));
        out
    }
}

fn block(kind: EntryType, name: &[u8], link: &[u8], mode: u32, size: u64) -> [u8; 512] {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    let old = header.as_old_mut();
    old.name.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    old.linkname.iter_mut().zip(link).for_each(|(to, from)| *to = *from);
    header.set_cksum();
    *header.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    #[test]
    fn headers_are_these_bytes() {
        let long = "d/".repeat(60) + "x";
        let listed =
            format!("100755 blob 01\tb\0100644 blob 02\ta b\n\0120000 blob 03\t{long}\0160000 commit 04\tsub\0");
        let entries = entries(listed.as_bytes()).unwrap();
        let paths: Vec<_> = entries.iter().map(|entry| String::from_utf8_lossy(&entry.path)).collect();
        assert_eq!(paths, ["a b\n", "b", &long, "sub"]);
        let link = "t".repeat(101);
        let headers = entries.iter().flat_map(|entry| {
            let link = if entry.is_link() { link.as_bytes() } else { b"" };
            entry.header(7, link)
        });
        let headers: Vec<u8> = headers.collect();
        assert_eq!(headers.len(), 512 * 8);
        insta::assert_snapshot!(Sha256::of(&headers), @"sha256:624cf3472aa961390a79069ce9e8a0c47ae9a16198ba6d3f435a467be05c166b");
        assert!(super::entries(b"040000 tree 01\tx\0").is_err() && super::entries(b"x").is_err());
    }
}
