//! What is compared with what.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::bare::Body;
use crate::bare::Heads;
use crate::bare::Layout;
use crate::bare::Setup;
use crate::exeat;
use crate::growth;
use crate::growth::Reach;
use crate::handshakes;
use crate::held;
use crate::memory;
use crate::origin::Size;
use crate::peers;
use crate::process;
use crate::refusals;
use crate::report::Report;
use crate::rounds;
use crate::rounds::EVERYTHING;
use crate::rounds::Effort;
use crate::rounds::Http;
use crate::rounds::Mode;
use crate::rounds::Scenario;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::start;
use crate::table;
use crate::table::References;

/// Measures the CPU time per request of proxies on loopback.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Trials to run; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    trial: Vec<Trial>,
    /// Another build of exeat, to run beside this one in its trial: what does a change do?
    #[arg(long)]
    beside: Option<PathBuf>,
    /// Modes of the exeat and the peers trial; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    mode: Vec<Mode>,
    /// Sizes of replies in the exeat and the peers trial; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    size: Vec<Size>,
    /// Peers of the peers trial, by the names in `peers.d`; all that are here by default.
    #[arg(long, value_delimiter = ',')]
    peer: Vec<String>,
    /// Versions of HTTP in the exeat and the peers trial; all of them by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    http: Vec<Http>,
    /// Writes everything that was measured to this file; `report` says what its fields mean.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Few rounds of few requests: shows that it works, proves nothing.
    #[arg(long)]
    quick: bool,
    /// Rounds over all cells; 10 by default in the trials with the most cells (exeat, peers), and 21 in the others.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,
    /// Seconds for which each cell of these trials is asked at a steady rate, in each round; 0: not at all.
    #[arg(long, default_value_t = 0.75, value_parser = parse_seconds)]
    steady: f64,
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
    /// What does a refusal cost, and does it leave anything?
    Refusals,
    /// What do connections take that wait?
    Memory,
    /// What does it cost to open a tunnel?
    Handshakes,
    /// How long does a start take?
    Start,
    /// How does cost grow with connections and with actions?
    Growth,
}

/// Run when no trial is named.
const DEFAULT_TRIALS: [Trial; 10] = [
    Trial::Exeat,
    Trial::Refusals,
    Trial::Doors,
    Trial::Heads,
    Trial::Layouts,
    Trial::Bodies,
    Trial::Memory,
    Trial::Handshakes,
    Trial::Start,
    Trial::Growth,
];

/// Runs the trials and prints a table for each.
pub(crate) fn run(args: &Args, smoke: bool) -> anyhow::Result<()> {
    if !process::taskset_is_there() {
        eprintln!("no taskset: nothing is pinned to cores, so the figures spread more");
    }
    let (effort, mut report) = (args.effort(smoke), Report::default());
    let trials = if args.trial.is_empty() {
        &DEFAULT_TRIALS[..]
    } else {
        &args.trial
    };
    for trial in trials {
        match trial {
            Trial::Layouts => layouts(&effort, &mut report)?,
            Trial::Bodies => bodies(&effort, &mut report)?,
            Trial::Heads => heads(&effort, &mut report)?,
            Trial::Exeat => against_exeat(args, (&effort, smoke), &mut report)?,
            Trial::Doors => doors(&effort, &mut report)?,
            Trial::Peers => against_peers(args, (&effort, smoke), &mut report)?,
            Trial::Refusals => refused(&effort, smoke, &mut report)?,
            Trial::Memory => memory::trial(REFERENCE, &program(), &effort, &mut report)?,
            Trial::Handshakes => handshakes(&effort, &mut report)?,
            Trial::Start => start::trial(REFERENCE, &program(), &effort, &mut report)?,
            Trial::Growth => {
                let kept = !smoke && !args.quick;
                let reach = if kept { Reach::whole() } else { Reach::short() };
                growth::trial(REFERENCE, &program(), &effort, &reach)?;
            }
        }
    }
    args.json.as_ref().map_or(Ok(()), |file| report.write(file))
}

