//! How cells are measured: all of them once per round, one right after the other, for as many rounds as asked.
//!
//! What disturbs the machine for some seconds then disturbs all contenders of a round, and their ratio bears it.

use clap::ValueEnum;

use crate::clients;
use crate::clients::Errand;
use crate::clients::Ran;
use crate::clients::Times;
use crate::origin::Size;
use crate::stage::Contender;
use crate::stage::Stage;

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

/// How much is measured.
#[derive(Clone)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) requests: usize,
    pub(crate) connections: usize,
    /// Connections where it is asked how many bear.
    pub(crate) many: usize,
}

/// One cell of one round.
pub(crate) struct Sample {
    /// CPU time of the proxy per request, in microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) per_second: f64,
}

/// All samples of a scenario: `by_contender[c][r]` is contender `c` in round `r`; none of those that can't do it.
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
                if !contenders[place].can(measured.scenario) {
                    continue;
                }
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

/// Most requests before the measured ones.
const WARM_UP: usize = 2_000;

fn sample(
    stage: &Stage,
    contender: &Contender,
    scenario: Scenario,
    effort: &Effort,
) -> anyhow::Result<Sample> {
    let errand = Errand::of(scenario, &stage.ports);
    let times = Times {
        connections: effort.connections,
        // Every connection several times, so that pools, caches and buffers have the size that they keep.
        warm_up: (effort.connections * 10).min(WARM_UP),
        requests: effort.requests,
    };
    let Ran { tally, busy } = clients::run(stage, contender, &errand, &times)?;
    Ok(Sample {
        cpu_us: busy.as_secs_f64() * 1e6 / tally.replies as f64,
        p50_us: tally.p50_us,
        p99_us: tally.p99_us,
        per_second: tally.replies as f64 / tally.elapsed.as_secs_f64(),
    })
}
