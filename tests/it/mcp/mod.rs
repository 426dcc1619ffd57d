//! MCP: the agent's actions as tools, told in raw messages.

mod command;
mod http;
mod load;
mod stdio;

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::world::World;

/// Methods of capabilities that exeat does not declare.
const NOT_OFFERED: [(&str, &str); 4] = [
    ("resources/list", "{}"),
    ("resources/templates/list", "{}"),
    ("prompts/list", "{}"),
    (
        "completion/complete",
        r#"{"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": "b"}}"#,
    ),
];

/// An origin of the test's own, in cleartext at `api.two.test`.
fn hanging(world: &World) -> TcpListener {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    world.lead("api.two.test", 80, upstream.local_addr().unwrap());
    upstream
}

/// A request that it has got, to be answered or not.
fn asked(upstream: &TcpListener) -> TcpStream {
    arrived(upstream).1
}

/// As [`asked`], with its head.
fn arrived(upstream: &TcpListener) -> (String, TcpStream) {
    let (mut asked, _) = upstream.accept().unwrap();
    asked
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        asked.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    (String::from_utf8(head).unwrap(), asked)
}

/// That exeat has ended the request's connection, without anybody having answered.
fn is_given_up(mut asked: TcpStream) {
    asked.read_to_end(&mut Vec::new()).unwrap();
}

/// What a result that is no error holds, once that its text says the same.
fn done(answer: &Value) -> &Value {
    let result = &answer["result"];
    assert_eq!(result["isError"], false, "{answer}");
    same_in_text(result)
}

/// What a result holds that is marked as an error.
fn failed(answer: &Value) -> &Value {
    let result = &answer["result"];
    assert_eq!(result["isError"], true, "{answer}");
    same_in_text(result)
}

fn same_in_text(result: &Value) -> &Value {
    let text = result["content"][0]["text"].as_str().unwrap();
    let text: Value = serde_json::from_str(text).unwrap();
    assert_eq!(result["structuredContent"], text, "{result}");
    &result["structuredContent"]
}
