//! What the tests play in: one policy, one origin, one door.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::action::{
    Action, ContentRule, Doors, Hints, Limits as ActionLimits, Passes, PathPattern, QueryStyle,
    Sensitive,
};
use crate::audit::{Audit, MemorySink};
use crate::authority::Authority;
use crate::body::Body;
use crate::dial;
use crate::dial::{Connect, Connecting, Dialer, Offer, Own, Setup, Static, System, Tls, Vetted};
use crate::drain::Drain;
use crate::exchange::{Gate, OnEcho, PlainHttp, Services, Settings};
use crate::fault::{Fault, FaultKind};
use crate::known::Known;
use crate::lease::{GRACE, Leases};
use crate::live::Live;
use crate::meter::Meter;
use crate::metrics::{Metrics, Upstreams};
use crate::name::{ActionName, AgentName, EnvironmentName, SecretName, TunnelName};
use crate::policy::{Agent, Environment, Index, Policy, Tunnel};
use crate::proxy::{ClientLimits, serve};
use crate::request::{Host, HostPattern, Scheme};
use crate::schema::Schema;
use crate::seats::Seats;
use crate::sessions::{Bounds, InMemory};
use crate::template::{Parameter, Scope};
use crate::tokens::Tokens;
use crate::vault::{Sources, Store};

/// Declared in the clear, at the origin's port.
pub(super) const PLAIN: &str = "plain.test";
/// Declared with `https://`, on 443; nothing answers there.
pub(super) const SECURE: &str = "api.good.test";
/// The most bytes of a connection that waits, without what it reads into.
const WAITING: usize = 2 * 1024;
/// A declared tunnel, at the origin's port.
pub(super) const TUNNEL: &str = "tunnel.test";

