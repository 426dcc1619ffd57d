//! Sessions: what a conversation has learned. Deciding takes it as values; where it is kept is this trait's matter.

mod memory;
mod variables;

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aws_lc_rs::rand;
use serde_json::{Map, Value};

use crate::action::outcome::OutputName;
use crate::action::requires::AttemptNumber;
use crate::fault::Fault;
use crate::name::{ActionName, AgentName};
use crate::request::{Caller, SessionId};

pub use memory::{Bounds, Full, Key, Memory, NoSession, Snapshot};

/// What a place where sessions are kept says in the end. It may be far away.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// What a reply has brought: variables that are now so, or are no longer.
pub type Learnt = Vec<(OutputName, Option<Value>)>;

/// Where sessions are kept. A caller who names none, or one that is gone or another's, has an empty one that learns
/// nothing.
pub trait Sessions: Send + Sync {
    /// Opens a session for an agent and gives out its id. `None`: the agent has as many as it may have.
    fn open<'a>(&'a self, agent: Option<&'a AgentName>) -> Answering<'a, Option<SessionId>>;

    /// What a caller's request may use.
    fn look<'a>(&'a self, caller: &'a Caller) -> Answering<'a, Snapshot>;

    /// Keeps what a successful call has brought.
    fn learn<'a>(&'a self, caller: &'a Caller, outputs: Learnt) -> Answering<'a, ()>;
}

impl Sessions for InMemory {
    fn open<'a>(&'a self, agent: Option<&'a AgentName>) -> Answering<'a, Option<SessionId>> {
        Box::pin(ready(Ok(Self::open(self, agent).ok())))
    }

    fn look<'a>(&'a self, caller: &'a Caller) -> Answering<'a, Snapshot> {
        let found = key(caller).and_then(|key| Self::look(self, key).ok());
        Box::pin(ready(Ok(found.unwrap_or_default())))
    }

    fn learn<'a>(&'a self, caller: &'a Caller, outputs: Learnt) -> Answering<'a, ()> {
        if let Some(key) = key(caller)
            && let Ok(left_out) = Self::learn(self, key, None, outputs)
            && !left_out.is_empty()
        {
            let names: Vec<&str> = left_out.iter().map(OutputName::as_str).collect();
            tracing::warn!(
                session = key.id.hash(),
                ?names,
                "a session has no room for outputs"
            );
        }
        Box::pin(ready(Ok(())))
    }
}

fn key(caller: &Caller) -> Option<Key<'_>> {
    Some(Key {
        id: caller.session.as_ref()?,
        agent: caller.agent.as_ref(),
    })
}

/// Sessions of one process: [`Memory`] for all of its threads, with the clock and random ids.
pub struct InMemory {
    // Held for a few microseconds at a time and never across an await.
    memory: Mutex<Memory>,
}

impl InMemory {
    /// No session yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            memory: Mutex::new(Memory::new(bounds)),
        }
    }

    /// Opens a session for an agent and gives out its id.
    ///
    /// # Errors
    /// [`Full`]: the agent has as many as it may have, or the system has no randomness to give.
    pub fn open(&self, agent: Option<&AgentName>) -> Result<SessionId, Full> {
        let mut bits = [0; 16];
        rand::fill(&mut bits).map_err(|_| Full)?;
        let id = SessionId::of_random(bits);
        self.memory().open(id.clone(), agent, Instant::now())?;
        Ok(id)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// See [`Memory::close`].
    pub fn close(&self, key: Key<'_>) -> Result<(), NoSession> {
        self.memory().close(key, Instant::now())
    }

    /// What a session holds now.
    ///
    /// # Errors
    /// See [`Memory::look`].
    pub fn look(&self, key: Key<'_>) -> Result<Snapshot, NoSession> {
        self.memory().look(key, Instant::now())
    }

    /// Keeps what the runtime says, and tells whether there was room for it.
    ///
    /// # Errors
    /// See [`Memory::tell`].
    pub fn tell(&self, key: Key<'_>, context: Map<String, Value>) -> Result<bool, NoSession> {
        self.memory().tell(key, context, Instant::now())
    }

    /// Notes that a call to an action that others require is about to be sent.
    ///
    /// # Errors
    /// See [`Memory::begin`].
    pub fn begin(
        &self,
        key: Key<'_>,
        action: &ActionName,
        parameters: &Map<String, Value>,
    ) -> Result<AttemptNumber, NoSession> {
        self.memory()
            .begin(key, (action, parameters), Instant::now())
    }

    /// Keeps what a successful call has brought, and gives back what there was no room for.
    ///
    /// # Errors
    /// See [`Memory::learn`].
    pub fn learn(
        &self,
        key: Key<'_>,
        attempt: Option<AttemptNumber>,
        outputs: Vec<(OutputName, Option<Value>)>,
    ) -> Result<Vec<OutputName>, NoSession> {
        self.memory().learn(key, attempt, outputs, Instant::now())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Variables may be sensitive.
impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InMemory({} sessions)", self.memory().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_an_id_of_its_own_that_travels_as_text() {
        let sessions = InMemory::new(Bounds::default());
        let [one, two] = [(), ()].map(|()| sessions.open(None).unwrap());
        assert_ne!(one, two);
        let id = SessionId::parse(&one.expose()).unwrap();
        let key = Key {
            id: &id,
            agent: None,
        };
        assert!(sessions.look(key).is_ok());
        sessions.close(key).unwrap();
        assert_eq!(sessions.look(key).err(), Some(NoSession));
    }
}
