//! Requests in exact bytes, through every door, on connections that are kept.

use std::collections::HashMap;
use std::fmt;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::host;
use super::http2::Http2;
use crate::world::{Answer, Stream, World, read_answer};

/// The ways in for a proxied request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Door {
    /// Absolute-form.
    Absolute,
    /// HTTP/1.1 inside an intercepted tunnel.
    Tunnel,
    /// HTTP/2 inside an intercepted tunnel.
    Http2,
}

/// Every way in.
pub(super) const DOORS: [Door; 3] = [Door::Absolute, Door::Tunnel, Door::Http2];

/// One request, for whichever server.
#[derive(Clone)]
pub(super) struct Asked {
    /// What follows the server in the name of an action.
    pub(super) action: &'static str,
    /// Path and query.
    pub(super) target: String,
    /// Lines without their ends.
    pub(super) headers: Vec<String>,
    pub(super) body: Vec<u8>,
    /// Whether the body comes in chunks, where HTTP/1.1 has the choice.
    pub(super) is_chunked: bool,
}

impl Asked {
    pub(super) fn method(&self) -> &'static str {
        match self.action {
            "item" | "comma" | "bracket" => "GET",
            "bytes" => "PUT",
            _ => "POST",
        }
    }

    fn bytes(&self, target: &str, host: &str) -> Vec<u8> {
        let mut head = format!("{} {target} HTTP/1.1\r\nHost: {host}\r\n", self.method());
        for line in &self.headers {
            head += &format!("{line}\r\n");
        }
        let mut bytes = head.into_bytes();
        if self.method() == "GET" {
            bytes.extend(b"\r\n");
        } else if self.is_chunked {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in self.body.chunks(7) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
            bytes.extend(&self.body);
        }
        bytes
    }
}

/// As it would stand on the wire.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes(&self.target, "HOST");
        write!(f, "{:?}", String::from_utf8_lossy(&bytes))
    }
}

/// Connections of one client, by door and server.
pub(super) struct Wires<'w> {
    world: &'w World,
    http1: HashMap<(Door, &'static str), Box<dyn Stream>>,
    http2: HashMap<&'static str, Http2>,
    tools: Option<Box<dyn Stream>>,
    answers: usize,
}

impl<'w> Wires<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        Self {
            world,
            http1: HashMap::new(),
            http2: HashMap::new(),
            tools: None,
            answers: 0,
        }
    }

    /// Sends a request; none where this client cannot say it.
    pub(super) fn send(
        &mut self,
        door: Door,
        server: &'static str,
        asked: &Asked,
    ) -> Option<Answer> {
        let host = host(server);
        let answer = match door {
            Door::Absolute => {
                let target = format!("http://{host}{}", asked.target);
                self.exchange(door, server, &asked.bytes(&target, &host))
            }
            Door::Tunnel => self.exchange(door, server, &asked.bytes(&asked.target, &host)),
            Door::Http2 => {
                let open = || Http2::open(&self.world.client(), &host);
                let wire = self.http2.entry(server).or_insert_with(open);
                wire.send(&host, asked)?
            }
        };
        self.answers += 1;
        Some(answer)
    }

    /// Calls an action as a tool.
    pub(super) fn call(&mut self, server: &str, action: &str, parameters: &Value) -> Answer {
        let body = json!({"parameters": parameters}).to_string();
        let bytes = format!(
            "POST /v1/actions/{server}_{action} HTTP/1.1\r\nHost: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.world.tools(),
            body.len()
        );
        let world = self.world;
        let open = || -> Box<dyn Stream> {
            let stream = TcpStream::connect(world.tools()).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            Box::new(stream)
        };
        self.answers += 1;
        ask(&mut self.tools, open, bytes.as_bytes())
    }

    /// The records of all requests so far, by their ids.
    pub(super) fn records(&self) -> HashMap<String, Value> {
        let records = self.world.records(self.answers);
        assert_eq!(records.len(), self.answers, "one record for each request");
        let id = |it: &Value| it["request_id"].as_str().unwrap().to_owned();
        records.into_iter().map(|it| (id(&it), it)).collect()
    }

    fn exchange(&mut self, door: Door, server: &'static str, bytes: &[u8]) -> Answer {
        let world = self.world;
        let open = || -> Box<dyn Stream> {
            match door {
                Door::Absolute => Box::new(world.client().connect()),
                _ => Box::new(world.client().tunnel(&host(server))),
            }
        };
        let mut wire = self.http1.remove(&(door, server));
        let answer = ask(&mut wire, open, bytes);
        self.http1.extend(wire.map(|it| ((door, server), it)));
        answer
    }
}

/// One request and its answer, on the connection that is kept, or on a new one where there is none.
fn ask(
    wire: &mut Option<Box<dyn Stream>>,
    open: impl Fn() -> Box<dyn Stream>,
    bytes: &[u8],
) -> Answer {
    let mut stream = wire.take().unwrap_or_else(open);
    stream
        .write_all(bytes)
        .and_then(|()| stream.flush())
        .unwrap();
    let answer = read_answer(&mut *stream, "GET").expect("an answer");
    if answer.header("connection") != Some("close") {
        *wire = Some(stream);
    }
    answer
}
