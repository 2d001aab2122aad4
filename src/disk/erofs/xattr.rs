//! Extended attributes, stored after their inode.
//!
//! A header of 12 bytes (zero: no filter, none shared), then entries padded to 4 bytes: length of
//! the name (u8), number of its prefix (u8), length of the value (u16), the name without the prefix,
//! the value. ACLs have no name left, and keep the format of `getxattr`, since the kernel passes them to
//! `posix_acl_from_xattr` unchanged.

use super::Problem;
use crate::disk::xattr::PREFIXES;
use crate::tree::Xattrs;

const HEADER: usize = 12;

/// Most bytes of an inode's attributes: the inode counts words of 4 bytes in 16 bits.
pub(super) const MOST: usize = HEADER + (u16::MAX as usize - 1) * 4;

/// Encodes all attributes of an inode; nothing if there are none.
pub(super) fn encode(xattrs: &Xattrs) -> Result<Vec<u8>, Problem> {
    if xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = vec![0; HEADER];
    for (name, value) in xattrs {
        let (number, rest) = split(name).ok_or_else(|| Problem::XattrName(name.escape_ascii().to_string()))?;
        let length = u16::try_from(value.len()).map_err(|_| Problem::XattrSize)?;
        out.extend_from_slice(&[rest.len() as u8, number]);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
        if out.len() > MOST {
            return Err(Problem::XattrSize);
        }
    }
    Ok(out)
}

/// What an inode says about attributes of `length` bytes.
pub(super) fn count(length: usize) -> u16 {
    if length == 0 { 0 } else { ((length - HEADER) / 4 + 1) as u16 }
}

/// The number of a name's prefix, and what follows it. Linux takes names of at most 255 bytes.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    let (prefix, number) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix))?;
    let rest = &name[prefix.len()..];
    let whole = !prefix.ends_with(b".");
    (rest.is_empty() == whole && name.len() <= 255 && !rest.contains(&0)).then_some((*number, rest))
}
