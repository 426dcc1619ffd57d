//! How long requests took, in buckets that are counted in place.
//!
//! Written by hand because the recorder's histograms keep every observation, with its time, until somebody sorts them
//! into buckets: that cost more than all other metrics of a request together, and memory where nobody scrapes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::declared::{BUCKETS, DURATION, Metric, OVERHEAD, UPSTREAM};
use crate::metrics::text;
use crate::request::Door;

/// Of the requests of one action at one door.
#[derive(Default)]
pub(super) struct Times {
    whole: Spread,
    upstream: Spread,
    overhead: Spread,
}

/// Observations of one kind.
#[derive(Default)]
struct Spread {
    /// As many as [`BUCKETS`], each without those before it, and one for what is longer.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    /// Of all of them, in nanoseconds: enough for five centuries.
    sum: AtomicU64,
}

/// The times of all actions.
#[derive(Default)]
pub(super) struct AllTimes(Mutex<ByLabels>);

/// By action and door, as labels have them.
type ByLabels = BTreeMap<(Box<str>, &'static str), Arc<Times>>;

impl Times {
    /// A request has ended that took so long, of which so much was the server's.
    pub(super) fn record(&self, whole: Duration, upstream: Option<Duration>) {
        self.whole.record(whole);
        if let Some(upstream) = upstream {
            self.upstream.record(upstream);
        }
        let overhead = whole.saturating_sub(upstream.unwrap_or_default());
        self.overhead.record(overhead);
    }

    /// The whole, the server's and ours.
    fn spreads(&self) -> [&Spread; 3] {
        [&self.whole, &self.upstream, &self.overhead]
    }
}

impl Spread {
    fn record(&self, took: Duration) {
        let nanos = nanos(took);
        let bucket = BUCKETS.partition_point(|bound| nanos > *bound);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The lines of Prometheus' text format: the buckets, each with those before it, the sum and the count.
    fn push(&self, text: &mut String, metric: &Metric, labels: [&str; 2]) {
        let mut count = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            let bound = BUCKETS.get(index).map_or_else(
                || "+Inf".to_owned(),
                |bound| (*bound as f64 / NANOS).to_string(),
            );
            text::push_line(text, (metric, "_bucket"), &labels, Some(&bound), count);
        }
        let sum = self.sum.load(Ordering::Relaxed) as f64 / NANOS;
        text::push_line(text, (metric, "_sum"), &labels, None, sum);
        text::push_line(text, (metric, "_count"), &labels, None, count);
    }
}

/// In a second.
const NANOS: f64 = 1e9;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl AllTimes {
    /// Those of one action at one door.
    pub(super) fn of(&self, action: &str, door: Door) -> Arc<Times> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry((action.into(), door.as_str())).or_default())
    }

    /// Appends everything in Prometheus' text format.
    pub(super) fn push(&self, text: &mut String) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        for (index, metric) in [DURATION, UPSTREAM, OVERHEAD].iter().enumerate() {
            text::push_head(text, metric);
            for ((action, door), times) in all.iter() {
                times.spreads()[index].push(text, metric, [action, door]);
            }
            text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_in_its_bucket_and_in_all_that_are_longer() {
        let all = AllTimes::default();
        for (took, upstream) in [
            (Duration::ZERO, None),
            (Duration::from_micros(100), None),
            (
                Duration::from_nanos(100_001),
                Some(Duration::from_micros(1)),
            ),
            (Duration::from_secs(100), Some(Duration::from_secs(200))),
            (Duration::MAX, None),
        ] {
            all.of("get", Door::Proxy).record(took, upstream);
        }
        let mut text = String::new();
        all.push(&mut text);
        for line in [
            r#"exeat_request_duration_seconds_bucket{action="get",door="proxy",le="0.0001"} 2"#,
            r#"exeat_request_duration_seconds_bucket{action="get",door="proxy",le="0.0002"} 3"#,
            r#"exeat_request_duration_seconds_bucket{action="get",door="proxy",le="100"} 4"#,
            r#"exeat_request_duration_seconds_bucket{action="get",door="proxy",le="+Inf"} 5"#,
            r#"exeat_request_duration_seconds_count{action="get",door="proxy"} 5"#,
            r#"exeat_upstream_duration_seconds_count{action="get",door="proxy"} 2"#,
            r#"exeat_upstream_duration_seconds_sum{action="get",door="proxy"} 200.000001"#,
            // A server is never blamed for more than the whole, nor less than nothing left to us.
            r#"exeat_overhead_seconds_bucket{action="get",door="proxy",le="0.0001"} 4"#,
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }
}
