//! What an agent is shown of its actions: what it needs in order to call them, and nothing of where they lead or with
//! which credential.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::action::Action;
use crate::name::ActionName;
use crate::policy;
use crate::policy::Policy;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Door};

/// This API, for programs. It is the same for every agent and says nothing of the policy.
pub(super) fn openapi() -> String {
    include_str!("openapi.json").to_owned()
}

/// All that the agent may call.
pub(super) fn actions(policy: &Policy, caller: &Caller) -> String {
    let usable = policy::usable(policy, caller, Door::Http);
    let actions: Vec<Value> = usable.map(|action| shown(action)).collect();
    json!({ "actions": actions }).to_string()
}

/// One of them.
///
/// # Errors
/// As a call of it would be refused.
pub(super) fn action(policy: &Arc<Policy>, caller: &Caller, name: &str) -> Result<String, Refusal> {
    let unknown = |_| Refusal::new(Code::ActionUndeclared, "no action can have this name");
    let name = ActionName::parse(name).map_err(unknown)?;
    let selected = policy::choose(policy, caller, Door::Http, &name)?;
    Ok(shown(selected.action()).to_string())
}

fn shown(action: &Action) -> Value {
    let mut shown = Map::new();
    shown.insert("name".into(), action.name.as_str().into());
    if let Some(title) = &action.title {
        shown.insert("title".into(), title.as_str().into());
    }
    shown.insert("description".into(), action.description.as_str().into());
    shown.insert("parameters".into(), action.parameters.explicit().into());
    shown.into()
}
