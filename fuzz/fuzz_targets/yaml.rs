//! `cargo +nightly fuzz run yaml`: what must hold is in `exeat_fuzz::yaml`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::yaml::check(bytes));
