//! The policy in force: one cell, from which every request takes one snapshot, and a bell that rings when it changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::policy::Policy;

/// Holds the policy in force.
#[derive(Debug)]
pub struct Live {
    policy: ArcSwap<Policy>,
    bell: watch::Sender<()>,
}

/// Rings when another policy is in force. Many changes in a row may ring once.
#[derive(Clone, Debug)]
pub struct Changes(watch::Receiver<()>);

impl Live {
    /// Puts a first policy in force.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy: ArcSwap::new(policy),
            bell: watch::Sender::new(()),
        }
    }

    /// The policy in force now. Whoever holds the snapshot is not touched by what comes later.
    pub fn snapshot(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Puts another policy in force, and tells everybody who waits for that.
    pub fn replace(&self, policy: Arc<Policy>) {
        self.policy.store(policy);
        self.bell.send_replace(());
    }

    /// The changes from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.bell.subscribe())
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
