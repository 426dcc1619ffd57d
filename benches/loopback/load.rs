//! The clients: a closed loop over keep-alive connections through a proxy, in raw bytes, so that it costs little.
//!
//! It prints a line when it is warm, waits for one on standard input, and prints a [`Tally`] at the end: whoever
//! started it reads the proxy's CPU time in between.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use clap::ValueEnum;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use serde::Serialize;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::certs;
use crate::process;

/// How the proxy is asked.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// `GET http://host/path`.
    Absolute,
    /// `CONNECT host:port`, then TLS and `GET /path`.
    Connect,
}

/// Clients of a proxy.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address of the proxy.
    #[arg(long)]
    proxy: SocketAddr,
    /// How it is asked.
    #[arg(long, value_enum)]
    form: Form,
    /// Name of the origin.
    #[arg(long)]
    host: String,
    /// Port of the origin.
    #[arg(long)]
    port: u16,
    /// Path and query.
    #[arg(long)]
    path: String,
    /// Length of every reply's body.
    #[arg(long)]
    expect_bytes: usize,
    /// Certificate of the CA that signs intercepted hosts.
    #[arg(long)]
    trust: PathBuf,
    /// `Proxy-Authorization`, where the proxy asks for it.
    #[arg(long)]
    authorization: Option<String>,
    /// Connections, each with one request at a time.
    #[arg(long)]
    connections: usize,
    /// Requests before the measured ones.
    #[arg(long)]
    warm_up: usize,
    /// Measured requests, over all connections.
    #[arg(long)]
    requests: usize,
}

/// What came of the measured requests.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Requests that got the reply that was expected.
    pub(crate) replies: usize,
    /// Connections that broke or got another reply; each ends at its first.
    pub(crate) errors: usize,
    /// The first of them in words.
    pub(crate) first_error: Option<String>,
    /// Median latency.
    pub(crate) p50_us: u32,
    /// 99th percentile of the latency.
    pub(crate) p99_us: u32,
    /// From the first request to the last reply.
    pub(crate) elapsed: Duration,
}

/// Longest time of a whole run: nothing here may hang.
const DEADLINE: Duration = Duration::from_secs(60);

/// Warms up, waits for a line on standard input, measures.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, measure(args))
            .await
            .context("the load took too long")?
    })
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let plan = Arc::new(Plan::new(args)?);
    let mut clients = Vec::new();
    for _ in 0..args.connections {
        clients.push(Client::connect(&plan).await?);
    }
    let warm = drive(clients, args.warm_up).await?;
    if let Some(error) = warm.errors.into_iter().next() {
        return Err(error.context("warming up"));
    }
    process::print_ready(&"warm")?;
    // Blocks the only thread on purpose: nothing may happen until the CPU time is read.
    ensure!(
        io::stdin().read_line(&mut String::new())? > 0,
        "nobody waits for the result"
    );
    let start = Instant::now();
    let mut outcome = drive(warm.clients, args.requests).await?;
    let elapsed = start.elapsed();
    outcome.latencies.sort_unstable();
    process::print_ready(&Tally {
        replies: outcome.latencies.len(),
        errors: outcome.errors.len(),
        first_error: outcome.errors.first().map(|error| format!("{error:#}")),
        p50_us: percentile(&outcome.latencies, 50),
        p99_us: percentile(&outcome.latencies, 99),
        elapsed,
    })
}

fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[derive(Default)]
struct Outcome {
    clients: Vec<Client>,
    latencies: Vec<u32>,
    errors: Vec<anyhow::Error>,
}

/// Sends `requests` over all clients, whoever is free taking the next.
async fn drive(clients: Vec<Client>, requests: usize) -> anyhow::Result<Outcome> {
    let left = Arc::new(AtomicUsize::new(requests));
    let mut loops = JoinSet::new();
    for client in clients {
        loops.spawn(client.ask_while(left.clone()));
    }
    let mut outcome = Outcome::default();
    while let Some(done) = loops.join_next().await {
        let (client, latencies, error) = done?;
        outcome.clients.push(client);
        outcome.latencies.extend(latencies);
        outcome.errors.extend(error);
    }
    Ok(outcome)
}

