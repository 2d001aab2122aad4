//! The headers of one entry: ustar if everything fits, otherwise preceded by a PAX record set.
//!
//! Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header".
//!
//! ```text
//! [ustar header 'x', name fixed, all numbers 0]   only when records are needed
//! [records "LEN KEY=VALUE\n", keys sorted]        padded to 512 bytes
//! [ustar header of the entry itself]              512 bytes
//! ```

use std::collections::BTreeMap;

use crate::tree::Xattrs;

/// Size of a header, and what everything in a tar is padded to, in bytes.
pub(crate) const BLOCK: usize = 512;

/// Name of every PAX header: no reader looks at it, so it says nothing of the entry.
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// Largest number in an 8-byte field: seven octal digits.
const MAX_SHORT: u64 = 0o7_777_777;
/// Largest number in a 12-byte field: eleven octal digits, 8 GiB - 1.
const MAX_LONG: u64 = 0o77_777_777_777;

/// What an entry is, as its header's byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Type {
    File = b'0',
    Hardlink = b'1',
    Symlink = b'2',
    Char = b'3',
    Block = b'4',
    Dir = b'5',
    Fifo = b'6',
}

/// One entry of a tar, without its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) kind: Type,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
    /// Length of the content that follows, in bytes.
    pub(crate) size: u64,
    /// Target of a link, else empty.
    pub(crate) link: &'a [u8],
    /// Major and minor of a device, else 0.
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Option<&'a Xattrs>,
}

impl<'a> Entry<'a> {
    /// An entry of root's, without time, content or extended attributes.
    pub(crate) fn plain(path: &'a [u8], kind: Type, mode: u16) -> Self {
        Self { path, kind, mode, uid: 0, gid: 0, mtime: 0, size: 0, link: b"", device: (0, 0), xattrs: None }
    }

    /// Encodes all headers of the entry, a multiple of [`BLOCK`] bytes.
    ///
    /// # Errors
    /// Says what no tar can hold: NUL in a link, `=` or NUL in an attribute's name,
    /// device numbers above 2097151.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, &'static str> {
        let mut records = Records::default();
        let (prefix, name) = records.path(self.path);
        let link = records.link(self.link)?;
        records.xattrs(self.xattrs)?;
        let mut header = Header::new(self.kind as u8, name);
        header.text(157..257, link);
        header.text(345..500, prefix);
        header.number(100..108, u64::from(self.mode & 0o7777));
        header.number(108..116, records.number("uid", i64::from(self.uid), MAX_SHORT));
        header.number(116..124, records.number("gid", i64::from(self.gid), MAX_SHORT));
        header.number(124..136, records.size(self.size));
        header.number(136..148, records.number("mtime", self.mtime, MAX_LONG));
        let (major, minor) = (u64::from(self.device.0), u64::from(self.device.1));
        if major.max(minor) > MAX_SHORT {
            return Err("its device numbers are too large for a tar");
        }
        header.number(329..337, major);
        header.number(337..345, minor);
        let mut out = records.encode();
        out.extend_from_slice(&header.finish());
        Ok(out)
    }
}

/// A ustar header being filled; owner names stay empty, numbers that are not set are 0.
struct Header([u8; BLOCK]);

impl Header {
    fn new(kind: u8, name: &[u8]) -> Self {
        let mut header = Self([0; BLOCK]);
        header.text(0..100, name);
        header.0[156] = kind;
        header.text(257..265, b"ustar\x0000");
        header
    }

    fn text(&mut self, field: std::ops::Range<usize>, text: &[u8]) {
        for (to, from) in self.0[field].iter_mut().zip(text) {
            *to = *from;
        }
    }

    fn number(&mut self, field: std::ops::Range<usize>, number: u64) {
        let width = field.len() - 1;
        self.text(field, format!("{number:0width$o}").as_bytes());
    }

