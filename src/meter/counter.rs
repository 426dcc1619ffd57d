//! One count: what is left of a limit, at a time that is given.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::rate::Rate;

/// How many calls are left, and when all of them are back.
pub(super) struct Counter {
    since: Instant,
    limiter: RateLimiter<NotKeyed, InMemoryState, At, NoOpMiddleware<Duration>>,
    full: Instant,
}

/// The clock that `governor` asks: the time it was set to, since the counter was made.
#[derive(Debug, Default)]
struct At(Cell<Duration>);

impl Clock for At {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.get()
    }
}

impl Counter {
    /// With all of the burst, from this time on.
    pub(super) fn of(rate: &Rate, since: Instant) -> Self {
        let quota = Quota::with_period(rate.interval());
        let quota = quota.expect("an interval has at least a nanosecond");
        let quota = quota.allow_burst(rate.burst);
        Self {
            since,
            limiter: RateLimiter::direct_with_clock(quota, At::default()),
            full: since,
        }
    }

    /// Takes one call. A time before that of an earlier call gives back nothing.
    ///
    /// # Errors
    /// The time to wait until there is one again.
    pub(super) fn take(&mut self, rate: &Rate, at: Instant) -> Result<(), Duration> {
        let now = at.saturating_duration_since(self.since);
        self.limiter.clock().0.set(now);
        self.limiter
            .check()
            .map_err(|until| until.wait_time_from(now))?;
        self.full = self.full.max(at + rate.refill());
        Ok(())
    }

    /// When all of the burst is back, if nothing more is taken: at this time or before.
    pub(super) fn full(&self) -> Instant {
        self.full
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counter(full {:?})", self.full)
    }
}
