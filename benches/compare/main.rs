//! What exeat costs: CPU time per request of a proxy process on loopback, as a ratio to a proxy that decides nothing.
//!
//! `cargo bench --bench compare` measures and prints; `-- --quick` is the same in seconds, `-- --help` shows the rest.
//! The one binary plays every part: it starts itself again as `origin`, `bare`, `load` or `shake`.
//!
//! | File | Part |
//! |---|---|
//! | `trials` | what is compared with what |
//! | `rounds` | how: interleaved rounds, one cell at a time |
//! | `held` | how much memory: many calls under way at once |
//! | `memory` | how much memory: many connections that wait |
//! | `handshakes` | what a tunnel costs to open |
//! | `start` | from exec to the first served request |
//! | `growth` | how cost grows with connections and with actions |
//! | `plot` | its plots |
//! | `refusals` | what a refusal costs, and whether it leaves anything |
//! | `clients` | one run of the clients: what they ask of whom |
//! | `table` | medians, ratios, and their spread |
//! | `report` | all of it as JSON, and what its fields mean |
//! | `stage` | the processes of one trial, and which cores they have |
//! | `process` | one process: started, listened to, its CPU time read, ended |
//! | `exeat` | how exeat is started here, and the policy it runs |
//! | `peers` | what people use instead, from `peers.d` |
//! | `origin`, `bare`, `load` | the parts: the API, the bare stack, the clients |
//! | `certs` | the throwaway CA that they share |
//!
//! Wall clock says little on a machine that does other work too. CPU time says more, and a ratio of two cells that ran
//! one right after the other says most; so these are what is printed, with the latencies beside them for orientation.

mod bare;
mod certs;
mod clients;
mod exeat;
mod growth;
mod handshakes;
mod held;
mod load;
mod memory;
mod origin;
mod peers;
mod plot;
mod process;
mod refusals;
mod report;
mod rounds;
mod stage;
mod start;
mod table;
mod trials;

use clap::Parser;
use clap::Subcommand;

/// The allocator of the exeat binary: a ratio must not measure the difference between two allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the CPU time per request of proxies on loopback.
#[derive(Parser)]
#[command(name = "compare", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    trials: trials::Args,
    /// Given by `cargo bench`. Without it (`cargo test --benches`) the run is a quick one: does it work at all?
    #[arg(long, hide = true)]
    bench: bool,
}

/// The parts that the binary plays when it starts itself again.
#[derive(Subcommand)]
enum Part {
    Origin(origin::Args),
    Bare(bare::Args),
    Load(load::Args),
    Shake(load::shake::Args),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.part {
        Some(Part::Origin(args)) => origin::run(&args),
        Some(Part::Bare(args)) => bare::run(&args),
        Some(Part::Load(args)) => load::run(&args),
        Some(Part::Shake(args)) => load::shake::run(&args),
        None => trials::run(&cli.trials, !cli.bench),
    }
}
