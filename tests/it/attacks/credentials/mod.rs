//! Group J: what is injected stays ours: replaced on the way out, scrubbed on the way back.

mod echoes;
mod kept;
mod sent;

use std::io::Write as _;

use super::stage::{Door, Stage};
use crate::world::{Answer, Plan, Seen};

/// What a server says where nothing else is of interest, and how it says it.
fn reply(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {head}Content-Length: {}\r\nContent-Type: text/plain\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A world whose `api.good.test` says this.
fn saying(plan: Plan, reply: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Stage {
    let mut stage = Stage::of(plan);
    stage.good = stage.world.origin("api.good.test", reply);
    stage
}

/// The answer to a request on a connection of its own; all of it is looked through in the end.
fn asked(stage: &Stage, door: Door, request: &[u8]) -> Option<Answer> {
    let mut stream = stage.open(door);
    stream.write_all(request).unwrap();
    stage.answer(&mut stream, "GET")
}
