//! `exeat call`: one action by hand, shown or sent.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::world::Desk;
use crate::world::{Origin, json_reply, origin_apart};

const POLICY: &str = r#"
version: 1
secrets: {key: {env: KEY}, bot_token: {env: BOT_TOKEN}}
auth: {api: {type: bearer, token: {secret: key}}}
context: {contact.name: {type: string}}
network: {allow_private: [{host: api.good.test, addresses: [127.0.0.1/32], port: PORT}]}
actions:
  get_item:
    description: Returns one item of the catalogue.
    method: GET
    url: https://api.good.test/items/{{id}}
    auth: api
    query: {by: "{{contact.name}}"}
    parameters: {properties: {id: {type: string}, n: {type: integer}}, required: [id]}
    outcomes: {"200": {name: found, say: "Here it is ({{status}})."}}
    outputs: {item.name: {path: $.name, expose: true}, item.pin: {path: $.pin, sensitive: true}}
    response: {fields: [$.name]}
  off:
    description: Is switched off for agents.
    enabled: false
    method: GET
    url: https://api.good.test/off
    headers: {X-Item: "{{.variables.item.name}}"}
agents:
  bot: {token: {secret: bot_token}, allow: [off]}
"#;

struct Stage {
    desk: Desk,
    origin: Origin,
}

impl Stage {
    fn new(reply: &[u8]) -> Self {
        let (origin, ca) = origin_apart("api.good.test", reply);
        let port = origin.address().port().to_string();
        let desk = Desk::with(&POLICY.replace("PORT", &port));
        std::fs::write(desk.path("ca.pem"), ca).unwrap();
        Self { desk, origin }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.desk.command(&["call", "--extra-ca", "ca.pem"]);
        let address = self.origin.address();
        command.args(["--host", &format!("api.good.test={address}")]);
        command.args(arguments).env("KEY", "SECRET-KEY");
        command
    }

    fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn item() -> Vec<u8> {
    json_reply(r#"{"name":"pen","pin":"4711","more":[1]}"#)
}

#[test]
fn a_request_is_shown_without_secrets_and_nothing_is_sent() {
    let stage = Stage::new(&item());
    let arguments = [
        "get_item",
        "-p",
        "id=a b",
        "-p",
        "n=3",
        "--context",
        "contact.name=Ada",
        "--dry-run",
    ];
    let mut command = stage.command(&arguments);
    let output = command.env_remove("KEY").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut lines = text(&output.stdout).lines();
    let url = "GET https://api.good.test/items/a%20b?by=Ada&n=3";
    assert_eq!(lines.next(), Some(url));
    assert!(lines.any(|it| it == "authorization: Bearer <key>"));
    let output = stage.call(&[&arguments[..], &["--json"]].concat());
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["headers"]["authorization"], "Bearer <key>");
    assert_eq!(stage.origin.connections(), 0);
    assert_eq!(text(&output.stderr), "", "nothing is recorded");
}

#[test]
fn a_call_is_carried_out_recorded_and_told() {
    let stage = Stage::new(&item());
    let parameters = r#"{"id": "7"}"#;
    let context = "contact.name=Ada";
    let arguments = ["get_item", "--parameters", parameters, "--context", context];
    let output = stage.call(&[&arguments[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let record: Value = serde_json::from_slice(&output.stderr).unwrap();
    let expected = json!({
        "status": 200, "outcome": "found", "say": "Here it is (200).",
        "body": {"name": "pen", "pin": told["body"]["pin"], "more": [1]},
        "variables": {"item.name": "pen"}, "request_id": record["request_id"],
    });
    assert_eq!(told, expected);
    assert!(!text(&output.stdout).contains("4711"));
    assert_eq!(
        (&record["door"], &record["decision"]),
        (&json!("call"), &json!("allowed"))
    );
    let seen = stage.origin.only();
    assert_eq!(seen.line(), "GET /items/7?by=Ada HTTP/1.1");
    assert_eq!(seen.header("authorization"), ["Bearer SECRET-KEY"]);
    let output = stage.call(&arguments);
    assert!(text(&output.stdout).starts_with("200 found\nHere it is (200).\n\n{"));
    assert!(text(&output.stdout).ends_with("item.name = \"pen\"\n"));
}

#[test]
fn what_is_refused_says_why_and_what_would_be_right() {
    let stage = Stage::new(&item());
    for (arguments, code, told) in [
        (&["get_itm"][..], 1, "the nearest: get_item"),
        (&["get_item"], 1, "id is required"),
        (
            &["get_item", "-p", "id=a/b", "--context", "contact.name=A"],
            1,
            "parameter_invalid at /id",
        ),
        (
            &["get_item", "--agent", "bot", "-p", "id=7"],
            1,
            "action_not_allowed",
        ),
        (&["off"], 1, "variable_missing"),
        (
            &["get_item", "--context", "contact.nam=A"],
            1,
            "parameter_undeclared",
        ),
        (&["get_item", "-p", "id"], 2, "write NAME=VALUE"),
        (&["get_item", "-p", "id=1", "-p", "id=2"], 2, "given twice"),
        (&["get_item", "--parameters", "[1]"], 2, "a JSON object"),
        (
            &["get_item", "--agent", "nobody"],
            2,
            "there is no agent nobody",
        ),
    ] {
        let output = stage.call(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
    assert_eq!(stage.origin.connections(), 0);
    let output = stage.call(&["get_itm", "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["error"]["code"], "action_undeclared");
}

#[test]
fn a_disabled_action_may_be_tried_with_the_variables_of_a_session() {
    let stage = Stage::new(&item());
    for agent in [&[][..], &["--agent", "bot"]] {
        let output = stage.call(&[&["off", "--variable", "item.name=pen"], agent].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let seen = stage.origin.seen();
    assert!(
        seen.iter().all(|it| it.header("x-item") == ["pen"]),
        "{seen:?}"
    );
}

#[test]
fn a_call_that_has_not_succeeded_is_no_success() {
    let stage =
        Stage::new(b"HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n\r\n{\"why\":\"gone\"}");
    let output = stage.call(&["get_item", "-p", "id=7", "--context", "contact.name=Ada"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "404 failed\n\n{\n  \"why\": \"gone\"\n}\n"
    );
}

#[test]
fn a_reply_can_be_pasted_into_the_policy_without_what_is_sensitive() {
    let stage = Stage::new(&item());
    let arguments = [
        "get_item",
        "-p",
        "id=7",
        "--context",
        "contact.name=Ada",
        "--save",
    ];
    let output = stage.call(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let snippet = text(&output.stdout);
    let json = snippet.strip_prefix("    response_example: ").unwrap();
    let example: Value = serde_json::from_str(json).unwrap();
    assert_eq!(
        (&example["name"], &example["more"]),
        (&json!("pen"), &json!([1]))
    );
    assert!(!snippet.contains("4711"));
    assert!(snippet.lines().skip(1).all(|line| line.starts_with("    ")));
}
