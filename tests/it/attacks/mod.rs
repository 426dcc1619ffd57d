//! Hostile and odd input at every door, a test for each row of a table of attacks: the name of a test begins with the
//! row's id. [`rows`] holds the table, and that nothing of it is left out; [`stage`] the world that the rows assume.
//!
//! `tests/attacks` runs them all and prints how many of each group passed.

mod frames;
mod rows;
mod stage;
mod texts;

mod addresses;
mod authority;
mod content;
mod credentials;
mod forms;
mod framing;
mod http2;
mod identity;
mod policies;
mod records;
mod replies;
mod resources;
mod streams;
mod supply;
mod surfaces;
mod tls;
mod tokens;
