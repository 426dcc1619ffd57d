//! A world around one exeat: origins, scripted names, a switchboard that leads public addresses to loopback after they
//! were judged, scripted secrets, and every record.
//!
//! Everything real is real: sockets, TLS, threads. What is scripted is what a test must not depend on.

mod client;
mod http2;
mod mcp;
mod names;
mod origin;
mod process;
mod safe;
mod scripted;
mod switchboard;
mod tap;
mod web;

use std::io::Write as _;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use exeat::app::{self, CONNECTIONS, Parts, Running};
use exeat::audit::{Audit, MemorySink};
use exeat::authority::Authority;
use exeat::dial::{Limits, Offer, Own, Resolve, Setup, Tls};
use exeat::drain::Drain;
use exeat::exchange::{
    AGENT_REQUESTS, AGENT_TUNNELS, OnEcho, PlainHttp, Room, Services, Settings, Shares,
};
use exeat::known::Known;
use exeat::lease::{GRACE, Leases};
use exeat::live::Live;
use exeat::meter::Meter;
use exeat::metrics::{Metrics, Upstreams};
use exeat::name::AgentName;
use exeat::policy::{self, Policy};
use exeat::proxy::ClientLimits;
use exeat::redact::Redaction;
use exeat::secret::Secret;
use exeat::sessions::{Bounds, InMemory};
use exeat::tokens::Tokens;
use exeat::vault::{Sources, Store, Vault};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Map, Value};
use tempfile::TempDir;

pub use client::{Answer, Client, Stream, read_answer, read_head, read_until, rest};
pub use mcp::Revision;
pub use origin::{Origin, Reply, Seen, Then};
pub use process::{Desk, Memory, Started};
pub use scripted::{echo, frame, grant, read_frame, read_request};
pub use tap::{Line, Tap};
pub use web::Web;

use names::Names;
use origin::OriginCa;
use safe::Safe;
use switchboard::Switchboard;

/// The policy of most tests: an API that takes a bearer token, and one with a key in its query.
pub const POLICY: &str = include_str!("policy.yaml");

/// The secrets of [`POLICY`].
pub const SECRETS: [(&str, &str); 2] = [("good_token", "SECRET-AAAA"), ("two_key", "SECRET-BBBB")];

/// An exeat with everything around it.
pub struct World {
    running: Option<Running>,
    dial: Dialling,
    names: Arc<Names>,
    switchboard: Arc<Switchboard>,
    safe: Arc<Safe>,
    audit: MemorySink,
    origin_ca: OriginCa,
    // The CA's folder lives as long as the world does.
    _folder: TempDir,
}

/// What a world is made of, where it is not the usual.
pub struct Plan {
    policy: String,
    secrets: Vec<(String, String)>,
    sources: bool,
    plain_http: PlainHttp,
    on_echo: OnEcho,
    shows_values: bool,
    redaction: Arc<Redaction>,
    room: Room,
    shares: Shares,
    grace: Duration,
    drain: Duration,
    admin_token: Option<Secret>,
    workers: usize,
    connections: usize,
    clients: ClientLimits,
    resolving: Option<Resolving>,
}

/// Makes a resolver on the runtime to which it belongs.
type Resolving = Arc<dyn Fn() -> Arc<dyn Resolve> + Send + Sync>;

