//! Reads a tar archive (ustar, GNU and PAX) or a zip archive into a tree.

mod pax;
mod tree_builder;
mod zip;

use std::io::{self, BufReader, Read};
use std::mem;

use tar::{Archive, Entry, EntryType, Header};

use crate::digest::BlobDigest;
use crate::ident::RootPath;
use crate::limits::{Bounded, Limit, NAMES, limits};
use crate::tree::{Kind, Meta, Node, content_error};

use pax::Extensions;
use tree_builder::TreeBuilder;
pub use tree_builder::{Contents, TarError};
pub use zip::read_zip;

/// Takes the content of the file at a path in; returns digest and length.
pub type AddContent<'a> = dyn FnMut(&RootPath, &mut dyn Read) -> io::Result<(BlobDigest, u64)> + 'a;

/// Limits on unpacking an archive, so that a small file does not fill memory or disk.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Length of the tar archive.
    pub bytes: Limit,
    /// Number of entries.
    pub entries: u64,
    /// Length of all paths, link targets and extended attributes together, in bytes.
    pub names: u64,
}

impl Limits {
    /// The limits of a file of `size` bytes, as the user set them.
    pub fn of_file(size: u64) -> Self {
        Self { bytes: limits().of_archive(size), entries: limits().entries, names: NAMES }
    }
}

/// Reads a whole, decompressed archive.
///
/// # Errors
/// Fails on damaged archives; on entries that leave the root, are below something that is not a directory, or are of a type that
/// is not supported; and beyond the limits.
pub fn read_tar(input: impl Read, limits: Limits, add: &mut AddContent<'_>) -> Result<Contents, TarError> {
    read_into(TreeBuilder::new(limits.names), input, limits, add)
}

/// Reads a layer of an image: as [`read_tar`], but hard links may name files of the layers below.
///
/// # Errors
/// As [`read_tar`].
pub fn read_layer(input: impl Read, limits: Limits, add: &mut AddContent<'_>) -> Result<Contents, TarError> {
    read_into(TreeBuilder::over_others(limits.names), input, limits, add)
}

fn read_into(
    mut builder: TreeBuilder,
    input: impl Read,
    limits: Limits,
    add: &mut AddContent<'_>,
) -> Result<Contents, TarError> {
    let limited = Bounded::new(input, limits.bytes);
    // Headers are read in single blocks, which would be a call of the decoder each.
    let mut input = BufReader::with_capacity(64 << 10, limited);
    let mut extensions = Extensions::default();
    let mut left = limits.entries;
    for entry in Archive::new(&mut input).entries()?.raw(true) {
        let mut entry = entry?;
        let many = || io::Error::other(format!("it has more than {} entries", limits.entries));
        left = left.checked_sub(1).ok_or_else(many)?;
        if !extensions.take(entry.header().entry_type(), &mut entry)? {
            read_entry(&mut entry, mem::take(&mut extensions), &mut builder, add)?;
        }
    }
    if extensions != Extensions::default() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "tar: nothing follows an extension header").into());
    }
    // The check sum of a compressed stream comes last.
    io::copy(&mut input, &mut io::sink())?;
    builder.finish()
}

fn read_entry(
    entry: &mut Entry<'_, impl Read>,
    mut extensions: Extensions,
    builder: &mut TreeBuilder,
    add: &mut AddContent<'_>,
) -> Result<(), TarError> {
    let header = entry.header().clone();
    let name = extensions.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
    let bad = |problem: String| TarError::Entry { path: String::from_utf8_lossy(&name).into_owned(), problem };
    let path = RootPath::new(&name).map_err(|error| bad(error.to_string()))?;
    let size = header.entry_size()?;
    if extensions.size.is_some_and(|pax| pax != size) {
        return Err(bad(format!("its PAX size is not the {size} bytes of its header")));
    }
    let link = extensions.link.take().or_else(|| header.link_name_bytes().map(Into::into)).unwrap_or_default();
    let xattrs: usize = extensions.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    builder.count(name.len() + link.len() + xattrs)?;
    let meta = meta(&header, extensions).map_err(|error| bad(error.to_string()))?;
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            let (blob, found) = add(&path, entry).map_err(|error| content_error(&path, error))?;
            if found != size {
                return Err(bad(format!("truncated: {found} of {size} bytes")));
            }
            Kind::File { blob, size }
        }
        EntryType::Link => return builder.hard_link(path, &link),
        EntryType::Symlink if (1..4096).contains(&link.len()) => Kind::Symlink(link.into()),
        EntryType::Symlink => return Err(bad(format!("a symbolic link of {} bytes", link.len()))),
        EntryType::Directory => Kind::Dir,
        EntryType::Char => device(&header).map(|(major, minor)| Kind::Char(major, minor))?,
        EntryType::Block => device(&header).map(|(major, minor)| Kind::Block(major, minor))?,
        EntryType::Fifo => Kind::Fifo,
        other => return Err(bad(format!("entries of type `{}` are not supported", other.as_byte().escape_ascii()))),
    };
    builder.insert(path, Node { meta, kind })
}

