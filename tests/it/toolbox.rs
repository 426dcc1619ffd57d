//! `exeat tools`: definitions have the shapes that those who serve models document, for every action that we ship.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const FORMATS: [&str; 5] = ["openai", "openai-responses", "anthropic", "mcp", "gemini"];

fn tools(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exeat"));
    command.arg("tools").args(arguments).env_clear();
    command.env("EXEAT_POLICIES", folder);
    command.env("EXEAT_STATE_DIR", folder.join("state"));
    command.output().unwrap()
}

fn printed(folder: &Path, arguments: &[&str]) -> Value {
    let output = tools(folder, arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What goes under `tools`, by the vendors' references of November 2026.
fn documented(format: &str) -> Value {
    let name = json!({"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"});
    let described = json!({"type": "string", "minLength": 1, "maxLength": 1024});
    let draft = "https://json-schema.org/draft/2020-12/schema";
    // Both refuse combinations at the top of a schema with status 400.
    let nothing =
        ["allOf", "anyOf", "oneOf", "not", "enum", "const"].map(|it| json!({"required": [it]}));
    let top = json!({
        "allOf": [{"$ref": draft}],
        "type": "object",
        "required": ["type", "properties"],
        "properties": {"type": {"const": "object"}},
        "not": {"anyOf": nothing},
    });
    let item = match format {
        "openai" => object(&[
            ("type", json!({"const": "function"})),
            (
                "function",
                object(&[
                    ("name", name),
                    ("description", described),
                    ("parameters", top),
                ]),
            ),
        ]),
        "openai-responses" => object(&[
            ("type", json!({"const": "function"})),
            ("name", name),
            ("description", described),
            ("parameters", top),
            ("strict", json!({"const": false})),
        ]),
        "anthropic" => object(&[
            ("name", name),
            ("description", json!({"type": "string"})),
            ("input_schema", top),
        ]),
        "mcp" => of_mcp(draft),
        _ => return of_gemini(),
    };
    json!({"type": "array", "items": item})
}

/// An object with exactly these members.
fn object(members: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> = members
        .iter()
        .map(|(name, it)| ((*name).to_owned(), it.clone()))
        .collect();
    json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
}

/// `Tool` of the Model Context Protocol, 2025-11-25.
fn of_mcp(draft: &str) -> Value {
    let hint = json!({"type": "boolean"});
    json!({
        "type": "object",
        "required": ["name", "description", "inputSchema", "annotations"],
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$"},
            "title": {"type": "string"},
            "description": {"type": "string"},
            "inputSchema": {
                "allOf": [{"$ref": draft}],
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"const": "object"}},
            },
            "annotations": object(&[
                ("readOnlyHint", hint.clone()),
                ("destructiveHint", hint.clone()),
                ("idempotentHint", hint.clone()),
                ("openWorldHint", hint),
            ]),
        },
        "additionalProperties": false,
    })
}

/// `FunctionDeclaration` and `Schema` of the Gemini API, v1beta.
fn of_gemini() -> Value {
    let schema = json!({"$ref": "#/$defs/schema"});
    let whole = json!({"type": "integer", "minimum": 0});
    json!({
        "type": "array",
        "items": object(&[("functionDeclarations", json!({"type": "array", "items": {
            "type": "object",
            "required": ["name", "description"],
            "properties": {
                "name": {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_.-]{0,63}$"},
                "description": {"type": "string"},
                "parameters": {"allOf": [schema], "required": ["properties"], "properties": {"type": {"const": "object"}}},
            },
            "additionalProperties": false,
        }}))]),
        "$defs": {"schema": {
            "type": "object",
            "anyOf": [{"required": ["type"]}, {"required": ["anyOf"], "maxProperties": 1}],
            "properties": {
                "type": {"enum": ["string", "number", "integer", "boolean", "array", "object"]},
                "format": {"const": "date-time"},
                "title": {"type": "string"},
                "description": {"type": "string"},
                "nullable": {"type": "boolean"},
                "enum": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "maxItems": whole, "minItems": whole,
                "properties": {"type": "object", "additionalProperties": schema, "minProperties": 1},
                "required": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "minProperties": whole, "maxProperties": whole,
                "minLength": whole, "maxLength": whole,
                "pattern": {"type": "string"},
                "example": true,
                "anyOf": {"type": "array", "items": schema, "minItems": 1},
                "default": true,
                "items": schema,
                "minimum": {"type": "number"}, "maximum": {"type": "number"},
            },
            "additionalProperties": false,
            "if": {"properties": {"type": {"const": "array"}}, "required": ["type"]},
            "then": {"required": ["items"]},
        }},
    })
}

#[test]
fn every_shipped_action_has_the_documented_shape_in_every_format() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for format in FORMATS {
        let tools = printed(&policies, &["--format", format]);
        let documented = jsonschema::draft202012::new(&documented(format)).unwrap();
        let told: Vec<String> = documented
            .iter_errors(&tools)
            .map(|it| format!("{}: {it}", it.instance_path()))
            .collect();
        assert!(told.is_empty(), "{format}: {told:#?}");
        assert!(tools.to_string().contains("get_weather"), "{format}");
    }
}

const POLICY: &str = "\
version: 1
environments: [production, staging]
secrets: {token: {env: TOKEN}}
actions:
  get_item: {description: Returns one item., method: GET, url: https://api.good.test/items}
  get_part: {description: Returns one part., method: GET, url: https://api.good.test/parts, doors: [proxy, mcp]}
  old_item: {description: Returns one old item., method: GET, url: https://api.good.test/old, enabled: false}
  put_file:
    {description: Stores a file., method: PUT, url: https://api.good.test/files, accept_body: any}
agents:
  bot: {token: {secret: token}, allow: [\"get_*\", old_item, put_file]}
  idle: {token: {secret: token}, environment: staging, allow: []}
";

/// The names in a list of MCP's or Anthropic's tools.
fn names(tools: &Value) -> Vec<&str> {
    let tools = tools.as_array().unwrap().iter();
    tools.map(|it| it["name"].as_str().unwrap()).collect()
}

#[test]
fn an_agent_is_told_of_what_it_may_call_at_the_door_of_the_format() {
    let folder = TempDir::new().unwrap();
    let other = POLICY.replace(
        "idle: {token: {secret: token}",
        "idle: {token: {secret: other}",
    );
    let other = other.replace("secrets: {", "secrets: {other: {env: OTHER}, ");
    std::fs::write(folder.path().join("p.yaml"), other).unwrap();
    for (format, agent, expected) in [
        ("anthropic", "bot", &["get_item"][..]),
        ("mcp", "bot", &["get_item", "get_part"]),
        ("mcp", "idle", &[]),
    ] {
        let tools = printed(folder.path(), &["--format", format, "--agent", agent]);
        assert_eq!(names(&tools), expected, "{format} {agent}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let folder = TempDir::new().unwrap();
    let one = POLICY.replace(
        "  idle: {token: {secret: token}, environment: staging, allow: []}\n",
        "",
    );
    std::fs::write(folder.path().join("p.yaml"), one).unwrap();
    for (arguments, says) in [
        (&["--format", "mcp"][..], "say which agent it is: bot"),
        (
            &["--format", "mcp", "--agent", "nobody"],
            "there is no agent nobody; there are bot",
        ),
        (
            &["--format", "yaml", "--agent", "bot"],
            "the formats are openai",
        ),
    ] {
        let output = tools(folder.path(), arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(says), "{told}");
        assert!(output.stdout.is_empty());
    }
}