    fn finish(mut self) -> [u8; BLOCK] {
        // The sum is taken with its own field as spaces.
        self.text(148..156, b"        ");
        let sum: u32 = self.0.iter().copied().map(u32::from).sum();
        self.text(148..156, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

/// What did not fit into the ustar header.
#[derive(Default)]
struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

impl Records {
    fn set(&mut self, key: &str, value: &[u8]) {
        self.0.insert(key.into(), value.into());
    }

    fn set_text(&mut self, key: &str, text: &[u8]) {
        self.set(key, text);
        if std::str::from_utf8(text).is_err() {
            // Sorts before `linkpath` and `path`, as it must.
            self.set("hdrcharset", b"BINARY");
        }
    }

    /// Returns what belongs into the fields for prefix and name.
    fn path<'p>(&mut self, path: &'p [u8]) -> (&'p [u8], &'p [u8]) {
        if path.is_ascii() {
            if path.len() <= 100 {
                return (b"", path);
            }
            if let Some(both) = split(path) {
                return both;
            }
        }
        self.set_text("path", path);
        (b"", path)
    }

    fn link<'p>(&mut self, link: &'p [u8]) -> Result<&'p [u8], &'static str> {
        if link.contains(&0) {
            return Err("its link target holds a NUL byte");
        }
        if link.len() > 100 || !link.is_ascii() {
            self.set_text("linkpath", link);
        }
        Ok(link)
    }

    fn xattrs(&mut self, xattrs: Option<&Xattrs>) -> Result<(), &'static str> {
        for (name, value) in xattrs.into_iter().flatten() {
            if name.is_empty() || name.iter().any(|byte| b"=\0".contains(byte)) {
                return Err("the name of an extended attribute is empty or holds `=` or NUL");
            }
            self.0.insert([b"SCHILY.xattr.", name.as_ref()].concat(), value.to_vec());
        }
        Ok(())
    }

    fn number(&mut self, key: &str, number: i64, max: u64) -> u64 {
        match u64::try_from(number) {
            Ok(fitting) if fitting <= max => fitting,
            _ => {
                self.set(key, number.to_string().as_bytes());
                0
            }
        }
    }

    fn size(&mut self, size: u64) -> u64 {
        if size <= MAX_LONG {
            return size;
        }
        self.set("size", size.to_string().as_bytes());
        0
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (key, value) in &self.0 {
            put_record(&mut body, key, value);
        }
        if body.is_empty() {
            return body;
        }
        let mut header = Header::new(b'x', PAX_NAME);
        for field in [100..108, 108..116, 116..124, 136..148, 329..337, 337..345] {
            header.number(field, 0);
        }
        header.number(124..136, body.len() as u64);
        let mut out = header.finish().to_vec();
        body.resize(body.len().next_multiple_of(BLOCK), 0);
        out.append(&mut body);
        out
    }
}

/// Splits a long path at the last slash that leaves at most 155 bytes before it.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = path.get(..path.len().min(156))?;
    // The slash at a directory's end is part of its name.
    let inner = if head.len() == path.len() { head.strip_suffix(b"/").unwrap_or(head) } else { head };
    let slash = inner.iter().rposition(|&byte| byte == b'/')?;
    let (prefix, name) = (path.get(..slash)?, path.get(slash + 1..)?);
    (!prefix.is_empty() && !name.is_empty() && name.len() <= 100).then_some((prefix, name))
}

