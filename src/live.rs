//! The policy in force: one cell, from which every request takes one snapshot.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::policy::Policy;

/// Holds the policy in force.
#[derive(Debug)]
pub struct Live(ArcSwap<Policy>);

impl Live {
    /// Puts a first policy in force.
    pub fn new(policy: Arc<Policy>) -> Self {
        Self(ArcSwap::new(policy))
    }

    /// The policy in force now. Whoever holds the snapshot is not touched by what comes later.
    pub fn snapshot(&self) -> Arc<Policy> {
        self.0.load_full()
    }
}
