//! Group M: our own listeners: admin, metrics, tools, MCP.

mod admin;
mod ends;
mod mcp;
mod sights;
mod values;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::attacks::stage::POLICY;
use crate::world::{Answer, Plan, read_answer};

/// The usual policy with two agents: one that may do everything, and one that may do one thing.
fn agents() -> Plan {
    let policy = POLICY.replace(
        "secrets:\n",
        "secrets:\n  bot_token: {env: BOT}\n  other_token: {env: OTHER}\n",
    );
    let agents = "agents:
  bot: {token: {secret: bot_token}, allow: [\"*\"]}
  other: {token: {secret: other_token}, allow: [two]}
";
    let plan = Plan::of(&(policy + agents)).secret("bot_token", "bot-secret");
    plan.secret("other_token", "other-secret")
}

/// Exact bytes to one of our listeners, and the answer.
fn say(listener: SocketAddr, bytes: &str) -> Answer {
    let mut stream = TcpStream::connect(listener).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let method = bytes.split(' ').next().unwrap();
    read_answer(&mut stream, method).unwrap_or_else(|| panic!("silence: {bytes}"))
}
