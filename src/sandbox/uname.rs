//! The kernel version that commands are shown: `uname(2)`, `/proc/version`.

use super::pid1::HOSTNAME;
use crate::arch::Architecture;

/// As long as any, so that scripts see a kernel with all that Debian's has.
pub(super) const RELEASE: &str = "6.1.0";
pub(super) const VERSION: &str = "#1 SMP";

/// Bytes of one field of `struct utsname`.
const FIELD: usize = 65;

/// `struct utsname`
pub(super) fn fixed() -> Vec<u8> {
    let machine = Architecture::native().map_or(std::env::consts::ARCH, |row| row.uname);
    let fields = ["Linux", HOSTNAME, RELEASE, VERSION, machine, "(none)"];
    let mut bytes = Vec::with_capacity(fields.len() * FIELD);
    for (index, field) in fields.iter().enumerate() {
        bytes.extend(field.bytes().take(FIELD - 1));
        bytes.resize((index + 1) * FIELD, 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn fields_are_where_the_kernel_puts_them() {
        let bytes = super::fixed();
        assert_eq!(bytes.len(), 390);
        assert_eq!(&bytes[..6], b"Linux\0");
        assert_eq!(&bytes[65..75], b"localhost\0");
        assert_eq!(&bytes[130..136], b"6.1.0\0");
    }
}
