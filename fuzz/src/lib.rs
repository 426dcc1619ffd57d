//! What must hold for every input: one module for each fuzz target.
//!
//! `check` of a target takes any bytes and panics where a promise is broken. The fuzzer calls it with what it makes up,
//! and `tests/it/corpus.rs` with every file in `seeds`: it mounts this file as a module of its own.

pub mod authority;
pub mod canonical;
pub mod client_hello;
pub mod form;
pub mod head;
pub mod inversion;
pub mod jsonpath;
pub mod listeners;
pub mod path_query;
pub mod scrub;
pub mod strict_json;
pub mod template;
pub mod yaml;

mod cuts;
mod halves;