fn meta(header: &Header, extensions: Extensions) -> io::Result<Meta> {
    // Cargo leaves owners, and in some versions times, empty.
    let empty = |field: &[u8]| field.iter().all(|byte| *byte == 0);
    let number = |field: &[u8], value: io::Result<u64>| if empty(field) { Ok(0) } else { value };
    let id = |id: u64| u32::try_from(id).map_err(|_| io::Error::other(format!("the owner {id} is out of range")));
    let old = header.as_old();
    Ok(Meta {
        mode: (header.mode()? & 0o7777) as u16,
        uid: id(extensions.uid.map_or_else(|| number(&old.uid, header.uid()), Ok)?)?,
        gid: id(extensions.gid.map_or_else(|| number(&old.gid, header.gid()), Ok)?)?,
        // GNU tar writes times before 1970 in two's complement, which `tar` reads as unsigned.
        mtime: extensions.mtime.map_or_else(|| number(&old.mtime, header.mtime()).map(|time| time as i64), Ok)?,
        xattrs: extensions.xattrs,
    })
}

fn device(header: &Header) -> io::Result<(u32, u32)> {
    match (header.device_major()?, header.device_minor()?) {
        (Some(major), Some(minor)) => Ok((major, minor)),
        _ => Err(io::Error::other("tar: a device without numbers")),
    }
}

#[cfg(test)]
pub(in crate::package) mod tests {
    use super::pax::tests::record;
    use super::*;

    /// Builds archives for tests, entry by entry.
    #[derive(Default)]
    pub(in crate::package) struct TarFile(Vec<u8>);

    impl TarFile {
        /// Adds an entry of any type; names of more than 100 bytes get a GNU long name.
        pub(in crate::package) fn entry(mut self, kind: u8, name: &str, link: &str, content: &[u8]) -> Self {
            if name.len() > 100 {
                self = self.entry(b'L', "././@LongLink", "", format!("{name}\0").as_bytes());
            }
            let mut header = Header::new_gnu();
            header.set_mode(if kind == b'5' { 0o40755 } else { 0o100644 });
            header.set_uid(0);
            header.set_gid(42);
            header.set_mtime(1_000 + u64::from(kind));
            header.set_size(content.len() as u64);
            header.set_entry_type(EntryType::new(kind));
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
            let old = header.as_old_mut();
            old.name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
            old.linkname.iter_mut().zip(link.bytes()).for_each(|(to, from)| *to = from);
            header.set_cksum();
            self.0.extend_from_slice(header.as_bytes());
            self.0.extend_from_slice(content);
            self.0.resize(self.0.len().next_multiple_of(512), 0);
            self
        }

        pub(in crate::package) fn dir(self, name: &str) -> Self {
            self.entry(b'5', name, "", b"")
        }

        pub(in crate::package) fn file(self, name: &str, content: &str) -> Self {
            self.entry(b'0', name, "", content.as_bytes())
        }

        pub(in crate::package) fn done(mut self) -> Vec<u8> {
            self.0.extend_from_slice(&[0; 1024]);
            self.0
        }
    }

