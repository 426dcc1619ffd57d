//! `cargo +nightly fuzz run authority`: what must hold is in `exeat_fuzz::authority`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::authority::check(bytes));
