//! `cargo +nightly fuzz run path_query`: what must hold is in `exeat_fuzz::path_query`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| exeat_fuzz::path_query::check(bytes));
