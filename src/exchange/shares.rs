//! Fair shares: how many requests one agent may have under way, so that none keeps the others out.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::name::AgentName;
use crate::refusal::{Code, Refusal};

/// A quarter of the connections that one worker takes: agents call a few times at once, a runtime of many conversations
/// some hundreds, and it takes several agents gone wild before others find no connection.
pub const AGENT_REQUESTS: usize = 1024;

/// When to ask again: calls take about so long.
const WAIT: Duration = Duration::from_secs(1);

/// The shares of all agents. Whoever is no agent has one share together. There are no more than agents that have shown
/// their tokens, so the policy bounds them.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    left: RwLock<HashMap<Option<AgentName>, Arc<Semaphore>>>,
}

/// One request of a share. Dropped, another may begin.
#[derive(Debug)]
pub(in crate::exchange) struct Share {
    _taken: OwnedSemaphorePermit,
}

impl Default for Shares {
    fn default() -> Self {
        Self::of(AGENT_REQUESTS)
    }
}

impl Shares {
    /// So many requests for each agent.
    pub fn of(most: usize) -> Self {
        Self {
            most: most.min(Semaphore::MAX_PERMITS),
            left: RwLock::default(),
        }
    }

    /// Begins a request of an agent.
    ///
    /// # Errors
    /// [`Code::Overloaded`] where it has as many as it may.
    pub(in crate::exchange) fn take(&self, agent: Option<&AgentName>) -> Result<Share, Refusal> {
        let agent = agent.cloned();
        let known = self.left.read().unwrap_or_else(PoisonError::into_inner);
        let left = known.get(&agent).cloned();
        drop(known);
        let left = left.unwrap_or_else(|| self.begin(agent));
        let taken = left.try_acquire_owned();
        let _taken = taken.map_err(|_| self.refusal())?;
        Ok(Share { _taken })
    }

    /// Forgets agents that have nothing under way. Those that the policy still has begin anew.
    pub(in crate::exchange) fn forget_idle(&self) {
        let mut known = self.left.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, left| left.available_permits() < self.most);
    }

    /// How many requests one agent may have under way.
    pub(in crate::exchange) fn most(&self) -> usize {
        self.most
    }

    /// How many each has that has ever had one; no agent stands for all who are none.
    pub(in crate::exchange) fn under_way(&self) -> Vec<(Option<AgentName>, usize)> {
        let known = self.left.read().unwrap_or_else(PoisonError::into_inner);
        let taken = |left: &Semaphore| self.most - left.available_permits();
        let each = known
            .iter()
            .map(|(agent, left)| (agent.clone(), taken(left)));
        each.collect()
    }

    fn begin(&self, agent: Option<AgentName>) -> Arc<Semaphore> {
        let mut known = self.left.write().unwrap_or_else(PoisonError::into_inner);
        let whole = || Arc::new(Semaphore::new(self.most));
        known.entry(agent).or_insert_with(whole).clone()
    }

    fn refusal(&self) -> Refusal {
        let message = format!(
            "this agent has {} requests under way, as many as it may; try again when one has ended",
            self.most
        );
        Refusal::new(Code::Overloaded, message).after_waiting(WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_has_all_of_its_share_keeps_nobody_else_out() {
        let shares = Shares::of(2);
        let (a, b) = (
            AgentName::parse("a").unwrap(),
            AgentName::parse("b").unwrap(),
        );
        let first = shares.take(Some(&a)).unwrap();
        let _second = shares.take(Some(&a)).unwrap();
        let refusal = shares.take(Some(&a)).unwrap_err();
        assert_eq!(refusal.code, Code::Overloaded);
        assert_eq!(refusal.hints.retry_after, Some(WAIT));
        let _others = [shares.take(Some(&b)).unwrap(), shares.take(None).unwrap()];
        drop(first);
        assert!(shares.take(Some(&a)).is_ok());
    }

    #[test]
    fn an_agent_with_requests_under_way_is_not_forgotten() {
        let shares = Shares::of(1);
        let (a, b) = (AgentName::parse("a").ok(), AgentName::parse("b").ok());
        let _taken = shares.take(a.as_ref()).unwrap();
        drop(shares.take(b.as_ref()).unwrap());
        shares.forget_idle();
        assert_eq!(shares.left.read().unwrap().len(), 1);
        assert!(shares.take(a.as_ref()).is_err());
    }
}
