//! A limit on waiting that costs nothing while nobody waits, and little where somebody does for each request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Runs out when nothing has moved for its limit. The timer is made at the first wait: most bodies are there at once.
/// From then on it is left as it is when something moves, and set anew only when it goes off too early: it goes off once
/// in a limit, while things may move thousands of times.
pub struct Patience {
    limit: Duration,
    /// While somebody waits.
    end: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// With nobody waiting yet.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            end: None,
            timer: None,
        }
    }

    /// Something moved.
    pub fn renew(&mut self) {
        self.end = None;
    }

    /// Something moved, and the next limit is another.
    pub fn renew_for(&mut self, limit: Duration) {
        self.limit = limit;
        self.renew();
    }

    /// Ready once the limit has passed since the first poll after the last movement.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = *self.end.get_or_insert_with(|| Instant::now() + self.limit);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() > end {
            timer.as_mut().reset(end);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(40);

    async fn runs_out(patience: &mut Patience) -> Duration {
        let began = Instant::now();
        poll_fn(|context| patience.poll(context)).await;
        began.elapsed()
    }

    /// As if somebody waited, and something moved at once.
    async fn begin(patience: &mut Patience) {
        let polled = poll_fn(|context| Poll::Ready(patience.poll(context))).await;
        assert!(polled.is_pending());
        patience.renew();
    }

    #[tokio::test]
    async fn a_movement_gives_all_of_the_limit_again() {
        let mut patience = Patience::new(LIMIT);
        begin(&mut patience).await;
        let timer = sleep_until(Instant::now() + LIMIT / 2);
        timer.await;
        assert!(runs_out(&mut patience).await >= LIMIT);
    }

    #[tokio::test]
    async fn another_limit_holds_from_the_next_wait_on() {
        for (first, second) in [(LIMIT, LIMIT * 2), (LIMIT * 100, LIMIT)] {
            let mut patience = Patience::new(first);
            begin(&mut patience).await;
            patience.renew_for(second);
            let took = runs_out(&mut patience).await;
            assert!(took >= second && took < LIMIT * 50, "{took:?}");
        }
    }
}
