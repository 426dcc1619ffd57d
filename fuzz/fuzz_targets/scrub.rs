//! `cargo +nightly fuzz run scrub`: what must hold is in `exeat_fuzz::scrub`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::scrub::check(bytes));
