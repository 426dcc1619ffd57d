//! How cells are measured: all of them once per round, one right after the other, for as many rounds as asked.
//!
//! What disturbs the machine for some seconds then disturbs all contenders of a round, and their ratio bears it.

use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;

use crate::load::Form;
use crate::load::Tally;
use crate::origin;
use crate::origin::Size;
use crate::stage::Contender;
use crate::stage::Stage;
use crate::stage::argument;

/// How a request comes in, and how it leaves.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Absolute-form to a plain origin.
    Forward,
    /// Absolute-form `http://`, carried to a TLS origin.
    Carried,
    /// CONNECT with TLS inside, opened, and carried to a TLS origin.
    Intercepted,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) mode: Mode,
    pub(crate) size: Size,
}

/// How much is measured.
#[derive(Clone)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) requests: usize,
    pub(crate) connections: usize,
}

/// One cell of one round.
pub(crate) struct Sample {
    /// CPU time of the proxy per request, in microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) per_second: f64,
}

/// All samples of a scenario: `by_contender[c][r]` is contender `c` in round `r`.
pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    pub(crate) by_contender: Vec<Vec<Sample>>,
}

/// Measures every contender in every scenario, round by round; the order turns round from one round to the next.
pub(crate) fn measure(
    stage: &Stage,
    contenders: &[Contender],
    scenarios: &[Scenario],
    effort: &Effort,
) -> anyhow::Result<Vec<Measured>> {
    let mut all: Vec<_> = scenarios
        .iter()
        .map(|scenario| Measured::new(*scenario, contenders.len()))
        .collect();
    for round in 0..effort.rounds {
        for measured in &mut all {
            for turn in 0..contenders.len() {
                let place = if round % 2 == 0 {
                    turn
                } else {
                    contenders.len() - 1 - turn
                };
                let sample = sample(stage, &contenders[place], measured.scenario, effort)?;
                measured.by_contender[place].push(sample);
            }
        }
        eprintln!("round {} of {}", round + 1, effort.rounds);
    }
    Ok(all)
}

impl Measured {
    fn new(scenario: Scenario, contenders: usize) -> Self {
        Self {
            scenario,
            by_contender: std::iter::repeat_with(Vec::new).take(contenders).collect(),
        }
    }
}

/// A whole run takes at most a minute, after which the load ends itself.
const TALLY_WITHIN: Duration = Duration::from_secs(70);

fn sample(
    stage: &Stage,
    contender: &Contender,
    scenario: Scenario,
    effort: &Effort,
) -> anyhow::Result<Sample> {
    let mut load = stage.load(|command| {
        let (form, host, port) = match scenario.mode {
            Mode::Forward => (Form::Absolute, origin::PLAIN_HOST, stage.ports.plain),
            Mode::Carried => (Form::Absolute, origin::TLS_HOST, stage.ports.tls),
            Mode::Intercepted => (Form::Connect, origin::TLS_HOST, stage.ports.tls),
        };
        command
            .arg("--proxy")
            .arg(contender.address.to_string())
            .arg("--trust")
            .arg(&contender.trust);
        command.args([
            "--form",
            &argument(form),
            "--host",
            host,
            "--port",
            &port.to_string(),
        ]);
        command.args([
            "--path",
            &scenario.size.path(),
            "--expect-bytes",
            &scenario.size.bytes().to_string(),
        ]);
        command.args(["--connections", &effort.connections.to_string()]);
        // Every connection several times, so that pools, caches and buffers have the size that they keep.
        command.args(["--warm-up", &(effort.connections * 10).to_string()]);
        command.args(["--requests", &effort.requests.to_string()]);
        command.args(
            contender
                .authorization
                .iter()
                .flat_map(|value| ["--authorization", value]),
        );
    })?;
    let _warm: String = load.read(TALLY_WITHIN)?;
    let before = contender.process.cpu_time()?;
    load.release()?;
    let tally: Tally = load.read(TALLY_WITHIN)?;
    let busy = contender.process.cpu_time()?.saturating_sub(before);
    ensure!(
        tally.errors == 0 && tally.replies == effort.requests,
        "{}: {} of {} requests failed, the first by: {}",
        contender.name,
        effort.requests - tally.replies,
        effort.requests,
        tally.first_error.unwrap_or_default(),
    );
    Ok(Sample {
        cpu_us: busy.as_secs_f64() * 1e6 / tally.replies as f64,
        p50_us: tally.p50_us,
        p99_us: tally.p99_us,
        per_second: tally.replies as f64 / tally.elapsed.as_secs_f64(),
    })
}
