//! What deciding may look at besides the request: the caller, the time, and what the session holds.

use std::time::Instant;

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
    let agent_id = agent.map(ToString::to_string).unwrap_or_default();
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

/// One moment on two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// That of the wall.
    pub now: OffsetDateTime,
    /// The one that never jumps.
    pub instant: Instant,
}
