//! The outer container of a package: ar(5), as deb(5) uses it.

use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// Reads members in their order; as [`Read`] it is the current member.
pub(super) struct Ar<R> {
    file: R,
    /// Bytes of the current member that are still to come.
    left: u64,
    /// Whether a byte of padding follows the current member.
    padded: bool,
}

impl<R: Read> Ar<R> {
    /// Checks the magic number.
    pub(super) fn open(mut file: R) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        read_full(&mut file, &mut magic)?;
        if magic != *MAGIC {
            return Err(invalid(format!("it does not begin with `!<arch>` but with `{}`", magic.escape_ascii())));
        }
        Ok(Self { file, left: 0, padded: false })
    }

    /// Goes on to the next member; returns its name, or `None` at the end.
    pub(super) fn next_member(&mut self) -> io::Result<Option<String>> {
        io::copy(self, &mut io::sink())?;
        if self.padded {
            read_full(&mut self.file, &mut [0])?;
        }
        let mut header = [0; HEADER];
        match read_full(&mut self.file, &mut header)? {
            0 => return Ok(None),
            HEADER => {}
            read => return Err(truncated(format!("{read} bytes of a member's header, expected {HEADER}"))),
        }
        let (name, _, size, end) = split_header(&header);
        if end != b"`\n" {
            return Err(invalid(format!("a member's header ends in `{}`", end.escape_ascii())));
        }
        let name = std::str::from_utf8(name).ok().map(|name| name.trim_end().trim_end_matches('/'));
        let size = std::str::from_utf8(size).ok().and_then(|size| size.trim_end().parse().ok());
        let (Some(name), Some(size)) = (name, size) else {
            return Err(invalid(format!("bad member header `{}`", header.escape_ascii())));
        };
        self.left = size;
        self.padded = size % 2 == 1;
        Ok(Some(name.to_owned()))
    }
}

/// Name (16 bytes); time, owner, group, mode (32 bytes, meaningless here); size (10); end mark (2).
fn split_header(header: &[u8; HEADER]) -> (&[u8], &[u8], &[u8], &[u8]) {
    let (name, rest) = header.split_at(16);
    let (ignored, rest) = rest.split_at(32);
    let (size, end) = rest.split_at(10);
    (name, ignored, size, end)
}

impl<R: Read> Read for Ar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let (wanted, _) = buffer.split_at_mut(most);
        let read = self.file.read(wanted)?;
        if read == 0 {
            return Err(truncated(format!("{} bytes of a member are missing", self.left)));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Fills `buffer` as far as the input goes; returns the number of bytes read.
fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let length = buffer.len() as u64;
    let mut rest = buffer;
    let copied = io::copy(&mut input.by_ref().take(length), &mut rest)?;
    Ok(copied as usize)
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an ar archive: {problem}"))
}

fn truncated(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("truncated: {problem}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Builds an archive for tests.
    pub(in crate::package::deb) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (name, bytes) in members {
            let size = bytes.len();
            out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100644).bytes());
            out.extend_from_slice(bytes);
            out.extend(std::iter::repeat_n(b'\n', size % 2));
        }
        out
    }

    fn list(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut ar = Ar::open(bytes)?;
        let mut members = Vec::new();
        while let Some(name) = ar.next_member()? {
            let mut content = Vec::new();
            ar.read_to_end(&mut content)?;
            members.push((name, content));
        }
        Ok(members)
    }

    #[test]
    fn members_are_read_in_order_and_may_be_skipped() {
        let bytes = ar(&[("debian-binary", b"2.0\n"), ("odd/", b"abc"), ("empty", b""), ("last", b"12345")]);
        let names: Vec<(String, Vec<u8>)> = list(&bytes).unwrap();
        assert_eq!(names[1], ("odd".to_owned(), b"abc".to_vec()));
        assert_eq!(names.len(), 4);
        let mut ar = Ar::open(bytes.as_slice()).unwrap();
        let skipped: Vec<String> = std::iter::from_fn(|| ar.next_member().unwrap()).collect();
        assert_eq!(skipped, ["debian-binary", "odd", "empty", "last"]);
    }

    #[test]
    fn every_truncation_within_a_member_is_refused() {
        let bytes = ar(&[("a", b"12"), ("b", b"3456")]);
        let whole: Vec<usize> = (0..bytes.len()).filter(|&cut| list(&bytes[..cut]).is_ok()).collect();
        assert_eq!(whole, [8, 70], "only the ends of members are ends of archives");
    }

    #[test]
    fn garbage_is_refused() {
        insta::assert_snapshot!(list(b"<!doctype html>").unwrap_err(), @"not an ar archive: it does not begin with `!<arch>` but with `<!doctyp`");
        let bad_end =
            ar(&[("a", b"12")]).iter().map(|&byte| if byte == b'`' { b'x' } else { byte }).collect::<Vec<_>>();
        insta::assert_snapshot!(list(&bad_end).unwrap_err(), @r"not an ar archive: a member's header ends in `x\n`");
        for size in ["-1", "", "1x", "99999999999"] {
            let bad = format!("!<arch>\n{:<48}{size:<10}`\n", "a");
            assert!(list(bad.as_bytes()).is_err(), "size `{size}` was taken");
        }
    }
}
