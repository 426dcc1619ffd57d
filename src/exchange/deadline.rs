//! The time that a request has, fixed when its action is known.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::fault::{Fault, FaultKind};

/// A point in time after which nothing more is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// From now on.
    pub fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// The point itself.
    pub fn at(self) -> Instant {
        self.0
    }

    /// Waits for something no longer than until the deadline.
    ///
    /// # Errors
    /// A fault of the given kind, so that the record says who was too slow.
    pub async fn wait<T, E: From<Fault>>(
        self,
        kind: FaultKind,
        what: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match timeout_at(self.0, what).await {
            Ok(result) => result,
            Err(_) => Err(Fault::new(kind, "the action's timeout passed").into()),
        }
    }
}
