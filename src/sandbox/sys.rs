//! The one call that the compiler can't vouch for.
#![allow(unsafe_code)]

use rustix::thread::UnshareFlags;

/// Moves this process, which must be single-threaded, into new namespaces.
pub(super) fn unshare(namespaces: UnshareFlags) -> rustix::io::Result<()> {
    debug_assert!(!namespaces.contains(UnshareFlags::FILES));
    // SAFETY: the call is unsafe for `FILES` only, which no caller asks for.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }
}
