//! Medians over rounds, ratios within rounds, and how far both spread: as tables, and as what a report keeps.

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::rounds::ByContender;
use crate::rounds::Effort;
use crate::rounds::Measured;
use crate::rounds::Sample;
use crate::stage::Contender;
use crate::stage::argument;

/// The first contenders, with which the others are compared: with the one of them that has the lowest median of what is
/// compared, in each scenario.
#[derive(Clone, Copy)]
pub(crate) struct References(pub(crate) usize);

/// A figure of a sample.
type Figure = fn(&Sample) -> f64;

const CPU: Figure = |it| it.cpu_us;
const P99: Figure = |it| it.latency.p99_us;

/// Prints the tables of one trial.
pub(crate) fn print(
    title: &str,
    effort: &Effort,
    contenders: &[Contender],
    (all, references): (&[Measured], References),
) {
    println!();
    println!("{title}");
    println!(
        "{} connections, {} rounds of {} requests; median (quartiles)",
        effort.connections, effort.rounds, effort.requests
    );
    println!();
    println!(
        "{:<28}{:>26}{:>26}{:>9}{:>9}{:>9}{:>9}{:>7}",
        "",
        "CPU us per request",
        "ratio of CPU time",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "req/s",
        "cores"
    );
    for measured in all {
        println!("{}", measured.scenario.name());
        for (contender, samples, reference) in
            rows(contenders, &measured.saturated, references, CPU)
        {
            print_saturated(&contender.name, samples, reference);
        }
    }
    println!();
    if all.iter().any(|it| it.steady.is_some()) {
        print_steady(effort, contenders, all, references);
    }
}

fn print_saturated(name: &str, samples: &[Sample], reference: &[Sample]) {
    let cpu = Spread::over(samples.iter().map(CPU));
    let median = |figure: Figure| Spread::over(samples.iter().map(figure)).median;
    println!(
        "  {name:<26}{:>26}{:>26}{:>9.0}{:>9.0}{:>9.0}{:>9.0}{:>7.2}",
        cpu.text(1),
        Spread::of_ratios(samples, reference, CPU).text(3),
        median(|it| it.latency.p50_us),
        median(P99),
        median(|it| it.latency.p999_us),
        median(|it| it.requests_per_second),
        median(|it| it.busy_cores),
    );
}

fn print_steady(
    effort: &Effort,
    contenders: &[Contender],
    all: &[Measured],
    references: References,
) {
    println!(
        "The same at 30 % of what the slowest bears, {:.1} s for each of {} rounds; latency from when a request was due; \
         median, ratio with the interval that holds the median in 95 of 100 cases",
        effort.steady.as_secs_f64(),
        effort.rounds
    );
    println!();
    println!(
        "{:<28}{:>19}{:>9}{:>9}{:>9}{:>26}",
        "", "CPU us per request", "p50 us", "p99 us", "p99.9 us", "ratio of p99"
    );
    for measured in all {
        let Some(steady) = &measured.steady else {
            continue;
        };
        println!("{}, {} per second", measured.scenario.name(), steady.rate);
        for (contender, samples, reference) in
            rows(contenders, &steady.by_contender, references, P99)
        {
            let median = |figure: Figure| Spread::over(samples.iter().map(figure)).median;
            println!(
                "  {:<26}{:>19.1}{:>9.0}{:>9.0}{:>9.0}{:>26}",
                contender.name,
                median(CPU),
                median(|it| it.latency.p50_us),
                median(P99),
                median(|it| it.latency.p999_us),
                Spread::of_ratios(samples, reference, P99).text_of_interval(3),
            );
        }
    }
    println!();
}

/// A contender, its samples, and those that it is compared with; without those that can't do it.
type Row<'a> = (&'a Contender, &'a [Sample], &'a [Sample]);

fn rows<'a>(
    contenders: &'a [Contender],
    by_contender: &'a ByContender,
    references: References,
    figure: Figure,
) -> impl Iterator<Item = Row<'a>> {
    let reference = references.best(by_contender, figure);
    let rows = contenders.iter().zip(by_contender);
    rows.filter(|(_, samples)| !samples.is_empty())
        .map(move |(contender, samples)| (contender, &samples[..], reference))
}