impl Plan {
    /// A world with this policy.
    pub fn of(policy: &str) -> Self {
        let secrets = SECRETS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            policy: policy.to_owned(),
            secrets: secrets.into(),
            sources: false,
            plain_http: PlainHttp::Upgrade,
            on_echo: OnEcho::Redact,
            shows_values: false,
            redaction: Arc::default(),
            room: Room::default(),
            shares: Shares::default(),
            grace: GRACE,
            drain: Duration::ZERO,
            admin_token: None,
            workers: 2,
            connections: CONNECTIONS,
            clients: ClientLimits::default(),
            resolving: None,
        }
    }

    /// With a real resolver instead of the scripted names, which then count nothing.
    pub fn resolving<R: Resolve + 'static>(
        mut self,
        made: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        self.resolving = Some(Arc::new(move || Arc::new(made())));
        self
    }

    /// With so many names of a `*.` host for each agent.
    pub fn naming(mut self, most: usize) -> Self {
        self.shares = self.shares.naming(most);
        self
    }

    /// With a token that operators have to show.
    pub fn admin_token(mut self, token: &str) -> Self {
        self.admin_token = Some(Secret::new(token.as_bytes().to_vec()).unwrap());
        self
    }

    /// A secret more.
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.push((name.into(), value.into()));
        self
    }

    /// Reads secrets from where the policy says instead of from the script.
    pub fn reading_sources(mut self) -> Self {
        self.sources = true;
        self
    }

    /// With `plain_http: refuse`.
    pub fn refusing_plain_http(mut self) -> Self {
        self.plain_http = PlainHttp::Refuse;
        self
    }

    /// With `on_echo: refuse`.
    pub fn refusing_echoes(mut self) -> Self {
        self.on_echo = OnEcho::Refuse;
        self
    }

    /// With room for so many bytes of bodies at a time.
    pub fn room(mut self, bytes: usize) -> Self {
        self.room = Room::of(bytes);
        self
    }

    /// With values of parameters in records, as far as these rules let them.
    pub fn showing_values(mut self, redaction: Redaction) -> Self {
        self.shows_values = true;
        self.redaction = Arc::new(redaction);
        self
    }

    /// With so many requests under way for each agent.
    pub fn shares(mut self, requests: usize) -> Self {
        self.shares = Shares::of(requests, AGENT_TUNNELS);
        self
    }

    /// With so many tunnels open for each agent.
    pub fn tunnels(mut self, tunnels: usize) -> Self {
        self.shares = Shares::of(AGENT_REQUESTS, tunnels);
        self
    }

    /// With one worker of so many connections.
    pub fn connections(mut self, connections: usize) -> Self {
        (self.workers, self.connections) = (1, connections);
        self
    }

    /// With other limits of clients.
    pub fn clients(mut self, clients: ClientLimits) -> Self {
        self.clients = clients;
        self
    }

    /// With this grace for what a new policy does not permit any more.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// With so long for what has begun, when it stops.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Starts it.
    pub fn start(self) -> World {
        World::start(self)
    }
}

impl World {
    /// The usual world.
    pub fn usual() -> Self {
        Plan::of(POLICY).start()
    }

