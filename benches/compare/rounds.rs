//! How cells are measured: all of them once per round, one right after the other, for as many rounds as asked.
//!
//! What disturbs the machine for some seconds then disturbs all contenders of a round, and their ratio bears it.

use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

use crate::clients;
use crate::clients::Errand;
use crate::clients::Ran;
use crate::clients::Times;
use crate::load::Latency;
use crate::origin::Size;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::stage::argument;
use crate::table::Spread;

/// How a request comes in, and how it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Absolute-form to a plain origin.
    Forward,
    /// Absolute-form `http://`, carried to a TLS origin.
    Carried,
    /// CONNECT with TLS inside, which goes through unopened to a TLS origin.
    Tunnel,
    /// CONNECT with TLS inside, opened, and carried to a TLS origin.
    Intercepted,
}

/// The version of HTTP. The origin offers HTTP/2 only where it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Http {
    /// HTTP/1.1 on every side.
    #[value(name = "1.1")]
    One,
    /// HTTP/2 wherever there is ALPN to choose it: inside a CONNECT, and towards a TLS origin.
    #[value(name = "2")]
    Two,
}

/// What a contender may be able to do: a mode, in a version.
pub(crate) type Ability = (Mode, Http);

/// All there is. Nobody speaks HTTP/2 without TLS.
pub(crate) const EVERYTHING: [Ability; 7] = [
    (Mode::Forward, Http::One),
    (Mode::Carried, Http::One),
    (Mode::Tunnel, Http::One),
    (Mode::Intercepted, Http::One),
    (Mode::Carried, Http::Two),
    (Mode::Tunnel, Http::Two),
    (Mode::Intercepted, Http::Two),
];

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) mode: Mode,
    pub(crate) http: Http,
    pub(crate) size: Size,
}

impl Scenario {
    /// As tables call it.
    pub(crate) fn name(self) -> String {
        format!(
            "{}, HTTP/{}, {} replies",
            argument(self.mode),
            argument(self.http),
            self.size.name()
        )
    }
}

/// How much is measured.
#[derive(Clone)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) requests: usize,
    pub(crate) connections: usize,
    /// Connections where it is asked how many bear.
    pub(crate) many: usize,
    /// How long each cell is asked at a steady rate, where that is measured.
    pub(crate) steady: Duration,
}

/// One cell of one round.
#[derive(Serialize)]
pub(crate) struct Sample {
    /// CPU time of the proxy per request, in microseconds.
    pub(crate) cpu_us: f64,
    /// CPU time of the proxy as a share of the time that passed: how many cores it had kept busy.
    pub(crate) busy_cores: f64,
    #[serde(flatten)]
    pub(crate) latency: Latency,
    pub(crate) requests_per_second: f64,
}

/// `[c][r]` is contender `c` in round `r`; none of those that can't do it.
pub(crate) type ByContender = Vec<Vec<Sample>>;

/// All samples of a scenario.
pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    /// In a closed loop: as many requests as the slowest of all parts lets through.
    pub(crate) saturated: ByContender,
    /// In an open loop.
    pub(crate) steady: Option<Steady>,
}

/// Samples at one rate for all contenders.
pub(crate) struct Steady {
    /// Requests per second.
    pub(crate) rate: u32,
    pub(crate) by_contender: ByContender,
}

/// Measures every contender in every scenario, round by round; the order turns round from one round to the next.
pub(crate) fn measure(
    stage: &Stage,
    contenders: &[Contender],
    scenarios: &[Scenario],
    effort: &Effort,
) -> anyhow::Result<Vec<Measured>> {
    let cells: Vec<_> = scenarios.iter().map(|it| (*it, None)).collect();
    let all = measure_cells(stage, contenders, &cells, effort)?;
    let measured = scenarios
        .iter()
        .zip(all)
        .map(|(&scenario, saturated)| Measured {
            scenario,
            saturated,
            steady: None,
        });
    Ok(measured.collect())
}

/// The share of what the slowest contender bears at which the steady rate lies.
const STEADY_SHARE: f64 = 0.3;

