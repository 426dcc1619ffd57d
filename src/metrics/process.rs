//! What Prometheus' own client libraries tell of a process, under the names that dashboards expect.
//!
//! Read from `/proc` when somebody scrapes (proc_pid_stat(5)): the crate for it counts CPU time in whole seconds.

use std::fs;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use crate::metrics::Sample;
use crate::metrics::declared::{
    PROCESS_CPU, PROCESS_FDS, PROCESS_MAX_FDS, PROCESS_MEMORY, PROCESS_START,
};

/// The figures that can be had: on a system without `/proc` there are fewer.
pub(super) fn samples() -> Vec<Sample> {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let stat = stat.as_deref().and_then(Stat::read);
    // No limit is no number.
    let limit = getrlimit(Resource::Nofile).current;
    let open = fs::read_dir("/proc/self/fd").ok();
    // The descriptor of the folder itself is one of them, for as long as it is read.
    let open = open.map(|found| found.count().saturating_sub(1) as f64);
    let figures = [
        (&PROCESS_CPU, stat.as_ref().map(|it| it.cpu.as_secs_f64())),
        (&PROCESS_MEMORY, stat.as_ref().map(|it| it.resident)),
        (&PROCESS_FDS, open),
        (&PROCESS_MAX_FDS, limit.map(|it| it as f64)),
        (&PROCESS_START, stat.and_then(|it| it.started())),
    ];
    let known = figures.into_iter().filter_map(|(metric, value)| {
        let value = value?;
        Some(Sample::of(metric, &[], value))
    });
    known.collect()
}

/// Of `/proc/self/stat`.
struct Stat {
    cpu: Duration,
    /// Bytes.
    resident: f64,
    /// Since the machine was started.
    start: Duration,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, in which anything may stand.
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // The first of these is the third of the manual.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu: of_ticks(field(14)? + field(15)?),
            start: of_ticks(field(22)?),
            resident: (field(24)? * page_size() as u64) as f64,
        })
    }

    /// As Unix time.
    fn started(&self) -> Option<f64> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let boot = text.lines().find_map(|line| line.strip_prefix("btime "))?;
        let boot = Duration::from_secs(boot.trim().parse().ok()?);
        Some((boot + self.start).as_secs_f64())
    }
}

fn of_ticks(ticks: u64) -> Duration {
    let each = clock_ticks_per_second().max(1);
    Duration::from_secs(ticks / each) + Duration::from_secs(ticks % each) / each as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process() {
        let _open: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null")).collect();
        let samples = samples();
        let value = |metric: &crate::metrics::Metric| {
            let found = samples.iter().find(|it| it.metric.name == metric.name);
            found.unwrap().value
        };
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let age = now.as_secs_f64() - value(&PROCESS_START);
        assert!((-2.0..86_400.0).contains(&age), "{age}");
        assert!(value(&PROCESS_FDS) >= 53.0);
        assert!(value(&PROCESS_FDS) <= value(&PROCESS_MAX_FDS));
        assert!((1e6..1e11).contains(&value(&PROCESS_MEMORY)));
        assert!(value(&PROCESS_CPU) < age.max(1.0) * 1024.0);
    }

    #[test]
    fn a_programs_name_may_hold_anything() {
        let rest =
            "S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 700 1000 3 18446744073709551615";
        let stat = Stat::read(&format!("7 (a) b (c) {rest}")).unwrap();
        let tick = 1.0 / clock_ticks_per_second() as f64;
        assert_eq!(stat.cpu.as_secs_f64(), 200.0 * tick);
        assert_eq!(stat.start.as_secs_f64(), 700.0 * tick);
        assert_eq!(stat.resident, 3.0 * page_size() as f64);
        assert!(Stat::read("7 (a) S 1 1").is_none());
    }
}
