//! How a call ended, as MCP tells it: a result that the model reads, or a protocol error for what no tool can answer.

use std::borrow::Cow;

use rmcp::ErrorData;
use rmcp::model::CallToolResult;

use crate::exchange::{Called, Denied, Done};
use crate::refusal::{Code, Refusal};

/// The result of a call. A refusal is one too, marked as an error, so that the model can act on it; a tool that does
/// not exist is a protocol error, as the specification of MCP has it (2025-11-25, server/tools, error handling).
pub(super) fn told(called: Called) -> Result<CallToolResult, ErrorData> {
    match called {
        Ok(done) => Ok(carried_out(&done)),
        Err(denied) if denied.refusal.code == Code::ActionUndeclared => Err(unknown(&denied)),
        Err(denied) => Ok(CallToolResult::structured_error(denied.to_json())),
    }
}

/// A call that was not even begun, since it could not have been recorded.
pub(super) fn unrecorded(refusal: &Refusal) -> CallToolResult {
    CallToolResult::structured_error(refusal.to_json(""))
}

/// A call that the server has answered, in the one shape of tool doors; an error where the action counts it as none.
fn carried_out(done: &Done) -> CallToolResult {
    match done.success {
        true => CallToolResult::structured(done.to_json()),
        false => CallToolResult::structured_error(done.to_json()),
    }
}

fn unknown(denied: &Denied) -> ErrorData {
    let message: Cow<'static, str> = format!("Unknown tool: {}", denied.refusal.message).into();
    ErrorData::invalid_params(message, Some(denied.to_json()))
}
