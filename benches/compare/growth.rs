//! How cost grows: requests and CPU time over connections, memory and start over actions; as JSON and as plots.
//!
//! However many connections there are, no more than a thousand requests are under way at a time: as many as exeat lets
//! one agent have. What it is told here beside its defaults is what an operator would tell it who expects ten thousand
//! connections. Each connection needs a descriptor on either side (`ulimit -n`); those that there are too few for are
//! left out.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

use rustix::process::Resource;
use rustix::process::getrlimit;
use serde::Serialize;

use crate::bare::Setup;
use crate::clients;
use crate::clients::Errand;
use crate::clients::Ran;
use crate::clients::Times;
use crate::exeat;
use crate::exeat::Variant;
use crate::origin::Size;
use crate::plot;
use crate::plot::Panel;
use crate::plot::Series;
use crate::rounds::Effort;
use crate::rounds::Http;
use crate::rounds::Mode;
use crate::rounds::Scenario;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::start::milliseconds;
use crate::table::Spread;

/// How far it is measured.
pub(crate) struct Reach {
    connections: &'static [usize],
    actions: &'static [usize],
    /// Where the results go.
    folder: PathBuf,
}

impl Reach {
    /// All of it, for the plots that are kept.
    pub(crate) fn whole() -> Self {
        Self {
            connections: &[1, 10, 100, 1_000, 10_000],
            actions: &[100, 1_000, 10_000, 100_000],
            folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/plots"),
        }
    }

    /// Enough to see that it works; nothing that is kept is touched.
    pub(crate) fn short() -> Self {
        Self {
            connections: &[1, 20],
            actions: &[10, 100],
            folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join("plots"),
        }
    }
}

/// One contender with so many connections, or exeat with so many actions: medians.
#[derive(Serialize)]
struct ByConnections {
    contender: String,
    connections: usize,
    requests_per_second: f64,
    cpu_us_per_request: f64,
    p99_us: f64,
}

#[derive(Serialize)]
struct ByActions {
    actions: usize,
    resident_mib: f64,
    start_ms: f64,
}

#[derive(Serialize)]
struct Growth {
    rounds: usize,
    by_connections: Vec<ByConnections>,
    by_actions: Vec<ByActions>,
}

/// The largest cells take a while, and what grows tenfold from point to point needs few of them.
const ROUNDS: usize = 5;

/// Measures, prints, writes and draws.
pub(crate) fn trial(
    bare: Setup,
    program: &Path,
    effort: &Effort,
    reach: &Reach,
) -> anyhow::Result<()> {
    let rounds = effort.rounds.min(ROUNDS);
    let growth = Growth {
        rounds,
        by_connections: by_connections(bare, program, effort, reach)?,
        by_actions: by_actions(program, rounds, reach)?,
    };
    print(&growth);
    fs::create_dir_all(&reach.folder)?;
    let write = |name: &str, text: String| fs::write(reach.folder.join(name), text);
    let json = serde_json::to_string_pretty(&growth)?;
    write("growth.json", json + "\n")?;
    write("connections.svg", plot::draw(&growth.over_connections()))?;
    write("actions.svg", plot::draw(&growth.over_actions()))?;
    println!("written to {}", reach.folder.display());
    Ok(())
}

fn by_connections(
    bare: Setup,
    program: &Path,
    effort: &Effort,
    reach: &Reach,
) -> anyhow::Result<Vec<ByConnections>> {
    let stage = Stage::open(1)?;
    let contenders = [
        stage.bare("bare", bare)?,
        exeat::prepare(&stage, "exeat", program, &for_many_connections())?.start()?,
    ];
    let mut all = Vec::new();
    for connections in reach.connections.iter().copied().filter(|&it| fits(it)) {
        let mut ran: Vec<Vec<Ran>> = contenders.iter().map(|_| Vec::new()).collect();
        for _ in 0..effort.rounds.min(ROUNDS) {
            for (contender, ran) in contenders.iter().zip(&mut ran) {
                ran.push(run(&stage, contender, connections, effort)?);
            }
        }
        for (contender, ran) in contenders.iter().zip(&ran) {
            all.push(ByConnections::of(contender, connections, ran));
        }
        eprintln!("{connections} connections measured");
    }
    Ok(all)
}

fn for_many_connections() -> Variant {
    Variant {
        flags: ["--connections", "16384", "--agent-requests", "16384"]
            .map(str::to_owned)
            .into(),
        ..Variant::default()
    }
}

/// Beside connections: those to the origin, as many as requests are under way, and some files.
const OTHER_DESCRIPTORS: u64 = 2_500;

