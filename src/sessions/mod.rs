//! Sessions: what a conversation has learned. Deciding takes it as values; where it is kept is this trait's matter.

mod facts;
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
use crate::name::AgentName;
use crate::request::{Caller, SessionId};

pub use facts::{Moment, exposed, facts};
pub use memory::{Bounds, Call, Full, Key, Memory, NoSession, Snapshot};

/// What a place where sessions are kept says in the end. It may be far away.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// What a reply has brought: variables that are now so, or are no longer.
pub type Learnt = Vec<(OutputName, Option<Value>)>;

/// What the runtime says of a conversation: checked by `policy::ContextVariables`.
pub type Said = Map<String, Value>;

/// Why no session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// The agent has as many as it may have; one has to be closed or to expire first.
    Full,
    /// What the runtime says of it takes more room than there is.
    NoRoom,
}

impl fmt::Display for Unopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the agent has as many sessions as it may have",
            Self::NoRoom => "a session has no room for so long a context",
        })
    }
}

impl std::error::Error for Unopened {}

impl From<Full> for Unopened {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// What became of what the runtime said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is kept, over what was said before.
    Kept,
    /// There was no room for it, and everything is as it was.
    NoRoom,
    /// The caller has no such session.
    NoSession,
}

/// Where sessions are kept. A caller who names none, or one that is gone or another's, has none: it learns nothing, and
/// which of these it is is not told.
///
/// That names and values of a context are declared, and that it is the runtime that speaks, is for the caller of
/// [`Sessions::open`] and [`Sessions::tell`] to know.
pub trait Sessions: Send + Sync {
    /// Opens a session for an agent, with what the runtime says of the conversation, and gives out its id.
    fn open<'a>(
        &'a self,
        agent: Option<&'a AgentName>,
        context: Said,
    ) -> Answering<'a, Result<SessionId, Unopened>>;

    /// How many this process holds in memory, for its figures.
    fn held(&self) -> usize;

    /// Ends the caller's session. `false`: there is none.
    fn close<'a>(&'a self, caller: &'a Caller) -> Answering<'a, bool>;

    /// Keeps what the runtime says of the conversation.
    fn tell<'a>(&'a self, caller: &'a Caller, context: Said) -> Answering<'a, Told>;

    /// What a caller's request may use; `None` where the caller has no session.
    fn look<'a>(&'a self, caller: &'a Caller) -> Answering<'a, Option<Snapshot>>;

    /// Notes that a call to an action that others require is about to be sent. It counts as failed until
    /// [`Sessions::learn`] is told of it. `None` where the caller has no session.
    fn begin<'a>(
        &'a self,
        caller: &'a Caller,
        call: Call<'a>,
    ) -> Answering<'a, Option<AttemptNumber>>;

    /// Keeps what a successful call has brought, and that this attempt has succeeded.
    fn learn<'a>(
        &'a self,
        caller: &'a Caller,
        attempt: Option<AttemptNumber>,
        outputs: Learnt,
    ) -> Answering<'a, ()>;
}

impl Sessions for InMemory {
    fn open<'a>(
        &'a self,
        agent: Option<&'a AgentName>,
        context: Said,
    ) -> Answering<'a, Result<SessionId, Unopened>> {
        Box::pin(ready(Ok(Self::open(self, agent, context))))
    }

    fn held(&self) -> usize {
        let mut memory = self.memory();
        memory.sweep_if_due(Instant::now());
        memory.len()
    }

    fn close<'a>(&'a self, caller: &'a Caller) -> Answering<'a, bool> {
        let closed = key(caller).is_some_and(|key| Self::close(self, key).is_ok());
        Box::pin(ready(Ok(closed)))
    }

    fn tell<'a>(&'a self, caller: &'a Caller, context: Said) -> Answering<'a, Told> {
        let told = match key(caller).map(|key| Self::tell(self, key, context)) {
            Some(Ok(true)) => Told::Kept,
            Some(Ok(false)) => Told::NoRoom,
            Some(Err(NoSession)) | None => Told::NoSession,
        };
        Box::pin(ready(Ok(told)))
    }

    fn look<'a>(&'a self, caller: &'a Caller) -> Answering<'a, Option<Snapshot>> {
        let found = key(caller).and_then(|key| Self::look(self, key).ok());
        Box::pin(ready(Ok(found)))
    }

    fn begin<'a>(
        &'a self,
        caller: &'a Caller,
        call: Call<'a>,
    ) -> Answering<'a, Option<AttemptNumber>> {
        let begun = key(caller).and_then(|key| Self::begin(self, key, call).ok());
        Box::pin(ready(Ok(begun)))
    }

    fn learn<'a>(
        &'a self,
        caller: &'a Caller,
        attempt: Option<AttemptNumber>,
        outputs: Learnt,
    ) -> Answering<'a, ()> {
        if let Some(key) = key(caller)
            && let Ok(left_out) = Self::learn(self, key, attempt, outputs)
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

    /// Opens a session for an agent, with what the runtime says of it, and gives out its id.
    ///
    /// # Errors
    /// [`Unopened::Full`] also where the system has no randomness to give.
    pub fn open(&self, agent: Option<&AgentName>, context: Said) -> Result<SessionId, Unopened> {
        let mut bits = [0; 16];
        rand::fill(&mut bits).map_err(|_| Unopened::Full)?;
        let (id, now) = (SessionId::of_random(bits), Instant::now());
        let mut memory = self.memory();
        memory.open(id.clone(), agent, now)?;
        let key = Key { id: &id, agent };
        if memory.tell(key, context, now) == Ok(true) {
            return Ok(id);
        }
        let closed = memory.close(key, now);
        closed.map_or(Err(Unopened::Full), |()| Err(Unopened::NoRoom))
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
    pub fn begin(&self, key: Key<'_>, call: Call<'_>) -> Result<AttemptNumber, NoSession> {
        self.memory().begin(key, call, Instant::now())
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
        let [one, two] = [(), ()].map(|()| sessions.open(None, Said::new()).unwrap());
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
