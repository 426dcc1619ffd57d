//! What every client needs to know: where to go, how to begin there, and the bytes of its requests.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use rustls_pki_types::ServerName;
use serde_json::Value;
use serde_json::json;
use tokio_rustls::TlsConnector;

use crate::certs;
use crate::load::Args;
use crate::load::Form;

/// What every client needs to know.
pub(super) struct Plan {
    pub(super) address: SocketAddr,
    pub(super) beginning: Beginning,
    pub(super) request: Request,
    pub(super) expected: Expected,
    /// Length of the body of every reply of the origin.
    pub(super) bytes: usize,
    /// Whether each request has a number of its own.
    pub(super) numbered: bool,
    /// Whether each request has a connection of its own.
    pub(super) anew: bool,
}

/// What comes before the first request.
pub(super) enum Beginning {
    /// Nothing.
    Connected,
    /// The CONNECT, and TLS in the name of the host.
    Tunnel(Vec<u8>, TlsConnector, ServerName<'static>),
    /// The same for a connection that several clients share, and what they ask in HTTP/2.
    Shared(Box<Shared>),
    /// The messages that open a session of MCP, and the request that ends it.
    Session {
        initialize: Request,
        initialized: Request,
        end: Request,
    },
}

/// A tunnel with HTTP/2 inside.
pub(super) struct Shared {
    pub(super) connect: Vec<u8>,
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
    pub(super) request: http::Request<Empty<Bytes>>,
    /// Of one connection.
    pub(super) streams: usize,
}

/// A request in two parts: a session's header goes between them.
pub(super) struct Request {
    head: String,
    rest: String,
}

/// How a good reply is told.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    /// By the length of its body.
    Length(usize),
    /// By a text in it: an answer has more than the reply of the origin.
    Text(&'static str),
    /// By its status, which is no 200.
    Status(u16),
}

/// What a tool's answer says of a call that went well.
const CARRIED_OUT: Expected = Expected::Text(r#""status":200"#);

impl Request {
    fn new(head: String, body: &str) -> Self {
        let rest = match body {
            "" => "\r\n".to_owned(),
            body => format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        };
        Self { head, rest }
    }

    /// The bytes, in a session where there is one.
    pub(super) fn bytes(&self, session: Option<&str>) -> Vec<u8> {
        let named = session.map(|id| format!("Mcp-Session-Id: {id}\r\n"));
        [&self.head, named.as_deref().unwrap_or_default(), &self.rest]
            .concat()
            .into_bytes()
    }
}

impl Plan {
    pub(super) fn new(args: &Args) -> anyhow::Result<Self> {
        let (beginning, request) = match args.form {
            Form::Absolute | Form::AbsoluteAnew | Form::Connect => through_proxy(args)?,
            Form::Tool => (Beginning::Connected, tool(args)?),
            Form::Mcp => (session(args), call(args, json!({}))?),
            Form::McpStateless => (Beginning::Connected, call(args, stateless())?),
        };
        let expected = match args.form {
            _ if args.expect_status != 200 => Expected::Status(args.expect_status),
            Form::Absolute | Form::AbsoluteAnew | Form::Connect => {
                Expected::Length(args.expect_bytes)
            }
            Form::Tool | Form::Mcp | Form::McpStateless => CARRIED_OUT,
        };
        Ok(Self {
            address: args.address,
            beginning,
            request,
            expected,
            bytes: args.expect_bytes,
            numbered: args.numbered,
            anew: args.form == Form::AbsoluteAnew,
        })
    }
}

fn through_proxy(args: &Args) -> anyhow::Result<(Beginning, Request)> {
    let authority = format!("{}:{}", args.host, args.port);
    let credential = credential("Proxy-Authorization", args);
    let fields =
        format!("Host: {authority}\r\nUser-Agent: loopback-bench\r\nAccept: application/json\r\n");
    let path = &args.path;
    if args.form != Form::Connect {
        let head = format!("GET http://{authority}{path} HTTP/1.1\r\n{fields}{credential}");
        return Ok((Beginning::Connected, Request::new(head, "")));
    }
    let connect = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credential}\r\n");
    let connect = connect.into_bytes();
    let mut config = certs::client(&args.trust)?;
    if args.streams > 0 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(args.host.clone())?;
    let head = Request::new(format!("GET {path} HTTP/1.1\r\n{fields}"), "");
    if args.streams == 0 {
        return Ok((Beginning::Tunnel(connect, connector, name), head));
    }
    let request = http::Request::get(format!("https://{authority}{path}"))
        .header("user-agent", "loopback-bench")
        .header("accept", "application/json");
    let shared = Shared {
        connect,
        connector,
        name,
        request: request.body(Empty::new())?,
        streams: args.streams,
    };
    Ok((Beginning::Shared(Box::new(shared)), head))
}

fn tool(args: &Args) -> anyhow::Result<Request> {
    let parameters: Value = serde_json::from_str(&args.parameters)?;
    let body = json!({ "parameters": parameters }).to_string();
    let path = format!("/v1/actions/{}", args.action);
    Ok(Request::new(head("POST", &path, args, ""), &body))
}

/// The call of an action as a message of MCP, `_meta` as its revision has it.
fn call(args: &Args, meta: Value) -> anyhow::Result<Request> {
    let arguments: Value = serde_json::from_str(&args.parameters)?;
    let params = json!({"name": args.action, "arguments": arguments, "_meta": meta});
    let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params});
    let fields = match args.form {
        Form::McpStateless => format!(
            "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {}\r\n",
            args.action
        ),
        _ => IN_SESSION.to_owned(),
    };
    let head = head("POST", "/mcp", args, &fields);
    Ok(Request::new(head, &message.to_string()))
}

/// What clients that know no session say with every request.
fn stateless() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "loopback", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

const IN_SESSION: &str = "MCP-Protocol-Version: 2025-11-25\r\n";

fn session(args: &Args) -> Beginning {
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "loopback", "version": "1"},
    }});
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let head = |method, fields| head(method, "/mcp", args, fields);
    Beginning::Session {
        initialize: Request::new(head("POST", ""), &initialize.to_string()),
        initialized: Request::new(head("POST", IN_SESSION), &initialized.to_string()),
        end: Request::new(head("DELETE", IN_SESSION), ""),
    }
}

fn head(method: &str, path: &str, args: &Args, fields: &str) -> String {
    let (address, credential) = (args.address, credential("Authorization", args));
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: loopback-bench\r\n\
         Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n{credential}{fields}"
    )
}

fn credential(header: &str, args: &Args) -> String {
    let value = args.authorization.as_ref();
    value
        .map(|value| format!("{header}: {value}\r\n"))
        .unwrap_or_default()
}
