//! Names below a `*.` host: how many of them one agent may ask for.
//!
//! The name itself is a message. Whoever answers for the domain reads it, by DNS, before there is a request; so an
//! agent that may choose it freely could write letters of 63 characters each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::name::AgentName;
use crate::refusal::{Code, Refusal};
use crate::request::Host;

/// Names of one `*.` host for one agent. Tenants, buckets and regions that one agent works with are a few dozen; a
/// hundred names of 63 characters carry 4 KB in an hour.
pub const MAX_DISTINCT_LABELS: usize = 100;

/// How long a name counts after it was last asked for.
const COUNTED_FOR: Duration = Duration::from_secs(60 * 60);

/// The names that agents have asked for. Memory is bounded by agents, `*.` hosts of the policy and the budget.
#[derive(Debug)]
pub(in crate::exchange) struct Labels {
    most: usize,
    asked: Mutex<HashMap<Asker, Names>>,
}

/// Who asks, and below what. Whoever is no agent has one budget together.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Asker {
    agent: Option<AgentName>,
    parent: Box<str>,
}

#[derive(Debug, Default)]
struct Names {
    last: HashMap<Host, Instant>,
    /// Nothing is forgotten before this time, so a full table is not looked through until then.
    full_until: Option<Instant>,
}

impl Labels {
    pub(in crate::exchange) fn of(most: usize) -> Self {
        Self {
            most,
            asked: Mutex::default(),
        }
    }

    /// Counts a host that is declared by a `*.` in place of its first label.
    ///
    /// # Errors
    /// [`Code::SubdomainBudget`] where it would be one too many.
    pub(in crate::exchange) fn take(
        &self,
        agent: Option<&AgentName>,
        host: &Host,
        at: Instant,
    ) -> Result<(), Refusal> {
        let parent = host.parent().unwrap_or_default();
        let asker = Asker {
            agent: agent.cloned(),
            parent: parent.into(),
        };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let names = asked.entry(asker).or_default();
        let free_at = names.free_at(host, self.most, at);
        match free_at {
            None => {
                names.last.insert(host.clone(), at);
                Ok(())
            }
            Some(free_at) => {
                let most = self.most;
                let message = format!(
                    "this agent has asked for {most} names below {parent} in an hour, as many as it may; use one of them"
                );
                let wait = free_at.saturating_duration_since(at);
                Err(Refusal::new(Code::SubdomainBudget, message).after_waiting(wait))
            }
        }
    }

    /// Forgets whoever has no name left that counts.
    pub(in crate::exchange) fn forget_idle(&self, at: Instant) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, names| names.last.values().any(|last| counts(*last, at)));
    }
}

impl Names {
    /// When there is room for this name; `None` is now.
    fn free_at(&mut self, host: &Host, most: usize, at: Instant) -> Option<Instant> {
        if self.last.contains_key(host) || self.last.len() < most {
            return None;
        }
        if self.full_until.is_none_or(|until| until <= at) {
            self.last.retain(|_, last| counts(*last, at));
            let first = self.last.values().min().map(|last| *last + COUNTED_FOR);
            self.full_until = first;
        }
        self.full_until.filter(|_| self.last.len() >= most)
    }
}

fn counts(last: Instant, at: Instant) -> bool {
    at.saturating_duration_since(last) < COUNTED_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(labels: &Labels, agent: &str, host: &str, at: Instant) -> Result<(), Duration> {
        let agent = AgentName::parse(agent).unwrap();
        let taken = labels.take(Some(&agent), &Host::parse(host).unwrap(), at);
        taken.map_err(|refusal| {
            assert_eq!(refusal.code, Code::SubdomainBudget);
            refusal.hints.retry_after.unwrap()
        })
    }

    #[test]
    fn each_agent_has_so_many_names_of_each_host() {
        let (labels, now) = (Labels::of(2), Instant::now());
        for (agent, host, fine) in [
            ("one", "a.wild.test", true),
            ("one", "b.wild.test", true),
            ("one", "c.wild.test", false),
            ("one", "a.wild.test", true),
            ("one", "c.other.test", true),
            ("two", "c.wild.test", true),
            ("one", "c.wild.test", false),
        ] {
            let taken = take(&labels, agent, host, now);
            assert_eq!(taken.is_ok(), fine, "{agent} {host}");
        }
    }

    #[test]
    fn a_name_counts_for_an_hour_after_it_was_last_asked_for() {
        let (labels, start) = (Labels::of(2), Instant::now());
        let after = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(take(&labels, "one", "a.wild.test", start), Ok(()));
        assert_eq!(take(&labels, "one", "b.wild.test", after(10)), Ok(()));
        for (at, host, expected) in [
            (20, "c.wild.test", Err(minutes(40))),
            (30, "a.wild.test", Ok(())),
            (65, "c.wild.test", Err(minutes(5))),
            (70, "c.wild.test", Ok(())),
            (71, "b.wild.test", Err(minutes(19))),
        ] {
            let taken = take(&labels, "one", host, after(at));
            assert_eq!(taken, expected, "{host} after {at} minutes");
        }
    }

    #[test]
    fn who_has_asked_for_nothing_lately_is_forgotten() {
        let (labels, start) = (Labels::of(2), Instant::now());
        take(&labels, "one", "a.wild.test", start).unwrap();
        let later = start + COUNTED_FOR / 2;
        take(&labels, "two", "a.wild.test", later).unwrap();
        labels.forget_idle(start + COUNTED_FOR);
        assert_eq!(labels.asked.lock().unwrap().len(), 1);
    }
}
