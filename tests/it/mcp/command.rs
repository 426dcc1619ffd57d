//! `exeat mcp` as a process: who it acts as, what it writes where, and how it ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Output, Stdio};

use serde_json::{Value, json};

use crate::world::Desk;

const POLICY: &str = r#"
version: 1
secrets: {bot_token: {env: BOT}}
actions:
  get_item: {description: Returns one item of the catalogue., method: GET, url: https://api.good.test/item}
agents:
  bot: {token: {secret: bot_token}, environment: default, allow: [get_item]}
"#;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"it","version":"1"}}}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get_item","arguments":{"x":1}}}"#;

fn start(desk: &Desk, arguments: &[&str]) -> Child {
    let mut command = desk.command(&["mcp"]);
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Everything in, then everything out.
fn run(desk: &Desk, arguments: &[&str], lines: &[&str]) -> Output {
    let mut child = start(desk, arguments);
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        // A process that has ended takes none.
        let _ = writeln!(input, "{line}");
    }
    drop(input);
    child.wait_with_output().unwrap()
}

fn messages(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn the_protocol_has_standard_output_and_the_record_the_other() {
    let desk = Desk::with(POLICY);
    let output = run(&desk, &["--agent", "bot"], &[INITIALIZE, CALL]);
    assert!(output.status.success(), "{output:?}");
    let said = messages(&output.stdout);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert_eq!(said[0]["result"]["serverInfo"]["name"], "exeat");
    assert_eq!(said[1]["result"]["isError"], true);
    let records = messages(&output.stderr);
    assert_eq!(records.len(), 1, "{records:#?}");
    assert_eq!(records[0]["agent"], "bot");
    assert_eq!(records[0]["code"], "parameter_undeclared");
}

#[test]
fn a_policy_with_agents_needs_to_know_which() {
    for (policy, arguments, says) in [
        (POLICY, &[][..], "say which agent"),
        (POLICY, &["--agent", "bob"], "there is no agent bob"),
        (
            POLICY.split("agents:").next().unwrap(),
            &["--agent", "bot"],
            "declares no agents",
        ),
    ] {
        let output = run(&Desk::with(policy), arguments, &[INITIALIZE]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(says), "{told}");
        assert!(output.stdout.is_empty(), "{told}");
    }
}

#[test]
fn a_client_that_speaks_something_else_is_told_so() {
    let other = r#"{"jsonrpc":"2.0","method":"hello"}"#;
    let output = run(&Desk::with(POLICY), &["--agent", "bot"], &[other]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("did not begin as MCP has it"), "{told}");
}

#[test]
fn a_client_may_end_it_by_a_signal() {
    let desk = Desk::with(POLICY);
    let mut child = start(&desk, &["--agent", "bot"]);
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{INITIALIZE}").unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(said["id"], json!(1));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}
