//! The first decision of a call: an action by its name, for a caller at a door.

use std::sync::Arc;

use crate::name::ActionName;
use crate::policy::Policy;
use crate::policy::select::{Selected, admit};
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Door};

/// Chooses an action by its name.
///
/// # Errors
/// As `select`.
pub fn choose(
    policy: &Arc<Policy>,
    caller: &Caller,
    door: Door,
    name: &ActionName,
) -> Result<Selected, Refusal> {
    let environment = policy.environment(&caller.environment);
    let action = environment.and_then(|it| it.actions.get(name));
    let action = action.ok_or_else(|| {
        Refusal::new(
            Code::ActionUndeclared,
            format!("no action {name} is declared"),
        )
    })?;
    admit(policy, caller, door, action)
}