fn fits(connections: usize) -> bool {
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let fits = connections as u64 + OTHER_DESCRIPTORS <= most;
    if !fits {
        eprintln!("{connections} connections are left out: the limit of descriptors is {most}");
    }
    fits
}

fn run(
    stage: &Stage,
    contender: &Contender,
    connections: usize,
    effort: &Effort,
) -> anyhow::Result<Ran> {
    let scenario = Scenario {
        mode: Mode::Forward,
        http: Http::One,
        size: Size::Small,
    };
    let errand = Errand::of(scenario, &stage.ports);
    let times = Times {
        connections,
        // Every connection once at least, before and while it is measured.
        warm_up: connections.max(200),
        requests: effort.requests.max(2 * connections),
    };
    clients::run(stage, contender, &errand, &times)
}

impl ByConnections {
    fn of(contender: &Contender, connections: usize, ran: &[Ran]) -> Self {
        let median = |value: fn(&Ran) -> f64| Spread::over(ran.iter().map(value)).median;
        Self {
            contender: contender.name.clone(),
            connections,
            requests_per_second: median(|it| {
                it.tally.replies as f64 / it.tally.elapsed.as_secs_f64()
            }),
            cpu_us_per_request: median(|it| it.busy.as_secs_f64() * 1e6 / it.tally.replies as f64),
            p99_us: median(|it| it.tally.latency.p99_us),
        }
    }
}

fn by_actions(program: &Path, rounds: usize, reach: &Reach) -> anyhow::Result<Vec<ByActions>> {
    let stage = Stage::open(1)?;
    let mut all = Vec::new();
    for &actions in reach.actions {
        let variant = Variant {
            actions,
            ..Variant::default()
        };
        let (mut resident, mut start) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let prepared = exeat::prepare(&stage, "exeat", program, &variant)?;
            let executed = Instant::now();
            let contender = prepared.start()?;
            start.push(milliseconds(executed.elapsed()));
            resident.push(contender.resident()? as f64 / 1024.0);
        }
        all.push(ByActions {
            actions,
            resident_mib: Spread::over(resident.into_iter()).median,
            start_ms: Spread::over(start.into_iter()).median,
        });
        eprintln!("{actions} actions measured");
    }
    Ok(all)
}

fn print(growth: &Growth) {
    println!();
    println!(
        "Growth, forward, 1k replies, cores: 1, {} rounds; medians",
        growth.rounds
    );
    println!();
    println!(
        "{:<12}{:<10}{:>12}{:>20}{:>12}",
        "connections", "", "req/s", "CPU us per request", "p99 us"
    );
    for it in &growth.by_connections {
        println!(
            "{:<12}{:<10}{:>12.0}{:>20.1}{:>12.0}",
            it.connections, it.contender, it.requests_per_second, it.cpu_us_per_request, it.p99_us
        );
    }
    println!();
    println!("{:<12}{:>16}{:>14}", "actions", "resident MiB", "start ms");
    for it in &growth.by_actions {
        println!(
            "{:<12}{:>16.1}{:>14.1}",
            it.actions, it.resident_mib, it.start_ms
        );
    }
    println!();
}

impl Growth {
    fn over_connections(&self) -> [Panel; 2] {
        let mut names: Vec<&str> = Vec::new();
        for it in &self.by_connections {
            if !names.contains(&it.contender.as_str()) {
                names.push(&it.contender);
            }
        }
        let panel = |title: &str, value: fn(&ByConnections) -> f64| Panel {
            title: title.to_owned(),
            over: "connections".to_owned(),
            series: names
                .iter()
                .map(|name| {
                    let its = self.by_connections.iter();
                    let its = its.filter(|it| it.contender == *name);
                    Series {
                        name: (*name).to_owned(),
                        points: its.map(|it| (it.connections as f64, value(it))).collect(),
                    }
                })
                .collect(),
        };
        [
            panel("requests per second, one core", |it| it.requests_per_second),
            panel("CPU time per request, µs", |it| it.cpu_us_per_request),
        ]
    }

    fn over_actions(&self) -> [Panel; 2] {
        let panel = |title: &str, value: fn(&ByActions) -> f64| Panel {
            title: title.to_owned(),
            over: "actions".to_owned(),
            series: vec![Series {
                name: "exeat".to_owned(),
                points: self
                    .by_actions
                    .iter()
                    .map(|it| (it.actions as f64, value(it)))
                    .collect(),
            }],
        };
        [
            panel("resident memory, MiB", |it| it.resident_mib),
            panel("exec until it listens, ms", |it| it.start_ms),
        ]
    }
}
