//! Behaviours of the whole, over real sockets: one binary, one world, one file for each subject.
//!
//! A test builds a [`world::World`] from the text of a policy and asks it for what came out on every side: bytes to the
//! client, bytes to the origin, DNS questions, dials, secrets fetched, audit records.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "tests stop at the first surprise, play clients that connect from outside, and are tables of cases"
)]

mod world;

mod addresses;
mod admin;
mod agents;
mod attacks;
mod audit;
mod bodies;
mod body_templates;
mod call;
mod check;
mod clients;
mod commands;
mod connectors;
mod corpus;
mod credentials;
mod deadlines;
mod decisions;
mod docs;
mod doors;
mod editors;
mod explained;
mod floors;
mod framing;
mod interception;
mod logs;
mod mcp;
mod metrics;
mod origins;
mod outcomes;
mod paths_and_queries;
mod preconditions;
mod prometheus;
mod rates;
mod readme;
mod records;
mod redaction;
mod references;
mod reload;
mod scrubbing;
mod secret_store;
mod sessions;
mod shapes;
mod shipped;
mod stop;
mod streams;
mod tidy;
mod tool_door;
mod toolbox;
mod traces;
mod trailers;
mod trials;
mod tunnels;
mod upstream;
mod websockets;
