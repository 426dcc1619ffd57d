//! `cargo +nightly fuzz run form`: what must hold is in `exeat_fuzz::form`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::form::check(bytes));
