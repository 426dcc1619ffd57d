//! Two exeats without sockets: one in which anybody may call what is declared, and one in which nobody can.

use std::future::ready;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use exeat::admin::Admin;
use exeat::audit::Audit;
use exeat::audit::Queue;
use exeat::audit::Sink;
use exeat::authority::Authority;
use exeat::dial;
use exeat::dial::Answer;
use exeat::dial::Connect;
use exeat::dial::Connecting;
use exeat::dial::Dialer;
use exeat::dial::Lookup;
use exeat::dial::Offer;
use exeat::dial::Own;
use exeat::dial::Resolve;
use exeat::dial::Setup;
use exeat::dial::Tls;
use exeat::dial::Vetted;
use exeat::drain::Drain;
use exeat::exchange::Gate;
use exeat::exchange::OnEcho;
use exeat::exchange::PlainHttp;
use exeat::exchange::Room;
use exeat::exchange::Services;
use exeat::exchange::Settings;
use exeat::exchange::Shares;
use exeat::known::Known;
use exeat::lease::GRACE;
use exeat::lease::Leases;
use exeat::live::Live;
use exeat::meter::Meter;
use exeat::metrics::Listener;
use exeat::metrics::Metrics;
use exeat::metrics::Upstreams;
use exeat::name::SecretName;
use exeat::policy;
use exeat::policy::SecretSource;
use exeat::proxy;
use exeat::proxy::ClientLimits;
use exeat::proxy::ClientStream;
use exeat::request::Host;
use exeat::seats::Seats;
use exeat::secret::Secret;
use exeat::sessions::Bounds;
use exeat::sessions::InMemory;
use exeat::tokens::Tokens;
use exeat::tools::Tools;
use exeat::vault::Getting;
use exeat::vault::Vault;
use rustls::RootCertStore;
use tempfile::TempDir;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::DuplexStream;
use tokio::io::ReadBuf;
use tokio::runtime::Runtime;

use super::Door;

/// What no answer and no record may hold: every secret of the policies.
pub(super) const SECRET: &str = "SECRET-AAAA-BBBB-CCCC";

const POLICY: &str = r#"
version: 1
secrets:
  token: {env: TOKEN}
auth:
  good: {type: bearer, token: {secret: token}}
actions:
  get_item:
    description: Returns one item of the catalogue.
    method: GET
    url: https://api.good.test/v1/items/{{id}}
    auth: good
    parameters:
      properties:
        id: {type: string, pattern: "^[a-z0-9-]{1,64}$"}
        fields: {type: string, enum: [name, qty]}
      required: [id]
  create_item:
    description: Adds an item to the catalogue.
    method: POST
    url: https://api.good.test/v1/items
    auth: good
    parameters:
      properties:
        name: {type: string, maxLength: 100}
        qty: {type: integer, minimum: 0, maximum: 1000}
      required: [name, qty]
  watch:
    description: Tells of changes.
    method: GET
    url: https://api.good.test/v1/ws
    upgrade: websocket
tunnels:
  pinned: {hosts: [tunnel.test]}
"#;

const AGENTS: &str = r#"
agents:
  bot: {token: {secret: token}, allow: ["*"]}
"#;

/// Where requests say that they are sent.
const LISTENER: &str = "127.0.0.1:9000";

/// The runtime, and both.
pub(super) struct World {
    pub(super) runtime: Runtime,
    pub(super) open: Side,
    pub(super) guarded: Side,
    _folder: TempDir,
}

/// One exeat.
pub(super) struct Side {
    gate: Arc<Gate>,
    tools: Arc<Tools>,
    admin: Arc<Admin>,
    outside: Arc<Outside>,
    lines: Lines,
}

/// What was seen beside the answer.
pub(super) struct Traces {
    /// Lines of the audit log.
    pub(super) records: Vec<Vec<u8>>,
    /// Names that were looked up.
    pub(super) asked: Vec<String>,
    /// How often something was dialled.
    pub(super) dials: usize,
}

impl World {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let entered = runtime.enter();
        let ca = folder.path().join("ca");
        let open = Side::new(&ca, POLICY, None);
        let token = Secret::new(SECRET.as_bytes().to_vec()).ok();
        let guarded = Side::new(&ca, &format!("{POLICY}{AGENTS}"), token);
        drop(entered);
        Self {
            runtime,
            open,
            guarded,
            _folder: folder,
        }
    }
}

