//! `cargo +nightly fuzz run template`: what must hold is in `exeat_fuzz::template`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::template::check(bytes));