/// Measures everything once more, at a rate that all bear.
pub(crate) fn add_steady(
    stage: &Stage,
    contenders: &[Contender],
    all: &mut [Measured],
    effort: &Effort,
) -> anyhow::Result<()> {
    let cells: Vec<_> = all
        .iter()
        .map(|it| (it.scenario, Some(steady_rate(it))))
        .collect();
    let found = measure_cells(stage, contenders, &cells, effort)?;
    for ((measured, by_contender), (_, rate)) in all.iter_mut().zip(found).zip(cells) {
        measured.steady = rate.map(|rate| Steady { rate, by_contender });
    }
    Ok(())
}

fn steady_rate(measured: &Measured) -> u32 {
    let able = measured.saturated.iter().filter(|it| !it.is_empty());
    let medians = able.map(|it| Spread::over(it.iter().map(|it| it.requests_per_second)).median);
    let slowest = medians.fold(f64::INFINITY, f64::min);
    // Nobody at all would be an infinity, which becomes the largest rate, for no requests.
    (slowest * STEADY_SHARE).max(1.0) as u32
}

/// A scenario, and the rate of its requests where there is one.
type Cell = (Scenario, Option<u32>);

fn measure_cells(
    stage: &Stage,
    contenders: &[Contender],
    cells: &[Cell],
    effort: &Effort,
) -> anyhow::Result<Vec<ByContender>> {
    let nothing = || std::iter::repeat_with(Vec::new).take(contenders.len());
    let mut all: Vec<ByContender> = cells.iter().map(|_| nothing().collect()).collect();
    for round in 0..effort.rounds {
        for (&cell, by_contender) in cells.iter().zip(&mut all) {
            for turn in 0..contenders.len() {
                let place = if round % 2 == 0 {
                    turn
                } else {
                    contenders.len() - 1 - turn
                };
                let (contender, samples) = (&contenders[place], &mut by_contender[place]);
                // Whoever lacks a sample has failed for good: its other rounds could not be set beside those of others.
                if contender.can(cell.0) && samples.len() == round {
                    match sample_if_it_can(stage, contender, cell, effort)? {
                        Some(sample) => samples.push(sample),
                        None => samples.clear(),
                    }
                }
            }
        }
        eprintln!("round {} of {}", round + 1, effort.rounds);
    }
    Ok(all)
}

/// `None` where a contender fails twice that need not succeed.
fn sample_if_it_can(
    stage: &Stage,
    contender: &Contender,
    cell: Cell,
    effort: &Effort,
) -> anyhow::Result<Option<Sample>> {
    let first = sample(stage, contender, cell, effort);
    if contender.must_succeed {
        return first.map(Some);
    }
    let last = first.or_else(|_| sample(stage, contender, cell, effort));
    let told = last.map_err(|error| eprintln!("no cell: {}: {error:#}", contender.name));
    Ok(told.ok())
}

/// Most requests before the measured ones.
const WARM_UP: usize = 2_000;

fn sample(
    stage: &Stage,
    contender: &Contender,
    (scenario, rate): Cell,
    effort: &Effort,
) -> anyhow::Result<Sample> {
    let errand = Errand::of(scenario, &stage.ports);
    let in_time = |rate: u32| (f64::from(rate) * effort.steady.as_secs_f64()) as usize;
    let times = Times {
        connections: effort.connections,
        // Every connection several times, so that pools, caches and buffers have the size that they keep.
        warm_up: (effort.connections * 10).min(WARM_UP),
        requests: rate.map_or(effort.requests, |rate| in_time(rate).max(1)),
    };
    let ran = clients::run_at(stage, contender, &errand, &times, rate);
    let Ran { tally, busy } = ran.with_context(|| scenario.name())?;
    Ok(Sample {
        cpu_us: busy.as_secs_f64() * 1e6 / tally.replies as f64,
        busy_cores: busy.as_secs_f64() / tally.elapsed.as_secs_f64(),
        latency: tally.latency,
        requests_per_second: tally.replies as f64 / tally.elapsed.as_secs_f64(),
    })
}
