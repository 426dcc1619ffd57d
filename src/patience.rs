//! A limit on waiting that costs nothing while nobody waits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Runs out when nothing has moved for its limit. The timer is made at the first wait: most bodies are there at once.
pub struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Patience {
    /// With nobody waiting yet.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            waiting: false,
        }
    }

    /// Something moved.
    pub fn renew(&mut self) {
        self.waiting = false;
    }

    /// Ready once the limit has passed since the first poll after the last movement.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = Instant::now() + self.limit;
        let timer = self.timer.get_or_insert_with(|| {
            self.waiting = true;
            Box::pin(sleep_until(end))
        });
        if !self.waiting {
            timer.as_mut().reset(end);
            self.waiting = true;
        }
        timer.as_mut().poll(context)
    }
}