    fn start(plan: Plan) -> Self {
        let policy = read(&plan.policy);
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new());
        let (audit, lines) = Audit::to_memory(&metrics).unwrap();
        let authority = Authority::open_or_create(&folder.path().join("ca")).unwrap();
        let safe = Arc::new(Safe::holding(plan.secrets));
        let vault: Arc<dyn Vault> = match plan.sources {
            true => Arc::new(Sources::new(Store::at(folder.path())).counting(&metrics)),
            false => safe.clone(),
        };
        let known = Arc::new(Known::default());
        let vault = known.watching(vault);
        let (live, drain) = (Live::new(Arc::new(policy)), Drain::default());
        let services = Services {
            leases: Leases::new(&live, &drain, plan.grace),
            live,
            drain,
            tokens: Tokens::new(vault.clone(), known.clone(), metrics.clone()),
            vault,
            known,
            sessions: Arc::new(InMemory::new(Bounds::default())),
            meter: Meter::default(),
            audit,
            authority: authority.counting(&metrics),
            metrics,
            room: plan.room,
            shares: plan.shares,
            settings: Settings {
                environment: None,
                plain_http: plan.plain_http,
                on_echo: plan.on_echo,
                shows_values: plan.shows_values,
                redaction: plan.redaction,
            },
        };
        let (names, switchboard) = (Arc::new(Names::usual()), Arc::new(Switchboard::default()));
        let origin_ca = OriginCa::new();
        let scripted = names.clone();
        let resolving = plan.resolving;
        let resolving = resolving.unwrap_or_else(|| Arc::new(move || scripted.clone()));
        let dial = dialling(resolving, &switchboard, &origin_ca);
        let running = app::start(Parts {
            services: Arc::new(services),
            dial: dial.clone(),
            proxy: TcpListener::bind("127.0.0.1:0").unwrap(),
            tools: TcpListener::bind("127.0.0.1:0").unwrap(),
            admin: TcpListener::bind("127.0.0.1:0").unwrap(),
            admin_token: plan.admin_token,
            workers: plan.workers,
            connections: plan.connections,
            clients: plan.clients,
            drain: plan.drain,
            stop_delay: Duration::ZERO,
        });
        Self {
            running: Some(running.unwrap()),
            dial,
            names,
            switchboard,
            safe,
            audit: lines,
            origin_ca,
            _folder: folder,
        }
    }

    /// An origin over TLS at the usual address of a host, port 443, with a good certificate.
    pub fn origin<R: Into<Reply>>(
        &self,
        host: &str,
        reply: impl Fn(&Seen) -> R + Send + Sync + 'static,
    ) -> Origin {
        self.origin_at(host, 443, reply)
    }

    /// As [`World::origin`], on another port.
    pub fn origin_at<R: Into<Reply>>(
        &self,
        host: &str,
        port: u16,
        reply: impl Fn(&Seen) -> R + Send + Sync + 'static,
    ) -> Origin {
        let reply = Box::new(move |seen: &Seen| reply(seen).into());
        let origin = Origin::over_tls(self.origin_ca.config(host), reply);
        self.lead(host, port, origin.address());
        origin
    }

    /// An origin whose certificate is as somebody wishes it, from the CA that exeat trusts or from another one.
    pub fn certified_origin(&self, host: &str, params: CertificateParams, trusted: bool) -> Origin {
        let config = if trusted {
            self.origin_ca.issue(params)
        } else {
            OriginCa::new().issue(params)
        };
        self.origin_with(host, config)
    }

    /// An origin that speaks TLS as somebody wishes it, and answers once on each connection.
    pub fn origin_with(&self, host: &str, config: Arc<ServerConfig>) -> Origin {
        let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let reply = |_: &Seen| Reply::and(reply, Then::Close);
        let origin = Origin::over_tls(config, Box::new(reply));
        self.lead(host, 443, origin.address());
        origin
    }

    /// Who signs the certificates of the origins.
    pub fn origin_ca(&self) -> &CertifiedIssuer<'static, KeyPair> {
        self.origin_ca.issuer()
    }

    /// A good certificate for a host and its key, as PEM, for a server of somebody else's.
    pub fn certificate(&self, host: &str) -> (String, String) {
        self.origin_ca.certificate(host)
    }

    /// An origin in cleartext at the usual address of a host.
    pub fn plain_origin<R: Into<Reply>>(
        &self,
        host: &str,
        port: u16,
        reply: impl Fn(&Seen) -> R + Send + Sync + 'static,
    ) -> Origin {
        let origin = Origin::in_cleartext(Box::new(move |seen| reply(seen).into()));
        self.lead(host, port, origin.address());
        origin
    }

    /// An origin that does this with each of its connections: over TLS on port 443, else in cleartext.
    pub fn scripted(
        &self,
        host: &str,
        port: u16,
        script: impl Fn(&mut dyn Stream) + Send + Sync + 'static,
    ) {
        let config = (port == 443).then(|| self.origin_ca.config(host));
        self.lead(host, port, scripted::listen(config, Box::new(script)));
    }

    /// As [`World::scripted`] on port 443, for an origin that speaks HTTP/2.
    pub fn scripted_http2(
        &self,
        host: &str,
        script: impl Fn(&mut dyn Stream) + Send + Sync + 'static,
    ) {
        let mut config = ServerConfig::clone(&self.origin_ca.config(host));
        config.alpn_protocols = vec![b"h2".to_vec()];
        self.lead(
            host,
            443,
            scripted::listen(Some(Arc::new(config)), Box::new(script)),
        );
    }

    /// Leads connections to a host's addresses to a socket of this machine.
    pub fn lead(&self, host: &str, port: u16, to: SocketAddr) {
        for address in self.names.addresses(host) {
            self.switchboard.lead(SocketAddr::new(address, port), to);
        }
    }

    /// Scripts the addresses of a name.
    pub fn resolve(&self, host: &str, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|it| it.parse().unwrap()).collect();
        self.names.script(host, addresses);
    }

    /// A secret that can't be read from now on.
    pub fn lose_secret(&self, name: &str) {
        self.safe.lose(name);
    }

    /// A secret that is another one from now on.
    pub fn change_secret(&self, name: &str, value: &str) {
        self.safe.change(name, value);
    }

    /// A client of the proxy that trusts its CA.
    pub fn client(&self) -> Client {
        Client::new(self.proxy(), self.roots())
    }

    /// Where the proxy listens.
    pub fn proxy(&self) -> SocketAddr {
        self.running.as_ref().unwrap().proxy
    }

    /// Where tools are called.
    pub fn tools(&self) -> SocketAddr {
        self.running.as_ref().unwrap().tools
    }

    /// A request to the tools listener, with a token where there is one, and JSON where there is some.
    pub fn tool(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
        let mut headers = vec![format!("Host: {}", self.tools())];
        if !token.is_empty() {
            headers.push(format!("Authorization: Bearer {token}"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            headers.push("Content-Type: application/json".into());
        }
        headers.push(format!("Content-Length: {}", body.len()));
        let headers = headers.join("\r\n");
        self.tool_raw(&format!(
            "{method} {path} HTTP/1.1\r\n{headers}\r\n\r\n{body}"
        ))
    }

    /// Exact bytes to the tools listener.
    pub fn tool_raw(&self, bytes: &str) -> Answer {
        let mut stream = TcpStream::connect(self.tools()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        read_answer(&mut stream, bytes.split(' ').next().unwrap()).unwrap()
    }

    /// Calls an action by its name.
    pub fn call(&self, name: &str, token: &str, body: &Value) -> Answer {
        self.tool("POST", &format!("/v1/actions/{name}"), token, Some(body))
    }

    /// Where the operator's pages are.
    pub fn admin(&self) -> SocketAddr {
        self.running.as_ref().unwrap().admin
    }

    /// Opens a session of an agent and gives back its id.
    pub fn open_session(&self, agent: Option<&str>) -> String {
        self.open_session_about(agent, Map::new())
    }

    /// Opens a session of an agent with what the runtime says of it, unchecked.
    pub fn open_session_about(&self, agent: Option<&str>, context: Map<String, Value>) -> String {
        let agent = agent.map(|name| AgentName::parse(name).unwrap());
        let services = self.running.as_ref().unwrap().services();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let opened = runtime.block_on(services.sessions.open(agent.as_ref(), context));
        opened.unwrap().unwrap().expose()
    }

    /// Puts another policy in force.
    pub fn reload(&self, policy: &str) {
        let services = self.running.as_ref().unwrap().services();
        services.renew(&Arc::new(read(policy)));
    }

    /// The policy in force, which whoever asks does not hold.
    pub fn policy(&self) -> Weak<Policy> {
        let services = self.running.as_ref().unwrap().services();
        Arc::downgrade(&services.live.snapshot())
    }

    /// The hash of the policy in force.
    pub fn policy_hash(&self) -> String {
        let services = self.running.as_ref().unwrap().services();
        services.live.snapshot().hash().to_string()
    }

    /// From now on, a look-up of this host panics; `None` mends it.
    pub fn break_name(&self, host: Option<&str>) {
        self.names.break_on(host);
    }

    /// From now on, the vault panics when it is asked for this secret; `None` mends it.
    pub fn break_secret(&self, name: Option<&str>) {
        self.safe.break_on(name);
    }

    /// From now on nothing answers at a host's addresses, not even that nobody is there.
    pub fn silence(&self, host: &str, port: u16) {
        for address in self.names.addresses(host) {
            self.switchboard.silence(SocketAddr::new(address, port));
        }
    }

    /// Our CA, as clients trust it.
    pub fn roots(&self) -> RootCertStore {
        let services = self.running.as_ref().unwrap().services();
        client::roots(services.authority.ca_pem())
    }

    /// The CA of the origins, for clients of tunnels that are not opened.
    pub fn origin_roots(&self) -> RootCertStore {
        self.origin_ca.roots()
    }

    /// DNS questions so far.
    pub fn lookups(&self) -> Vec<String> {
        self.names.asked()
    }

    /// Addresses dialled so far.
    pub fn dials(&self) -> Vec<SocketAddr> {
        self.switchboard.dialled()
    }

    /// Secrets fetched so far.
    pub fn fetched(&self) -> Vec<String> {
        self.safe.fetched()
    }

    /// The records, once there are as many as a test expects; an exchange's is written after its last byte.
    pub fn records(&self, count: usize) -> Vec<Value> {
        self.records_behind(0, count)
    }

    /// As [`World::records`], without the first ones.
    pub fn records_behind(&self, first: usize, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let lines = self.audit.lines();
            if lines.len() >= first + count {
                let read = |line: &String| serde_json::from_str(line).unwrap();
                return lines[first..].iter().map(read).collect();
            }
            assert!(
                Instant::now() < deadline,
                "{count} records behind {first} expected: {lines:#?}"
            );
            std::thread::yield_now();
        }
    }

    /// How many records there are so far.
    pub fn recorded(&self) -> usize {
        self.audit.lines().len()
    }

    /// The only record so far.
    pub fn record(&self) -> Value {
        let mut records = self.records(1);
        assert_eq!(records.len(), 1, "{records:#?}");
        records.remove(0)
    }

    /// Sends bytes that must be refused so, with one record more and nothing else outside. What follows the refusal
    /// until the connection ends comes back.
    pub fn refuses(&self, bytes: &[u8], expected: (u16, &str)) -> String {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        let before = self.audit.lines().len();
        let mut stream = self.client().connect();
        stream.write_all(bytes).unwrap();
        let answer =
            read_answer(&mut stream, "GET").unwrap_or_else(|| panic!("silence: {shown:?}"));
        let got = (answer.status, answer.refusal());
        assert_eq!(got, expected, "{shown:?}: {answer:?}");
        let records = self.records(before + 1);
        let record = &records[before];
        assert_eq!(record["code"], expected.1, "{shown:?}: {record}");
        assert_eq!(records.len(), before + 1, "{shown:?}: {records:#?}");
        self.assert_nothing_left();
        let _ = stream.shutdown(Shutdown::Write);
        client::rest(&mut stream)
    }

    /// All records there will ever be: exeat stops for it. What it wrote must hold none of the usual secrets.
    pub fn last_records(&mut self) -> Vec<Value> {
        let services = self.running.as_ref().unwrap().services().clone();
        self.stop();
        let written = self.audit.lines().join("\n") + &services.scrape();
        for (_, secret) in SECRETS {
            assert!(!written.contains(secret), "{written}");
        }
        self.records(0)
    }

    /// Everything that left exeat towards operators, to look for secrets in it.
    pub fn everything_written(&self) -> String {
        let services = self.running.as_ref().unwrap().services();
        self.audit.lines().join("\n") + &services.scrape()
    }

    /// What every refusal also means: nothing was asked, dialled, fetched or sent.
    pub fn assert_nothing_left(&self) {
        assert_eq!(self.lookups(), Vec::<String>::new(), "DNS questions");
        assert_eq!(self.dials(), Vec::<SocketAddr>::new(), "dials");
        assert_eq!(self.fetched(), Vec::<String>::new(), "secrets fetched");
    }

    /// Stops exeat; the records are whole then.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How a runtime dials.
type Dialling = Arc<dyn Fn() -> Setup + Send + Sync>;

fn read(policy: &str) -> Policy {
    let loaded = policy::from_texts(&[("policy.yaml".into(), policy.into())]);
    let problems = loaded.problems.sorted();
    let problems: Vec<String> = problems.iter().map(|it| it.headline()).collect();
    loaded.policy.unwrap_or_else(|| panic!("{problems:#?}"))
}

fn dialling(
    resolving: Resolving,
    switchboard: &Arc<Switchboard>,
    origin_ca: &OriginCa,
) -> Dialling {
    let tls = Tls::trusting(origin_ca.roots(), Offer::Both);
    let switchboard = switchboard.clone();
    Arc::new(move || Setup {
        resolver: resolving(),
        connector: switchboard.clone(),
        tls: tls.clone(),
        own: Own::default(),
        limits: Limits::default(),
        counted: Upstreams::default(),
    })
}

/// An origin beside a process of its own, and the CA that this has to trust, as PEM.
pub fn origin_apart(host: &str, reply: &[u8]) -> (Origin, String) {
    let ca = OriginCa::new();
    let reply = reply.to_vec();
    let origin = Origin::over_tls(ca.config(host), Box::new(move |_| reply.clone().into()));
    (origin, ca.pem())
}

/// As [`origin_apart`], in cleartext.
pub fn plain_origin_apart(reply: Vec<u8>) -> Origin {
    Origin::in_cleartext(Box::new(move |_| reply.clone().into()))
}

/// A reply with a JSON body.
pub fn json_reply(text: &str) -> Vec<u8> {
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{text}")
        .into_bytes()
}
