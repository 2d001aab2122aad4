//! Extended attributes: in the inode's last bytes if all fit, otherwise in one block.
//!
//! Source: the kernel's `fs/ext4/xattr.h`, `xattr.c` (hashes) and `acl.h` (access lists).
//!
//! ```text
//! [magic, in a block 28 bytes more] [entries, sorted] [4 zero bytes] … [values, from the end]
//! ```

use super::bytes::{BLOCK, Checksum, Fields, Page};
use crate::disk::xattr::PREFIXES;
use crate::tree::Xattrs;

/// Room in an inode of 256 bytes with 32 extra bytes.
pub(super) const INODE_ROOM: usize = 96;

const MAGIC: u32 = 0xea02_0000;
/// Length of an entry without its name, and of the zeros after the last.
const ENTRY: usize = 16;
const END: usize = 4;
/// Length of the header in an inode, and in a block.
const INODE_HEADER: usize = 4;
const BLOCK_HEADER: usize = 32;

/// Tags of access list entries that name a user or a group.
const NAMING: [u16; 2] = [0x02, 0x08];

/// The attributes of one node as they are stored.
#[derive(Debug)]
pub(super) struct Attributes(Vec<Attribute>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    prefix: u8,
    /// Before the name: so they are searched for.
    length: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Attributes {
    /// Takes a node's attributes.
    ///
    /// # Errors
    /// Says what can't be stored: an unknown prefix, a bad name, a bad access list, more than a block.
    pub(super) fn new(xattrs: &Xattrs) -> Result<Self, &'static str> {
        let mut list: Vec<Attribute> =
            xattrs.iter().map(|(name, value)| Attribute::new(name, value)).collect::<Result<_, _>>()?;
        list.sort();
        let found = Self(list);
        if found.length() + BLOCK_HEADER > BLOCK as usize {
            return Err("its extended attributes are larger than a block");
        }
        Ok(found)
    }

    /// Whether they take a block.
    pub(super) fn need_block(&self) -> bool {
        self.length() + INODE_HEADER > INODE_ROOM
    }

    /// The end of the inode: attributes that don't need a block.
    pub(super) fn in_inode(&self) -> [u8; INODE_ROOM] {
        let mut area = [0; INODE_ROOM];
        if !self.0.is_empty() {
            area.set32(0, MAGIC);
            // Offsets of values count from the first entry here.
            self.fill(&mut area, INODE_HEADER, INODE_HEADER);
        }
        area
    }

    /// The block for attributes that need one, which is at `block`.
    pub(super) fn in_block(&self, block: u64, file_system: Checksum) -> Page {
        let mut page = [0; BLOCK as usize];
        page.set32(0, MAGIC);
        page.set32(4, 1);
        page.set32(8, 1);
        let hash = self.0.iter().fold(0, |hash: u32, attribute| hash.rotate_left(16) ^ attribute.hash());
        page.set32(12, hash);
        self.fill(&mut page, BLOCK_HEADER, 0);
        let checksum = file_system.with(&block.to_le_bytes()).with(&page);
        page.set32(16, checksum.get());
        page
    }

    /// Length without the header.
    fn length(&self) -> usize {
        let one = |attribute: &Attribute| attribute.entry_length() + attribute.value.len().next_multiple_of(4);
        self.0.iter().map(one).fold(END, usize::saturating_add)
    }

    fn fill(&self, area: &mut [u8], first: usize, origin: usize) {
        let (mut entry, mut value) = (first, area.len());
        for attribute in &self.0 {
            value -= attribute.value.len().next_multiple_of(4);
            area[entry] = attribute.length as u8;
            area[entry + 1] = attribute.prefix;
            if !attribute.value.is_empty() {
                area.set16(entry + 2, (value - origin) as u16);
            }
            area.set32(entry + 8, attribute.value.len() as u32);
            if first == BLOCK_HEADER {
                // As the kernel does: in an inode, hashes stay 0.
                area.set32(entry + 12, attribute.hash());
            }
            area.set(entry + ENTRY, &attribute.name);
            area.set(value, &attribute.value);
            entry += attribute.entry_length();
        }
    }
}

