//! What an editor is told of the value of a setting, as JSON Schema.

use serde_json::{Value as Json, json};

pub(super) fn plain_http() -> Json {
    json!({"enum": ["upgrade", "refuse"]})
}

pub(super) fn on_echo() -> Json {
    json!({"enum": ["redact", "refuse"]})
}

pub(super) fn network() -> Json {
    let hosts = json!({"type": ["object", "null"], "additionalProperties": texts()});
    json!({"type": ["object", "null"], "properties": {"hosts": hosts}, "additionalProperties": false})
}

pub(super) fn at_least_one() -> Json {
    json!({"type": "integer", "minimum": 1})
}

pub(super) fn truth() -> Json {
    json!({"type": "boolean"})
}

pub(super) fn span() -> Json {
    json!({"type": ["string", "integer"], "pattern": "^(0|[0-9]+(ms|s|m|h))$"})
}

/// Any scalar, taken as it is written.
pub(super) fn text() -> Json {
    json!({"type": ["string", "number", "boolean"]})
}

pub(super) fn address() -> Json {
    json!({"type": "string", "pattern": ":[0-9]{1,5}$"})
}

/// One, or a list of them.
pub(super) fn texts() -> Json {
    json!({"anyOf": [text(), {"type": "array", "items": text()}]})
}
