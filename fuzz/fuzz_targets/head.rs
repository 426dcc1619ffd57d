//! `cargo +nightly fuzz run head`: what must hold is in `exeat_fuzz::head`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::head::check(bytes));
