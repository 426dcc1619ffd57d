//! Clients of MCP, each with the same calls: one that is good, one that is refused, and one of no tool at all.

use serde::Deserialize;
use serde_json::{Value, json};

use super::apis;
use super::installed;
use super::origin::Origin;
use super::stage::{Ran, Stage};

/// What a client saw.
#[derive(Debug, Deserialize)]
struct Seen {
    /// The revision that it agreed upon, where it tells.
    revision: Option<String>,
    tools: Vec<String>,
    results: Vec<Value>,
}

#[test]
fn pythons_sdk_calls_tools_over_stdio_in_every_revision() {
    for (mode, revision) in [
        ("auto", "2026-07-28"),
        ("2026-07-28", "2026-07-28"),
        ("legacy", "2025-11-25"),
    ] {
        let (stage, origin) = apis::weather();
        let program = installed::script("mcp_tools.py");
        let arguments = [program.as_os_str(), mode.as_ref(), CALLS.as_ref()];
        let ran = stage.beside_mcp(&installed::python(), &arguments);
        let seen = expect_the_weather(&ran);
        assert_eq!(seen.revision.as_deref(), Some(revision));
        assert_eq!(origin.asked().len(), 1);
    }
}

#[test]
fn typescripts_sdk_calls_tools_over_stdio() {
    let (stage, origin) = apis::weather();
    let program = installed::script("mcp_tools.cjs");
    let arguments = [program.as_os_str(), CALLS.as_ref()];
    let ran = stage.beside_mcp(&installed::program("node"), &arguments);
    expect_the_weather(&ran);
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn the_inspector_lists_and_calls_tools_over_stdio() {
    let (stage, origin) = apis::weather();
    let inspect = |method: &str, more: &[&str]| {
        let inspector = installed::node_modules().join(".bin/mcp-inspector");
        let key = format!("OPENWEATHER_API_KEY={}", apis::OPENWEATHER_KEY);
        let mut arguments = vec![inspector.to_str().unwrap(), "--cli", "-e", &key];
        arguments.extend(["--method", method]);
        arguments.extend_from_slice(more);
        arguments.push("--");
        let ran = stage.beside_mcp(&installed::program("node"), &arguments);
        serde_json::from_str::<Value>(ran.output()).unwrap()
    };
    let listed = inspect("tools/list", &[]);
    let tools = listed["tools"].as_array().unwrap();
    assert!(
        tools.iter().any(|it| it["name"] == "get_weather"),
        "{listed}"
    );
    let called = ["--tool-name", "get_weather", "--tool-arg", "city=New York"];
    let called = inspect("tools/call", &called);
    assert_eq!(called["structuredContent"]["body"]["weather"], "clear sky");
    assert_eq!(origin.asked().len(), 1);
}

/// As an agent, with its token. The secret and the token are variables of exeat and of the program.
fn with_token() -> (Stage, Origin) {
    let (stage, origin) = apis::weather();
    let stage = stage.acting_as("weather-bot", "agent-token");
    (stage.secret("TOKEN", "agent-token"), origin)
}

#[test]
fn pythons_sdk_calls_tools_over_http_in_every_revision() {
    for (mode, revision) in [("auto", "2026-07-28"), ("legacy", "2025-11-25")] {
        let (stage, origin) = with_token();
        let program = installed::script("mcp_tools.py");
        let arguments = [program.as_os_str(), mode.as_ref(), CALLS.as_ref()];
        let ran = stage.beside_run(&installed::python(), &arguments);
        let seen = expect_the_weather(&ran);
        assert_eq!(seen.revision.as_deref(), Some(revision));
        assert_eq!(ran.records()[0]["agent"], "weather-bot");
        assert_eq!(origin.asked().len(), 1);
    }
}

#[test]
fn typescripts_sdk_calls_tools_over_http() {
    let (stage, origin) = with_token();
    let program = installed::script("mcp_tools.cjs");
    let arguments = [program.as_os_str(), CALLS.as_ref()];
    let ran = stage.beside_run(&installed::program("node"), &arguments);
    expect_the_weather(&ran);
    assert_eq!(origin.asked().len(), 1);
}

#[test]
fn the_inspector_calls_tools_over_http() {
    let (stage, origin) = with_token();
    let inspector = installed::node_modules().join(".bin/mcp-inspector");
    let arguments = [
        inspector.to_str().unwrap(),
        "--cli",
        "--method",
        "tools/call",
    ];
    let called = ["--tool-name", "get_weather", "--tool-arg", "city=New York"];
    let token = [
        "--header",
        "Authorization: Bearer agent-token",
        "--server-url",
    ];
    let arguments = [&arguments[..], &called, &token].concat();
    let ran = stage.beside_run(&installed::program("node"), &arguments);
    let called: Value = serde_json::from_str(ran.output()).unwrap();
    assert_eq!(called["structuredContent"]["body"]["weather"], "clear sky");
    assert_eq!(origin.asked().len(), 1);
}

/// By the programs in `tests/clients`.
const CALLS: &str =
    r#"[["get_weather", {"city": "New York"}], ["get_weather", {"q": "Paris"}], ["forecast", {}]]"#;

fn expect_the_weather(ran: &Ran) -> Seen {
    let seen: Seen = serde_json::from_str(ran.output()).unwrap();
    assert!(seen.tools.iter().any(|it| it == "get_weather"), "{seen:#?}");
    let [good, refused, unknown] = &seen.results[..] else {
        panic!("{seen:#?}")
    };
    assert_eq!(good["is_error"], false, "{good}");
    let body = &good["structured"]["body"];
    assert_eq!(body, &json!({"weather": "clear sky"}));
    assert_eq!(refused["is_error"], true, "{refused}");
    let code = &refused["structured"]["error"]["code"];
    assert_eq!(code, "parameter_undeclared");
    assert_eq!(unknown, &json!({"code": -32602}));
    for result in [good, refused] {
        let text: Value = serde_json::from_str(result["texts"][0].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structured"]);
    }
    let records = ran.records();
    // Over HTTP, one that listens and one that ends its session have records of their own.
    let is_call = |it: &&Value| it["code"].is_string() || it["action"].is_string();
    let codes: Vec<_> = records
        .iter()
        .filter(is_call)
        .map(|it| &it["code"])
        .collect();
    let expected = [
        &Value::Null,
        &json!("parameter_undeclared"),
        &json!("action_undeclared"),
    ];
    assert_eq!(codes, expected, "{records:#?}");
    assert!(records.iter().all(|it| it["door"] == "mcp"), "{records:#?}");
    assert!(!ran.mentions(apis::OPENWEATHER_KEY), "{ran:#?}");
    seen
}
