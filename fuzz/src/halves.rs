//! Inputs of two parts, which people can write: a text, a line `---`, and JSON.

use serde_json::Value;

/// The text, without the line end before `---`, and the JSON, which is null where there is none that can be read.
/// `None`: the bytes are not UTF-8.
pub(super) fn of(bytes: &[u8]) -> Option<(&str, Value)> {
    let input = std::str::from_utf8(bytes).ok()?;
    let (text, json) = match input.strip_prefix("---\n") {
        Some(json) => ("", json),
        None => input.split_once("\n---\n").unwrap_or((input, "")),
    };
    Some((text, serde_json::from_str(json).unwrap_or(Value::Null)))
}
