//! The way of a tool call: an action by its name with its parameters, up to the point where it is a request like any
//! other; and what the caller is told in the end.

use std::sync::Arc;

use http::{StatusCode, Version};
use serde_json::{Map, Value, json};

use crate::action;
use crate::action::outcome::OutputName;
use crate::action::{Action, Facts};
use crate::audit::{Asked, Prepared, RequestId, Target, Ticket};
use crate::exchange::body::{Hold, no_room};
use crate::exchange::{
    Begun, Carried, Deadline, Gate, Meant, Received, Steps, Stop, respond, unless_panicked,
};
use crate::name::{ActionName, OutcomeName};
use crate::policy;
use crate::policy::{Masked, Permit, Policy, Selected};
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Destination, Door, Host, HostPattern, Query};
use crate::sessions;
use crate::sessions::{Learnt, Said};

/// An action, called by its name.
#[derive(Clone, Debug)]
pub struct Call {
    /// The way it came in.
    pub door: Door,
    /// Who asks; identified by the door.
    pub caller: Caller,
    /// As the caller gave it.
    pub action: ActionName,
    /// As [`json::parse`](crate::json::parse) reads them: no name twice, not even in another case.
    pub parameters: Map<String, Value>,
    /// What the runtime says for this call alone, over what the session holds, as it was given. Whether it is the
    /// runtime that speaks is for the door to know: a model's words never come here.
    pub context: Said,
    /// The bytes that they took.
    pub bytes: usize,
    /// On the caller's connection, if HTTP brought it.
    pub version: Option<Version>,
}

/// How a call ended.
pub type Called = Result<Done, Denied>;

/// A call that was carried out, whatever its server said of it.
#[derive(Clone, PartialEq)]
pub struct Done {
    /// The server's.
    pub status: StatusCode,
    /// Whether it counts as a success, as the action declares it.
    pub success: bool,
    /// What the reply is called.
    pub outcome: OutcomeName,
    /// What to tell the agent beside the reply.
    pub say: Option<String>,
    /// JSON, or a text where the reply is none; null where it had no content, or none that may be shown.
    pub body: Value,
    /// The exposed variables of the session after the call, by the names of outputs; without a session, those that the
    /// call has brought.
    pub variables: Map<String, Value>,
    /// The record of the call.
    pub request_id: RequestId,
}

/// A call that was not carried out: refused, or broken on the way.
#[derive(Clone, Debug)]
pub struct Denied {
    /// Why, in the one error shape.
    pub refusal: Refusal,
    /// The record of the call.
    pub request_id: RequestId,
}

impl Done {
    /// As the tool doors write it.
    pub fn to_json(&self) -> Value {
        json!({
            "status": self.status.as_u16(),
            "outcome": self.outcome.as_str(),
            "say": self.say,
            "body": self.body,
            "variables": self.variables,
            "request_id": self.request_id.as_str(),
        })
    }
}

/// The reply is nobody's but the agent's.
impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Done({} {})", self.status, self.outcome)
    }
}

impl Denied {
    /// As the tool doors write it.
    pub fn to_json(&self) -> Value {
        self.refusal.to_json(self.request_id.as_str())
    }
}

impl Gate {
    /// Carries out one call of an action. The caller has the whole reply when this comes back; a call that is dropped
    /// before takes its request with it.
    pub async fn call(&self, begun: Begun, call: Call) -> Called {
        let Begun {
            policy,
            mut ticket,
            steps,
        } = begun;
        let received = Received::default();
        received.add(call.bytes);
        ticket.receives(received.0.clone());
        let id = ticket.request_id();
        let carrying = Box::pin(self.carry_call((&policy, steps), call, &mut ticket));
        let carried = unless_panicked(Some(id), carrying).await;
        match carried {
            Ok(carried) => respond::done(carried, &received, ticket),
            Err(stop) => Err(respond::denied(stop, &received, ticket)),
        }
    }

