//! What exeat is like after a while: hours of agents in minutes, with everything that goes wrong between them.
//!
//! `cargo bench --bench soak` takes ten minutes, `-- --minutes 60` an hour; `cargo test --bench soak` is one short
//! round: does it work at all? A real `exeat run` serves clients that read slowly, leave in the middle of a request or
//! of a reply, stream, call tools and are refused, before an origin that is slow or breaks off, while the policy is
//! written anew every few seconds. In the end:
//!
//! - memory is flat: the slope of the resident memory over the time after the first third;
//! - there are as many terminal audit records as requests, each with an id of its own, without a gap in their numbers;
//! - every change of the policy has come into force, and none has ended a request;
//! - the chain of the records is whole, as `exeat audit verify` has it.
//!
//! | File | Part |
//! |---|---|
//! | `clients` | what agents do, and how many requests that is |
//! | `origin` | the API: quick, slow, streaming, breaking off |
//! | `child` | the exeat under test: its policies, its memory, its end |
//! | `ledger` | the records, read again and counted |

#[path = "../compare/certs.rs"]
mod certs;
mod child;
mod clients;
mod ledger;
mod origin;

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;

use crate::child::{Child, Memory};
use crate::clients::Tally;

/// Uses exeat for a while, in every way that goes wrong, and looks at what is left.
#[derive(Parser)]
#[command(name = "soak")]
struct Cli {
    /// How long [default: 10 minutes, or a few seconds without `--bench`]
    #[arg(long)]
    minutes: Option<f64>,
    /// Clients at a time, of all kinds
    #[arg(long, default_value_t = 24)]
    clients: usize,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// As long as a first look takes.
const SHORT: Duration = Duration::from_secs(6);

/// As long as the issue asks for.
const LONG: Duration = Duration::from_secs(600);

/// The most that memory may grow in a minute. Over the ten minutes that is what a hundred connections more would take;
/// a leak of a kilobyte for each request would be thirty times as much.
const SLOPE_KIB: f64 = 1024.0;

/// A slope over less than this says nothing: caches fill, and the allocator keeps what it was given.
const LONG_ENOUGH: Duration = Duration::from_secs(240);

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let given = cli.minutes.map(|it| Duration::from_secs_f64(it * 60.0));
    let time = given.unwrap_or(if cli.bench { LONG } else { SHORT });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(soak(time, cli.clients))
}

async fn soak(time: Duration, clients: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    certs::create_ca(folder.path())?;
    let origin = origin::start(folder.path()).await?;
    let mut child = Child::start(folder.path(), &origin)?;
    let end = Instant::now() + time;
    println!("{clients} clients for {} s", time.as_secs());
    let asking = clients::run(child.doors.clone(), &origin, (clients, end));
    let (tally, memory) = tokio::join!(asking, look_after(&mut child, end));
    let (tally, memory) = (tally?, memory?);
    child.expect_settled().await?;
    child.expect_changed().await?;
    let records = child.stop()?;
    report(&tally, &memory);
    let ledger = ledger::read(&records)?;
    println!("records: {ledger}");
    ensure!(
        ledger.terminal == tally.requests(),
        "{} terminal records for {} requests",
        ledger.terminal,
        tally.requests()
    );
    expect_flat(&memory, time)?;
    child.verify(&records)
}

/// Changes the policy and measures the memory until the end.
async fn look_after(child: &mut Child, end: Instant) -> anyhow::Result<Memory> {
    const CHANGE: Duration = Duration::from_secs(3);
    let mut memory = Memory::default();
    let mut timer = tokio::time::interval(Duration::from_secs(1));
    let mut changed = Instant::now();
    let reloads = child.reloads().await?.is_some();
    while Instant::now() < end {
        timer.tick().await;
        memory.note(child.resident()?);
        if reloads && changed.elapsed() >= CHANGE {
            child.change()?;
            changed = Instant::now();
        }
    }
    Ok(memory)
}

fn expect_flat(memory: &Memory, time: Duration) -> anyhow::Result<()> {
    let slope = memory.slope();
    ensure!(
        time < LONG_ENOUGH || slope < SLOPE_KIB,
        "memory grows by {slope:.0} KiB a minute"
    );
    Ok(())
}

fn report(tally: &Tally, memory: &Memory) {
    println!("requests: {tally}");
    for (minute, kib) in memory.by_minute().iter().enumerate() {
        println!("memory in minute {}: {kib:.0} KiB", minute + 1);
    }
    println!(
        "memory after the first third: {:+.0} KiB a minute",
        memory.slope()
    );
}
