//! The policy in force: one cell, from which every request takes one snapshot, and a bell that rings when it changes;
//! and what came of the last try to put another one there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::policy::Policy;
use crate::problem::Problem;

/// Holds the policy in force. Clones are the same.
#[derive(Clone, Debug)]
pub struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    policy: ArcSwap<Policy>,
    /// Counts the policies that have been in force.
    version: AtomicU64,
    status: ArcSwap<Status>,
    bell: watch::Sender<()>,
}

/// Rings when another policy is in force. Many changes in a row may ring once.
#[derive(Clone, Debug)]
pub struct Changes(watch::Receiver<()>);

/// For operators: since when the policy is in force, and whether the files say something else by now.
#[derive(Clone, Debug)]
pub struct Status {
    /// When the policy in force was loaded.
    pub loaded_at: OffsetDateTime,
    /// The last try to load another one, if it failed.
    pub refused: Option<Refused>,
}

/// A policy that was not put in force.
#[derive(Clone, Debug)]
pub struct Refused {
    /// When.
    pub at: OffsetDateTime,
    /// Why, in the order of the files.
    pub problems: Arc<[Problem]>,
}

impl Live {
    /// Puts a first policy in force.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self(Arc::new(Inner {
            policy: ArcSwap::new(policy),
            version: AtomicU64::new(1),
            status: ArcSwap::from_pointee(Status::loaded_now()),
            bell: watch::Sender::new(()),
        }))
    }

    /// The policy in force now. Whoever holds the snapshot is not touched by what comes later.
    pub fn snapshot(&self) -> Arc<Policy> {
        self.0.policy.load_full()
    }

    /// Whether this one is in force now.
    pub fn is(&self, policy: &Arc<Policy>) -> bool {
        Arc::ptr_eq(&self.0.policy.load(), policy)
    }

    /// The number of the policy in force: every change has a higher one than the one before.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Puts another policy in force, and tells everybody who waits for that.
    pub fn replace(&self, policy: Arc<Policy>) {
        self.0.policy.store(policy);
        self.0.version.fetch_add(1, Ordering::AcqRel);
        self.0.status.store(Arc::new(Status::loaded_now()));
        self.0.bell.send_replace(());
    }

    /// Notes that the files say nothing else than the policy in force.
    pub fn confirm(&self) {
        let status = Status {
            refused: None,
            ..*self.status()
        };
        self.0.status.store(Arc::new(status));
    }

    /// Notes that what the files say now was not put in force.
    pub fn refuse(&self, problems: Vec<Problem>) {
        let refused = Refused {
            at: OffsetDateTime::now_utc(),
            problems: problems.into(),
        };
        let status = Status {
            refused: Some(refused),
            ..*self.status()
        };
        self.0.status.store(Arc::new(status));
    }

    /// What came of the last try.
    pub fn status(&self) -> Arc<Status> {
        self.0.status.load_full()
    }

    /// The changes from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.0.bell.subscribe())
    }
}

impl Status {
    fn loaded_now() -> Self {
        Self {
            loaded_at: OffsetDateTime::now_utc(),
            refused: None,
        }
    }
}

impl Changes {
    /// Waits for the next change. `false`: there will be none, because the process ends.
    pub async fn next(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy;

    #[tokio::test]
    async fn a_change_rings_after_the_policy_is_in_force() {
        let live = Live::new(policy("one"));
        let mut changes = live.changes();
        let two = policy("two");
        live.replace(two.clone());
        assert!(changes.next().await);
        assert!(Arc::ptr_eq(&live.snapshot(), &two));
        drop(live);
        assert!(!changes.next().await);
    }

    fn policy(host: &str) -> Arc<Policy> {
        let text = format!(
            "version: 1\nactions:\n  a: {{description: Does something., method: GET, url: \"https://{host}.test/\"}}\n"
        );
        let loaded = policy::from_texts(&[("p.yaml".into(), text.into_bytes())]);
        Arc::new(loaded.policy.unwrap())
    }
}
