//! The clients: keep-alive connections through a door, HTTP/1.1 in raw bytes, so that it costs little.
//!
//! Without a rate it is a closed loop: each client asks again as soon as it has its reply. With one, requests are due
//! by the clock, whoever is free takes the next, and its latency counts from when it was due.
//!
//! It prints a line when it is warm, waits for one on standard input, and prints a [`Tally`] at the end: whoever
//! started it reads the proxy's CPU time in between. After one more line it ends what it has opened, and says so.

mod client;
mod http2;
mod pace;
mod plan;
mod reply;
pub(crate) mod shake;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::ensure;
use clap::ValueEnum;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::load::client::Client;
use crate::load::pace::Pace;
use crate::load::plan::Plan;
use crate::process;

/// How the action is asked for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// `GET http://host/path`.
    Absolute,
    /// The same over a new connection each time, for proxies that close theirs.
    AbsoluteAnew,
    /// `CONNECT host:port`, then TLS and `GET /path`.
    Connect,
    /// `POST /v1/actions/NAME`.
    Tool,
    /// `tools/call` in a session of MCP that each connection has for itself (2025-11-25).
    Mcp,
    /// `tools/call` without a session (2026-07-28).
    McpStateless,
}

/// Clients of one door.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address of the listener.
    #[arg(long)]
    address: SocketAddr,
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
    /// Name of the action, for tools.
    #[arg(long)]
    action: String,
    /// Its parameters, for tools: a JSON object.
    #[arg(long)]
    parameters: String,
    /// Length of the body of every reply of the origin.
    #[arg(long)]
    expect_bytes: usize,
    /// Status of every reply; of one that is no 200 the body does not matter.
    #[arg(long, default_value_t = 200)]
    expect_status: u16,
    /// Every request has another number in place of [`NUMBER`]'s zeros.
    #[arg(long)]
    numbered: bool,
    /// Certificate of the CA that signs intercepted hosts.
    #[arg(long)]
    trust: PathBuf,
    /// `Proxy-Authorization`, or `Authorization` for tools, where it is asked for.
    #[arg(long)]
    authorization: Option<String>,
    /// Clients, each with one request at a time.
    #[arg(long)]
    connections: usize,
    /// So many of them share a connection, and speak HTTP/2 inside of their CONNECT; 0: HTTP/1.1, and none does.
    #[arg(long, default_value_t = 0)]
    streams: usize,
    /// Requests before the measured ones.
    #[arg(long)]
    warm_up: usize,
    /// Measured requests, over all connections.
    #[arg(long)]
    requests: usize,
    /// Measured requests per second, due by the clock.
    #[arg(long)]
    rate: Option<u32>,
    /// Measures nothing: one connection after the other asks once, and all stay open until a line comes.
    #[arg(long)]
    hold: bool,
}

/// In a host or path: what stands here differs from one request to the next.
pub(crate) const NUMBER: &str = "00000000";

/// What came of the measured requests.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Requests that got the reply that was expected.
    pub(crate) replies: usize,
    /// Connections that broke or got another reply; each ends at its first.
    pub(crate) errors: usize,
    /// The first of them in words.
    pub(crate) first_error: Option<String>,
    /// Of the measured requests.
    pub(crate) latency: Latency,
    /// From the first request to the last reply.
    pub(crate) elapsed: Duration,
}

/// How long replies took, in microseconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

/// Longest time of a whole run: nothing here may hang.
const DEADLINE: Duration = Duration::from_secs(60);

/// Most requests under way at a time, however many connections there are: as many as exeat lets one agent have unless
/// it is told otherwise. More than these would need three times as many descriptors.
const UNDER_WAY: usize = 1024;

/// Warms up, waits for a line on standard input, measures.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let loading = async {
            match args.hold {
                true => hold(args).await,
                false => measure(args).await,
            }
        };
        tokio::time::timeout(DEADLINE, loading)
            .await
            .context("the load took too long")?
    })
}

async fn hold(args: &Args) -> anyhow::Result<()> {
    let _open = one_after_the_other(&Arc::new(Plan::new(args)?), args.connections).await?;
    process::print_ready(&"open")?;
    wait_for_a_line()
}

/// Clients each of which has asked once before the next comes.
async fn one_after_the_other(plan: &Arc<Plan>, count: usize) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    while clients.len() < count {
        let mut one = Client::connect_all(plan, 1).await?;
        for client in &mut one {
            client.ask().await?;
        }
        clients.append(&mut one);
    }
    Ok(clients)
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let plan = Arc::new(Plan::new(args)?);
    let clients = match args.connections > UNDER_WAY {
        // More at once than wait to be accepted would be dropped, and come again after a second.
        true => one_after_the_other(&plan, args.connections).await?,
        false => Client::connect_all(&plan, args.connections).await?,
    };
    let warm = drive(clients, Arc::new(Pace::closed(args.warm_up))).await?;
    if let Some(error) = warm.errors.into_iter().next() {
        return Err(error.context("warming up"));
    }
    process::print_ready(&"warm")?;
    wait_for_a_line()?;
    let start = Instant::now();
    let pace = match args.rate {
        None => Pace::closed(args.requests),
        Some(rate) => Pace::by_the_clock(args.requests, rate)?,
    };
    let mut outcome = drive(warm.clients, Arc::new(pace)).await?;
    let elapsed = start.elapsed();
    outcome.latencies.sort_unstable();
    process::print_ready(&Tally {
        replies: outcome.latencies.len(),
        errors: outcome.errors.len(),
        first_error: outcome.errors.first().map(|error| format!("{error:#}")),
        latency: Latency::of(&outcome.latencies),
        elapsed,
    })?;
    wait_for_a_line()?;
    for client in outcome.clients {
        client.leave().await?;
    }
    process::print_ready(&"gone")
}

/// Blocks the only thread on purpose: nothing may happen until the CPU time is read.
fn wait_for_a_line() -> anyhow::Result<()> {
    let read = io::stdin().read_line(&mut String::new())?;
    ensure!(read > 0, "nobody waits for the result");
    Ok(())
}

impl Latency {
    fn of(sorted: &[Duration]) -> Self {
        let at = |thousandths: usize| {
            let rank = (sorted.len() * thousandths).div_ceil(1000);
            let latency = sorted.get(rank.saturating_sub(1)).copied();
            latency.unwrap_or_default().as_secs_f64() * 1e6
        };
        Self {
            p50_us: at(500),
            p99_us: at(990),
            p999_us: at(999),
            max_us: at(1000),
        }
    }
}

#[derive(Default)]
struct Outcome {
    clients: Vec<Client>,
    latencies: Vec<Duration>,
    errors: Vec<anyhow::Error>,
}

/// Sends what the pace has over all clients, whoever is free taking the next.
async fn drive(clients: Vec<Client>, pace: Arc<Pace>) -> anyhow::Result<Outcome> {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY));
    let mut loops = JoinSet::new();
    for client in clients {
        loops.spawn(client.ask_while(pace.clone(), under_way.clone()));
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
