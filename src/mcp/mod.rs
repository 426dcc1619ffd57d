//! MCP: the agent's actions as tools, over streamable HTTP on the tools listener and over stdio.
//!
//! The protocol is rmcp's: revisions 2024-11-05 to 2026-07-28, both lifecycles, event streams. Ours is what a client
//! may see and do. A `face` shows one agent its actions and carries calls to the gate, where they go the
//! way of every request. Before rmcp reads a message, `message` reads it strictly, so that it has one meaning; who
//! asks comes from the listener, never from a message.
//!
//! A call ends when its reply is there, when the client cancels it, or when nobody waits for it any more: dropping it
//! takes its upstream request with it, and the record says `abandoned`. Replies are not kept for clients that come back
//! for them, so that memory is bounded by what is under way.

mod calls;
mod face;
mod http;
mod lasting;
mod lines;
mod message;
mod outcome;
mod progress;

pub use self::http::Mcp;
pub use lines::{Begin, serve};
