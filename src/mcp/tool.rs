//! An action as an MCP tool. Everything in it comes from the policy: nothing that a server has said is ever shown here.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use crate::action::Action;

/// The tool that an action is.
pub(super) fn tool(action: &Action) -> Tool {
    let tool = Tool::new(
        action.name.to_string(),
        action.description.clone(),
        Arc::new(input_schema(action)),
    );
    let tool = tool.with_annotations(annotations(action));
    match &action.title {
        Some(title) => tool.with_title(title),
        None => tool,
    }
}

fn annotations(action: &Action) -> ToolAnnotations {
    let read_only = action.method.is_safe();
    let destructive = !read_only && action.method != http::Method::POST;
    ToolAnnotations::new()
        .read_only(read_only)
        .destructive(destructive)
        .idempotent(action.idempotent())
}

fn input_schema(action: &Action) -> Map<String, Value> {
    let schema = &action.parameters;
    let properties: Map<String, Value> = schema
        .properties()
        .map(|name| (name.to_owned(), json!({})))
        .collect();
    let required: Vec<&str> = schema
        .properties()
        .filter(|it| schema.required(it))
        .collect();
    let mut written = Map::new();
    written.insert("type".into(), json!("object"));
    written.insert("properties".into(), properties.into());
    written.insert("required".into(), json!(required));
    written
}
