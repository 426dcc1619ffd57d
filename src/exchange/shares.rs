//! Fair shares: how many requests one agent may have under way, how many tunnels open, and how many names of a `*.`
//! host it may ask for, so that none keeps the others out.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::exchange::labels::{Labels, MAX_DISTINCT_LABELS};
use crate::name::AgentName;
use crate::refusal::{Code, Refusal};
use crate::request::Host;

/// A quarter of the connections that one worker takes: agents call a few times at once, a runtime of many conversations
/// some hundreds, and it takes several agents gone wild before others find no connection.
pub const AGENT_REQUESTS: usize = 1024;

/// A package manager opens some ten connections at once and a build some hundred; a quarter of what an agent may ask
/// for leaves the rest of its sockets to requests.
pub const AGENT_TUNNELS: usize = 256;

/// When to ask again: calls take about so long.
const WAIT: Duration = Duration::from_secs(1);

/// The shares of all agents. Whoever is no agent has one share together. There are no more than agents that have shown
/// their tokens, so the policy bounds them.
#[derive(Debug)]
pub struct Shares {
    requests: Pool,
    tunnels: Pool,
    labels: Labels,
}

/// So many of one thing for each agent.
#[derive(Debug)]
struct Pool {
    what: &'static str,
    most: usize,
    left: RwLock<HashMap<Option<AgentName>, Arc<Semaphore>>>,
}

/// One request or tunnel of a share. Dropped, another may begin.
#[derive(Debug)]
pub struct Share {
    _taken: OwnedSemaphorePermit,
}

impl Default for Shares {
    fn default() -> Self {
        Self::of(AGENT_REQUESTS, AGENT_TUNNELS)
    }
}

impl Shares {
    /// So many requests and tunnels for each agent.
    pub fn of(requests: usize, tunnels: usize) -> Self {
        Self {
            requests: Pool::of("requests under way", requests),
            tunnels: Pool::of("tunnels open", tunnels),
            labels: Labels::of(MAX_DISTINCT_LABELS),
        }
    }

    /// With so many names of a `*.` host for each agent.
    #[must_use]
    pub fn naming(mut self, most: usize) -> Self {
        self.labels = Labels::of(most);
        self
    }

    /// Begins a request of an agent.
    ///
    /// # Errors
    /// [`Code::Overloaded`] where it has as many as it may.
    pub fn take(&self, agent: Option<&AgentName>) -> Result<Share, Refusal> {
        self.requests.take(agent)
    }

    /// Opens a tunnel of an agent.
    ///
    /// # Errors
    /// [`Code::Overloaded`] where it has as many as it may.
    pub fn tunnel(&self, agent: Option<&AgentName>) -> Result<Share, Refusal> {
        self.tunnels.take(agent)
    }

    /// Counts a name that the policy has by a `*.` alone, before it is looked up or gets a certificate.
    ///
    /// # Errors
    /// [`Code::SubdomainBudget`] where the agent has asked for as many others as it may.
    pub fn name(&self, agent: Option<&AgentName>, host: &Host) -> Result<(), Refusal> {
        self.labels.take(agent, host, Instant::now())
    }

    /// Forgets agents that have nothing under way. Those that the policy still has begin anew.
    pub(in crate::exchange) fn forget_idle(&self) {
        self.requests.forget_idle();
        self.tunnels.forget_idle();
        self.labels.forget_idle(Instant::now());
    }

    /// How many requests one agent may have under way.
    pub(in crate::exchange) fn most(&self) -> usize {
        self.requests.most
    }

    /// How many requests each has that has ever had one; no agent stands for all who are none.
    pub(in crate::exchange) fn under_way(&self) -> Vec<(Option<AgentName>, usize)> {
        self.requests.taken()
    }
}

impl Pool {
    fn of(what: &'static str, most: usize) -> Self {
        Self {
            what,
            most: most.min(Semaphore::MAX_PERMITS),
            left: RwLock::default(),
        }
    }

    fn take(&self, agent: Option<&AgentName>) -> Result<Share, Refusal> {
        let agent = agent.cloned();
        // Taken under the lock: in between, an agent might be forgotten as idle and begin anew with all of its share.
        let known = self.left.read().unwrap_or_else(PoisonError::into_inner);
        let taken = known.get(&agent).cloned().map(Semaphore::try_acquire_owned);
        drop(known);
        let taken = taken.unwrap_or_else(|| self.begin(agent));
        let _taken = taken.map_err(|_| self.refusal())?;
        Ok(Share { _taken })
    }

    fn forget_idle(&self) {
        let mut known = self.left.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, left| left.available_permits() < self.most);
    }

    fn taken(&self) -> Vec<(Option<AgentName>, usize)> {
        let known = self.left.read().unwrap_or_else(PoisonError::into_inner);
        let taken = |left: &Semaphore| self.most - left.available_permits();
        let each = known
            .iter()
            .map(|(agent, left)| (agent.clone(), taken(left)));
        each.collect()
    }

    fn begin(&self, agent: Option<AgentName>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let mut known = self.left.write().unwrap_or_else(PoisonError::into_inner);
        let whole = || Arc::new(Semaphore::new(self.most));
        let left = known.entry(agent).or_insert_with(whole).clone();
        left.try_acquire_owned()
    }

    fn refusal(&self) -> Refusal {
        let message = format!(
            "this agent has {} {}, as many as it may; try again when one has ended",
            self.most, self.what
        );
        Refusal::new(Code::Overloaded, message).after_waiting(WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_has_all_of_its_share_keeps_nobody_else_out() {
        let shares = Shares::of(2, 1);
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
        let _tunnel = shares.tunnel(Some(&a)).unwrap();
        assert!(shares.tunnel(Some(&a)).is_err() && shares.tunnel(Some(&b)).is_ok());
        drop(first);
        assert!(shares.take(Some(&a)).is_ok());
    }

    #[test]
    fn an_agent_with_requests_under_way_is_not_forgotten() {
        let shares = Shares::of(1, 1);
        let (a, b) = (AgentName::parse("a").ok(), AgentName::parse("b").ok());
        let _taken = shares.take(a.as_ref()).unwrap();
        drop(shares.take(b.as_ref()).unwrap());
        shares.forget_idle();
        assert_eq!(shares.requests.left.read().unwrap().len(), 1);
        assert!(shares.take(a.as_ref()).is_err());
    }
}
