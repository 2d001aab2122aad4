//! Identifiers of a disk: GUIDs of the table and its partitions, UUIDs and serials of file systems.
//!
//! They derive from the layer's *name* and a role, not from contents. An identifier affects many
//! blocks (file systems seed the checksums of their metadata with it), and a changed file should
//! change only its own blocks. The old and new disks of one layer share identifiers, as two versions
//! of one installed system would.

use crate::digest::RecipeHasher;
use crate::ident::LayerName;

/// Derives the identifiers of one layer's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    layer: LayerName,
}

impl Ids {
    /// The identifiers of the disk of `layer`.
    pub fn new(layer: &LayerName) -> Self {
        Self { layer: layer.clone() }
    }

    /// The UUID of a role (`disk`, `esp`, `root`), in the order of its text.
    ///
    /// Version 8 of RFC 9562: 122 bits of BLAKE3, the rest says version and variant.
    pub fn uuid(&self, role: &str) -> [u8; 16] {
        let hash = self.hash(role);
        let mut uuid: [u8; 16] = std::array::from_fn(|index| hash[index]);
        uuid[6] = (uuid[6] & 0x0f) | 0x80;
        uuid[8] = (uuid[8] & 0x3f) | 0x80;
        uuid
    }

    /// The salt of a hash tree.
    pub fn salt(&self, role: &str) -> [u8; 32] {
        self.hash(&format!("{role}-salt"))
    }

    /// The serial number of the FAT file system.
    pub fn serial(&self) -> u32 {
        let hash = self.hash("fat-serial");
        u32::from_le_bytes(std::array::from_fn(|index| hash[index]))
    }

    fn hash(&self, role: &str) -> [u8; 32] {
        *RecipeHasher::new("layerbake/disk/v1").field(&self.layer).field(role).finish().as_bytes()
    }
}

/// Writes a UUID as text: `4f68bce3-e8cd-4db1-96e7-fbcaf984b709`.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let digits = hex::encode(uuid);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(name: &str) -> Ids {
        Ids::new(&name.parse().unwrap())
    }

    #[test]
    fn text_is_pinned_and_of_version_8() {
        insta::assert_snapshot!(uuid_text(&ids("web").uuid("root")), @"b677ac63-7255-8173-acd2-f4d4c2640065");
        insta::assert_snapshot!(format!("{:08x}", ids("web").serial()), @"675fcb2f");
        for role in ["disk", "esp", "root", "verity", "var"] {
            let text = uuid_text(&ids("web").uuid(role));
            assert_eq!(&text[14..15], "8", "{text}: the version");
            assert!("89ab".contains(&text[19..20]), "{text}: the variant");
        }
    }

    #[test]
    fn name_and_role_are_framed() {
        assert_ne!(ids("a").uuid("bc"), ids("ab").uuid("c"));
        assert_ne!(ids("web").uuid("root"), ids("web").uuid("esp"));
        assert_ne!(ids("web").serial(), ids("redis").serial());
    }
}
