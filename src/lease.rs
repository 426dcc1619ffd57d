//! Leave to go on: what a stream or tunnel asks while it lasts, since it was permitted by a policy that may be gone.
//!
//! A request that is decided anew needs none. What rests on a [`Stake`] that a new policy does not grant any more goes
//! on for the grace and ends then; if a policy grants it again meanwhile, nothing has happened.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::audit::End;
use crate::drain::{Drain, Phase};
use crate::live::Live;
use crate::policy::{Policy, Stake};

/// How long something goes on that a new policy does not permit any more. A model's answer that is being streamed is
/// mostly whole within half a minute, and an agent that is not to be trusted any more is not let in for a new request
/// in the meantime. Who takes a right away in a hurry restarts exeat.
pub const GRACE: Duration = Duration::from_secs(30);

/// Where leases come from.
#[derive(Clone, Debug)]
pub struct Leases {
    live: Live,
    drain: Drain,
    grace: Duration,
}

/// The lease of one stream or tunnel.
pub struct Lease {
    of: Leases,
    stake: Stake,
    /// The number of the policy that the stake was last held against; none before the first.
    seen: u64,
    /// When the grace is over, where the stake is gone.
    until: Option<Instant>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

/// Why something may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The policy in force does not permit it, and the grace is over.
    Withdrawn,
    /// exeat stops, and the time for what had begun is over.
    Stopped,
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Withdrawn => Self::Withdrawn,
            Ended::Stopped => Self::Stopped,
        }
    }
}

impl Leases {
    /// Under the policy in force, until the end of the process, with this grace.
    pub fn new(live: &Live, drain: &Drain, grace: Duration) -> Self {
        Self {
            live: live.clone(),
            drain: drain.clone(),
            grace,
        }
    }

    /// A lease of something that this policy has permitted.
    pub fn lease(&self, policy: &Arc<Policy>, stake: Stake) -> Lease {
        // In this order: a policy that comes between has a higher number.
        let version = self.live.version();
        let seen = if self.live.is(policy) { version } else { 0 };
        Lease {
            of: self.clone(),
            stake,
            seen,
            until: None,
            waiting: None,
        }
    }
}

impl Lease {
    /// Whether it has ended. Costs next to nothing while the policy is the same.
    pub fn check(&mut self) -> Option<Ended> {
        if self.of.drain.has_reached(Phase::Over) {
            return Some(Ended::Stopped);
        }
        self.look();
        let is_over = self.until.is_some_and(|until| until <= Instant::now());
        is_over.then_some(Ended::Withdrawn)
    }

    /// Ready once it has ended.
    pub fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        loop {
            // The bell first: what comes after this look rings.
            let until = self.until;
            let (live, drain) = (&self.of.live, &self.of.drain);
            let waiting = self.waiting.get_or_insert_with(|| wait(live, drain, until));
            let rang = waiting.as_mut().poll(context).is_ready();
            if let Some(ended) = self.check() {
                return Poll::Ready(ended);
            }
            if !rang && self.until == until {
                return Poll::Pending;
            }
            self.waiting = None;
        }
    }

    /// Comes back once it has ended.
    pub async fn ended(&mut self) -> Ended {
        poll_fn(|context| self.poll_ended(context)).await
    }

    fn look(&mut self) {
        let version = self.of.live.version();
        if version == self.seen {
            return;
        }
        self.seen = version;
        self.until = match self.stake.holds(&self.of.live.snapshot()) {
            true => None,
            false => self
                .until
                .or_else(|| Instant::now().checked_add(self.of.grace)),
        };
    }
}

/// Comes back with another policy, with the end, or when the grace is over.
fn wait(
    live: &Live,
    drain: &Drain,
    until: Option<Instant>,
) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
    let (mut changes, drain) = (live.changes(), drain.clone());
    Box::pin(async move {
        let grace = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = changes.next() => {}
            () = drain.reached(Phase::Over) => {}
            () = grace => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::EnvironmentName;
    use crate::policy;
    use crate::request::Caller;

    const GOOD: &str = "version: 1\nenvironments: [one, two]\n";
    const BAD: &str = "version: 1\nenvironments: [two]\n";
    const WORSE: &str = "version: 1\nenvironments: [three]\n";

    fn read(text: &str) -> Arc<Policy> {
        let text = format!(
            "{text}actions: {{a: {{description: Does something., method: GET, url: \"https://a.good.test/\"}}}}\n"
        );
        let loaded = policy::from_texts(&[("p.yaml".into(), text.into())]);
        Arc::new(loaded.policy.unwrap())
    }

    /// Something that rests on there being an environment `one`.
    fn world(grace: Duration) -> (Live, Drain, Lease) {
        let (live, drain) = (Live::new(read(GOOD)), Drain::default());
        let environment = EnvironmentName::parse("one").unwrap();
        let caller = Caller {
            agent: None,
            environment: environment.clone(),
            session: None,
        };
        let stake = Stake::of_caller(caller, Some(environment));
        let lease = Leases::new(&live, &drain, grace).lease(&live.snapshot(), stake);
        (live, drain, lease)
    }

    /// Whether it has ended by the time that everything else has had its turn.
    async fn has_ended(lease: &mut Lease) -> Option<Ended> {
        tokio::task::yield_now().await;
        match poll_fn(|context| Poll::Ready(lease.poll_ended(context))).await {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn what_is_not_permitted_any_more_ends_after_the_grace_and_not_before() {
        let grace = Duration::from_millis(40);
        let (live, _drain, mut lease) = world(grace);
        assert_eq!(has_ended(&mut lease).await, None);
        let began = Instant::now();
        live.replace(read(BAD));
        assert_eq!(lease.ended().await, Ended::Withdrawn);
        assert!(began.elapsed() >= grace);
        assert_eq!(lease.check(), Some(Ended::Withdrawn));
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_a_policy_that_comes_meanwhile() {
        let (live, _drain, mut lease) = world(Duration::ZERO);
        let waiting = tokio::spawn(async move { lease.ended().await });
        tokio::task::yield_now().await;
        live.replace(read(BAD));
        assert_eq!(waiting.await.unwrap(), Ended::Withdrawn);
    }

    #[tokio::test]
    async fn the_grace_is_not_given_twice_and_what_is_permitted_again_goes_on() {
        let (live, _drain, mut lease) = world(GRACE);
        live.replace(read(BAD));
        assert_eq!(has_ended(&mut lease).await, None);
        let until = lease.until;
        assert!(until.is_some());
        live.replace(read(WORSE));
        assert_eq!((has_ended(&mut lease).await, lease.until), (None, until));
        live.replace(read(GOOD));
        assert_eq!((has_ended(&mut lease).await, lease.until), (None, None));
    }

    #[tokio::test]
    async fn a_policy_that_came_before_the_lease_was_taken_counts() {
        let (live, drain, lease) = world(GRACE);
        let then = live.snapshot();
        live.replace(read(BAD));
        let leases = Leases::new(&live, &drain, Duration::ZERO);
        let mut late = leases.lease(&then, lease.stake);
        assert_eq!(late.check(), Some(Ended::Withdrawn));
    }

    #[tokio::test]
    async fn the_end_of_a_stop_ends_everything() {
        let (_live, drain, mut lease) = world(GRACE);
        drain.enter(Phase::Draining);
        assert_eq!(has_ended(&mut lease).await, None);
        drain.enter(Phase::Over);
        assert_eq!(lease.check(), Some(Ended::Stopped));
        assert_eq!(lease.ended().await, Ended::Stopped);
    }
}
