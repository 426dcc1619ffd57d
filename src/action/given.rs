//! From what a tool call gives to arguments: the counterpart of `recognise` at the doors where a request is not made
//! by the agent.

use serde_json::{Map, Value};

use crate::action::plan::pointer;
use crate::action::{Action, Arguments, scalar_text};
use crate::refusal::{Code, Refusal};
use crate::schema::{ScalarType, Shape, coerce};

/// Takes parameters as a tool call gives them. JSON has types of its own and is left as it is, but for an action with
/// the `variables` form: models and people write `"10"` for 10 there, and 10 for an order's number that is a text.
///
/// # Errors
/// [`Code::ParameterInvalid`] for a text that is not the one spelling of a value of the declared type.
pub fn given(action: &Action, mut parameters: Map<String, Value>) -> Result<Arguments, Refusal> {
    if action.converts {
        for (name, value) in &mut parameters {
            convert(action, name, value)?;
        }
    }
    Ok(Arguments {
        parameters,
        ..Arguments::default()
    })
}

fn convert(action: &Action, name: &str, value: &mut Value) -> Result<(), Refusal> {
    let Shape::Scalar(kind) = action.parameters.shape(name) else {
        return Ok(());
    };
    match (kind, &*value) {
        (ScalarType::String, Value::Number(_) | Value::Bool(_)) => {
            *value = scalar_text(value).map_or(Value::Null, |text| text.into_owned().into());
        }
        (ScalarType::Integer | ScalarType::Number | ScalarType::Boolean, Value::String(text)) => {
            *value = coerce(text, kind).map_err(|expected| {
                let at = pointer(name);
                let message = format!("{name} must be {}", action.wording(&at, &expected));
                Refusal::new(Code::ParameterInvalid, message).at(at)
            })?;
        }
        _ => {}
    }
    Ok(())
}