pub(super) struct World {
    pub(super) gate: Arc<Gate>,
    limits: Arc<ClientLimits>,
    memory: MemorySink,
    dials: Arc<Mutex<Vec<SocketAddr>>>,
    pub(super) port: u16,
    _folder: TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(ClientLimits::default(), false).await
    }

    /// Whose clients have no time at all.
    pub(super) async fn hasty() -> Self {
        let moment = Duration::from_millis(60);
        let limits = ClientLimits {
            head: moment,
            handshake: moment,
            body_idle: moment,
            write_stall: moment,
            keep_alive: moment,
            tunnel_idle: moment,
            ..ClientLimits::default()
        };
        Self::with(limits, false).await
    }

    pub(super) async fn guarded() -> Self {
        Self::with(ClientLimits::default(), true).await
    }

    async fn with(limits: ClientLimits, agents: bool) -> Self {
        let port = origin().await;
        let folder = TempDir::new().unwrap();
        let metrics = Arc::new(Metrics::new());
        let (audit, memory) = Audit::to_memory(&metrics).unwrap();
        let dials = Arc::default();
        let settings = Settings {
            environment: EnvironmentName::parse("production").ok(),
            plain_http: PlainHttp::Upgrade,
            on_echo: OnEcho::Redact,
            shows_values: false,
            redaction: Arc::default(),
        };
        let known = Arc::new(Known::default());
        let vault = known.watching(Arc::new(Sources::new(Store::at(folder.path()))));
        let (live, drain) = (Live::new(Arc::new(policy(port, agents))), Drain::default());
        let services = Services {
            leases: Leases::new(&live, &drain, GRACE),
            live,
            drain,
            tokens: Tokens::new(vault.clone(), known.clone(), metrics.clone()),
            vault,
            known,
            sessions: Arc::new(InMemory::new(Bounds::default())),
            meter: Meter::default(),
            audit,
            metrics,
            authority: Authority::open_or_create(&folder.path().join("ca")).unwrap(),
            room: crate::exchange::Room::default(),
            shares: crate::exchange::Shares::default(),
            settings,
        };
        let dialer = Dialer::new(setup(&dials));
        let services = Arc::new(services);
        Self {
            gate: Arc::new(Gate { services, dialer }),
            limits: Arc::new(limits),
            memory,
            dials,
            port,
            _folder: folder,
        }
    }

    /// A client's connection to the door.
    #[expect(clippy::disallowed_methods, reason = "the client of the tests")]
    pub(super) async fn connect(&self) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, _) = accepted.unwrap();
        let seat = Arc::<Seats>::default().sit();
        let limits_and_seat = (self.limits.clone(), seat);
        let serving = serve(self.gate.clone(), stream, limits_and_seat);
        // Thousands wait at a time: what only a request needs, or an end, is on the heap while there is one.
        let size = size_of_val(&serving);
        assert!(size <= WAITING, "{size}");
        tokio::spawn(serving);
        client.unwrap()
    }

    /// Everything that comes back for these bytes, to the end of the connection.
    pub(super) async fn talk(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes.as_ref()).await.unwrap();
        rest(&mut client).await
    }

    /// A CONNECT that was let through.
    pub(super) async fn tunnel(&self, host: &str, port: u16) -> TcpStream {
        let mut client = self.connect().await;
        let connect = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        client.write_all(connect.as_bytes()).await.unwrap();
        let opened = "HTTP/1.1 200 Connection Established\r\n\r\n";
        let mut answer = vec![0; opened.len()];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), opened, "B23");
        client
    }

    /// TLS inside a tunnel, as a client that trusts our CA speaks it.
    pub(super) async fn secured(
        &self,
        stream: TcpStream,
        name: &str,
        protocols: &[&str],
    ) -> io::Result<TlsStream<TcpStream>> {
        let ca = self.gate.services.authority.ca_pem().as_bytes();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(ca).unwrap())
            .unwrap();
        let mut config = client_config(roots);
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    /// The lines of the audit log, without those that are not terminal.
    pub(super) async fn records(&self) -> Vec<Value> {
        let mut lines = self.lines().await;
        lines.retain(|line| line.get("event").is_none());
        lines
    }

    /// Waits until so many records are closed: a record may end after its client has its answer.
    pub(super) async fn settled(&self, count: usize) -> Vec<Value> {
        loop {
            let records = self.records().await;
            if records.len() >= count {
                return records;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn lines(&self) -> Vec<Value> {
        self.gate.services.audit.flush().await;
        let lines = self.memory.lines();
        let parse = |line: &String| serde_json::from_str(line).unwrap();
        lines.iter().map(parse).collect()
    }

    pub(super) fn dials(&self) -> usize {
        self.dials.lock().unwrap().len()
    }
}

pub(super) fn client_config(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// What is left on a connection; a reset counts as its end.
pub(super) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// Reads until the text ends so.
pub(super) async fn until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut bytes = BytesMut::new();
    while !bytes.ends_with(end.as_bytes()) {
        let read = stream.read_buf(&mut bytes).await.unwrap();
        assert!(read > 0, "{}", bytes.escape_ascii());
    }
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The code of a refusal and the status line above it.
pub(super) fn refused(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    let body = answer.split_once("\r\n\r\n").unwrap_or_default().1;
    let json: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer:?}"));
    let code = json["error"]["code"].as_str().unwrap_or_default();
    (status.unwrap_or_default(), code.to_owned())
}

/// Leads to the same port of loopback.
struct ToLoopback(Arc<Mutex<Vec<SocketAddr>>>);

impl Connect for ToLoopback {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests' way out goes to loopback only"
    )]
    fn connect(&self, address: Vetted) -> Connecting {
        self.0.lock().unwrap().push(address.address());
        Box::pin(TcpStream::connect(("127.0.0.1", address.address().port())))
    }
}

