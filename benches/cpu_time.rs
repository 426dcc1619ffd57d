//! CPU time of the thread as what criterion measures: other work on the machine delays a wall clock, not this one.

use criterion::Criterion;
use criterion::measurement::Measurement;
use criterion::measurement::ValueFormatter;
use criterion::measurement::WallTime;
use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// Nanoseconds that this thread has been running, in user and kernel mode.
pub(crate) struct CpuTime;

/// A criterion that measures it.
pub(crate) fn criterion() -> Criterion<CpuTime> {
    Criterion::default().with_measurement(CpuTime)
}

impl Measurement for CpuTime {
    type Intermediate = i64;
    type Value = i64;

    fn start(&self) -> i64 {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }

    fn end(&self, start: i64) -> i64 {
        self.start() - start
    }

    fn add(&self, one: &i64, other: &i64) -> i64 {
        one + other
    }

    fn zero(&self) -> i64 {
        0
    }

    fn to_f64(&self, value: &i64) -> f64 {
        *value as f64
    }

    /// Criterion's own, whose unit is the nanosecond too.
    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
