//! Group N: policy files, and reloading them.

mod files;
mod reloads;
