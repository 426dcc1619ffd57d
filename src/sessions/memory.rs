//! Sessions in this process's memory: opened, found again by their own agent, forgotten.
//!
//! Nothing is random and no clock is read here: ids and times come as parameters. Everything is bounded, and a bound
//! never opens anything: what there is no room for is not there, so a template misses it and a precondition is not met.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::action::outcome::OutputName;
use crate::action::requires::{AttemptNumber, Attempts};
use crate::name::{ActionName, AgentName};
use crate::request::SessionId;
use crate::sessions::variables::{Tree, size};

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A session that nobody uses for this long is gone.
    pub idle: Duration,
    /// However busy it is, it is gone after this.
    pub lifetime: Duration,
    /// Sessions of one agent.
    pub per_agent: usize,
    /// Bytes of the variables of one session, and of what the runtime said, as JSON.
    pub bytes: usize,
    /// The same of all sessions.
    pub all_bytes: usize,
}

impl Bounds {
    /// - `idle` 1 h: as long as somebody may leave a chat and come back to it.
    /// - `lifetime` 24 h: longer than any conversation, and an id that leaked ends.
    /// - 10,000 sessions of an agent: three new conversations a second, each forgotten after an hour.
    /// - 64 KiB a session: hundreds of values as people use them.
    /// - 256 MiB for all of them together, whatever each may have.
    pub const DEFAULT: Self = Self {
        idle: Duration::from_secs(60 * 60),
        lifetime: Duration::from_secs(24 * 60 * 60),
        per_agent: 10_000,
        bytes: 64 * 1024,
        all_bytes: 256 * 1024 * 1024,
    };
}

/// [`Bounds::DEFAULT`].
impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How often sessions that are gone are looked for. Until then they only take room.
const SWEEP: Duration = Duration::from_secs(60);

/// All sessions.
pub struct Memory {
    bounds: Bounds,
    sessions: HashMap<SessionId, Session>,
    counts: HashMap<Option<AgentName>, usize>,
    bytes: usize,
    swept: Option<Instant>,
}

struct Session {
    agent: Option<AgentName>,
    opened: Instant,
    used: Instant,
    context: Arc<Map<String, Value>>,
    context_bytes: usize,
    variables: Tree,
    attempts: Arc<Attempts>,
}

/// What a session holds at one moment, for deciding one request.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// What the runtime has said, by the whole names of context variables.
    pub context: Arc<Map<String, Value>>,
    /// The variables, as a tree by the parts of their names.
    pub variables: Arc<Map<String, Value>>,
    /// What preconditions look at.
    pub attempts: Arc<Attempts>,
}

/// The agent has as many sessions as it may have; one has to be closed or to expire first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// There is no such session for this agent: it was never issued, has expired, or is another's. Which of these is not
/// told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSession;

/// A session and whose it must be.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// As it was presented.
    pub id: &'a SessionId,
    /// Who presented it.
    pub agent: Option<&'a AgentName>,
}

/// A call that is about to be sent: the action, and those of its parameters that a requirement binds.
pub type Call<'a> = (&'a ActionName, &'a Map<String, Value>);