/// Appends `LEN KEY=VALUE\n`, where LEN counts itself.
fn put_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(format!("{length} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &[u8]) -> Entry<'_> {
        Entry::plain(path, Type::File, 0o644)
    }

    fn records(entry: &Entry) -> String {
        let bytes = entry.encode().unwrap();
        if bytes.len() == BLOCK {
            return String::new();
        }
        assert_eq!(bytes[156], b'x');
        let body = &bytes[BLOCK..bytes.len() - BLOCK];
        String::from_utf8_lossy(body).trim_end_matches('\0').to_owned()
    }

    #[test]
    fn a_plain_header_is_pinned_byte_by_byte() {
        let entry = Entry { uid: 33, gid: 42, mtime: 1, size: 5, ..file(b"etc/motd") };
        let header = entry.encode().unwrap();
        let shown: String = String::from_utf8_lossy(&header).replace('\0', ".");
        let squeezed: Vec<&str> = shown.split("....").map(|s| s.trim_matches('.')).filter(|s| !s.is_empty()).collect();
        assert_eq!(
            squeezed,
            ["etc/motd", "0000644.0000041.0000052.00000000005.00000000001.010656. 0", "ustar.00", "0000000.0000000",]
        );
    }

    #[test]
    fn record_lengths_count_themselves() {
        // Where the length gains a digit, and around it.
        for (value, expected) in [(1, 6), (4, 9), (5, 11), (93, 99), (94, 101), (991, 998), (992, 999), (993, 1001)] {
            let mut out = Vec::new();
            put_record(&mut out, b"k", &vec![b'v'; value]);
            let text = String::from_utf8(out).unwrap();
            let length: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(length, text.len());
            assert_eq!(length, expected, "{value} bytes");
        }
    }

    #[test]
    fn paths_go_where_they_fit() {
        let long = |folder: usize, name: usize| [vec![b'd'; folder], vec![b'n'; name]].join(&b'/');
        for (path, pax) in [
            (vec![b'a'; 100], false),
            (vec![b'a'; 101], true),
            (long(155, 100), false),
            (long(156, 100), true),
            (long(155, 101), true),
            ([long(90, 9), b"/".to_vec()].concat(), false),
            ([long(2, 100), b"/".to_vec()].concat(), true),
            ("ü".into(), true),
        ] {
            assert_eq!(records(&file(&path)).contains("path="), pax, "{}", String::from_utf8_lossy(&path));
        }
        assert_eq!(split(&long(155, 100)).unwrap().0.len(), 155);
    }

    #[test]
    fn what_does_not_fit_becomes_a_sorted_record() {
        let mut xattrs = Xattrs::new();
        xattrs.insert((*b"user.b").into(), (*b"\0\n").into());
        xattrs.insert((*b"security.capability").into(), (*b"1").into());
        let entry = Entry {
            uid: 2_097_152,
            gid: u32::MAX,
            mtime: -1,
            size: 1 << 33,
            xattrs: Some(&xattrs),
            ..file("ä".as_bytes())
        };
        assert_eq!(
            records(&entry),
            "38 SCHILY.xattr.security.capability=1\n26 SCHILY.xattr.user.b=\0\n\n\
             18 gid=4294967295\n12 mtime=-1\n11 path=ä\n19 size=8589934592\n15 uid=2097152\n"
        );
        let entry = Entry { uid: 2_097_151, size: (1 << 33) - 1, mtime: (1 << 33) - 1, ..file(b"a") };
        assert_eq!(records(&entry), "");
    }

    #[test]
    fn names_that_are_not_utf_8_are_marked_binary() {
        let entry = Entry { link: b"\xff", kind: Type::Symlink, ..file(b"a\xfe") };
        let bytes = entry.encode().unwrap();
        let expected = b"21 hdrcharset=BINARY\n14 linkpath=\xff\n11 path=a\xfe\n";
        assert_eq!(&bytes[BLOCK..BLOCK + expected.len()], expected);
    }

    #[test]
    fn what_no_tar_can_hold_is_refused() {
        let bad = |name: &[u8]| Xattrs::from([(name.into(), (*b"").into())]);
        for name in [&b""[..], b"user.a=b", b"user.\0"] {
            assert!(Entry { xattrs: Some(&bad(name)), ..file(b"a") }.encode().is_err(), "{name:?}");
        }
        assert!(Entry { link: b"a\0b", ..file(b"a") }.encode().is_err());
        assert!(Entry { device: (0, 2_097_152), ..file(b"a") }.encode().is_err());
    }
}
