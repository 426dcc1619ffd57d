//! Group L: what a client could use up.
