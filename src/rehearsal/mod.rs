//! Rehearsals: deciding without sending. `exeat test` and `exeat explain` stand on it.
//!
//! Everything that would happen to a request before it leaves happens here, with the same functions as at the doors:
//! strict parsing, selecting, recognising, deciding. What would leave is shown with marks in the places of secrets, and
//! a reply that somebody made up is read as a real one would be. Nothing is sent, and no source of a secret is asked.

mod compare;
mod play;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::action;
use crate::action::{Action, Content, Facts};
use crate::body::Body;
use crate::json;
use crate::policy;
use crate::policy::trial::{Asked, AskedRequest};
use crate::policy::{Head, Masked, Permit, PlainHttp, Policy, Selected};
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Destination, Door, HostPattern, Intent};
use crate::sessions::Snapshot;

pub use play::{Failure, Played, play};

/// What deciding may look at besides the request itself, in a session or in none.
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

/// What was permitted.
#[derive(Debug)]
pub struct Decided {
    /// As what.
    pub action: Arc<Action>,
    /// The request that would leave, with marks in the places of secrets.
    pub masked: Masked,
    /// The parameters by which a session finds the call again, where other actions require this one.
    pub remembered: Option<Map<String, Value>>,
}

/// Decides as the doors do.
///
/// # Errors
/// What the agent would be refused with.
pub fn decide(
    policy: &Arc<Policy>,
    caller: &Caller,
    asked: &Asked,
    facts: &Facts,
) -> Result<Decided, Refusal> {
    identify(policy, caller)?;
    match asked {
        Asked::Request(request) => {
            let intent = understand(policy, caller, request)?;
            decide_request(policy, &intent, &request.body, facts)
        }
        Asked::Call { action, parameters } => {
            let door = door(policy, caller, asked);
            let selected = policy::choose(policy, caller, door, action)?;
            decide_call(selected, parameters, facts)
        }
    }
}

fn decide_request(
    policy: &Arc<Policy>,
    intent: &Intent,
    body: &Bytes,
    facts: &Facts,
) -> Result<Decided, Refusal> {
    let selected = policy::select(policy, intent)?;
    let action = selected.action().clone();
    take(&action, body.len())?;
    let is_read = selected.reads_body();
    let content = if is_read {
        Content::Read(body.clone())
    } else {
        // Not in hand, as at the door: nobody looks into it.
        Content::Unread(Body::stream(Body::Bytes(body.clone())))
    };
    let recognised = action::recognise(&action, intent, content, facts)
        .map_err(|refusal| refusal.of_action(&action.name))?;
    let host = &intent.destination.host;
    let permit = policy::decide(selected, host, recognised.arguments, facts)?;
    let mut decided = decided(&permit)?;
    if !is_read {
        decided.masked.body = body.to_vec();
    }
    Ok(decided)
}

fn decide_call(
    selected: Selected,
    parameters: &Map<String, Value>,
    facts: &Facts,
) -> Result<Decided, Refusal> {
    let action = selected.action().clone();
    let mut bytes = Vec::new();
    json::write(&Value::Object(parameters.clone()), &mut bytes);
    take(&action, bytes.len())?;
    let arguments = action::given(&action, parameters.clone())
        .map_err(|refusal| refusal.of_action(&action.name))?;
    let (HostPattern::Exact(host) | HostPattern::OneLabel(host)) = &action.host;
    decided(&policy::decide(selected, host, arguments, facts)?)
}

fn decided(permit: &Permit) -> Result<Decided, Refusal> {
    Ok(Decided {
        action: permit.action().clone(),
        remembered: permit
            .remembered()
            .map(|(_, parameters)| parameters.clone()),
        masked: permit.masked().map_err(|fault| fault.to_refusal())?,
    })
}

fn take(action: &Action, bytes: usize) -> Result<(), Refusal> {
    match bytes as u64 > action.limits.max_request_bytes {
        true => Err(action.too_large()),
        false => Ok(()),
    }
}

/// Where there are agents, nobody in particular is nobody. Tokens are the doors' matter.
fn identify(policy: &Policy, caller: &Caller) -> Result<(), Refusal> {
    match (policy.agents(), &caller.agent) {
        (Some(_), None) => Err(Refusal::new(
            Code::AgentUnknown,
            "this policy declares agents: say which of them asks",
        )),
        _ => Ok(()),
    }
}

/// The door: a call is made at the tool door that is open for its action; at any, where all are closed.
pub fn door(policy: &Policy, caller: &Caller, asked: &Asked) -> Door {
    let Asked::Call { action, .. } = asked else {
        return Door::Proxy;
    };
    let environment = policy.environment(&caller.environment);
    let action = environment.and_then(|it| it.actions.get(action));
    match action.map(|it| it.doors) {
        Some(doors) if !doors.http && doors.mcp => Door::Mcp,
        _ => Door::Http,
    }
}

/// From what is asked to what is meant, in canonical form.
///
/// # Errors
/// What cannot be read in one way.
pub fn understand(
    policy: &Policy,
    caller: &Caller,
    asked: &AskedRequest,
) -> Result<Intent, Refusal> {
    let target = Destination::of_absolute(&asked.url)?;
    let head = Head {
        door: Door::Proxy,
        caller: caller.clone(),
        method: &asked.method,
        destination: target.destination,
        path_and_query: target.path_and_query,
        headers: asked.headers.clone(),
    };
    policy::understand(policy, head, PlainHttp::Upgrade)
}
