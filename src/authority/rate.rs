//! A bucket of tokens that fills with time: how often something dear may be done. The time is a parameter.

use std::time::Instant;

/// So many in a second, and as many at once after a second of rest.
pub(super) struct Bucket {
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A bucket after a rest.
    pub(super) fn full(per_second: u32, now: Instant) -> Self {
        Self {
            per_second: f64::from(per_second),
            tokens: f64::from(per_second),
            at: now,
        }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_what_time_put_in() {
        let start = Instant::now();
        let mut bucket = Bucket::full(50, start);
        for (milliseconds, given) in [(0, 50), (0, 0), (100, 5), (90, 0), (120, 1), (60_000, 50)] {
            let now = start + Duration::from_millis(milliseconds);
            let taken = (0..100).filter(|_| bucket.take(now)).count();
            assert_eq!(taken, given, "at {milliseconds} ms");
        }
    }
}
