//! Trying a test: a session of its own in memory, its steps one after the other, and what did not come as expected.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::macros::datetime;

use crate::action::Action;
use crate::action::outcome::{Concluded, Content, Replied};
use crate::name::AgentName;
use crate::policy::trial::{Expected, Reply, Step, Trial};
use crate::policy::{PlainHttp, Policy};
use crate::problem::Place;
use crate::refusal::Refusal;
use crate::rehearsal::compare::Came;
use crate::rehearsal::{Decided, Rehearsal, compare};
use crate::request::{Caller, Door, SessionId};
use crate::sessions;
use crate::sessions::{Bounds, Key, Learnt, Memory, Moment, Said, Snapshot};

/// The time of a test that names none: the same every day, so that a test does not fail on another one.
const DEFAULT_NOW: OffsetDateTime = datetime!(2026-01-01 00:00:00 UTC);

/// The id of every test's session. It is nobody's secret: the session ends with the test.
const SESSION: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// A session in which something has been said and learnt already; `None` where there is no room for it.
pub fn session(agent: Option<&AgentName>, said: Said, learnt: Learnt) -> Option<Snapshot> {
    let (id, at) = (SessionId::of_random(SESSION), Instant::now());
    let key = Key { id: &id, agent };
    let mut memory = Memory::new(Bounds::default());
    memory.open(id.clone(), agent, at).ok()?;
    let is_heard = memory.tell(key, said, at).ok()?;
    let left_out = memory.learn(key, None, learnt, at).ok()?;
    let is_whole = is_heard && left_out.is_empty();
    memory.look(key, at).ok().filter(|_| is_whole)
}

/// The id of that session, and of every test's.
pub fn session_id() -> SessionId {
    SessionId::of_random(SESSION)
}

/// A test that was tried.
#[derive(Debug)]
pub struct Played<'t> {
    /// The test.
    pub trial: &'t Trial,
    /// What came otherwise than expected, all in one step; none, and the test has passed.
    pub failures: Vec<Failure>,
}

/// One thing that came otherwise than expected.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Where it is expected.
    pub place: Place,
    /// The step, where the test has steps.
    pub step: Option<String>,
    /// What differs: `upstream url`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
    /// The refusal that came, if one came.
    pub refusal: Option<Refusal>,
}

/// Tries a test. What follows a step that failed would only be an echo, and is not tried.
pub fn play<'t>(policy: &Arc<Policy>, trial: &'t Trial) -> Played<'t> {
    let mut stage = Stage::open(policy, trial);
    for (index, step) in trial.steps.iter().enumerate() {
        let mut failures = stage.play(step);
        if failures.is_empty() {
            continue;
        }
        if trial.has_steps {
            let name = step.name.as_ref().map(|it| format!(", {it}"));
            let label = format!("step {}{}", index + 1, name.unwrap_or_default());
            for failure in &mut failures {
                failure.step = Some(label.clone());
            }
        }
        return Played { trial, failures };
    }
    Played {
        trial,
        failures: Vec::new(),
    }
}

/// A session, and the clock in it.
struct Stage<'p> {
    policy: &'p Arc<Policy>,
    memory: Memory,
    session: SessionId,
    start: Moment,
    now: OffsetDateTime,
}

impl<'p> Stage<'p> {
    /// The session belongs to whoever asks first.
    fn open(policy: &'p Arc<Policy>, trial: &Trial) -> Self {
        let named = trial.steps.iter().find_map(|it| it.now);
        let start = Moment {
            now: named.unwrap_or(DEFAULT_NOW),
            instant: Instant::now(),
        };
        let session = SessionId::of_random(SESSION);
        let mut memory = Memory::new(Bounds::default());
        let agent = trial.steps.first().and_then(|it| it.agent.as_ref());
        memory
            .open(session.clone(), agent, start.instant)
            .expect("there is room for the first session");
        Self {
            policy,
            memory,
            session,
            start,
            now: start.now,
        }
    }

    fn play(&mut self, step: &Step) -> Vec<Failure> {
        self.now = step.now.unwrap_or(self.now);
        let caller = Caller {
            agent: step.agent.clone(),
            environment: step.environment.clone(),
            session: Some(self.session.clone()),
        };
        let session = self.look(step);
        let facts = sessions::facts(self.policy, &caller, self.moment(), session);
        let rehearsal = Rehearsal {
            policy: self.policy,
            caller: &caller,
            facts: &facts,
            plain_http: PlainHttp::Upgrade,
        };
        match (&step.expected, rehearsal.decide(&step.asked)) {
            (Expected::Refused(code), Err(refusal)) if refusal.code == code.value => Vec::new(),
            (expected, Err(refusal)) => vec![compare::refused(step, expected, refusal)],
            (expected, Ok(decided)) => {
                let door = rehearsal.door(&step.asked);
                let concluded = self.send(step, &decided, door);
                let came = Came {
                    action: &decided.action.name,
                    leaving: &decided.masked,
                    reply: step.reply.as_ref().zip(concluded.as_ref()),
                };
                compare::allowed(expected, &came)
            }
        }
    }

    /// What the runtime says comes first. In a session that is gone, or another agent's, nothing is heard or known.
    fn look(&mut self, step: &Step) -> Option<Snapshot> {
        let at = self.moment().instant;
        let key = Key {
            id: &self.session,
            agent: step.agent.as_ref(),
        };
        if !step.context.is_empty() {
            self.memory.tell(key, step.context.clone(), at).ok()?;
        }
        self.memory.look(key, at).ok()
    }

    /// What would come of sending it, for the session as well. Without a reply it is as if none had come.
    fn send(&mut self, step: &Step, decided: &Decided, door: Door) -> Option<Concluded> {
        let at = self.moment().instant;
        let key = Key {
            id: &self.session,
            agent: step.agent.as_ref(),
        };
        let action = &decided.action;
        let call = decided.remembered.as_ref().map(|it| (&action.name, it));
        let attempt = call.and_then(|call| self.memory.begin(key, call, at).ok());
        let concluded = conclude(action, step.reply.as_ref()?, door);
        let attempt = attempt.filter(|_| concluded.success);
        let outputs = concluded.outputs.clone();
        // A session that is gone, or another agent's, learns nothing.
        let _ = self.memory.learn(key, attempt, outputs, at);
        Some(concluded)
    }

    fn moment(&self) -> Moment {
        let passed = Duration::try_from(self.now - self.start.now).unwrap_or_default();
        Moment {
            now: self.now,
            instant: self.start.instant + passed,
        }
    }
}

fn conclude(action: &Action, reply: &Reply, door: Door) -> Concluded {
    let content = match action.reading.needs_content() {
        true => Content::of(reply.status, &reply.headers, &reply.body),
        false => Content::Other,
    };
    let replied = Replied {
        status: reply.status,
        content,
        complete: true,
    };
    action.reading.conclude(replied, door)
}
