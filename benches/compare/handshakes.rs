//! Handshakes of interception: what a tunnel costs that is opened and closed, with a host that was never seen before,
//! with one that was, and with a client that comes back.
//!
//! A cold host costs a leaf; a client that comes back has a ticket and needs no signature. The CPU time is the proxy's
//! for the whole tunnel: the connection, the CONNECT, the handshake, the end, and what it notes of that.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::clients::WITHIN;
use crate::exeat;
use crate::exeat::Variant;
use crate::load::shake::Tally;
use crate::origin;
use crate::report::Report;
use crate::rounds::Effort;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::table::Spread;

/// What the clients know, and the proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cold,
    Warm,
    Resumed,
}

const KINDS: [(Kind, &str); 3] = [
    (Kind::Cold, "cold: each host is new"),
    (Kind::Warm, "warm: the leaf is there"),
    (Kind::Resumed, "warm, with a ticket"),
];

/// One cell of one round.
#[derive(Serialize)]
struct Sample {
    cpu_us: f64,
    handshakes_per_second: f64,
    resumed_share: f64,
}

/// How many hosts an exeat may sign for here; an operator would leave an agent a hundred.
const HOSTS: usize = 10_000_000;

/// What is to be said to exeat for this trial.
pub(crate) fn variant() -> Variant {
    Variant {
        flags: vec!["--max-distinct-labels".to_owned(), HOSTS.to_string()],
        ..Variant::default()
    }
}

/// Measures all contenders, round by round, and prints a table. The first is the one that the others are compared with.
pub(crate) fn trial(
    stage: &Stage,
    contenders: &[Contender],
    effort: &Effort,
    report: &mut Report,
) -> anyhow::Result<()> {
    let count = effort.many;
    let mut cells: Vec<Vec<Vec<Sample>>> = Vec::new();
    for _ in KINDS {
        cells.push(contenders.iter().map(|_| Vec::new()).collect());
    }
    for round in 0..effort.rounds {
        for ((kind, _), cell) in KINDS.iter().zip(&mut cells) {
            for (contender, samples) in contenders.iter().zip(cell) {
                let first = round * (count + 1);
                samples.push(sample(stage, contender, (*kind, first), count)?);
            }
        }
        eprintln!("round {} of {}", round + 1, effort.rounds);
    }
    print(effort, contenders, &cells);
    report.add("handshakes", TITLE, facts(effort, contenders, &cells));
    Ok(())
}

fn sample(
    stage: &Stage,
    contender: &Contender,
    (kind, first): (Kind, usize),
    count: usize,
) -> anyhow::Result<Sample> {
    let mut load = stage.part("shake", |command| {
        command
            .arg("--trust")
            .arg(&contender.trust)
            .args(["--address", &contender.address.to_string()])
            .args(["--count", &count.to_string()]);
        match kind {
            Kind::Cold => command
                .args(["--host", origin::MANY_HOSTS, "--port", "443"])
                .args(["--first", &first.to_string()]),
            Kind::Warm | Kind::Resumed => command
                .args(["--host", origin::TLS_HOST])
                .args(["--port", &stage.ports.tls.to_string()]),
        };
        if kind == Kind::Resumed {
            command.arg("--resume");
        }
        if let Some(value) = &contender.authorization {
            command.args(["--authorization", value]);
        }
    })?;
    let _warm: String = load.read(WITHIN)?;
    let before = contender.cpu_time()?;
    load.release()?;
    let tally: Tally = load.read(WITHIN)?;
    let busy = contender.cpu_time()?.saturating_sub(before);
    ensure!(
        kind == Kind::Resumed || tally.resumed == 0,
        "a session was resumed that was none"
    );
    Ok(Sample::of(&tally, busy, count))
}

impl Sample {
    fn of(tally: &Tally, busy: Duration, count: usize) -> Self {
        Self {
            cpu_us: busy.as_secs_f64() * 1e6 / count as f64,
            handshakes_per_second: count as f64 / tally.elapsed.as_secs_f64(),
            resumed_share: tally.resumed as f64 / count as f64,
        }
    }
}

const TITLE: &str = "Intercepted tunnels, opened and closed unused, cores: 1";

fn facts(effort: &Effort, contenders: &[Contender], cells: &[Vec<Vec<Sample>>]) -> Value {
    let kinds = KINDS.iter().zip(cells).map(|((_, name), cell)| {
        let rows = contenders.iter().zip(cell);
        let rows = rows.map(|(it, samples)| json!({"name": it.name, "rounds": samples}));
        json!({"kind": name, "contenders": rows.collect::<Vec<_>>()})
    });
    json!({"handshakes_per_round": effort.many, "kinds": kinds.collect::<Vec<_>>()})
}

fn print(effort: &Effort, contenders: &[Contender], cells: &[Vec<Vec<Sample>>]) {
    println!();
    println!("{TITLE}");
    println!(
        "{} rounds of {} handshakes; median (quartiles)",
        effort.rounds, effort.many
    );
    println!();
    println!(
        "{:<28}{:>26}{:>26}{:>24}{:>9}{:>9}",
        "", "CPU us per handshake", "ratio of CPU time", "us on top", "per s", "resumed"
    );
    for ((_, name), cell) in KINDS.iter().zip(cells) {
        println!("{name}");
        for (contender, samples) in contenders.iter().zip(cell) {
            print_row(&contender.name, samples, &cell[0]);
        }
    }
    println!();
}

fn print_row(name: &str, samples: &[Sample], reference: &[Sample]) {
    let pairs = || samples.iter().zip(reference);
    let cpu = Spread::over(samples.iter().map(|it| it.cpu_us));
    let ratio = Spread::over(pairs().map(|(ours, theirs)| ours.cpu_us / theirs.cpu_us));
    let on_top = Spread::over(pairs().map(|(ours, theirs)| ours.cpu_us - theirs.cpu_us));
    let median = |value: fn(&Sample) -> f64| Spread::over(samples.iter().map(value)).median;
    println!(
        "  {name:<26}{:>26}{:>26}{:>24}{:>9.0}{:>8.0}%",
        cpu.text(1),
        ratio.text(3),
        on_top.text(0),
        median(|it| it.handshakes_per_second),
        median(|it| it.resumed_share) * 100.0,
    );
}

/// An exeat that signs for as many hosts as are asked for.
pub(crate) fn exeat(stage: &Stage, program: &std::path::Path) -> anyhow::Result<Contender> {
    exeat::prepare(stage, "exeat", program, &variant())?.start()
}
