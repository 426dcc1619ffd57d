//! `cargo +nightly fuzz run client_hello`: what must hold is in `exeat_fuzz::client_hello`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::client_hello::check(bytes));
