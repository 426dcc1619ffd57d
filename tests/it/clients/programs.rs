//! The programs of `docs/agents.md`, taken out of the page and run as they stand there: against models that are
//! scripted, and an API that answers to its real key alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::apis;
use super::installed;
use super::model;
use super::origin::Origin;
use super::stage::{Ran, Stage};

/// How an action was called.
const BY_NAME: &str = "http";
const BY_REQUEST: &str = "proxy";

#[test]
fn openai_with_tools_through_exeat() {
    a_model_tells_the_weather(model::openai(), "openai_tools.py", BY_NAME);
}

#[test]
fn openai_with_calls_through_the_proxy() {
    a_model_tells_the_weather(model::openai(), "openai_proxy.py", BY_REQUEST);
}

#[test]
fn anthropic_with_tools_through_exeat() {
    a_model_tells_the_weather(model::anthropic(), "anthropic_tools.py", BY_NAME);
}

#[test]
fn anthropic_with_calls_through_the_proxy() {
    a_model_tells_the_weather(model::anthropic(), "anthropic_proxy.py", BY_REQUEST);
}

#[test]
fn langchain_with_tools_through_exeat() {
    a_model_tells_the_weather(model::openai(), "langchain_tools.py", BY_NAME);
}

#[test]
fn langchain_with_calls_through_the_proxy() {
    a_model_tells_the_weather(model::openai(), "langchain_proxy.py", BY_REQUEST);
}

#[test]
fn mcp_in_python_with_tools_through_exeat() {
    let (stage, weather) = apis::weather();
    let stage = stage.acting_as("weather-bot", "agent-token");
    let ran = stage.exec(&installed::python(), &[put(&stage, "mcp_client.py")]);
    a_client_was_told(&ran, &weather);
    assert!(ran.record()["session"].is_string(), "{ran:#?}");
}

#[test]
fn mcp_in_python_with_calls_through_the_proxy() {
    a_server_calls_through_the_proxy(&installed::python(), "mcp_server.py");
}

#[test]
fn mcp_in_typescript_with_tools_through_exeat() {
    let (stage, weather) = apis::weather();
    let program = put(&stage, "mcp_client.mjs");
    let ran = stage.beside(&installed::program("node"), &[&program]);
    a_client_was_told(&ran, &weather);
}

#[test]
fn mcp_in_typescript_with_calls_through_the_proxy() {
    a_server_calls_through_the_proxy(&installed::program("node"), "mcp_server.mjs");
}

#[test]
fn every_program_of_the_page_is_run_here() {
    let here = include_str!("programs.rs");
    let programs = programs();
    assert_eq!(programs.len(), 10, "{:?}", programs.keys());
    for name in programs.keys() {
        assert!(
            here.contains(&format!("\"{name}\")")) || here.contains(&format!("\"{name}\", ")),
            "{name}"
        );
    }
}

/// Behind `exeat exec`, which is all that the page says of how to run it.
fn a_model_tells_the_weather(model: Origin, program: &str, door: &str) {
    let (stage, weather) = apis::weather();
    let stage = reaching(stage, &model).acting_as("weather-bot", "agent-token");
    let ran = stage.exec(&installed::python(), &[put(&stage, program)]);
    assert_eq!(ran.output().trim_end(), model::ANSWER, "{ran:#?}");
    let turns = model.asked();
    assert_eq!(turns.len(), 2, "{turns:#?}");
    assert_eq!(weather.asked().len(), 1);
    let records = ran.records();
    assert!(
        records.iter().all(|it| it["decision"] == "allowed"),
        "{records:#?}"
    );
    let calls: Vec<&Value> = records
        .iter()
        .filter(|it| it["action"].is_string() && it["event"].is_null())
        .collect();
    let session = &calls[0]["session"];
    let is_shared = |it: &&Value| &it["session"] == session && !session.is_null();
    assert!(calls.iter().all(is_shared), "{records:#?}");
    let doors: Vec<&Value> = calls.iter().map(|it| &it["door"]).collect();
    assert_eq!(doors, [BY_REQUEST, door, BY_REQUEST], "{records:#?}");
    nothing_is_told(&ran);
}

fn reaching(stage: Stage, model: &Origin) -> Stage {
    stage
        .reaching(model.host(), model)
        .secret("OPENAI_API_KEY", model::OPENAI_KEY)
        .secret("ANTHROPIC_API_KEY", model::ANTHROPIC_KEY)
}

/// A client of MCP, by exeat.
fn a_client_was_told(ran: &Ran, weather: &Origin) {
    let (tools, result) = ran.output().trim_end().split_once('\n').unwrap();
    let tools = tools.strip_prefix("tools: ").unwrap();
    assert!(tools.split(", ").any(|it| it == "get_weather"), "{tools}");
    let result: Value = serde_json::from_str(result).unwrap();
    assert_eq!(result["body"], json!({"weather": "clear sky"}));
    assert_eq!(weather.asked().len(), 1);
    assert_eq!(ran.record()["door"], "mcp");
    nothing_is_told(ran);
}

/// A server that a client starts behind exeat.
fn a_server_calls_through_the_proxy(interpreter: &Path, program: &str) {
    let (stage, weather) = apis::weather();
    let calls = json!([["get_weather", {"city": "New York"}]]).to_string();
    let client = [
        installed::script("mcp_tools.cjs").into_os_string(),
        calls.into(),
    ];
    let server = put(&stage, program);
    let ran = stage.beside_server(
        &installed::program("node"),
        &client,
        &[interpreter, &server],
    );
    let seen: Value = serde_json::from_str(ran.output()).unwrap();
    assert_eq!(seen["tools"], json!(["get_weather"]), "{seen}");
    let told = seen["results"][0]["texts"][0].as_str().unwrap();
    assert!(told.contains("clear sky"), "{seen}");
    assert_eq!(weather.asked().len(), 1);
    let record = ran.record();
    assert_eq!(record["door"], BY_REQUEST);
    assert_eq!(record["replaced"], json!(["query appid"]));
    nothing_is_told(&ran);
}

fn nothing_is_told(ran: &Ran) {
    for key in [
        apis::OPENWEATHER_KEY,
        model::OPENAI_KEY,
        model::ANTHROPIC_KEY,
    ] {
        assert!(!ran.mentions(key), "{ran:#?}");
    }
}

/// Puts a program where a user would have it: in a folder of its own, with Node's packages beside it.
fn put(stage: &Stage, program: &str) -> PathBuf {
    let folder = stage.file("agent");
    fs::create_dir(&folder).unwrap();
    symlink(installed::node_modules(), folder.join("node_modules")).unwrap();
    let file = folder.join(program);
    fs::write(&file, &programs()[program]).unwrap();
    file
}

/// The blocks of the page that begin with the name of a file.
fn programs() -> BTreeMap<String, String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/agents.md");
    let page = fs::read_to_string(page).unwrap();
    let mut found = BTreeMap::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if !["```python", "```js"].contains(&line) {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let name = block[0].trim_start_matches(['#', '/', ' ']).to_owned();
        let before = found.insert(name, block.join("\n") + "\n");
        assert!(before.is_none(), "{}", block[0]);
    }
    found
}
