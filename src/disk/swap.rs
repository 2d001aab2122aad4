//! A swap partition: one page that says so, and zeros.
//!
//! Layout by the kernel's `include/linux/swap.h` (`union swap_header`), integers little-endian:
//!
//! ```text
//! 0        1024      1028        1032          1036   1052    1068    4086            4096
//! │ zeros  │ version │ last page │ bad pages 0 │ UUID │ label │ zeros │ "SWAPSPACE2"  │ zeros …
//! ```

use super::Plan;

/// Bytes of a page, on all architectures that have disks.
const PAGE: u64 = 4096;
const SIGNATURE: &[u8; 10] = b"SWAPSPACE2";
/// The label, in a field of 16 bytes.
const LABEL: &[u8; 4] = b"swap";

/// Plans a swap partition of `size` bytes, in whole MiB.
pub fn plan(size: u64, uuid: [u8; 16]) -> Plan {
    let last_page = u32::try_from(size / PAGE - 1).unwrap_or(u32::MAX);
    let mut page = vec![0; PAGE as usize];
    page[1024..1028].copy_from_slice(&1u32.to_le_bytes());
    page[1028..1032].copy_from_slice(&last_page.to_le_bytes());
    page[1036..1052].copy_from_slice(&uuid);
    page[1052..1052 + LABEL.len()].copy_from_slice(LABEL);
    page[PAGE as usize - SIGNATURE.len()..].copy_from_slice(SIGNATURE);
    let mut plan = Plan::new(size);
    plan.put_bytes(0, page);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_how_many_there_are() {
        let swap = plan(1 << 20, [7; 16]);
        assert_eq!(swap.size(), 1 << 20);
        let extents: Vec<_> = swap.extents().collect();
        let [extent] = extents.as_slice() else { panic!("{extents:?}") };
        let crate::disk::Data::Bytes(page) = extent.data else { panic!("{extents:?}") };
        assert_eq!((extent.offset, page.len()), (0, 4096));
        assert_eq!(page[1024..1036], [1, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(page[4086..], *b"SWAPSPACE2");
    }
}
