//! The clients: a closed loop over keep-alive connections through a door, in raw bytes, so that it costs little.
//!
//! It prints a line when it is warm, waits for one on standard input, and prints a [`Tally`] at the end: whoever
//! started it reads the proxy's CPU time in between. After one more line it ends what it has opened, and says so.

mod client;
mod plan;
mod reply;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::ensure;
use clap::ValueEnum;
use serde::Deserialize;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::load::client::Client;
use crate::load::plan::Plan;
use crate::process;

/// How the action is asked for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// `GET http://host/path`.
    Absolute,
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
    /// Certificate of the CA that signs intercepted hosts.
    #[arg(long)]
    trust: PathBuf,
    /// `Proxy-Authorization`, or `Authorization` for tools, where it is asked for.
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
    wait_for_a_line()?;
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