/// A cell takes the load a minute at most.
fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=30.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected 0 to 30".to_owned()),
    }
}

impl Args {
    fn effort(&self, smoke: bool) -> Effort {
        let connections = self.connections.into();
        let steady = Duration::from_secs_f64(self.steady);
        if smoke {
            return Effort {
                rounds: 1,
                requests: 100,
                connections: 8,
                many: 50,
                steady: steady.min(Duration::from_millis(50)),
            };
        }
        if self.quick {
            return Effort {
                rounds: 3,
                requests: 1_000,
                connections,
                many: MANY,
                steady: steady.min(Duration::from_millis(300)),
            };
        }
        Effort {
            rounds: self.rounds.map_or(ROUNDS, usize::from),
            requests: self.requests as usize,
            connections,
            many: MANY,
            steady,
        }
    }
}

impl Args {
    /// For trials with many cells, where nobody has said how many rounds.
    fn fewer_rounds(&self, effort: &Effort) -> Effort {
        Effort {
            rounds: match self.rounds {
                None => effort.rounds.min(ROUNDS_OF_EXEAT),
                Some(_) => effort.rounds,
            },
            ..effort.clone()
        }
    }

    /// What the exeat trial and that of the peers ask for. Large replies over HTTP/2 have to be named: they would show
    /// once more what they show over HTTP/1.1, and each cell takes its time.
    fn scenarios(&self, smoke: bool) -> Vec<Scenario> {
        let is_asked = |it: &Scenario| {
            let one_of_sizes = match self.size.is_empty() {
                true => it.size == Size::Small || (it.http == Http::One && !smoke),
                false => self.size.contains(&it.size),
            };
            let any = |asked: &[Mode]| asked.is_empty() || asked.contains(&it.mode);
            let version = self.http.is_empty() || self.http.contains(&it.http);
            one_of_sizes && any(&self.mode) && version
        };
        let of_all_sizes = EVERYTHING.iter().flat_map(|&(mode, http)| {
            [Size::Small, Size::Large].map(|size| Scenario { mode, http, size })
        });
        of_all_sizes.filter(is_asked).collect()
    }
}

/// Of all trials but exeat's.
const ROUNDS: usize = 21;

/// Of exeat's: the fewest whose median has an interval that leaves out extremes at both ends.
const ROUNDS_OF_EXEAT: usize = 10;

/// The bare stack with which others are compared.
const REFERENCE: Setup = Setup {
    layout: Layout::CurrentThread,
    threads: 1,
    body: Body::Stream,
    heads: Heads::Lenient,
};

fn layouts(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
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
            (
                "layouts",
                &format!("Runtime layouts of the bare stack, cores: {cores}"),
            ),
            (&stage, &contenders),
            &scenarios,
            effort,
            report,
        )?;
    }
    Ok(())
}

fn bodies(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
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
        ("bodies", "Bodies of replies in the bare stack, cores: 1"),
        (&stage, &contenders),
        &scenarios,
        effort,
        report,
    )
}

fn heads(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
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
        ("heads", title),
        (&stage, &contenders),
        &across(&modes, &[Size::Small]),
        effort,
        report,
    )
}

fn against_exeat(
    args: &Args,
    (effort, smoke): (&Effort, bool),
    report: &mut Report,
) -> anyhow::Result<()> {
    let stage = Stage::open(1)?;
    let mut contenders = ourselves(&stage)?;
    if let Some(other) = &args.beside {
        contenders.push(exeat::start(&stage, "exeat beside", other)?);
    }
    let title = "exeat against the faster of two bare stacks, cores: 1";
    race(
        ("exeat", title),
        (&stage, &contenders),
        &args.scenarios(smoke),
        &args.fewer_rounds(effort),
        report,
    )
}

fn against_peers(
    args: &Args,
    (effort, smoke): (&Effort, bool),
    report: &mut Report,
) -> anyhow::Result<()> {
    let stage = Stage::open(1)?;
    let peers = peers::start(&stage, &args.peer)?;
    let mut contenders = ourselves(&stage)?;
    contenders.extend(peers.contenders);
    let title =
        "exeat beside what people use instead, against the faster of two bare stacks, cores: 1";
    race(
        ("peers", title),
        (&stage, &contenders),
        &args.scenarios(smoke),
        &args.fewer_rounds(effort),
        report,
    )
}