/// What every client needs to know.
struct Plan {
    proxy: SocketAddr,
    /// The CONNECT to begin with, and TLS in the name of the host.
    tunnel: Option<(Vec<u8>, TlsConnector, ServerName<'static>)>,
    request: Vec<u8>,
    expect_bytes: usize,
}

impl Plan {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let authority = format!("{}:{}", args.host, args.port);
        let credential = args
            .authorization
            .as_ref()
            .map(|value| format!("Proxy-Authorization: {value}\r\n"))
            .unwrap_or_default();
        let fields = format!(
            "Host: {authority}\r\nUser-Agent: loopback-bench\r\nAccept: application/json\r\n"
        );
        let path = &args.path;
        let (tunnel, request) = match args.form {
            Form::Absolute => (
                None,
                format!("GET http://{authority}{path} HTTP/1.1\r\n{fields}{credential}\r\n"),
            ),
            Form::Connect => {
                let connect = format!(
                    "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credential}\r\n"
                );
                let connector = TlsConnector::from(Arc::new(certs::client(&args.trust)?));
                let tunnel = (
                    connect.into_bytes(),
                    connector,
                    ServerName::try_from(args.host.clone())?,
                );
                (Some(tunnel), format!("GET {path} HTTP/1.1\r\n{fields}\r\n"))
            }
        };
        Ok(Self {
            proxy: args.proxy,
            tunnel,
            request: request.into_bytes(),
            expect_bytes: args.expect_bytes,
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

struct Client {
    plan: Arc<Plan>,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// Room for a head, beside the body.
const MAX_HEAD: usize = 16 * 1024;

impl Client {
    #[expect(
        clippy::disallowed_methods,
        reason = "a client of the proxy, which has no `dial`"
    )]
    async fn connect(plan: &Arc<Plan>) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect(plan.proxy).await?;
        socket.set_nodelay(true)?;
        let mut buffer = vec![0; plan.expect_bytes + MAX_HEAD];
        let stream: Box<dyn Stream> = match &plan.tunnel {
            None => Box::new(socket),
            Some((connect, connector, name)) => {
                socket.write_all(connect).await?;
                read_reply(&mut socket, &mut buffer, 0)
                    .await
                    .context("CONNECT")?;
                Box::new(
                    connector
                        .connect(name.clone(), socket)
                        .await
                        .context("the TLS inside of the CONNECT")?,
                )
            }
        };
        Ok(Self {
            plan: plan.clone(),
            stream,
            buffer,
        })
    }

    /// Asks until nothing is left to ask for, or something goes wrong.
    async fn ask_while(
        mut self,
        left: Arc<AtomicUsize>,
    ) -> (Self, Vec<u32>, Option<anyhow::Error>) {
        let mut latencies = Vec::with_capacity(left.load(Ordering::Relaxed).min(4096));
        while left
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        {
            let start = Instant::now();
            if let Err(error) = self.ask().await {
                return (self, latencies, Some(error));
            }
            latencies.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        (self, latencies, None)
    }

    async fn ask(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.plan.request).await?;
        self.stream.flush().await?;
        read_reply(&mut self.stream, &mut self.buffer, self.plan.expect_bytes).await
    }
}

/// Reads one reply; anything but a 200 with a body of `expected` bytes is an error.
async fn read_reply(
    stream: &mut (impl Stream + ?Sized),
    buffer: &mut [u8],
    expected: usize,
) -> anyhow::Result<()> {
    let mut filled = 0;
    let mut end = None;
    while end.is_none_or(|end| filled < end) {
        let count = stream.read(&mut buffer[filled..]).await?;
        ensure!(count > 0, "the proxy closed the connection");
        filled += count;
        if end.is_none() {
            end = head_length(&buffer[..filled], expected)?.map(|head| head + expected);
        }
    }
    ensure!(Some(filled) == end, "more bytes than the reply has");
    Ok(())
}

/// Length of the head, or `None` where there is more of it to come.
fn head_length(bytes: &[u8], expected: usize) -> anyhow::Result<Option<usize>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(bytes)? else {
        return Ok(None);
    };
    if head.code != Some(200) {
        bail!("{}", String::from_utf8_lossy(bytes));
    }
    let body = head
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let announced = body.map_or("0", |field| {
        str::from_utf8(field.value).unwrap_or("not a number")
    });
    ensure!(
        announced.parse() == Ok(expected),
        "Content-Length is {announced} where {expected} was expected"
    );
    Ok(Some(length))
}
