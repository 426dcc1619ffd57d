//! `cargo +nightly fuzz run strict_json`: what must hold is in `exeat_fuzz::strict_json`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::strict_json::check(bytes));
