//! What must hold for every input: one module for each fuzz target.
//!
//! `check` of a target takes any bytes and panics where a promise is broken. The fuzzer calls it with what it makes up,
//! and `tests/it/corpus.rs` with every file in `seeds`: it mounts this file as a module of its own.

pub mod inversion;
pub mod jsonpath;
pub mod template;
pub mod yaml;

mod halves;
