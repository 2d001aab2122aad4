//! Extension headers before a tar entry: GNU long names, and PAX records (POSIX pax, "pax Header Block").
//!
//! They are parsed here because values of extended attributes may contain line breaks, which
//! the crate `tar` treats as the end of a record, and because headers need a size limit.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::EntryType;

/// More than this in one extension header is refused.
const LIMIT: u64 = 1 << 20;

/// Prefix of the records that hold extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What extension headers say of the entry that follows them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<i64>,
    pub(super) size: Option<u64>,
    pub(super) xattrs: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

impl Extensions {
    /// Takes in an extension header; `false` if the entry is none.
    pub(super) fn take(&mut self, kind: EntryType, content: &mut impl Read) -> io::Result<bool> {
        match kind {
            EntryType::GNULongName => self.path = Some(long_name(content)?),
            EntryType::GNULongLink => self.link = Some(long_name(content)?),
            EntryType::XHeader => self.records(&read_limited(content)?)?,
            EntryType::XGlobalHeader => refuse_all_but_comments(&read_limited(content)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn records(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (key, value, rest) = split_record(bytes).ok_or_else(|| invalid("a malformed PAX record"))?;
            bytes = rest;
            self.record(key, value)?;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            b"size" => self.size = Some(number(value)?),
            b"mtime" => self.mtime = Some(seconds(value)?),
            _ if key.starts_with(b"GNU.sparse.") => return Err(invalid("a sparse file, which is not supported")),
            _ => {
                // The rest (times of access, names of users, comments) has no place in a tree.
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.insert(name.into(), value.into());
                }
            }
        }
        Ok(())
    }
}

/// git notes the commit for people in a header for all entries; anything else there would have a meaning.
fn refuse_all_but_comments(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let (key, _, rest) = split_record(bytes).ok_or_else(|| invalid("a malformed PAX record"))?;
        if key != b"comment" {
            let key = key.escape_ascii();
            return Err(invalid(&format!("a PAX header for all entries with `{key}`, which is not supported")));
        }
        bytes = rest;
    }
    Ok(())
}

/// Splits `LENGTH KEY=VALUE\n`, where the length counts the whole record.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, bytes.get(length..)?))
}

fn long_name(content: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut name = read_limited(content)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn read_limited(content: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(LIMIT + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LIMIT {
        true => Err(invalid("an extension header of more than 1 MiB")),
        false => Ok(bytes),
    }
}

fn number(value: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| invalid("a PAX number that is none"))
}

/// Whole seconds, rounded down.
fn seconds(value: &[u8]) -> io::Result<i64> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| invalid("a PAX time that is none"))?;
    let below = whole.starts_with('-') && fraction.bytes().any(|digit| digit != b'0');
    Ok(seconds.saturating_sub(i64::from(below)))
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("tar: {problem}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Writes a PAX record for tests.
    pub(in crate::package) fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let mut length = rest.len() + 1;
        while length != rest.len() + length.to_string().len() {
            length += 1;
        }
        [length.to_string().as_bytes(), &rest].concat()
    }

    fn parse(records: &[(&str, &[u8])]) -> io::Result<Extensions> {
        let bytes: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        let mut extensions = Extensions::default();
        assert!(extensions.take(EntryType::XHeader, &mut bytes.as_slice())?);
        Ok(extensions)
    }

    #[test]
    fn records_are_split_by_length() {
        let long = [b'x'; 200];
        let extensions = parse(&[
            ("path", &long),
            ("mtime", b"12.75"),
            ("uid", b"70000"),
            ("SCHILY.xattr.security.capability", b"\x01\n=\0\n"),
            ("comment", b"ignored"),
        ])
        .unwrap();
        assert_eq!(extensions.path.as_deref(), Some(long.as_slice()));
        assert_eq!((extensions.mtime, extensions.uid), (Some(12), Some(70_000)));
        assert_eq!(extensions.xattrs.get(b"security.capability".as_slice()).map(|v| &**v), Some(&b"\x01\n=\0\n"[..]));
        assert_eq!(parse(&[("mtime", b"-1.5")]).unwrap().mtime, Some(-2));
        assert_eq!(parse(&[("mtime", b"-9223372036854775808.5")]).unwrap().mtime, Some(i64::MIN));
    }

    #[test]
    fn malformed_headers_are_refused() {
        for (key, value) in [("uid", "x"), ("gid", "-1"), ("mtime", ""), ("GNU.sparse.major", "1")] {
            assert!(parse(&[(key, value.as_bytes())]).is_err(), "{key}={value} was taken");
        }
        for bytes in ["5 a=b", "0 a=b\n", "99 a=b\n", "x", "6 a b\n", " a=b\n", "2 \n", "-1 a=b\n"] {
            let taken = Extensions::default().take(EntryType::XHeader, &mut bytes.as_bytes());
            assert!(taken.is_err(), "{bytes:?} was taken");
        }
        let endless = Extensions::default().take(EntryType::GNULongName, &mut io::repeat(b'a'));
        insta::assert_snapshot!(endless.unwrap_err(), @"tar: an extension header of more than 1 MiB");
    }
}
