//! `cargo +nightly fuzz run jsonpath`: what must hold is in `exeat_fuzz::jsonpath`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::jsonpath::check(bytes));
