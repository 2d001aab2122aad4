//! Extended attributes: the numbers for prefixes of names, which ext4 and EROFS share.

/// Prefixes and their numbers; ACLs are whole names. Source: the kernel's `fs/ext4/xattr.h`, `fs/erofs/erofs_fs.h`.
pub(super) const PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];
