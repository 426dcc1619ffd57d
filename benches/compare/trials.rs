//! What is compared with what.

use std::path::Path;
use std::path::PathBuf;

use anyhow::ensure;
use clap::ValueEnum;

use crate::bare::Body;
use crate::bare::Heads;
use crate::bare::Layout;
use crate::bare::Setup;
use crate::exeat;
use crate::held;
use crate::origin::Size;
use crate::peers;
use crate::process;
use crate::rounds;
use crate::rounds::Effort;
use crate::rounds::Http;
use crate::rounds::Mode;
use crate::rounds::Scenario;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::table;

/// Measures the CPU time per request of proxies on loopback.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Trials to run; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    trial: Vec<Trial>,
    /// Another build of exeat, to run beside this one in its trial: what does a change do?
    #[arg(long)]
    beside: Option<PathBuf>,
    /// Modes of the exeat trial; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    mode: Vec<Mode>,
    /// Sizes of replies in the exeat trial; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    size: Vec<Size>,
    /// Peers of the peers trial, by the names in `peers.d`; all that are here by default.
    #[arg(long, value_delimiter = ',')]
    peer: Vec<String>,
    /// Few rounds of few requests: shows that it works, proves nothing.
    #[arg(long)]
    quick: bool,
    /// Rounds over all cells.
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Measured requests per cell and round.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// Keep-alive connections, each with one request at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
}

/// A question, and the contenders that answer it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Trial {
    /// One current-thread runtime per core, or the multi-thread runtime?
    Layouts,
    /// Do bodies stream through, or are they collected first?
    Bodies,
    /// What does it cost to read requests strictly?
    Heads,
    /// What does exeat add to the bare stack?
    Exeat,
    /// What do the doors of tools add to the proxy's, and how much memory do many calls at once take?
    Doors,
    /// What do the proxies cost that people use instead?
    Peers,
}

/// Run when no trial is named.
const DEFAULT_TRIALS: [Trial; 5] = [
    Trial::Exeat,
    Trial::Doors,
    Trial::Heads,
    Trial::Layouts,
    Trial::Bodies,
];

/// Runs the trials and prints a table for each.
pub(crate) fn run(args: &Args, smoke: bool) -> anyhow::Result<()> {
    if !process::taskset_is_there() {
        eprintln!("no taskset: nothing is pinned to cores, so the figures spread more");
    }
    let effort = args.effort(smoke);
    let trials = if args.trial.is_empty() {
        &DEFAULT_TRIALS[..]
    } else {
        &args.trial
    };
    for trial in trials {
        match trial {
            Trial::Layouts => layouts(&effort)?,
            Trial::Bodies => bodies(&effort)?,
            Trial::Heads => heads(&effort)?,
            Trial::Exeat => against_exeat(args, &effort)?,
            Trial::Doors => doors(&effort)?,
            Trial::Peers => against_peers(args, &effort)?,
        }
    }
    Ok(())
}

impl Args {
    fn effort(&self, smoke: bool) -> Effort {
        let connections = self.connections.into();
        if smoke || self.quick {
            let rounds = if smoke { 1 } else { 3 };
            return Effort {
                rounds,
                requests: 1_000,
                connections,
                many: if smoke { 50 } else { MANY },
            };
        }
        Effort {
            rounds: self.rounds.into(),
            requests: self.requests as usize,
            connections,
            many: MANY,
        }
    }
}

/// The bare stack with which others are compared.
const REFERENCE: Setup = Setup {
    layout: Layout::CurrentThread,
    threads: 1,
    body: Body::Stream,
    heads: Heads::Lenient,
};

fn layouts(effort: &Effort) -> anyhow::Result<()> {
    let available = std::thread::available_parallelism()?.get();
    for cores in [1, 2].into_iter().filter(|&cores| cores <= available) {
        let stage = Stage::open(cores)?;
        let multi_thread = Setup {
            layout: Layout::MultiThread,
            threads: cores,
            ..REFERENCE
        };
        let mut contenders = vec![
            stage.bare(
                "current-thread per core",
                Setup {
                    threads: cores,
                    ..REFERENCE
                },
            )?,
            stage.bare("multi-thread", multi_thread)?,
        ];
        if cores == 1 {
            contenders.push(stage.bare(
                "multi-thread, 2 workers",
                Setup {
                    threads: 2,
                    ..multi_thread
                },
            )?);
        }
        let scenarios = across(&[Mode::Forward, Mode::Intercepted], &[Size::Small]);
        compare(
            &format!("Runtime layouts of the bare stack, cores: {cores}"),
            &stage,
            &contenders,
            &scenarios,
            effort,
        )?;
    }
    Ok(())
}