impl Side {
    fn new(ca: &std::path::Path, policy: &str, token: Option<Secret>) -> Self {
        let (outside, lines) = (Arc::new(Outside::default()), Lines::default());
        let services = Arc::new(services(ca, policy, &lines));
        let dialer = Dialer::new(setup(&outside));
        let gate = Arc::new(Gate {
            services: services.clone(),
            dialer,
        });
        let listener: SocketAddr = LISTENER.parse().expect("an address");
        let stall = Duration::from_secs(60);
        Self {
            tools: Arc::new(Tools::new(gate.clone(), listener, stall)),
            admin: Arc::new(Admin::new(services, listener, token, stall)),
            gate,
            outside,
            lines,
        }
    }

    pub(super) async fn serve(&self, door: Door, stream: Pipe) {
        match door {
            Door::Proxy => {
                let limits = Arc::new(ClientLimits::default());
                let seat = Arc::<Seats>::default().sit();
                proxy::serve_stream(self.gate.clone(), stream, (limits, seat)).await;
            }
            Door::Tools => {
                let seat = Arc::<Seats>::default().sit();
                self.tools.clone().serve(stream, seat).await;
            }
            Door::Admin => {
                let open = self.gate.services.metrics.connection(Listener::Admin);
                self.admin.clone().serve(stream, open).await;
            }
        }
    }

    /// Everything since the last time.
    pub(super) async fn take_traces(&self) -> Traces {
        self.gate.services.audit.flush().await;
        let lines = std::mem::take(&mut *lock(&self.lines.0));
        let records = lines.split_inclusive(|it| *it == b'\n');
        Traces {
            records: records.map(<[u8]>::to_vec).collect(),
            asked: std::mem::take(&mut lock(&self.outside.asked)),
            dials: self.outside.dials.swap(0, Ordering::Relaxed),
        }
    }
}

fn services(ca: &std::path::Path, policy: &str, lines: &Lines) -> Services {
    let metrics = Arc::new(Metrics::new());
    let loaded = policy::from_texts(&[("policy.yaml".to_owned(), policy.into())]);
    let policy = loaded.policy.expect("the policy is good");
    let known = Arc::new(Known::default());
    let vault = known.watching(Arc::new(Safe));
    let (live, drain) = (Live::new(Arc::new(policy)), Drain::default());
    Services {
        leases: Leases::new(&live, &drain, GRACE),
        live,
        drain,
        tokens: Tokens::new(vault.clone(), known.clone(), metrics.clone()),
        vault,
        known,
        sessions: Arc::new(InMemory::new(Bounds::default())),
        meter: Meter::default(),
        audit: Audit::to(lines.clone(), Queue::default(), &metrics).expect("a thread"),
        authority: Authority::open_or_create(ca).expect("a CA"),
        metrics,
        room: Room::default(),
        shares: Shares::default(),
        settings: Settings {
            environment: None,
            plain_http: PlainHttp::Upgrade,
            on_echo: OnEcho::Redact,
            shows_values: false,
            redaction: Arc::default(),
        },
    }
}

fn setup(outside: &Arc<Outside>) -> Setup {
    Setup {
        resolver: outside.clone(),
        connector: outside.clone(),
        tls: Tls::trusting(RootCertStore::empty(), Offer::Both),
        own: Own::default(),
        limits: dial::Limits::default(),
        counted: Upstreams::default(),
    }
}

/// Every name has an address, and nothing answers there.
#[derive(Default)]
struct Outside {
    asked: Mutex<Vec<String>>,
    dials: AtomicUsize,
}

impl Resolve for Outside {
    fn lookup<'a>(&'a self, host: &'a Host) -> Lookup<'a> {
        lock(&self.asked).push(host.to_string());
        let address = IpAddr::from([203, 0, 114, 10]);
        Box::pin(ready(Ok(vec![Answer::from(address)])))
    }
}

impl Connect for Outside {
    fn connect(&self, _: Vetted) -> Connecting {
        self.dials.fetch_add(1, Ordering::Relaxed);
        Box::pin(ready(Err(io::ErrorKind::ConnectionRefused.into())))
    }
}

/// Holds one secret under every name.
struct Safe;

impl Vault for Safe {
    fn get<'a>(&'a self, _: &'a SecretName, _: &'a SecretSource) -> Getting<'a> {
        let secret = Secret::new(SECRET.as_bytes().to_vec()).expect("a secret");
        Box::pin(ready(Ok(secret)))
    }
}

/// Lines of the audit log, until they are taken.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Sink for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection in memory that remembers whether it was aborted.
pub(super) struct Pipe {
    stream: DuplexStream,
    aborted: Arc<AtomicBool>,
}

impl Pipe {
    pub(super) fn new(stream: DuplexStream) -> (Self, Arc<AtomicBool>) {
        let aborted = Arc::<AtomicBool>::default();
        let pipe = Self {
            stream,
            aborted: aborted.clone(),
        };
        (pipe, aborted)
    }
}

impl ClientStream for Pipe {
    fn abort(&mut self) {
        self.aborted.store(true, Ordering::Relaxed);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
