//! What deciding may look at besides the request: the caller, the time, and what the session holds; and what of that
//! the agent is shown.

use std::time::Instant;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::action::Facts;
use crate::policy::Policy;
use crate::request::Caller;
use crate::sessions::Snapshot;

/// The facts about a caller whose session was found, or was not.
pub fn facts(policy: &Policy, caller: &Caller, at: Moment, session: Option<Snapshot>) -> Facts {
    let agent = caller.agent.as_ref();
    let declared = policy.agents().zip(agent);
    let title = declared.and_then(|(agents, name)| agents.get(name)?.title.clone());
    let agent_id = agent.map(|it| it.as_str().to_owned()).unwrap_or_default();
    let session_id = caller.session.clone().filter(|_| session.is_some());
    let session = session.unwrap_or_default();
    Facts {
        now: at.now,
        instant: at.instant,
        agent_name: title.unwrap_or_else(|| agent_id.clone()),
        agent_id,
        environment: caller.environment.clone(),
        session_id,
        session: session.variables,
        context: session.context,
        attempts: session.attempts,
    }
}

/// The variables that the caller's agent is shown, by their whole names: those with `expose` that are set.
pub fn exposed(policy: &Policy, caller: &Caller, session: &Snapshot) -> Map<String, Value> {
    let environment = policy.environment(&caller.environment);
    let names = environment.into_iter().flat_map(|it| &it.exposed);
    let shown = names.filter_map(|name| {
        let mut parts = name.parts();
        let first = session.variables.get(parts.next()?)?;
        let value = parts.try_fold(first, |it, part| it.get(part))?;
        Some((name.to_string(), value.clone()))
    });
    shown.collect()
}

/// One moment on two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// That of the wall.
    pub now: OffsetDateTime,
    /// The one that never jumps.
    pub instant: Instant,
}
