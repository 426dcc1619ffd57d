//! Medians over rounds, ratios within rounds, and how far both spread.

use crate::rounds::Effort;
use crate::rounds::Measured;
use crate::rounds::Sample;
use crate::stage::Contender;
use crate::stage::argument;

/// Prints the table of one trial. The first contender is the one that the others are compared with.
pub(crate) fn print(title: &str, effort: &Effort, contenders: &[Contender], all: &[Measured]) {
    println!();
    println!("{title}");
    println!(
        "{} connections, {} rounds of {} requests; median (quartiles)",
        effort.connections, effort.rounds, effort.requests
    );
    println!();
    println!(
        "{:<28}{:>26}{:>26}{:>9}{:>9}{:>9}",
        "", "CPU us per request", "ratio of CPU time", "p50 us", "p99 us", "req/s"
    );
    for measured in all {
        println!(
            "{}, {} replies",
            argument(measured.scenario.mode),
            measured.scenario.size.name()
        );
        for (contender, samples) in contenders.iter().zip(&measured.by_contender) {
            print_row(&contender.name, samples, &measured.by_contender[0]);
        }
    }
    println!();
}

fn print_row(name: &str, samples: &[Sample], reference: &[Sample]) {
    let cpu = Spread::over(samples.iter().map(|sample| sample.cpu_us));
    let ratio = Spread::over(
        samples
            .iter()
            .zip(reference)
            .map(|(ours, theirs)| ours.cpu_us / theirs.cpu_us),
    );
    let median = |value: fn(&Sample) -> f64| Spread::over(samples.iter().map(value)).median;
    println!(
        "  {name:<26}{:>26}{:>26}{:>9.0}{:>9.0}{:>9.0}",
        cpu.text(1),
        ratio.text(3),
        median(|sample| f64::from(sample.p50_us)),
        median(|sample| f64::from(sample.p99_us)),
        median(|sample| sample.per_second),
    );
}

/// Quartiles: with dozens of rounds on a machine that does other work, the extremes tell about that work only.
struct Spread {
    lower: f64,
    median: f64,
    upper: f64,
}

impl Spread {
    /// Of at least one value.
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = values.collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            lower: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper: quantile(&sorted, 0.75),
        }
    }

    fn text(&self, digits: usize) -> String {
        format!(
            "{:.digits$} ({:.digits$} to {:.digits$})",
            self.median, self.lower, self.upper
        )
    }
}

/// Between two neighbours in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    below + (above - below) * place.fract()
}