    /// The life of a tool call, from its name to what the reply means.
    async fn carry_call(
        &self,
        (policy, steps): (&Arc<Policy>, Steps),
        call: Call,
        ticket: &mut Ticket,
    ) -> Result<Carried, Stop> {
        let caller = call.caller;
        ticket.known(&caller);
        let mut hold = self.hold(&caller)?;
        let selected =
            policy::choose(policy, &caller, call.door, &call.action).inspect_err(|refusal| {
                refusal
                    .hints
                    .action
                    .iter()
                    .for_each(|it| ticket.selected(it))
            })?;
        let action = selected.action().clone();
        let host = exact_host(&action)?;
        note_chosen(&action, &host, call.version, ticket);
        let deadline = Deadline::after(action.limits.timeout);
        take_room(&action, call.bytes, &mut hold)?;
        let facts = self.facts_of_call(&selected, call.context).await?;
        let arguments = action::given(&action, call.parameters)
            .map_err(|refusal| refusal.of_action(&action.name))?;
        let meant = Meant {
            selected,
            door: call.door,
            host,
            arguments,
            prepared: Prepared::default(),
            facts,
            steps,
            deadline,
            hold,
        };
        let mut carried = self.finish(meant, ticket).await?;
        if let Some(session) = self.services.sessions.look(&caller).await? {
            carried.variables = sessions::exposed(policy, &caller, &session);
        }
        Ok(carried)
    }

    /// Decides about a call in earnest and shows what it would send. No secret is fetched, nothing is sent, and nothing
    /// recorded.
    ///
    /// # Errors
    /// As the call would be refused.
    pub async fn rehearse(&self, call: Call) -> Result<Masked, Stop> {
        let policy = self.services.live.snapshot();
        let selected = policy::choose(&policy, &call.caller, call.door, &call.action)?;
        let action = selected.action().clone();
        let facts = self.facts_of_call(&selected, call.context).await?;
        let arguments = action::given(&action, call.parameters)
            .map_err(|refusal| refusal.of_action(&action.name))?;
        let permit = policy::decide(selected, &exact_host(&action)?, arguments, &facts)?;
        Ok(permit.masked()?)
    }

    async fn facts_of_call(&self, selected: &Selected, said: Said) -> Result<Facts, Stop> {
        let mut facts = self.facts(selected).await?;
        if !said.is_empty() {
            let said = selected.policy().context().read(said)?;
            Arc::make_mut(&mut facts.context).extend(said);
        }
        Ok(facts)
    }
}

/// The parameters count against the room for all bodies, as a proxied request's body does, and under the same cap.
fn take_room(action: &Action, bytes: usize, hold: &mut Hold) -> Result<(), Refusal> {
    if bytes as u64 > action.limits.max_request_bytes {
        return Err(action.too_large());
    }
    if !hold.take(bytes) {
        return Err(no_room().of_action(&action.name));
    }
    Ok(())
}

fn exact_host(action: &Action) -> Result<Host, Refusal> {
    match &action.host {
        HostPattern::Exact(host) => Ok(host.clone()),
        HostPattern::OneLabel(_) => Err(Refusal::new(
            Code::Internal,
            "an action of several hosts was chosen by its name",
        )),
    }
}

/// Tells the record what is called; as for a proxied request, but for the query, which is known once it is planned.
fn note_chosen(action: &Action, host: &Host, version: Option<Version>, ticket: &mut Ticket) {
    ticket.selected(&action.name);
    ticket.asked(Asked {
        method: action.method.clone(),
        destination: Destination {
            scheme: action.scheme,
            host: host.clone(),
            port: action.port,
        },
        version,
    });
    ticket.targeted(Target {
        path: action.path.shown().clone(),
        query: Vec::new(),
    });
}

/// Tells the record the names in the query that will be sent.
pub(super) fn note_planned(permit: &Permit, ticket: &mut Ticket) -> Result<(), Refusal> {
    let query = Query::parse(&permit.planned().query)?;
    ticket.targeted(Target {
        path: permit.action().path.shown().clone(),
        query: query.pairs().iter().map(|it| it.name.clone()).collect(),
    });
    Ok(())
}

/// Of what a call has brought, what the agent is shown. Where an output is no longer set, it is not there.
pub(super) fn exposed(action: &Action, outputs: &Learnt) -> Map<String, Value> {
    let is_exposed = |name: &OutputName| {
        let mut declared = action.reading.outputs.iter();
        declared.any(|it| it.expose && it.name == *name)
    };
    let shown = outputs.iter().filter(|(name, _)| is_exposed(name));
    let shown = shown.filter_map(|(name, value)| Some((name.to_string(), value.clone()?)));
    shown.collect()
}
