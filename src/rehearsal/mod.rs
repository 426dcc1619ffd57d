//! Rehearsals: deciding without sending. `exeat test` and `exeat explain` stand on it.
//!
//! Everything that would happen to a request before it leaves happens here, with the same functions as at the doors:
//! strict parsing, selecting, recognising, deciding. What would leave is shown with marks in the places of secrets, and
//! a reply that somebody made up is read as a real one would be. Nothing is sent, and no source of a secret is asked.

mod compare;
mod leaving;
mod play;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::action;
use crate::action::{Arguments, Content, Facts};
use crate::policy;
use crate::policy::trial::{Asked, AskedRequest};
use crate::policy::{Permit, Policy};
use crate::refusal::{Code, Refusal};
use crate::request;
use crate::request::{Caller, Destination, Door, Host, HostPattern, Intent, Path, Query, Scheme};
use crate::sessions::Snapshot;

pub use leaving::Leaving;
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

/// Decides as the doors do.
///
/// # Errors
/// What the agent would be refused with.
pub fn decide(
    policy: &Arc<Policy>,
    caller: &Caller,
    asked: &Asked,
    facts: &Facts,
) -> Result<Permit, Refusal> {
    identify(policy, caller)?;
    match asked {
        Asked::Request(request) => {
            let intent = understand(policy, caller, request)?;
            decide_request(policy, &intent, &request.body, facts)
        }
        Asked::Call { action, parameters } => {
            let door = door(policy, caller, asked);
            let selected = policy::choose(policy, caller, door, action)?;
            let host = host(&selected.action().host);
            let arguments = Arguments {
                parameters: parameters.clone(),
                ..Arguments::default()
            };
            policy::decide(selected, &host, arguments, facts)
        }
    }
}

/// From the head and the body of a request to a permit.
fn decide_request(
    policy: &Arc<Policy>,
    intent: &Intent,
    body: &Bytes,
    facts: &Facts,
) -> Result<Permit, Refusal> {
    let selected = policy::select(policy, intent)?;
    let action = selected.action().clone();
    let content = Content::Read(body.clone());
    let recognised = action::recognise(&action, intent, content, facts)
        .map_err(|refusal| refusal.of_action(&action.name))?;
    policy::decide(
        selected,
        &intent.destination.host,
        recognised.arguments,
        facts,
    )
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

fn host(pattern: &HostPattern) -> Host {
    match pattern {
        HostPattern::Exact(host) | HostPattern::OneLabel(host) => host.clone(),
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
    let method = request::method(&asked.method)?;
    let (path, query) = match target.path_and_query.split_once('?') {
        Some((path, query)) => (path, query),
        None => (target.path_and_query, ""),
    };
    Ok(Intent {
        door: Door::Proxy,
        caller: caller.clone(),
        method,
        path: Path::parse(if path.is_empty() { "/" } else { path })?,
        query: Query::parse(query)?,
        destination: settle(policy, caller, target.destination),
        headers: asked.headers.clone(),
    })
}

/// What a cleartext destination means: TLS, unless its host is declared with `http://`.
fn settle(policy: &Policy, caller: &Caller, asked: Destination) -> Destination {
    let environment = policy.environment(&caller.environment);
    let declared = environment.and_then(|it| it.index.scheme(&asked.host));
    match (asked.scheme, declared) {
        (Scheme::Http, Some(Scheme::Https)) => Destination {
            scheme: Scheme::Https,
            port: if asked.port == 80 { 443 } else { asked.port },
            host: asked.host,
        },
        _ => asked,
    }
}
