//! A client of MCP that writes exact lines and reads what comes, on the other side of a pipe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use exeat::exchange::Gate;
use exeat::mcp;
use exeat::name::AgentName;
use exeat::request::{Caller, SessionId};
use serde_json::{Value, json};

use super::World;

/// A revision of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// With the handshake that `initialize` begins.
    Handshake(&'static str),
    /// Without one: every request says which revision it is of.
    Stateless,
}

impl Revision {
    /// The three that clients use today.
    pub const ALL: [Self; 3] = [
        Self::Handshake("2025-06-18"),
        Self::Handshake("2025-11-25"),
        Self::Stateless,
    ];

    /// What a client that knows no other says in every request.
    pub fn meta(self) -> Value {
        match self {
            Self::Handshake(_) => json!({}),
            Self::Stateless => json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "it", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }),
        }
    }
}

/// The client's end.
pub struct Pipe {
    revision: Revision,
    output: BufReader<UnixStream>,
    input: UnixStream,
    ids: u64,
    serving: JoinHandle<Result<(), mcp::Begin>>,
}

impl World {
    /// A client of the tools of this agent, in this session.
    pub fn pipe(&self, revision: Revision, agent: Option<&str>, session: Option<&str>) -> Pipe {
        let services = self.running.as_ref().unwrap().services();
        let caller = Caller {
            agent: agent.map(|it| AgentName::parse(it).unwrap()),
            environment: services.live.snapshot().environments()[0].name.clone(),
            session: session.map(|it| SessionId::parse(it).unwrap()),
        };
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (services, dial) = (services.clone(), self.dial.clone());
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async move {
                let dialer = exeat::dial::Dialer::new(dial());
                let gate = Arc::new(Gate { services, dialer });
                let theirs = tokio::net::UnixStream::from_std(theirs).unwrap();
                mcp::serve(gate, caller, theirs.into_split()).await
            })
        });
        ours.set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Pipe {
            revision,
            input: ours.try_clone().unwrap(),
            output: BufReader::new(ours),
            ids: 0,
            serving,
        }
        .begun()
    }
}

impl Pipe {
    fn begun(mut self) -> Self {
        if let Revision::Handshake(version) = self.revision {
            let said = self.request(
                "initialize",
                json!({
                    "protocolVersion": version, "capabilities": {},
                    "clientInfo": {"name": "it", "version": "1"},
                }),
            );
            assert_eq!(said["result"]["protocolVersion"], version, "{said}");
            self.write(
                &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string(),
            );
        }
        self
    }

    /// One exact line.
    pub fn write(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// The next message.
    pub fn read(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line:?}"))
    }

    /// Sends a request and gives back its id.
    pub fn send(&mut self, method: &str, mut params: Value) -> u64 {
        if method != "initialize" {
            params["_meta"] = self.revision.meta();
        }
        self.send_exactly(method, params)
    }

    /// As [`Pipe::send`], asking for progress under this token.
    pub fn send_telling(&mut self, token: &str, method: &str, mut params: Value) -> u64 {
        params["_meta"] = self.revision.meta();
        params["_meta"]["progressToken"] = token.into();
        self.send_exactly(method, params)
    }

    fn send_exactly(&mut self, method: &str, params: Value) -> u64 {
        self.ids += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.ids, "method": method, "params": params});
        self.write(&request.to_string());
        self.ids
    }

    /// Sends a request and reads its answer, which is the next message.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let answer = self.read();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// The answer to a call.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// The agent's tools.
    pub fn tools(&mut self) -> Vec<Value> {
        let answer = self.request("tools/list", json!({}));
        answer["result"]["tools"].as_array().unwrap().clone()
    }

    /// Closes both directions and waits until exeat has come to the end.
    pub fn close(self) {
        self.input.shutdown(Shutdown::Both).unwrap();
        self.serving.join().unwrap().unwrap();
    }
}
