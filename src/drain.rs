//! The way to the end: whether exeat is about to stop, and how far that has come.
//!
//! Who serves connections looks here before it keeps one open, and hears of the end here. How long each phase takes is
//! `app`'s matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

/// How far a stop has come. Shared by all threads; clones are the same.
#[derive(Clone, Debug)]
pub struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    // Read for every answer, so it is no lock.
    phase: AtomicU8,
    bell: watch::Sender<()>,
}

/// The phases of a stop, in their order. None is ever gone back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No stop.
    Serving,
    /// Readiness says no, and everything else is as before.
    Announced,
    /// Nothing is accepted; what has begun may come to its end.
    Draining,
    /// What has not ended is cut.
    Over,
    /// Somebody has said twice that they do not want to wait.
    Hurried,
}

impl Default for Drain {
    fn default() -> Self {
        Self(Arc::new(Inner {
            phase: AtomicU8::new(Phase::Serving as u8),
            bell: watch::Sender::new(()),
        }))
    }
}

impl Drain {
    /// How far it is.
    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Announced,
            2 => Phase::Draining,
            3 => Phase::Over,
            _ => Phase::Hurried,
        }
    }

    /// Whether it has come so far.
    pub fn has_reached(&self, phase: Phase) -> bool {
        self.phase() >= phase
    }

    /// Goes on to a phase, unless it is behind us.
    pub fn enter(&self, phase: Phase) {
        self.0.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.0.bell.send_replace(());
    }

    /// Comes back once it has come so far.
    pub async fn reached(&self, phase: Phase) {
        // Subscribed before it is looked at: what comes between rings.
        let mut bell = self.0.bell.subscribe();
        while !self.has_reached(phase) && bell.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_phase_hears_of_it_and_of_every_later_one() {
        let drain = Drain::default();
        drain.reached(Phase::Serving).await;
        let waiting = [Phase::Announced, Phase::Draining, Phase::Over].map(|phase| {
            let drain = drain.clone();
            tokio::spawn(async move { drain.reached(phase).await })
        });
        tokio::task::yield_now().await;
        drain.enter(Phase::Draining);
        let [announced, draining, over] = waiting;
        announced.await.unwrap();
        draining.await.unwrap();
        assert!(!over.is_finished());
        drain.enter(Phase::Announced);
        assert_eq!(drain.phase(), Phase::Draining);
        drain.enter(Phase::Hurried);
        over.await.unwrap();
        assert_eq!(drain.phase(), Phase::Hurried);
    }
}
