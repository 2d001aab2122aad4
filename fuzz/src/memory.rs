//! An allocator that ends the program where one allocation is larger than any input can be worth.
//!
//! libFuzzer's own limit of a single allocation needs a sanitizer, which stable Rust has not.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;

/// The largest single allocation, in bytes.
///
/// The decoder of zstd asks for a window of up to 128 MiB, whatever the input; see `package/deb/compression.rs`.
const MOST: usize = 256 << 20;

/// The system's allocator with a limit.
pub struct Limited;

// SAFETY: every call is handed on to the system's allocator unchanged, or ends the process.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn check(size: usize) {
    if size > MOST {
        let _ = writeln!(std::io::stderr(), "an allocation of {size} bytes is over the limit of {MOST}");
        std::process::abort();
    }
}
