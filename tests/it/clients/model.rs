//! Models that are scripted, behind the endpoints of the real APIs: asked about the weather they ask for a tool, and
//! given what it said they answer. Their replies are streams, event by event as those APIs send them.

use serde_json::{Value, json};

use super::origin;
use super::origin::{Asked, Origin, Reply};

pub(super) const OPENAI: &str = "api.openai.com";
pub(super) const OPENAI_KEY: &str = "the-real-openai-key";
pub(super) const ANTHROPIC: &str = "api.anthropic.com";
pub(super) const ANTHROPIC_KEY: &str = "the-real-anthropic-key";

/// What they answer once a tool has told them of a clear sky.
pub(super) const ANSWER: &str = "It is clear sky in New York.";

/// What a model does next.
enum Turn {
    /// Calls `get_weather` with these parameters.
    Call(String),
    Say(String),
}

/// Models of OpenAI: responses and chat completions.
pub(super) fn openai() -> Origin {
    Origin::start(OPENAI, |asked| {
        let is_known = asked.header("authorization") == [format!("Bearer {OPENAI_KEY}")];
        let body = asked_for_a_stream(asked);
        let last = |list: &str| body[list].as_array().and_then(|it| it.last()).cloned();
        match asked.target.as_str() {
            _ if !is_known => unknown(),
            "/v1/responses" => {
                let last = last("input").unwrap_or_default();
                responses(turn(last["output"].as_str()))
            }
            "/v1/chat/completions" => {
                let last = last("messages").unwrap_or_default();
                let told = last["content"].as_str().filter(|_| last["role"] == "tool");
                chat_completions(turn(told))
            }
            _ => origin::json(404, &json!({"error": {"message": "no such page"}})),
        }
    })
}

/// Models of Anthropic: messages.
pub(super) fn anthropic() -> Origin {
    Origin::start(ANTHROPIC, |asked| {
        let is_known = asked.header("x-api-key") == [ANTHROPIC_KEY]
            && asked.header("authorization").is_empty()
            && asked.header("anthropic-version").len() == 1
            && asked.target == "/v1/messages";
        if !is_known {
            return unknown();
        }
        let body = asked_for_a_stream(asked);
        let last = body["messages"].as_array().and_then(|it| it.last());
        let block = last.map(|it| it["content"][0].clone()).unwrap_or_default();
        let told = block["content"].as_str();
        messages(turn(told.filter(|_| block["type"] == "tool_result")))
    })
}

fn asked_for_a_stream(asked: &Asked) -> Value {
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body["stream"], true, "{body}");
    assert!(body["tools"].to_string().contains("get_weather"), "{body}");
    body
}

fn unknown() -> Reply {
    origin::json(
        401,
        &json!({"error": {"message": "Incorrect API key provided."}}),
    )
}

fn turn(told: Option<&str>) -> Turn {
    match told {
        None => Turn::Call(json!({"city": "New York"}).to_string()),
        Some(told) if told.contains("clear sky") => Turn::Say(ANSWER.into()),
        Some(told) => Turn::Say(format!("I was told {told}")),
    }
}

/// In pieces, as models speak.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// <https://platform.openai.com/docs/api-reference/responses-streaming>
fn responses(turn: Turn) -> Reply {
    let (item, parts) = match &turn {
        Turn::Call(arguments) => {
            let item = json!({
                "id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "get_weather",
                "arguments": arguments, "status": "completed",
            });
            (
                item,
                response_parts("response.function_call_arguments", arguments),
            )
        }
        Turn::Say(text) => {
            let item = json!({
                "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            });
            (item, response_parts("response.output_text", text))
        }
    };
    let whole = |status: &str, output: &[&Value]| {
        json!({
            "id": "resp_1", "object": "response", "created_at": 0, "status": status, "model": "gpt-5",
            "output": output, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
        })
    };
    let mut events = vec![
        json!({"type": "response.created", "response": whole("in_progress", &[])}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
    ];
    events.extend(parts);
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    events.push(json!({"type": "response.completed", "response": whole("completed", &[&item])}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    named(&events)
}

fn response_parts(kind: &str, text: &str) -> Vec<Value> {
    let part = |piece: &str| {
        json!({
            "type": format!("{kind}.delta"), "item_id": "item_1", "output_index": 0, "content_index": 0,
            "delta": piece,
        })
    };
    pieces(text).map(part).collect()
}

/// <https://platform.openai.com/docs/api-reference/chat-streaming>
fn chat_completions(turn: Turn) -> Reply {
    let call = |id: Value, name: Value, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"tool_calls": [{"index": 0, "id": id, "type": "function", "function": function}]})
    };
    let (deltas, reason): (Vec<Value>, _) = match &turn {
        Turn::Call(arguments) => {
            let first = call(json!("call_1"), json!("get_weather"), "");
            let rest = pieces(arguments).map(|it| call(Value::Null, Value::Null, it));
            (std::iter::once(first).chain(rest).collect(), "tool_calls")
        }
        Turn::Say(text) => (
            pieces(text).map(|it| json!({"content": it})).collect(),
            "stop",
        ),
    };
    let chunk = |delta: &Value, reason: Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "gpt-5",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        })
    };
    let role = json!({"role": "assistant"});
    let mut chunks = vec![chunk(&role, Value::Null)];
    chunks.extend(deltas.iter().map(|delta| chunk(delta, Value::Null)));
    chunks.push(chunk(&json!({}), reason.into()));
    let chunks = chunks.iter().map(|it| format!("data: {it}\n\n"));
    origin::events(chunks.collect::<String>() + "data: [DONE]\n\n")
}

/// <https://docs.anthropic.com/en/docs/build-with-claude/streaming>
fn messages(turn: Turn) -> Reply {
    let delta = |delta: Value| json!({"type": "content_block_delta", "index": 0, "delta": delta});
    let (block, deltas, reason): (Value, Vec<Value>, _) = match &turn {
        Turn::Call(input) => {
            let block =
                json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}});
            let piece = |it| delta(json!({"type": "input_json_delta", "partial_json": it}));
            (block, pieces(input).map(piece).collect(), "tool_use")
        }
        Turn::Say(text) => {
            let piece = |it| delta(json!({"type": "text_delta", "text": it}));
            let block = json!({"type": "text", "text": ""});
            (block, pieces(text).map(piece).collect(), "end_turn")
        }
    };
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1},
    });
    let mut events = vec![
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "ping"}),
    ];
    events.extend(deltas);
    events.push(json!({"type": "content_block_stop", "index": 0}));
    let end = json!({"stop_reason": reason, "stop_sequence": null});
    events.push(json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}}));
    events.push(json!({"type": "message_stop"}));
    named(&events)
}

/// Events that have their type as their name.
fn named(events: &[Value]) -> Reply {
    let event = |it: &Value| format!("event: {}\ndata: {it}\n\n", it["type"].as_str().unwrap());
    origin::events(events.iter().map(event).collect())
}
