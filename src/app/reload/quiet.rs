//! When files that are being written have been left alone for long enough to be read. Pure: the time is a parameter.

use std::time::{Duration, Instant};

/// Editors and tools that write several files, or one in several pieces, do so within a few milliseconds; nobody minds
/// that a policy is in force a fifth of a second later.
const QUIET: Duration = Duration::from_millis(200);

/// What never rests is read all the same.
const LATEST: Duration = Duration::from_secs(2);

/// From the first thing that happened to the end of the quiet after the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet {
    first: Instant,
    last: Instant,
}

impl Quiet {
    /// Something happened now, for the first time.
    pub(super) fn since(now: Instant) -> Self {
        Self {
            first: now,
            last: now,
        }
    }

    /// Something happened again.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last = now;
    }

    /// How long there is still to wait.
    pub(super) fn left(&self, now: Instant) -> Duration {
        let end = (self.last + QUIET).min(self.first + LATEST);
        end.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_they_rest_and_at_the_latest_after_two_seconds() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut quiet = Quiet::since(start);
        let mut left = |heard: Option<u64>, now: u64| {
            heard.into_iter().for_each(|it| quiet.heard(at(it)));
            quiet.left(at(now)).as_millis()
        };
        assert_eq!(left(None, 0), 200);
        assert_eq!(left(None, 150), 50);
        assert_eq!(left(Some(150), 150), 200);
        assert_eq!(left(Some(300), 400), 100);
        assert_eq!(left(Some(1900), 1900), 100);
        assert_eq!(left(Some(1990), 2000), 0);
        assert_eq!(left(None, 9000), 0);
    }
}
