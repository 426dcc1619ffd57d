//! Rates: how many calls each limit has left, and for whom.
//!
//! The generic cell rate algorithm, which `governor` has, and which is used nowhere else: in any time t there pass at
//! most `burst` calls and those that come back in t, so there is no edge of a window at which twice as many pass. No
//! clock is read here: the time of a call comes with it.
//!
//! **What is kept** is one number for each limit, environment and key. It is forgotten once all of the burst is back,
//! when it says as much as none. A limit has at most so many keys at a time (`MOST_KEYS`); a further one is refused
//! until another is forgotten. So memory is bounded by the number of limits that the policy has.
//!
//! **A new policy** changes nothing for the limits that it does not change: what was counted is found again by where a
//! limit was declared and what it says. What was counted under one that is gone is forgotten.

mod counter;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::action::Facts;
use crate::meter::table::{Empty, SWEEP, Table};
use crate::name::{ActionName, AgentName, EnvironmentName};
use crate::policy::Permit;
use crate::rate::{Key, Rate};
use crate::refusal::{Code, Refusal};
use crate::request::SessionId;

/// Keys of one limit at a time. A key is an action, an agent or a session, and an agent has at most 10,000 sessions:
/// ten agents with as many as they may have. One key takes some 200 bytes.
const MOST_KEYS: usize = 100_000;

/// Counts the calls under every limit. A call that has none takes no lock.
#[derive(Debug)]
pub struct Meter {
    tables: Mutex<HashMap<Ruled, Table>>,
    most_keys: usize,
}

impl Default for Meter {
    fn default() -> Self {
        Self::keeping(MOST_KEYS)
    }
}

/// A rule in one environment: what is used up in staging is not missing in production.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ruled {
    rate: Arc<Rate>,
    environment: EnvironmentName,
}

/// What is counted together under one rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    All,
    Action(ActionName),
    Agent(Option<AgentName>),
    Session(SessionId),
}

impl Meter {
    /// With room for so many keys of each limit.
    fn keeping(most_keys: usize) -> Self {
        Self {
            tables: Mutex::default(),
            most_keys,
        }
    }

    /// Takes one call from every limit that holds for it, the narrowest first. Where one has none left, the ones before
    /// it have lost theirs all the same: who goes on calling in vain goes on using up what is narrower.
    ///
    /// # Errors
    /// [`Code::RateLimited`], with the time to wait; [`Code::Overloaded`] where a limit has as many keys as it may.
    pub fn take(&self, permit: &Permit, facts: &Facts) -> Result<(), Refusal> {
        let mut rates = permit.rates().peekable();
        if rates.peek().is_none() {
            return Ok(());
        }
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for rate in rates {
            let ruled = Ruled {
                rate: rate.clone(),
                environment: permit.caller().environment.clone(),
            };
            let key = Counted::of(rate.key, permit, facts);
            let table = table(&mut tables, ruled, facts.instant);
            let taken = table.take(rate, key, (facts.instant, self.most_keys));
            taken.map_err(|empty| refusal(rate, empty).of_action(&permit.action().name))?;
        }
        Ok(())
    }

    /// A new policy has these limits and no others: forgets what was counted under others.
    pub fn keep<'r>(&self, rates: impl Iterator<Item = &'r Arc<Rate>>) {
        let rates: HashSet<&Rate> = rates.map(AsRef::as_ref).collect();
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|ruled, _| rates.contains(ruled.rate.as_ref()));
    }
}

/// The table of a rule. With a new one, those go that have nothing left to say: their rules may be gone from the
/// policy.
fn table(tables: &mut HashMap<Ruled, Table>, ruled: Ruled, at: Instant) -> &mut Table {
    if !tables.contains_key(&ruled) {
        tables.retain(|_, table| !table.is_spent(at));
    }
    tables.entry(ruled).or_default()
}

fn refusal(rate: &Rate, empty: Empty) -> Refusal {
    let owner = rate.owner.in_words();
    let (code, message, wait) = match empty {
        Empty::For(wait) => {
            let message = format!("the rate limit of {owner} is used up ({rate})");
            (Code::RateLimited, message, wait)
        }
        Empty::NoRoom => {
            let message = format!("the rate limit of {owner} counts as many callers as it may");
            (Code::Overloaded, message, SWEEP)
        }
    };
    let mut refusal = Refusal::new(code, message).after_waiting(wait);
    let seconds = refusal.hints.retry_after_seconds().unwrap_or_default();
    refusal.message += &format!("; try again in {seconds} s");
    refusal
}

impl Counted {
    fn of(key: Key, permit: &Permit, facts: &Facts) -> Self {
        let by_agent = || Self::Agent(permit.caller().agent.clone());
        match key {
            Key::All => Self::All,
            Key::Action => Self::Action(permit.action().name.clone()),
            Key::Agent => by_agent(),
            // Not the one that was named, but the one that there is: names of sessions are for anybody to make up.
            Key::Session => facts
                .session_id
                .clone()
                .map_or_else(by_agent, Self::Session),
        }
    }
}
