//! MCP: the agent's actions as tools, told in raw messages.

mod command;
mod stdio;

use serde_json::Value;

/// What a result that is no error holds, once that its text says the same.
fn done(answer: &Value) -> &Value {
    let result = &answer["result"];
    assert_eq!(result["isError"], false, "{answer}");
    same_in_text(result)
}

/// What a result holds that is marked as an error.
fn failed(answer: &Value) -> &Value {
    let result = &answer["result"];
    assert_eq!(result["isError"], true, "{answer}");
    same_in_text(result)
}

fn same_in_text(result: &Value) -> &Value {
    let text = result["content"][0]["text"].as_str().unwrap();
    let text: Value = serde_json::from_str(text).unwrap();
    assert_eq!(result["structuredContent"], text, "{result}");
    &result["structuredContent"]
}