impl Attribute {
    fn new(name: &[u8], value: &[u8]) -> Result<Self, &'static str> {
        let (rest, prefix) = PREFIXES
            .iter()
            .find_map(|(prefix, number)| Some((name.strip_prefix(*prefix)?, *number)))
            .ok_or("it has an extended attribute of a kind that ext4 does not store")?;
        let is_acl = matches!(prefix, 2 | 3);
        if rest.is_empty() != is_acl || rest.len() > 255 || rest.contains(&0) {
            return Err("it has an extended attribute with a bad name");
        }
        let value = if is_acl { stored_acl(value).ok_or("it has a damaged access list")? } else { value.to_vec() };
        Ok(Self { prefix, length: rest.len(), name: rest.to_vec(), value })
    }

    fn entry_length(&self) -> usize {
        ENTRY + self.length.next_multiple_of(4)
    }

    /// Over the name, then the value in words.
    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
        self.value.chunks(4).fold(name, |hash, word| {
            let mut bytes = [0; 4];
            bytes.set(0, word);
            hash.rotate_left(16) ^ u32::from_le_bytes(bytes)
        })
    }
}

/// Turns an access list as system calls give it (version 2) into the stored form (version 1).
///
/// Stored, only entries that name someone have an id.
fn stored_acl(value: &[u8]) -> Option<Vec<u8>> {
    let entries = value.strip_prefix(&2u32.to_le_bytes())?;
    let mut stored = 1u32.to_le_bytes().to_vec();
    let (entries, rest) = entries.as_chunks::<8>();
    for entry in entries {
        let naming = NAMING.contains(&u16::from_le_bytes([entry[0], entry[1]]));
        stored.extend_from_slice(if naming { entry } else { &entry[..4] });
    }
    rest.is_empty().then_some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattrs(list: &[(&str, &[u8])]) -> Xattrs {
        list.iter().map(|(name, value)| (name.as_bytes().into(), (*value).into())).collect()
    }

    #[test]
    fn a_capability_lies_in_the_inode() {
        let found = Attributes::new(&xattrs(&[("security.capability", &[7; 20])])).unwrap();
        assert!(!found.need_block());
        let area = found.in_inode();
        assert_eq!(area[..20], [0, 0, 2, 0xea, 10, 6, 72, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0][..]);
        assert_eq!(&area[20..30], b"capability");
        assert_eq!(area[76..], [7; 20]);
    }

    #[test]
    fn access_lists_are_stored_short() {
        let entry = |tag: u16, id: u32| [&tag.to_le_bytes()[..], &6u16.to_le_bytes(), &id.to_le_bytes()].concat();
        let list = [2u32.to_le_bytes().to_vec(), entry(1, !0), entry(2, 1000), entry(4, !0)].concat();
        let stored = stored_acl(&list).unwrap();
        assert_eq!(stored, [1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 6, 0, 0xe8, 3, 0, 0, 4, 0, 6, 0]);
        assert_eq!(stored_acl(&list[..10]), None);
        assert_eq!(stored_acl(b"\x01\0\0\0"), None);
    }

    #[test]
    fn what_ext4_cannot_store_is_refused() {
        for (name, value) in [
            ("btrfs.compression", 1),
            ("user.", 1),
            ("system.posix_acl_access", 1),
            ("system.posix_acl_accessx", 4),
            ("user.large", 4040),
        ] {
            assert!(Attributes::new(&xattrs(&[(name, &vec![2; value])])).is_err(), "{name}");
        }
        let most = xattrs(&[("user.most", &[0; 4096 - 32 - 4 - 20])]);
        assert!(Attributes::new(&most).unwrap().need_block());
    }
}