fn setup(dials: &Arc<Mutex<Vec<SocketAddr>>>) -> Setup {
    let address: IpAddr = "203.0.114.10".parse().unwrap();
    let hosts = [PLAIN, SECURE, TUNNEL].map(|it| (host(it), vec![dial::Answer::from(address)]));
    Setup {
        resolver: Arc::new(Static::new(HashMap::from(hosts), Arc::new(System::new()))),
        connector: Arc::new(ToLoopback(dials.clone())),
        tls: Tls::trusting(RootCertStore::empty(), Offer::Both),
        own: Own::default(),
        limits: dial::Limits::default(),
        counted: Upstreams::default(),
    }
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn policy(port: u16, agents: bool) -> Policy {
    let mut index = Index::default();
    let mut actions = BTreeMap::new();
    for (name, method, url, path) in [
        (
            "get_item",
            Method::GET,
            (Scheme::Http, PLAIN, port),
            "/v1/items/{{ .parameters.id }}",
        ),
        (
            "head_item",
            Method::HEAD,
            (Scheme::Http, PLAIN, port),
            "/v1/items/{{ .parameters.id }}",
        ),
        (
            "upload",
            Method::POST,
            (Scheme::Http, PLAIN, port),
            "/v1/uploads/{{ .parameters.id }}",
        ),
        ("get_me", Method::GET, (Scheme::Https, SECURE, 443), "/me"),
    ] {
        let action = Arc::new(action(name, method, url, path));
        index.insert(action.clone()).unwrap();
        actions.insert(action.name.clone(), action);
    }
    let production = EnvironmentName::parse("production").unwrap();
    let environment = Environment {
        name: production.clone(),
        index,
        actions,
        placeholders: Vec::new(),
        exposed: Vec::new(),
    };
    let agent = Agent {
        title: None,
        token: SecretName::parse("bot_token").unwrap(),
        runtime_token: None,
        environment: Some(production),
        rate: None,
        allow: HashSet::new(),
        patterns: Vec::new(),
    };
    let agents = agents.then(|| BTreeMap::from([(AgentName::parse("bot").unwrap(), agent)]));
    let tunnel = Tunnel {
        name: TunnelName::parse("pinned").unwrap(),
        hosts: vec![HostPattern::parse(TUNNEL).unwrap()],
        ports: vec![port],
    };
    Policy::of(environment, agents, vec![tunnel])
}

fn action(name: &str, method: Method, url: (Scheme, &str, u16), path: &str) -> Action {
    let statics = HashMap::new();
    let scope = Scope {
        parameters: &|names: &[&str]| (*names == ["id"]).then_some(Parameter::ASSUMED),
        statics: &statics,
        context: &HashMap::new(),
    };
    let with_id = path.contains("id");
    let parameters = if with_id {
        json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]})
    } else {
        json!({"type": "object", "properties": {}})
    };
    Action {
        name: ActionName::parse(name).unwrap(),
        title: None,
        description: String::new(),
        enabled: true,
        doors: Doors::ALL,
        scheme: url.0,
        host: HostPattern::parse(url.1).unwrap(),
        port: url.2,
        path: PathPattern::parse(path, &scope).unwrap(),
        parameters: Arc::new(Schema::compile(&parameters).unwrap()),
        converts: false,
        query: Vec::new(),
        query_style: QueryStyle::Repeat,
        headers: Vec::new(),
        hints: Hints::of(&method),
        sensitive: Sensitive::default(),
        content: if method == Method::POST {
            ContentRule::Unread(Vec::new())
        } else {
            ContentRule::Query
        },
        proxied: None,
        method,
        accept_headers: Vec::new(),
        credentials: Vec::new(),
        limits: ActionLimits::default(),
        reading: Arc::default(),
        requires: Vec::new(),
        rates: Vec::new(),
        remembered: None,
        passes: Passes::default(),
    }
}

/// A server on loopback whose answer depends on the last segment of the path.
async fn origin() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(serving);
        }
    });
    port
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let frames = |frames: Vec<Result<&'static str, Fault>>, endless| {
        let frames = frames.into_iter();
        let frame = |it: Result<&'static str, Fault>| it.map(|it| Frame::data(Bytes::from(it)));
        let frames = frames.map(frame).collect();
        Body::stream(Frames {
            frames,
            paused: false,
            endless,
        })
    };
    let broken = || Err(Fault::new(FaultKind::Internal, "on purpose"));
    let body = match request.uri().path().rsplit('/').next().unwrap() {
        "stream" => frames(vec![Ok("one"), Ok("two")], false),
        "broken" => frames(vec![Ok("one"), broken()], false),
        "never" => std::future::pending().await,
        "event" => frames(vec![Ok("event")], true),
        "length" => {
            let length = request.into_body().collect().await;
            let length = length.map(|it| it.to_bytes().len().to_string());
            Body::from(length.unwrap_or_default().into_bytes())
        }
        "early" => Body::Bytes(Bytes::from("early")),
        _ => Body::Bytes(Bytes::from("ok")),
    };
    Ok(Response::new(body))
}

/// Frames, each after a pause in which hyper writes the one before.
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, Fault>>,
    paused: bool,
    /// Whether more is to be expected after the last, although nothing comes.
    endless: bool,
}

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.paused = !self.paused;
        if self.paused {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.frames.pop_front() {
            None if self.endless => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }
}
