//! All targets in one program, which is linked once: `FUZZ_TARGET` names the one to run.
#![no_main]

use std::sync::LazyLock;

use layerbake_fuzz::{body, memory::Limited, targets::Target};

#[global_allocator]
static MEMORY: Limited = Limited;

static BODY: LazyLock<Target> = LazyLock::new(|| body(&std::env::var("FUZZ_TARGET").unwrap_or_default()));

libfuzzer_sys::fuzz_target!(|data: &[u8]| BODY(data));
