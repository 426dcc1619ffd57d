//! `cargo +nightly fuzz run canonical`: what must hold is in `exeat_fuzz::canonical`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::canonical::check(bytes));
