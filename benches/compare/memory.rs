//! Memory of connections that wait: between two requests, in the clear and in an intercepted tunnel.
//!
//! Each cell has a process of its own, since an allocator keeps what it once had. Each connection has asked once, one
//! after the other, so that one connection to the origin serves them all.

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::bare::Setup;
use crate::clients;
use crate::clients::Errand;
use crate::clients::Times;
use crate::exeat;
use crate::origin::Size;
use crate::report::Report;
use crate::rounds::Effort;
use crate::rounds::Http;
use crate::rounds::Mode;
use crate::rounds::Scenario;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::table::Spread;

/// Resident memory of one process, in KiB.
#[derive(Serialize)]
struct Sample {
    /// When it has started.
    idle_kib: f64,
    /// When it has served one connection.
    warm_kib: f64,
    /// With all connections open.
    open_kib: f64,
    /// When they are gone.
    after_kib: f64,
    #[serde(skip)]
    connections: usize,
}

/// More rounds tell nothing new: memory hardly spreads.
const ROUNDS: usize = 5;

const KINDS: [(Mode, &str); 2] = [
    (Mode::Forward, "idle keep-alive connections"),
    (Mode::Intercepted, "open intercepted tunnels"),
];

/// Measures both kinds of connections at the bare stack and at exeat, and prints a table.
pub(crate) fn trial(
    bare: Setup,
    program: &Path,
    effort: &Effort,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (connections, rounds) = (effort.many, effort.rounds.min(ROUNDS));
    println!();
    println!(
        "Resident memory, {connections} connections that have asked once, {rounds} rounds; medians"
    );
    println!();
    println!(
        "{:<30}{:>10}{:>10}{:>10}{:>10}{:>16}{:>14}",
        "", "idle MiB", "warm MiB", "open MiB", "after MiB", "KiB each", "beside bare"
    );
    let mut kinds = Vec::new();
    for (mode, title) in KINDS {
        println!("{title}");
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            theirs.push(sample(mode, connections, |stage| stage.bare("bare", bare))?);
            let exeat = |stage: &Stage| exeat::start(stage, "exeat", program);
            ours.push(sample(mode, connections, exeat)?);
        }
        let reference = each(&theirs).median;
        print_row("bare", &theirs, reference);
        print_row("exeat", &ours, reference);
        kinds.push(json!({"kind": title, "contenders": [
            {"name": "bare", "kib_per_connection": reference, "rounds": theirs},
            {"name": "exeat", "kib_per_connection": each(&ours).median, "rounds": ours},
        ]}));
    }
    println!();
    let facts = json!({"connections": connections, "kinds": kinds});
    report.add("memory", "Resident memory of connections that wait", facts);
    Ok(())
}

fn sample(
    mode: Mode,
    connections: usize,
    start: impl FnOnce(&Stage) -> anyhow::Result<Contender>,
) -> anyhow::Result<Sample> {
    let stage = Stage::open(1)?;
    let contender = start(&stage)?;
    let scenario = Scenario {
        mode,
        http: Http::One,
        size: Size::Small,
    };
    let errand = Errand::of(scenario, &stage.ports);
    let resident = || contender.resident().map(|kib| kib as f64);
    let idle = resident()?;
    let once = Times {
        connections: 1,
        warm_up: 0,
        requests: 100,
    };
    clients::run(&stage, &contender, &errand, &once)?;
    let warm = resident()?;
    let held = clients::hold(&stage, &contender, &errand, connections)?;
    let open = resident()?;
    drop(held);
    // Served behind all that was closed.
    clients::run(&stage, &contender, &errand, &once)?;
    Ok(Sample {
        idle_kib: idle,
        warm_kib: warm,
        open_kib: open,
        after_kib: resident()?,
        connections,
    })
}

fn each(samples: &[Sample]) -> Spread {
    Spread::over(
        samples
            .iter()
            .map(|it| (it.open_kib - it.warm_kib) / it.connections as f64),
    )
}

fn print_row(name: &str, samples: &[Sample], reference: f64) {
    let mib = |value: fn(&Sample) -> f64| Spread::over(samples.iter().map(value)).median / 1024.0;
    let each = each(samples);
    println!(
        "  {name:<28}{:>10.1}{:>10.1}{:>10.1}{:>10.1}{:>16.2}{:>+14.2}",
        mib(|it| it.idle_kib),
        mib(|it| it.warm_kib),
        mib(|it| it.open_kib),
        mib(|it| it.after_kib),
        each.median,
        each.median - reference,
    );
}
