//! Programs of other people behind `exeat exec`: curl, git, openssl, Python's requests, httpx and websockets, Node's
//! undici and axios; clients of MCP beside `exeat mcp`; and agents with the SDKs of models.
//!
//! Each runs as a child of the real binary, with nothing told about exeat but the variables that `exec` sets. Origins
//! stand on loopback under their real names, reached as a staging setup is: `--host`, `--extra-ca`, `allow_private`.
//! What exeat decides is tested elsewhere, against clients that we wrote ourselves; here is shown that clients which
//! nobody adapted get their answers, and can read a refusal.

mod apis;
mod characters;
mod client;
mod description;
mod git;
pub(crate) mod installed;
mod issuer;
mod mcp;
mod methods;
mod model;
mod oauth;
mod origin;
mod programs;
mod refusals;
mod secrets;
mod stage;
mod tunnel;
mod weather;
mod websocket;