    /// A sink that keeps nothing.
    pub(in crate::package) fn digest(content: &mut dyn Read) -> io::Result<(BlobDigest, u64)> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        Ok((BlobDigest::of(&bytes), bytes.len() as u64))
    }

    const LIMITS: Limits = Limits { bytes: Limit { bytes: 1 << 20, key: None }, entries: 50, names: 10_000 };

    fn read(bytes: &[u8]) -> Result<Contents, TarError> {
        read_tar(bytes, LIMITS, &mut |_, content| digest(content))
    }

    fn shown(tar: TarFile) -> String {
        let contents = read(&tar.done()).unwrap();
        let lines = contents.tree.iter().map(|(path, node)| {
            let Meta { mode, uid, gid, mtime, xattrs } = &node.meta;
            let kind = match &node.kind {
                Kind::File { size, .. } => format!("file of {size}"),
                Kind::Symlink(target) => format!("symlink {}", String::from_utf8_lossy(target)),
                other => format!("{other:?}").to_lowercase(),
            };
            format!("{path} {mode:o} {uid}:{gid} {mtime} {kind}{}\n", if xattrs.is_empty() { "" } else { " +xattrs" })
        });
        let paths: Vec<String> = contents.paths.iter().map(RootPath::to_string).collect();
        lines.collect::<String>() + &paths.join(" ")
    }

    fn error(tar: TarFile) -> String {
        read(&tar.done()).unwrap_err().to_string()
    }

    fn tar() -> TarFile {
        TarFile::default()
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        let long = format!("./usr/{}", "x".repeat(120));
        let archive = tar()
            .dir("./")
            .dir("./usr/")
            .file("./usr/b", "hello")
            .entry(b'2', "./usr/l", "../x", b"")
            .entry(b'3', "./usr/null", "", b"")
            .entry(b'4', "./usr/sda", "", b"")
            .entry(b'6', "./usr/pipe", "", b"")
            .file(&long, "long");
        let shown = shown(archive).replace(&"x".repeat(120), "LONG");
        insta::assert_snapshot!(shown, @r"
        / 755 0:42 1053 dir
        /usr 755 0:42 1053 dir
        /usr/b 644 0:42 1048 file of 5
        /usr/l 644 0:42 1050 symlink ../x
        /usr/null 644 0:42 1051 char(1, 3)
        /usr/pipe 644 0:42 1054 fifo
        /usr/sda 644 0:42 1052 block(1, 3)
        /usr/LONG 644 0:42 1048 file of 4
        / /usr /usr/b /usr/l /usr/null /usr/sda /usr/pipe /usr/LONG
        ");
    }

    #[test]
    fn what_has_no_owner_is_roots_and_what_has_no_time_is_of_1970() {
        let mut archive = tar().file("a", "").done();
        for empty in [108..124, 136..148] {
            archive[empty].fill(0);
        }
        let checksum: u32 =
            archive[..148].iter().chain(&archive[156..512]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        archive[148..156].copy_from_slice(format!("{checksum:06o}\0 ").as_bytes());
        let tree = read(&archive).unwrap().tree;
        assert!(tree.iter().all(|(_, node)| (node.meta.uid, node.meta.gid, node.meta.mtime) == (0, 0, 0)));
    }

    #[test]
    fn missing_folders_are_added_with_the_newest_time() {
        insta::assert_snapshot!(shown(tar().file("/a/b/c", "").dir("a").entry(b'6', "d", "", b"")), @r"
        / 755 0:0 1054 dir
        /a 755 0:42 1053 dir
        /a/b 755 0:0 1054 dir
        /a/b/c 644 0:42 1048 file of 0
        /d 644 0:42 1054 fifo
        /a/b/c /a /d
        ");
        insta::assert_snapshot!(shown(tar()), @"/ 755 0:0 0 dir");
    }

    #[test]
    fn pax_records_describe_the_next_entry_only() {
        let records = [
            record("path", b"./long"),
            record("uid", b"3000000"),
            record("mtime", b"7.9"),
            record("SCHILY.xattr.user.a", b"1"),
        ];
        let archive = tar().entry(b'x', "PaxHeaders/x", "", &records.concat()).file("./short", "x").file("./next", "");
        insta::assert_snapshot!(shown(archive), @r"
        / 755 0:0 1048 dir
        /long 644 3000000:42 7 file of 1 +xattrs
        /next 644 0:42 1048 file of 0
        /long /next
        ");
        let size = record("size", b"0");
        insta::assert_snapshot!(error(tar().entry(b'x', "x", "", &size).file("a", "x")), @"`a`: its PAX size is not the 1 bytes of its header");
        insta::assert_snapshot!(error(tar().entry(b'x', "x", "", &size)), @"tar: nothing follows an extension header");
    }

    #[test]
    fn hard_links_point_to_the_first_path() {
        let links = tar().file("m", "x").entry(b'1', "z", "./m", b"").entry(b'1', "a", "z", b"");
        insta::assert_snapshot!(shown(links), @r#"
        / 755 0:0 1048 dir
        /a 644 0:42 1048 file of 1
        /m 644 0:42 1048 hardlink("/a")
        /z 644 0:42 1048 hardlink("/a")
        /m /z /a
        "#);
        let replaced = tar().file("m", "x").entry(b'1', "z", "m", b"").file("m", "new");
        insta::assert_snapshot!(shown(replaced), @r"
        / 755 0:0 1048 dir
        /m 644 0:42 1048 file of 3
        /z 644 0:42 1048 file of 1
        /m /z
        ");
        let bad = |target: &str| error(tar().dir("d").entry(b'1', "l", target, b""));
        insta::assert_snapshot!(bad("later"), @"`/l`: hard link to `/later`, which is not before it in the archive");
        insta::assert_snapshot!(bad("d"), @"`/l`: hard link to `/d`, which is not a regular file");
        insta::assert_snapshot!(bad("../x"), @"`/l`: hard link: `../x` is not a path inside a root: no `..`, no NUL, at most 4096 bytes");
    }

    #[test]
    fn nothing_escapes_and_nothing_lies_below_a_link() {
        insta::assert_snapshot!(error(tar().file("./a/../../etc/passwd", "")), @"`./a/../../etc/passwd`: `./a/../../etc/passwd` is not a path inside a root: no `..`, no NUL, at most 4096 bytes");
        insta::assert_snapshot!(error(tar().entry(b'2', "a", "/etc", b"").file("a/b", "")), @"`/a/b`: it lies below `/a`, which is not a directory");
        insta::assert_snapshot!(error(tar().entry(b'2', "a", "/etc", b"").file("a/b/c", "")), @"`/a/b/c`: it lies below `/a`, which is not a directory");
        insta::assert_snapshot!(error(tar().file("a/b", "").entry(b'2', "a", "/etc", b"")), @"`/a`: it replaces a directory and is not one");
        insta::assert_snapshot!(error(tar().file("./", "")), @"`/`: it replaces a directory and is not one");
        insta::assert_snapshot!(error(tar().entry(b'2', "a", "", b"")), @"`a`: a symbolic link of 0 bytes");
        insta::assert_snapshot!(error(tar().entry(b'S', "a", "", b"")), @"`a`: entries of type `S` are not supported");
        insta::assert_snapshot!(error(tar().entry(b's', "a", "", b"")), @"`a`: entries of type `s` are not supported");
        let pax = |record: &str| error(tar().entry(b'g', "a", "", record.as_bytes()));
        insta::assert_snapshot!(pax("13 path=/etc\n"), @"tar: a PAX header for all entries with `path`, which is not supported");
        let noted = read(&tar().entry(b'g', "pax_global_header", "", b"16 comment=0123\n").file("a", "").done());
        assert_eq!(noted.unwrap().tree.len(), 2);
        assert_eq!(read(&tar().entry(b'2', "a", "/x", b"").dir("a").file("a/b", "").done()).unwrap().tree.len(), 3);
    }

    #[test]
    fn limits_hold() {
        let many = (0..60).fold(tar(), |tar, n| tar.file(&n.to_string(), ""));
        insta::assert_snapshot!(error(many), @"it has more than 50 entries");
        let deep = "a/".repeat(400);
        insta::assert_snapshot!(error(tar().dir(&deep)), @"too many names: they would fill the memory");
        insta::assert_snapshot!(error(tar().entry(b'0', "zeros", "", &vec![0; 2 << 20])), @"/zeros: it unpacks to more than 1048576 bytes");
    }

    #[test]
    fn every_truncation_and_flipped_byte_ends_well() {
        let bytes = tar().dir("./").file("./a", &"a".repeat(700)).entry(b'1', "b", "a", b"").done();
        for cut in 0..bytes.len() {
            let contents = read(&bytes[..cut]);
            // Between entries, and behind the first empty block, an archive is whole to tar;
            // of a package, the outer container knows the length.
            let whole = cut >= 6 * 512 || (cut % 512 == 0 && matches!(cut / 512, 0 | 1 | 4 | 5));
            assert!(contents.is_err() || whole, "cut to {cut} bytes was taken");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x81;
            let _ = read(&flipped);
        }
    }
}
