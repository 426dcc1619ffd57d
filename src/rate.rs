//! How often something may be called: a rule, as a policy declares it. The counting is `meter`'s.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::name::{ActionName, AgentName, ConnectionName};

/// A `rate_limit`. Two rules are the same if they say the same in the same place: a new policy that does not change one
/// does not change what has been counted under it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// What has it.
    pub owner: Owner,
    /// What is counted together.
    pub key: Key,
    /// So many calls come back in one `per`, evenly spread over it.
    pub limit: NonZeroU32,
    /// The unit of time.
    pub per: Per,
    /// So many calls at once, after a pause.
    pub burst: NonZeroU32,
}

/// What has the rule, the narrowest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// It holds for one action.
    Action(ActionName),
    /// It holds for the actions of one connection.
    Connection(ConnectionName),
    /// It holds for whatever one agent calls.
    Agent(AgentName),
}

/// What is counted together, of what a rule holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// All of it.
    All,
    /// The calls of each action.
    Action,
    /// The calls of each agent; together those of whoever is none.
    Agent,
    /// The calls in each session; outside of one, those of each agent.
    Session,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// 1 s.
    Second,
    /// 60 s.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

impl Rate {
    /// After so long without a call, what can be had at once is all there again.
    pub const LONGEST_REFILL: Duration = Duration::from_secs(24 * 60 * 60);

    /// The time in which one call comes back: rounded up, so that never more pass than the rule says.
    pub fn interval(&self) -> Duration {
        let limit = u64::from(self.limit.get());
        Duration::from_nanos(self.per.nanoseconds().div_ceil(limit))
    }

    /// The time in which all of the burst comes back.
    pub fn refill(&self) -> Duration {
        self.interval() * self.burst.get()
    }
}

/// As an agent reads it: `30 calls a minute`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = match self.limit.get() {
            1 => "call",
            _ => "calls",
        };
        let per = match self.per {
            Per::Second => "a second",
            Per::Minute => "a minute",
            Per::Hour => "an hour",
            Per::Day => "a day",
        };
        write!(f, "{} {calls} {per}", self.limit)
    }
}

/// As an operator reads it.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action(name) => write!(f, "the action {name}"),
            Self::Connection(name) => write!(f, "the connection {name}"),
            Self::Agent(name) => write!(f, "the agent {name}"),
        }
    }
}

impl Owner {
    /// What has the rule, in words for an agent, which knows no names of connections.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::Action(_) => "this action",
            Self::Connection(_) => "this action's connection",
            Self::Agent(_) => "this agent",
        }
    }
}

impl Per {
    /// Its length.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
        }
    }

    fn nanoseconds(self) -> u64 {
        self.seconds() * 1_000_000_000
    }
}