/// The bare stack in both of the layouts from which the faster is taken, then exeat.
fn ourselves(stage: &Stage) -> anyhow::Result<Vec<Contender>> {
    let multi_thread = Setup {
        layout: Layout::MultiThread,
        threads: 2,
        ..REFERENCE
    };
    Ok(vec![
        stage.bare("bare, current-thread", REFERENCE)?,
        stage.bare("bare, 2 workers", multi_thread)?,
        exeat::start(stage, "exeat", &program())?,
    ])
}

/// As [`compare`], for contenders of whom the first two are bare stacks, and at a steady rate as well.
fn race(
    (trial, title): (&str, &str),
    (stage, contenders): (&Stage, &[Contender]),
    scenarios: &[Scenario],
    effort: &Effort,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut all = rounds::measure(stage, contenders, scenarios, effort)?;
    if !effort.steady.is_zero() {
        rounds::add_steady(stage, contenders, &mut all, effort)?;
    }
    let found = (&all[..], References(2));
    table::print(title, effort, contenders, found);
    report.add(trial, title, table::report(effort, contenders, found));
    Ok(())
}

/// So many refusals show what each of them leaves, were it a byte or two.
const REFUSALS: usize = 200_000;

fn refused(effort: &Effort, smoke: bool, report: &mut Report) -> anyhow::Result<()> {
    let stage = Stage::open(1)?;
    let contender = exeat::start(&stage, "exeat", &program())?;
    let refusals = if smoke { 400 } else { REFUSALS };
    let facts = refusals::trial(&stage, &contender, effort, refusals)?;
    report.add("refusals", "Refusals of undeclared hosts, cores: 1", facts);
    Ok(())
}

/// Calls at once.
const MANY: usize = 1_000;

/// Rounds of so many: what is not given back shows within a few.
const HELD_ROUNDS: usize = 10;

/// Exeat's own doors, side by side in one process; then its memory.
fn doors(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let program = &program();
    let stage = Stage::open(1)?;
    let contenders = exeat::doors(&stage, program)?;
    let title = ("doors", "The doors of exeat, cores: 1");
    let carried = across(&[Mode::Carried], &[Size::Small]);
    compare(title, (&stage, &contenders), &carried, effort, report)?;
    let many = Effort {
        connections: effort.many,
        ..effort.clone()
    };
    // In cleartext: a pool keeps 64 connections to a host, and past them each call would measure a handshake.
    let forward = across(&[Mode::Forward], &[Size::Small]);
    compare(title, (&stage, &contenders), &forward, &many, report)?;
    drop((contenders, stage));
    held::trial(program, effort.many, effort.rounds.min(HELD_ROUNDS))
}

fn handshakes(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let stage = Stage::open(1)?;
    let contenders = [
        stage.bare("bare", REFERENCE)?,
        handshakes::exeat(&stage, &program())?,
    ];
    handshakes::trial(&stage, &contenders, effort, report)
}

/// The exeat that was built with the bench.
fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_exeat"))
}

fn across(modes: &[Mode], sizes: &[Size]) -> Vec<Scenario> {
    let http = Http::One;
    modes
        .iter()
        .flat_map(|&mode| sizes.iter().map(move |&size| Scenario { mode, http, size }))
        .collect()
}

/// Contenders of whom the first is the one that the others are compared with.
fn compare(
    (trial, title): (&str, &str),
    (stage, contenders): (&Stage, &[Contender]),
    scenarios: &[Scenario],
    effort: &Effort,
    report: &mut Report,
) -> anyhow::Result<()> {
    let all = rounds::measure(stage, contenders, scenarios, effort)?;
    let found = (&all[..], References(1));
    table::print(title, effort, contenders, found);
    report.add(trial, title, table::report(effort, contenders, found));
    Ok(())
}