impl Memory {
    /// No session yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            sessions: HashMap::new(),
            counts: HashMap::new(),
            bytes: 0,
            swept: None,
        }
    }

    /// Opens a session under an id that has just been made of random bits.
    ///
    /// # Errors
    /// [`Full`]. A conversation that goes on is never dropped for a new one.
    pub fn open(
        &mut self,
        id: SessionId,
        agent: Option<&AgentName>,
        now: Instant,
    ) -> Result<(), Full> {
        let agent = agent.cloned();
        let is_full = |it: &Self| {
            it.counts
                .get(&agent)
                .is_some_and(|n| *n >= it.bounds.per_agent)
        };
        self.sweep_if_due(now);
        if is_full(self) {
            self.sweep(now);
        }
        if is_full(self) || self.sessions.contains_key(&id) {
            return Err(Full);
        }
        *self.counts.entry(agent.clone()).or_default() += 1;
        let session = Session {
            agent,
            opened: now,
            used: now,
            context: Arc::default(),
            context_bytes: 0,
            variables: Tree::default(),
            attempts: Arc::default(),
        };
        self.sessions.insert(id, session);
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`NoSession`].
    pub fn close(&mut self, key: Key<'_>, now: Instant) -> Result<(), NoSession> {
        self.find(key, now)?;
        self.forget(key.id);
        Ok(())
    }

    /// What a session holds now. Looking is using: it starts to be idle anew.
    ///
    /// # Errors
    /// [`NoSession`].
    pub fn look(&mut self, key: Key<'_>, now: Instant) -> Result<Snapshot, NoSession> {
        let session = self.find(key, now)?;
        Ok(Snapshot {
            context: Arc::clone(&session.context),
            variables: session.variables.whole(),
            attempts: Arc::clone(&session.attempts),
        })
    }

    /// Keeps what the runtime says: context variables by their whole names, over what it has said before. That they are
    /// declared, and that it is the runtime that speaks, is for the caller to know. `false`: there was no room, and
    /// everything is as it was.
    ///
    /// # Errors
    /// [`NoSession`].
    pub fn tell(
        &mut self,
        key: Key<'_>,
        context: Map<String, Value>,
        now: Instant,
    ) -> Result<bool, NoSession> {
        let (bounds, all) = (self.bounds, self.bytes);
        let session = self.find(key, now)?;
        let mut next = Map::clone(&session.context);
        next.extend(context);
        let bytes = next.iter().map(|(name, value)| size(name, value)).sum();
        let of_session = session.variables.bytes() + bytes;
        let of_all = all - session.context_bytes + bytes;
        if of_session > bounds.bytes || of_all > bounds.all_bytes {
            return Ok(false);
        }
        session.context = Arc::new(next);
        session.context_bytes = bytes;
        self.bytes = of_all;
        Ok(true)
    }

    /// Notes that a call to an action that others require is about to be sent.
    ///
    /// # Errors
    /// [`NoSession`].
    pub fn begin(
        &mut self,
        key: Key<'_>,
        (action, parameters): Call<'_>,
        now: Instant,
    ) -> Result<AttemptNumber, NoSession> {
        let session = self.find(key, now)?;
        let attempts = Arc::make_mut(&mut session.attempts);
        Ok(attempts.begin(action, parameters, now))
    }

    /// Keeps what a successful call has brought: variables that are now so, or are no longer (`None`), and the success
    /// of the attempt. Gives back the names of values that there was no room for, which are then not there at all.
    ///
    /// # Errors
    /// [`NoSession`].
    pub fn learn(
        &mut self,
        key: Key<'_>,
        attempt: Option<AttemptNumber>,
        outputs: Vec<(OutputName, Option<Value>)>,
        now: Instant,
    ) -> Result<Vec<OutputName>, NoSession> {
        let (bounds, all) = (self.bounds, self.bytes);
        let session = self.find(key, now)?;
        if let Some(number) = attempt {
            Arc::make_mut(&mut session.attempts).succeeded(number, &outputs);
        }
        let others = all - session.variables.bytes();
        let room = bounds.bytes.saturating_sub(session.context_bytes);
        let room = room.min(bounds.all_bytes.saturating_sub(others));
        let left_out = session.variables.learn(outputs, room);
        self.bytes = others + session.variables.bytes();
        Ok(left_out)
    }

    /// How many there are, those that are gone and not yet swept among them.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Forgets the sessions that are gone, unless that was done a moment ago.
    pub fn sweep_if_due(&mut self, now: Instant) {
        let is_due = |swept| now.saturating_duration_since(swept) >= SWEEP;
        if self.swept.is_none_or(is_due) {
            self.sweep(now);
        }
    }

    /// Forgets the sessions that are gone.
    pub fn sweep(&mut self, now: Instant) {
        self.swept = Some(now);
        let is_gone = |(id, it): (&SessionId, &Session)| {
            let gone = it.is_gone(&self.bounds, now);
            gone.then(|| id.clone())
        };
        let gone: Vec<SessionId> = self.sessions.iter().filter_map(is_gone).collect();
        for id in gone {
            self.forget(&id);
        }
    }

    fn find(&mut self, key: Key<'_>, now: Instant) -> Result<&mut Session, NoSession> {
        let found = self.sessions.get_mut(key.id).ok_or(NoSession)?;
        if found.agent.as_ref() != key.agent || found.is_gone(&self.bounds, now) {
            return Err(NoSession);
        }
        found.used = now;
        Ok(found)
    }

    fn forget(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        self.bytes -= session.variables.bytes() + session.context_bytes;
        if let Some(count) = self.counts.get_mut(&session.agent) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&session.agent);
            }
        }
    }
}

