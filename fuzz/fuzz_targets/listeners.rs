//! `cargo +nightly fuzz run listeners`: what must hold is in `exeat_fuzz::listeners`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::listeners::check(bytes));
