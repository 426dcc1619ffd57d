//! What is known about one source: its value and how long that is good, or its failure and when to try again.
//!
//! The time is a parameter. Reading is not done here.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::MutexGuard;

use crate::policy::SecretSource;
use crate::secret::Secret;
use crate::vault::read::{BadSource, Found, Stamp};

/// A source that failed is asked again soon, since most failures are a file that is about to be written or a network
/// that comes back.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Long enough that a broken source costs nothing, short enough that nobody restarts exeat after mending it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A file may change once more without another time of change, on file systems that count in whole seconds. What is
/// read sooner than this after a change was first seen is read again.
const SETTLING: Duration = Duration::from_secs(2);

/// One source.
#[derive(Default)]
pub(super) struct Slot {
    known: Mutex<Known>,
    reader: tokio::sync::Mutex<()>,
}

#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    Value {
        secret: Secret,
        good: Good,
    },
    Failure {
        why: BadSource,
        stamp: Option<Stamp>,
        until: Instant,
        pause: Duration,
    },
}

/// How long a value may be used.
enum Good {
    Always,
    Until(Instant),
    /// While the file is as it was, if it was read after it had settled.
    While {
        stamp: Stamp,
        seen: Instant,
        settled: bool,
    },
}

/// The right to read, which one at a time has.
pub(super) struct Turn<'a> {
    slot: &'a Slot,
    _reader: MutexGuard<'a, ()>,
}

impl Slot {
    /// The answer that needs no reading, if there is one. `stamp` is the file's as it is now.
    pub(super) fn known(
        &self,
        stamp: Option<Stamp>,
        now: Instant,
    ) -> Option<Result<Secret, BadSource>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Known::Nothing => None,
            Known::Value { secret, good } => {
                let good = match good {
                    Good::Always => true,
                    Good::Until(end) => now < *end,
                    Good::While {
                        stamp: then,
                        settled,
                        ..
                    } => *settled && stamp.as_ref() == Some(then),
                };
                good.then(|| Ok(secret.clone()))
            }
            Known::Failure {
                why,
                stamp: then,
                until,
                ..
            } => (now < *until && stamp == *then).then(|| Err(why.clone())),
        }
    }

    /// Waits for the right to read.
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn {
            slot: self,
            _reader: self.reader.lock().await,
        }
    }
}

impl Turn<'_> {
    /// Keeps what was read, and hands it on.
    pub(super) fn learn(
        self,
        found: Found,
        source: &SecretSource,
        now: Instant,
    ) -> Result<Secret, BadSource> {
        let mut known = self
            .slot
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = match &found.secret {
            Ok(secret) => known.renewed(secret, found.stamp, (source, now)),
            Err(why) => {
                let pause = known.next_pause();
                Known::Failure {
                    why: why.clone(),
                    stamp: found.stamp,
                    until: now + pause,
                    pause,
                }
            }
        };
        found.secret
    }
}

impl Known {
    fn renewed(
        &self,
        secret: &Secret,
        stamp: Option<Stamp>,
        (source, now): (&SecretSource, Instant),
    ) -> Self {
        let good = match (source, stamp) {
            (SecretSource::Env(_), _) => Good::Always,
            (SecretSource::Command { ttl, .. }, _) => Good::Until(now + *ttl),
            (SecretSource::File(_) | SecretSource::Store(_), None) => return Self::Nothing,
            (SecretSource::File(_) | SecretSource::Store(_), Some(stamp)) => {
                let seen = self.first_seen(&stamp).unwrap_or(now);
                Good::While {
                    stamp,
                    seen,
                    settled: now.duration_since(seen) >= SETTLING,
                }
            }
        };
        Self::Value {
            secret: secret.clone(),
            good,
        }
    }

    fn first_seen(&self, stamp: &Stamp) -> Option<Instant> {
        match self {
            Self::Value {
                good: Good::While {
                    stamp: then, seen, ..
                },
                ..
            } => (then == stamp).then_some(*seen),
            _ => None,
        }
    }

    fn next_pause(&self) -> Duration {
        match self {
            Self::Failure { pause, .. } => (*pause * 2).min(LONGEST_PAUSE),
            Self::Nothing | Self::Value { .. } => FIRST_PAUSE,
        }
    }
}
