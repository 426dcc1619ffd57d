//! `cargo +nightly fuzz run inversion`: what must hold is in `exeat_fuzz::inversion`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::inversion::check(bytes));
