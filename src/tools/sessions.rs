//! Sessions, as the runtime of an agent opens and ends them.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::agents::Bearer;
use crate::exchange::Stop;
use crate::policy::Policy;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, SessionId};
use crate::sessions::{Said, Sessions, Unopened};
use crate::tools::reply::Page;

/// Only the runtime says what a conversation is about: a model's words would be anybody's.
pub(super) fn refuse_context(context: &Said, is_runtime: bool) -> Result<(), Refusal> {
    if is_runtime || context.is_empty() {
        return Ok(());
    }
    let message = "only the runtime may set a context: send its `runtime_token` in place of the agent's token";
    Err(Refusal::new(Code::RuntimeRequired, message).at("/context"))
}

/// Opens a session of the agent.
pub(super) async fn open(
    policy: &Policy,
    sessions: &dyn Sessions,
    bearer: &Bearer,
    context: Said,
) -> Result<Page, Stop> {
    refuse_context(&context, bearer.is_runtime)?;
    let said = policy.context().read(context)?;
    let opened = sessions.open(bearer.caller.agent.as_ref(), said).await?;
    let id = opened.map_err(|unopened| {
        let code = match unopened {
            Unopened::Full => Code::Overloaded,
            Unopened::NoRoom => Code::TooLarge,
        };
        Refusal::new(code, unopened.to_string())
    })?;
    Ok(Page {
        status: StatusCode::CREATED,
        text: json!({ "session": id.expose() }).to_string(),
    })
}

/// Shows what a session has learned, as far as the agent is shown it.
pub(super) async fn look(
    policy: &Arc<Policy>,
    sessions: &dyn Sessions,
    mut caller: Caller,
    id: &str,
) -> Result<Page, Stop> {
    caller.session = Some(read(id)?);
    let found = sessions.look(&caller).await?.ok_or_else(unknown)?;
    let variables = exposed(policy, &caller, &found.variables);
    let text = json!({ "session": id, "variables": variables }).to_string();
    Ok(Page::good(text))
}

/// Ends a session.
pub(super) async fn close(
    sessions: &dyn Sessions,
    mut caller: Caller,
    id: &str,
) -> Result<Page, Stop> {
    caller.session = Some(read(id)?);
    match sessions.close(&caller).await? {
        true => Ok(Page::nothing()),
        false => Err(unknown().into()),
    }
}

/// Outputs with `expose` that are set, by their whole names.
fn exposed(policy: &Policy, caller: &Caller, tree: &Map<String, Value>) -> Map<String, Value> {
    let environment = policy.environment(&caller.environment);
    let actions = environment.into_iter().flat_map(|it| it.actions.values());
    let outputs = actions.flat_map(|action| action.reading.outputs.iter());
    let mut shown = Map::new();
    for output in outputs.filter(|it| it.expose) {
        let mut parts = output.name.parts();
        let first = parts.next().and_then(|part| tree.get(part));
        let value = first.and_then(|first| parts.try_fold(first, |it, part| it.get(part)));
        if let Some(value) = value {
            shown.insert(output.name.to_string(), value.clone());
        }
    }
    shown
}

fn read(id: &str) -> Result<SessionId, Refusal> {
    SessionId::parse(id).map_err(|_| unknown())
}

/// Whether it has ended, was another agent's or never was, is not told.
fn unknown() -> Refusal {
    Refusal::new(
        Code::SessionUnknown,
        "there is no such session of this agent; open one with POST /v1/sessions",
    )
}
