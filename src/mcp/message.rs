//! One message, read strictly before rmcp reads it.
//!
//! serde takes the last of two equal keys without a word, so a message with two `arguments` would be one call for us
//! and another for whoever looked at it before us. Such a message is refused, with everything else that [`json`]
//! refuses; what goes on to rmcp is the message as it was read, written anew.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::json;
use crate::refusal::{Code, Refusal};

/// A JSON-RPC message with one meaning. Whether it is one that MCP knows is rmcp's to say.
#[derive(Debug)]
pub(super) struct Message(Value);

/// Why a text is no message: the code and the words of a JSON-RPC error (JSON-RPC 2.0 §5.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    code: i32,
    message: String,
}

impl Message {
    /// Reads one message. There are no batches since revision 2025-06-18.
    ///
    /// # Errors
    /// Parse error (-32700) for what is not strict JSON, invalid request (-32600) for what is no object.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let value = json::parse(bytes).map_err(|problem| Unreadable {
            code: -32700,
            message: format!("Parse error: {problem}"),
        })?;
        match value {
            Value::Object(_) => Ok(Self(value)),
            _ => Err(Unreadable::no_message()),
        }
    }

    /// Whether it asks for a session (revisions before 2026-07-28).
    pub(super) fn is_initialize(&self) -> bool {
        self.0.get("method").is_some_and(|it| it == "initialize")
    }

    /// As it was read.
    pub(super) fn into_value(self) -> Value {
        self.0
    }

    /// As it was read, on the wire.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        json::write(&self.0, &mut out);
        out.into()
    }
}

impl Unreadable {
    /// JSON, but nothing that MCP knows.
    pub(super) fn no_message() -> Self {
        Self {
            code: -32600,
            message: "Invalid Request: send one JSON-RPC 2.0 message of MCP".into(),
        }
    }

    /// Headers with which MCP sends nothing.
    pub(super) fn no_request() -> Self {
        Self {
            code: -32600,
            message: "Invalid Request: Accept must have application/json and text/event-stream (for a GET the \
                latter), MCP-Protocol-Version a revision that exeat speaks, and Mcp-Session-Id the session where \
                there is one"
                .into(),
        }
    }

    /// More than is read.
    pub(super) fn too_long(longest: usize) -> Self {
        Self {
            code: -32600,
            message: format!("Invalid Request: a message must have at most {longest} bytes"),
        }
    }

    /// For the record, in words that quote nothing.
    pub(super) fn refusal(&self) -> Refusal {
        Refusal::new(Code::RequestMalformed, self.message.as_str())
    }

    /// The answer. What could not be read has no id.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "jsonrpc": "2.0",
            "id": null,
            "error": {"code": self.code, "message": self.message},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_can_be_read_in_two_ways_is_refused() {
        for (text, code) in [
            (r#"{"id":1,"id":2}"#, Some(-32700)),
            (
                r#"{"params":{"arguments":{"a":1},"Arguments":{}}}"#,
                Some(-32700),
            ),
            (r#"{"id":1}{"id":2}"#, Some(-32700)),
            (r#"{"id":"\ud800"}"#, Some(-32700)),
            ("", Some(-32700)),
            (r#"[{"id":1}]"#, Some(-32600)),
            ("7", Some(-32600)),
            (r#"{"id":1,"method":"ping"}"#, None),
        ] {
            let read = Message::read(text.as_bytes()).err();
            assert_eq!(read.map(|it| it.code), code, "{text}");
        }
    }
}