/// Variables may be sensitive.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} sessions)", self.len())
    }
}

/// Variables may be sensitive.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} variables)", self.variables.len())
    }
}

impl Session {
    fn is_gone(&self, bounds: &Bounds, now: Instant) -> bool {
        now.saturating_duration_since(self.used) >= bounds.idle
            || now.saturating_duration_since(self.opened) >= bounds.lifetime
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn id(byte: u8) -> SessionId {
        SessionId::of_random([byte; 16])
    }

    fn agent(name: &str) -> AgentName {
        AgentName::parse(name).unwrap()
    }

    fn output(name: &str, value: Value) -> (OutputName, Option<Value>) {
        (OutputName::parse(name).unwrap(), Some(value))
    }

    fn small() -> Bounds {
        Bounds {
            per_agent: 2,
            bytes: 100,
            all_bytes: 150,
            ..Bounds::default()
        }
    }

    #[test]
    fn a_session_is_found_by_its_own_agent_alone() {
        let (mut memory, now) = (Memory::new(Bounds::default()), Instant::now());
        let (bot, other) = (agent("bot"), agent("other"));
        memory.open(id(1), Some(&bot), now).unwrap();
        memory.open(id(2), None, now).unwrap();
        for (byte, agent, found) in [
            (1, Some(&bot), true),
            (1, Some(&other), false),
            (1, None, false),
            (2, None, true),
            (2, Some(&bot), false),
            (3, Some(&bot), false),
        ] {
            let id = id(byte);
            let key = Key { id: &id, agent };
            let name = ActionName::parse("a").unwrap();
            assert_eq!(memory.look(key, now).is_ok(), found, "{byte} {agent:?}");
            assert_eq!(memory.begin(key, (&name, &Map::new()), now).is_ok(), found);
            assert_eq!(memory.learn(key, None, Vec::new(), now).is_ok(), found);
            if !found {
                assert_eq!(memory.close(key, now), Err(NoSession));
            }
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_old_or_closed() {
        let start = Instant::now();
        let id = id(1);
        let key = Key {
            id: &id,
            agent: None,
        };
        for (used_at, asked_at, found) in [
            (&[][..], 59, true),
            (&[], 60, false),
            (&[59], 118, true),
            (&[59], 119, false),
            (&[50, 61], 120, true),
        ] {
            let mut memory = Memory::new(Bounds::default());
            memory.open(id.clone(), None, start).unwrap();
            for minute in used_at {
                memory.look(key, start + MINUTE * *minute).unwrap();
            }
            let asked = memory.look(key, start + MINUTE * asked_at);
            assert_eq!(asked.is_ok(), found, "{used_at:?} {asked_at}");
        }
        let mut memory = Memory::new(Bounds::default());
        memory.open(id.clone(), None, start).unwrap();
        let until = (0..24 * 60)
            .step_by(30)
            .map(|minute| start + MINUTE * minute);
        for now in until {
            assert!(memory.look(key, now).is_ok());
        }
        assert!(memory.look(key, start + MINUTE * 24 * 60).is_err());
        memory
            .open(SessionId::of_random([2; 16]), None, start)
            .unwrap();
        let id = SessionId::of_random([2; 16]);
        let key = Key {
            id: &id,
            agent: None,
        };
        memory.close(key, start).unwrap();
        assert!(memory.look(key, start).is_err());
    }

    #[test]
    fn a_session_lasts_for_ever_where_it_may() {
        let (start, id) = (Instant::now(), id(1));
        let mut memory = Memory::new(Bounds {
            idle: Duration::MAX,
            lifetime: Duration::MAX,
            ..Bounds::default()
        });
        memory.open(id.clone(), None, start).unwrap();
        let key = Key {
            id: &id,
            agent: None,
        };
        let late = start + MINUTE * 60 * 24 * 365;
        memory.sweep(late);
        assert!(memory.look(key, late).is_ok());
    }

    #[test]
    fn an_agent_has_only_so_many_sessions_and_expired_ones_make_room() {
        let (mut memory, now) = (Memory::new(small()), Instant::now());
        let (bot, other) = (agent("bot"), agent("other"));
        memory.open(id(1), Some(&bot), now).unwrap();
        memory.open(id(2), Some(&bot), now + MINUTE).unwrap();
        assert_eq!(memory.open(id(3), Some(&bot), now + MINUTE), Err(Full));
        memory.open(id(3), Some(&other), now + MINUTE).unwrap();
        memory.open(id(4), Some(&bot), now + MINUTE * 60).unwrap();
        assert_eq!(memory.len(), 3);
        assert_eq!(memory.open(id(5), Some(&bot), now + MINUTE * 60), Err(Full));
        memory.sweep(now + MINUTE * 200);
        assert!(memory.is_empty() && memory.counts.is_empty() && memory.bytes == 0);
    }

    #[test]
    fn an_id_is_given_out_once() {
        let (mut memory, now) = (Memory::new(small()), Instant::now());
        memory.open(id(1), Some(&agent("bot")), now).unwrap();
        assert_eq!(memory.open(id(1), Some(&agent("other")), now), Err(Full));
    }

    #[test]
    fn what_there_is_no_room_for_is_not_there_at_all() {
        let (mut memory, now) = (Memory::new(small()), Instant::now());
        let (one, two) = (id(1), id(2));
        let (one, two) = (
            Key {
                id: &one,
                agent: None,
            },
            Key {
                id: &two,
                agent: None,
            },
        );
        memory.open(one.id.clone(), None, now).unwrap();
        memory.open(two.id.clone(), None, now).unwrap();
        let long = json!("x".repeat(70));
        let first = vec![output("a.b", json!(1)), output("c", long.clone())];
        assert!(memory.learn(one, None, first, now).unwrap().is_empty());
        // No longer room in the session: the old value is gone as well, since it is no longer so.
        let next = vec![output("a.b", long.clone())];
        let left_out = memory.learn(one, None, next, now).unwrap();
        assert_eq!(left_out.len(), 1);
        let seen = memory.look(one, now).unwrap().variables;
        assert_eq!(Value::Object((*seen).clone()), json!({"c": long.clone()}));
        // Room in the session, and none in all of them together.
        let next = vec![output("c", json!("x".repeat(80)))];
        assert_eq!(memory.learn(two, None, next, now).unwrap().len(), 1);
        assert!(memory.look(two, now).unwrap().variables.is_empty());
        memory.close(one, now).unwrap();
        let next = vec![output("c", json!("x".repeat(80)))];
        assert!(memory.learn(two, None, next, now).unwrap().is_empty());
    }

    #[test]
    fn what_the_runtime_says_stays_apart_and_has_the_same_room() {
        let (mut memory, now) = (Memory::new(small()), Instant::now());
        let id = id(1);
        let key = Key {
            id: &id,
            agent: None,
        };
        memory.open(id.clone(), None, now).unwrap();
        let said = |name: &str, value: Value| Map::from_iter([(name.to_owned(), value)]);
        let email = json!("ada@example.com");
        assert_eq!(
            memory.tell(key, said("contact.email", email.clone()), now),
            Ok(true)
        );
        assert_eq!(
            memory.tell(key, said("contact.name", json!("Ada")), now),
            Ok(true)
        );
        assert_eq!(
            memory.tell(key, said("contact.name", json!("x".repeat(99))), now),
            Ok(false)
        );
        let long = output("a", json!("x".repeat(80)));
        assert_eq!(memory.learn(key, None, vec![long], now).unwrap().len(), 1);
        let seen = memory.look(key, now).unwrap();
        assert!(seen.variables.is_empty());
        let context = Value::Object((*seen.context).clone());
        assert_eq!(
            context,
            json!({"contact.email": email, "contact.name": "Ada"})
        );
        memory.close(key, now).unwrap();
        assert_eq!(memory.bytes, 0);
    }

    #[test]
    fn a_request_keeps_what_it_has_seen_while_the_session_goes_on() {
        let (mut memory, now) = (Memory::new(Bounds::default()), Instant::now());
        let id = id(1);
        let key = Key {
            id: &id,
            agent: None,
        };
        memory.open(id.clone(), None, now).unwrap();
        let before = memory.look(key, now).unwrap();
        memory
            .learn(key, None, vec![output("a", json!(1))], now)
            .unwrap();
        assert!(before.variables.is_empty());
        assert_eq!(memory.look(key, now).unwrap().variables["a"], json!(1));
    }
}