impl References {
    fn best(self, by_contender: &ByContender, figure: Figure) -> &[Sample] {
        let able = by_contender[..self.0].iter().filter(|it| !it.is_empty());
        let median = |samples: &Vec<Sample>| Spread::over(samples.iter().map(figure)).median;
        let best = able.min_by(|one, other| median(one).total_cmp(&median(other)));
        best.map_or(&[], |it| &it[..])
    }
}

/// What a report keeps of a trial; `report` says what the names mean.
pub(crate) fn report(
    effort: &Effort,
    contenders: &[Contender],
    (all, references): (&[Measured], References),
) -> Value {
    let scenarios: Vec<_> = all
        .iter()
        .map(|measured| {
            let steady = measured.steady.as_ref().map(|steady| {
                json!({
                    "rate_per_second": steady.rate,
                    "contenders": cells(contenders, &steady.by_contender, references),
                })
            });
            json!({
                "mode": argument(measured.scenario.mode),
                "http": argument(measured.scenario.http),
                "reply_bytes": measured.scenario.size.bytes(),
                "saturated": {"contenders": cells(contenders, &measured.saturated, references)},
                "steady": steady,
            })
        })
        .collect();
    json!({
        "rounds": effort.rounds,
        "connections": effort.connections,
        "requests_per_round": effort.requests,
        "steady_seconds": effort.steady.as_secs_f64(),
        "references": contenders[..references.0].iter().map(|it| &it.name).collect::<Vec<_>>(),
        "scenarios": scenarios,
    })
}

fn cells(
    contenders: &[Contender],
    by_contender: &ByContender,
    references: References,
) -> Vec<Value> {
    let (cpu, p99) = (
        references.best(by_contender, CPU),
        references.best(by_contender, P99),
    );
    rows(contenders, by_contender, references, CPU)
        .map(|(contender, samples, _)| {
            json!({
                "name": contender.name,
                "cpu_ratio": Spread::of_ratios(samples, cpu, CPU),
                "p99_ratio": Spread::of_ratios(samples, p99, P99),
                "rounds": samples,
            })
        })
        .collect()
}

/// Quartiles: with dozens of rounds on a machine that does other work, the extremes tell about that work only.
#[derive(Serialize)]
pub(crate) struct Spread {
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
    interval: (f64, f64),
}

impl Spread {
    /// Of at least one value; all are 0 otherwise.
    pub(crate) fn over(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = values.collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            lower_quartile: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper_quartile: quantile(&sorted, 0.75),
            interval: interval_of_median(&sorted),
        }
    }

    fn of_ratios(samples: &[Sample], reference: &[Sample], figure: Figure) -> Self {
        let pairs = samples.iter().zip(reference);
        Self::over(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)))
    }

    /// The median, and its quartiles.
    pub(crate) fn text(&self, digits: usize) -> String {
        format!(
            "{:.digits$} ({:.digits$} to {:.digits$})",
            self.median, self.lower_quartile, self.upper_quartile
        )
    }

    fn text_of_interval(&self, digits: usize) -> String {
        format!(
            "{:.digits$} [{:.digits$} to {:.digits$}]",
            self.median, self.interval.0, self.interval.1
        )
    }
}

/// Between two neighbours in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}

/// The narrowest pair of values, equally far from both ends, between which the true median lies in 95 of 100 cases,
/// whatever the distribution: half of all values lie below it, so how many do is binomial. Too few values: all of them.
fn interval_of_median(sorted: &[f64]) -> (f64, f64) {
    let count = sorted.len();
    let (mut outside, mut probability) = (0.0, 0.5_f64.powi(count as i32));
    let mut left_out = 0;
    for below in 0..count / 2 {
        outside += probability;
        if outside > 0.025 {
            break;
        }
        left_out = below + 1;
        probability *= (count - below) as f64 / (below + 1) as f64;
    }
    let first = left_out.saturating_sub(1);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(0.0);
    (at(first), at(count.saturating_sub(first + 1)))
}
