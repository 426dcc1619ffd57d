//! A client of MCP over streamable HTTP that sends exact requests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::World;
use super::client::{Answer, read_answer, read_head, read_until};
use super::mcp::Revision;

/// One client, in an MCP session where its revision has such.
pub struct Web<'w> {
    world: &'w World,
    revision: Revision,
    /// Beside those that its revision demands.
    pub headers: Vec<String>,
    session: Option<String>,
    ids: u64,
}

impl World {
    /// A client with this token.
    pub fn web(&self, revision: Revision, token: &str) -> Web<'_> {
        let headers = [format!("Authorization: Bearer {token}")];
        let mut web = Web {
            world: self,
            revision,
            headers: headers.into(),
            session: None,
            ids: 0,
        };
        web.begin();
        web
    }

    /// Sends a request to `/mcp` on a connection of its own.
    pub fn knock(&self, method: &str, headers: &[String], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.tools()).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        let (headers, length) = (headers.join("\r\n"), body.len());
        let head =
            format!("{method} /mcp HTTP/1.1\r\n{headers}\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        stream
    }
}

impl Web<'_> {
    fn begin(&mut self) {
        let Revision::Handshake(version) = self.revision else {
            return;
        };
        let params = json!({
            "protocolVersion": version, "capabilities": {},
            "clientInfo": {"name": "it", "version": "1"},
        });
        let (_, mut stream) = self.send("initialize", params);
        let answer = read_answer(&mut stream, "POST").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        self.session = Some(answer.header("mcp-session-id").unwrap().to_owned());
        assert_eq!(messages(&answer)[0]["result"]["protocolVersion"], version);
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(self.post(&note).status, 202);
    }

    /// Where the answer to a message will come, and the head that asks for it.
    pub fn head(&self, message: &Value) -> Vec<String> {
        let mut head = vec![
            format!("Host: {}", self.world.tools()),
            "Accept: application/json, text/event-stream".into(),
            "Content-Type: application/json".into(),
        ];
        head.extend(self.headers.iter().cloned());
        head.extend(
            self.session
                .iter()
                .map(|id| format!("Mcp-Session-Id: {id}")),
        );
        if self.revision == Revision::Stateless {
            let method = message["method"].as_str().unwrap_or_default();
            head.push("MCP-Protocol-Version: 2026-07-28".into());
            head.push(format!("Mcp-Method: {method}"));
            let name = message["params"]["name"].as_str();
            head.extend(name.map(|it| format!("Mcp-Name: {it}")));
        }
        head
    }

    /// Posts a message that is no request.
    pub fn post(&self, message: &Value) -> Answer {
        let mut stream = self
            .world
            .knock("POST", &self.head(message), &message.to_string());
        read_answer(&mut stream, "POST").unwrap()
    }

    /// Sends a request; gives back its id, and the connection on which the answer comes.
    pub fn send(&mut self, method: &str, mut params: Value) -> (u64, TcpStream) {
        self.ids += 1;
        if let Some(meta) = self.revision.meta().as_object().filter(|it| !it.is_empty()) {
            let given = params["_meta"].take();
            params["_meta"] = meta.clone().into();
            for (name, value) in given.as_object().into_iter().flatten() {
                params["_meta"][name] = value.clone();
            }
        }
        let message = json!({"jsonrpc": "2.0", "id": self.ids, "method": method, "params": params});
        let stream = self
            .world
            .knock("POST", &self.head(&message), &message.to_string());
        (self.ids, stream)
    }

    /// Sends a request and reads everything that comes for it; the answer is the last.
    pub fn exchange(&mut self, method: &str, params: Value) -> Vec<Value> {
        let (id, stream) = self.send(method, params);
        self.receive(id, stream)
    }

    /// Everything that comes for a request; the answer is the last.
    pub fn receive(&self, id: u64, mut stream: TcpStream) -> Vec<Value> {
        let answer = read_answer(&mut stream, "POST").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let messages = messages(&answer);
        assert_eq!(messages.last().unwrap()["id"], id, "{messages:#?}");
        messages
    }

    /// The answer to a call.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let params = json!({"name": tool, "arguments": arguments});
        self.exchange("tools/call", params).pop().unwrap()
    }

    /// The agent's tools.
    pub fn tools(&mut self) -> Vec<Value> {
        let answer = self.exchange("tools/list", json!({})).pop().unwrap();
        answer["result"]["tools"].as_array().unwrap().clone()
    }

    /// A stream on which what concerns no request comes.
    pub fn listen(&mut self) -> Events {
        let mut stream = match self.revision {
            Revision::Handshake(_) => self.world.knock("GET", &self.head(&json!({})), ""),
            Revision::Stateless => {
                let what = json!({"notifications": {"toolsListChanged": true}});
                self.send("subscriptions/listen", what).1
            }
        };
        let head = read_head(&mut stream).unwrap();
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Events(stream)
    }
}

/// An open event stream.
pub struct Events(TcpStream);

impl Events {
    /// Comes back when the stream has ended.
    pub fn end(mut self) {
        let mut bytes = Vec::new();
        let mut byte = [0];
        // The end of a chunked reply, or of its connection.
        while !bytes.ends_with(b"0\r\n\r\n") && self.0.read(&mut byte).unwrap() > 0 {
            bytes.push(byte[0]);
        }
    }

    /// The next message.
    pub fn next(&mut self) -> Value {
        let mut text = String::new();
        loop {
            let line = read_until(&mut self.0, b"\n").unwrap();
            if let Some(data) = line.strip_prefix("data: ") {
                text += data;
            }
            // Chunk sizes and the ends of chunks stand between the lines.
            if !text.is_empty() && line.trim().is_empty() {
                return serde_json::from_str(text.trim()).unwrap();
            }
        }
    }
}

/// What a whole answer holds: one message, or the events of a stream.
fn messages(answer: &Answer) -> Vec<Value> {
    if answer.header("content-type") == Some("application/json") {
        return vec![answer.json()];
    }
    let data = answer
        .text()
        .lines()
        .filter_map(|it| it.strip_prefix("data: "));
    data.map(|it| serde_json::from_str(it).unwrap()).collect()
}
