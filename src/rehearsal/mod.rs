//! Rehearsals: deciding without sending. `exeat test` and `exeat explain` stand on it.
//!
//! Everything that would happen to a request before it leaves happens here, with the same functions as at the doors:
//! strict parsing, selecting, recognising, deciding. What would leave is shown with marks in the places of secrets, and
//! a reply that somebody made up is read as a real one would be. Nothing is sent, and no source of a secret is asked.

mod compare;
mod conceal;
mod explain;
mod play;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::action;
use crate::action::{Action, Content, Facts};
use crate::body::Body;
use crate::json;
use crate::policy;
use crate::policy::trial::{Asked, AskedRequest};
use crate::policy::{Head, Masked, Permit, PlainHttp, Policy, Selected};
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Destination, Door, Host, HostPattern, Intent};

pub use explain::Explanation;
pub use play::{Failure, Played, play, session, session_id};

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

/// Who asks, and everything else that deciding needs from outside.
#[derive(Clone, Copy, Debug)]
pub struct Rehearsal<'a> {
    /// The rules.
    pub policy: &'a Arc<Policy>,
    /// Who asks.
    pub caller: &'a Caller,
    /// The time, and what the caller's session holds.
    pub facts: &'a Facts,
    /// What becomes of `http://`.
    pub plain_http: PlainHttp,
}

impl Rehearsal<'_> {
    /// Decides as the doors do.
    ///
    /// # Errors
    /// What the agent would be refused with.
    pub fn decide(&self, asked: &Asked) -> Result<Decided, Refusal> {
        self.identify()?;
        match asked {
            Asked::Request(request) => {
                let intent = self.understand(request)?;
                self.decide_request(&intent, &request.body)
            }
            Asked::Call { action, parameters } => {
                let door = self.door(asked);
                let selected = policy::choose(self.policy, self.caller, door, action)?;
                self.decide_call(selected, parameters)
            }
        }
    }

    /// The door: a call is made at the tool door that is open for its action; at any, where all are closed.
    pub fn door(&self, asked: &Asked) -> Door {
        let Asked::Call { action, .. } = asked else {
            return Door::Proxy;
        };
        let environment = self.policy.environment(&self.caller.environment);
        let action = environment.and_then(|it| it.actions.get(action));
        match action.map(|it| it.doors) {
            Some(doors) if !doors.http && doors.mcp => Door::Mcp,
            _ => Door::Http,
        }
    }

    /// Where there are agents, nobody in particular is nobody. Tokens are the doors' matter.
    fn identify(&self) -> Result<(), Refusal> {
        match (self.policy.agents(), &self.caller.agent) {
            (Some(_), None) => Err(Refusal::new(
                Code::AgentUnknown,
                "this policy declares agents: say which of them asks",
            )),
            _ => Ok(()),
        }
    }

    /// From what is asked to what is meant, in canonical form.
    fn understand(&self, asked: &AskedRequest) -> Result<Intent, Refusal> {
        let target = Destination::of_absolute(&asked.url)?;
        let head = Head {
            door: Door::Proxy,
            caller: self.caller.clone(),
            method: &asked.method,
            destination: target.destination,
            path_and_query: target.path_and_query,
            headers: asked.headers.clone(),
        };
        policy::understand(self.policy, head, self.plain_http)
    }

    fn decide_request(&self, intent: &Intent, body: &Bytes) -> Result<Decided, Refusal> {
        let selected = policy::select(self.policy, intent)?;
        let action = selected.action().clone();
        take(&action, body.len())?;
        let is_read = selected.reads_body();
        let recognised = action::recognise(&action, intent, content(&selected, body), self.facts)
            .map_err(|refusal| refusal.of_action(&action.name))?;
        let host = &intent.destination.host;
        let permit = policy::decide(selected, host, recognised.arguments, self.facts)?;
        let mut decided = decided(&permit)?;
        if !is_read {
            decided.masked.body = body.to_vec();
        }
        Ok(decided)
    }

    fn decide_call(
        &self,
        selected: Selected,
        parameters: &Map<String, Value>,
    ) -> Result<Decided, Refusal> {
        let action = selected.action().clone();
        take(&action, length(parameters))?;
        let arguments = action::given(&action, parameters.clone())
            .map_err(|refusal| refusal.of_action(&action.name))?;
        decided(&policy::decide(
            selected,
            host(&action),
            arguments,
            self.facts,
        )?)
    }
}

/// A body that nobody reads at the door is not in hand here either.
fn content(selected: &Selected, body: &Bytes) -> Content {
    match selected.reads_body() {
        true => Content::Read(body.clone()),
        false => Content::Unread(Body::stream(Body::Bytes(body.clone()))),
    }
}

/// What an action of several hosts would be called at does not matter: it has the proxy door only.
fn host(action: &Action) -> &Host {
    match &action.host {
        HostPattern::Exact(host) | HostPattern::OneLabel(host) => host,
    }
}

/// The bytes that parameters take as JSON.
fn length(parameters: &Map<String, Value>) -> usize {
    let mut bytes = Vec::new();
    json::write(&Value::Object(parameters.clone()), &mut bytes);
    bytes.len()
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
