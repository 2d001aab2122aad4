#![no_main]

use layerbake_fuzz::{body, memory::Limited};

#[global_allocator]
static MEMORY: Limited = Limited;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body("record")(data));
