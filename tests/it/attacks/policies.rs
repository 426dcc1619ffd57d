//! Group N: policy files, and reloading them.
