//! What an agent is shown of its actions: what it needs in order to call them, and nothing of where they lead or with
//! which credential.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::name::ActionName;
use crate::policy;
use crate::policy::Policy;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Door};
use crate::toolbox;
use crate::toolbox::{Format, Tool};

/// This API, for programs. It is the same for every agent and says nothing of the policy.
pub(super) fn openapi() -> String {
    include_str!("openapi.json").to_owned()
}

/// All that the agent may call.
pub(super) fn actions(policy: &Policy, caller: &Caller) -> String {
    let usable = policy::usable(policy, caller, Door::Http);
    let actions: Vec<Value> = usable.map(|action| shown(Tool::of(action))).collect();
    json!({ "actions": actions }).to_string()
}

/// All of them again, as a request to a language model wants them.
pub(super) fn tools(policy: &Policy, caller: &Caller, format: Format) -> String {
    let usable = policy::usable(policy, caller, format.door());
    toolbox::definitions(usable.map(|action| Tool::of(action)), format).to_string()
}

/// One of them.
///
/// # Errors
/// As a call of it would be refused.
pub(super) fn action(policy: &Arc<Policy>, caller: &Caller, name: &str) -> Result<String, Refusal> {
    let unknown = |_| Refusal::new(Code::ActionUndeclared, "no action can have this name");
    let name = ActionName::parse(name).map_err(unknown)?;
    let selected = policy::choose(policy, caller, Door::Http, &name)?;
    Ok(shown(Tool::of(selected.action())).to_string())
}

fn shown(tool: Tool) -> Value {
    let mut shown = json!({
        "name": tool.name,
        "title": tool.title,
        "description": tool.whole_description(),
        "parameters": tool.parameters,
        "hints": {
            "read_only": tool.hints.read_only,
            "destructive": tool.hints.destructive,
            "idempotent": tool.hints.idempotent,
        },
    });
    if let (None, Some(members)) = (&tool.title, shown.as_object_mut()) {
        members.shift_remove("title");
    }
    shown
}