fn bodies(effort: &Effort) -> anyhow::Result<()> {
    let stage = Stage::open(1)?;
    let contenders = [
        stage.bare("streamed", REFERENCE)?,
        stage.bare(
            "collected",
            Setup {
                body: Body::Collect,
                ..REFERENCE
            },
        )?,
    ];
    let scenarios = across(
        &[Mode::Forward, Mode::Intercepted],
        &[Size::Small, Size::Large],
    );
    compare(
        "Bodies of replies in the bare stack, cores: 1",
        &stage,
        &contenders,
        &scenarios,
        effort,
    )
}

fn heads(effort: &Effort) -> anyhow::Result<()> {
    let stage = Stage::open(1)?;
    let strict = Setup {
        heads: Heads::Strict,
        ..REFERENCE
    };
    let contenders = [
        stage.bare("lenient", REFERENCE)?,
        stage.bare("strict", strict)?,
    ];
    let title = "Heads of requests in the bare stack, cores: 1";
    let modes = [Mode::Forward, Mode::Carried, Mode::Intercepted];
    compare(
        title,
        &stage,
        &contenders,
        &across(&modes, &[Size::Small]),
        effort,
    )
}

fn against_exeat(args: &Args, effort: &Effort) -> anyhow::Result<()> {
    let stage = Stage::open(1)?;
    let ours = Path::new(env!("CARGO_BIN_EXE_exeat"));
    let mut contenders = vec![
        stage.bare("bare", REFERENCE)?,
        exeat::start(&stage, "exeat", ours)?,
    ];
    if let Some(other) = &args.beside {
        contenders.push(exeat::start(&stage, "exeat beside", other)?);
    }
    let scenarios = across(
        or_all(
            &args.mode,
            &[Mode::Forward, Mode::Carried, Mode::Intercepted],
        ),
        or_all(&args.size, &[Size::Small, Size::Large]),
    );
    compare(
        "exeat against the bare stack, cores: 1",
        &stage,
        &contenders,
        &scenarios,
        effort,
    )
}

fn against_peers(args: &Args, effort: &Effort) -> anyhow::Result<()> {
    let stage = Stage::open(1)?;
    let ours = Path::new(env!("CARGO_BIN_EXE_exeat"));
    let peers = peers::start(&stage, &args.peer)?;
    let mut contenders = vec![
        stage.bare("bare", REFERENCE)?,
        exeat::start(&stage, "exeat", ours)?,
    ];
    contenders.extend(peers.contenders);
    let modes = [Mode::Forward, Mode::Carried, Mode::Tunnel, Mode::Intercepted];
    let scenarios = across(
        or_all(&args.mode, &modes),
        or_all(&args.size, &[Size::Small, Size::Large]),
    );
    compare(
        "exeat against what people use instead, cores: 1",
        &stage,
        &contenders,
        &scenarios,
        effort,
    )
}

/// Calls at once.
const MANY: usize = 1_000;

/// Rounds of so many: what is not given back shows within a few.
const HELD_ROUNDS: usize = 10;

/// Exeat's own doors, side by side in one process; then its memory.
fn doors(effort: &Effort) -> anyhow::Result<()> {
    let program = Path::new(env!("CARGO_BIN_EXE_exeat"));
    let stage = Stage::open(1)?;
    let contenders = exeat::doors(&stage, program)?;
    let title = "The doors of exeat, cores: 1";
    let carried = across(&[Mode::Carried], &[Size::Small]);
    compare(title, &stage, &contenders, &carried, effort)?;
    let many = Effort {
        connections: effort.many,
        ..effort.clone()
    };
    // In cleartext: a pool keeps 64 connections to a host, and past them each call would measure a handshake.
    let forward = across(&[Mode::Forward], &[Size::Small]);
    compare(title, &stage, &contenders, &forward, &many)?;
    drop((contenders, stage));
    held::trial(program, effort.many, effort.rounds.min(HELD_ROUNDS))
}

fn or_all<'a, T>(asked: &'a [T], all: &'a [T]) -> &'a [T] {
    if asked.is_empty() { all } else { asked }
}

fn across(modes: &[Mode], sizes: &[Size]) -> Vec<Scenario> {
    modes
        .iter()
        .flat_map(|&mode| {
            sizes.iter().map(move |&size| Scenario {
                mode,
                http: Http::One,
                size,
            })
        })
        .collect()
}

fn compare(
    title: &str,
    stage: &Stage,
    contenders: &[Contender],
    scenarios: &[Scenario],
    effort: &Effort,
) -> anyhow::Result<()> {
    ensure!(!contenders.is_empty(), "nothing to compare");
    let all = rounds::measure(stage, contenders, scenarios, effort)?;
    table::print(title, effort, contenders, &all);
    Ok(())
}
