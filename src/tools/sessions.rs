//! Sessions, as the runtime of an agent opens and ends them.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

use crate::agents::Bearer;
use crate::exchange::Stop;
use crate::policy::Policy;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, SessionId};
use crate::sessions;
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
    kept: &dyn Sessions,
    bearer: &Bearer,
    context: Said,
) -> Result<Page, Stop> {
    refuse_context(&context, bearer.is_runtime)?;
    let said = policy.context().read(context)?;
    let opened = kept.open(bearer.caller.agent.as_ref(), said).await?;
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
    kept: &dyn Sessions,
    mut caller: Caller,
    id: &str,
) -> Result<Page, Stop> {
    caller.session = Some(read(id)?);
    let found = kept.look(&caller).await?.ok_or_else(unknown)?;
    let variables = sessions::exposed(policy, &caller, &found);
    let text = json!({ "session": id, "variables": variables }).to_string();
    Ok(Page::good(text))
}

/// Ends a session.
pub(super) async fn close(kept: &dyn Sessions, mut caller: Caller, id: &str) -> Result<Page, Stop> {
    caller.session = Some(read(id)?);
    match kept.close(&caller).await? {
        true => Ok(Page::nothing()),
        false => Err(unknown().into()),
    }
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
