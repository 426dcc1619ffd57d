//! One client behind a pipe, as `exeat mcp` serves it.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{NOT_OFFERED, asked, done, failed, hanging, is_given_up};
use crate::world::{Plan, Revision, World, json_reply};

const POLICY: &str = r#"
version: 1
secrets: {good_token: {env: GOOD_TOKEN}, bot_token: {env: BOT}, other_token: {env: OTHER}}
auth: {good: {type: bearer, token: {secret: good_token}}}
context: {contact.email: {type: string}}
actions:
  get_item:
    title: Getting items
    description: Returns one item of the catalogue.
    method: GET
    url: https://api.good.test/v1/items/{{id}}
    auth: good
    parameters: {properties: {id: {type: string, description: Its number}}, required: [id]}
    outputs: {item.name: {path: $.name, expose: true}}
  rename_item:
    description: Gives an item another name.
    method: PUT
    url: https://api.good.test/v1/items
    body: '{"from": "{{.variables.item.name}}", "to": "{{to}}"}'
    parameters: {properties: {to: {type: string}}, required: [to]}
  remove_item:
    description: Removes an item for good.
    method: DELETE
    url: https://api.good.test/v1/items/{{id}}
    parameters: {properties: {id: {type: string}}, required: [id]}
  write_to_customer:
    description: Writes to the customer of this conversation.
    method: POST
    url: https://api.good.test/v1/letters
    headers: {X-To: "{{contact.email}}"}
  off: {description: Is switched off for agents., enabled: false, method: GET, url: https://api.good.test/off}
  raw: {description: Is for the proxy alone., doors: [proxy], method: GET, url: https://api.good.test/raw}
  slow:
    description: Takes its time to answer.
    method: GET
    allow_http: true
    url: http://api.two.test/
agents:
  bot: {token: {secret: bot_token}, allow: ["*"]}
  other: {token: {secret: other_token}, allow: [get_item]}
"#;

const LATEST: Revision = Revision::Handshake("2025-11-25");

fn world() -> World {
    Plan::of(POLICY).start()
}

#[test]
fn an_agent_sees_the_actions_that_it_may_call_and_no_others() {
    let world = world();
    for revision in Revision::ALL {
        let names = |agent| -> Vec<String> {
            let mut pipe = world.pipe(revision, Some(agent), None);
            let tools = pipe.tools();
            pipe.close();
            let name = |tool: &Value| tool["name"].as_str().unwrap().to_owned();
            tools.iter().map(name).collect()
        };
        let all = [
            "get_item",
            "remove_item",
            "rename_item",
            "slow",
            "write_to_customer",
        ];
        assert_eq!(names("bot"), all, "{revision:?}");
        assert_eq!(names("other"), ["get_item"], "{revision:?}");
    }
    world.assert_nothing_left();
}

#[test]
fn a_tool_tells_what_its_action_does_and_takes() {
    let world = world();
    let mut pipe = world.pipe(LATEST, Some("bot"), None);
    let tools = pipe.tools();
    let item = &tools[0];
    assert_eq!(item["title"], "Getting items");
    assert_eq!(item["description"], "Returns one item of the catalogue.");
    assert_eq!(item["inputSchema"]["type"], "object");
    assert_eq!(item["inputSchema"]["required"], json!(["id"]));
    for (tool, read_only, destructive, idempotent) in [
        ("get_item", true, false, true),
        ("remove_item", false, true, true),
        ("rename_item", false, true, true),
        ("write_to_customer", false, true, false),
    ] {
        let found = tools.iter().find(|it| it["name"] == tool).unwrap();
        let hints = &found["annotations"];
        assert_eq!(hints["readOnlyHint"], read_only, "{found}");
        assert_eq!(hints["destructiveHint"], destructive, "{found}");
        assert_eq!(hints["idempotentHint"], idempotent, "{found}");
    }
}

#[test]
fn a_call_goes_the_way_of_every_request() {
    for revision in Revision::ALL {
        let mut world = world();
        let origin = world.origin("api.good.test", |_| json_reply(r#"{"name":"lamp"}"#));
        let mut pipe = world.pipe(revision, Some("bot"), None);
        let answer = pipe.call("get_item", json!({"id": "a b"}));
        let reply = done(&answer);
        assert_eq!(reply["status"], 200);
        assert_eq!(reply["outcome"], "succeeded");
        assert_eq!(reply["body"], json!({"name": "lamp"}));
        assert_eq!(reply["variables"], json!({"item.name": "lamp"}));
        pipe.close();
        assert_eq!(origin.only().line(), "GET /v1/items/a%20b HTTP/1.1");
        assert_eq!(
            origin.only().header("authorization"),
            ["Bearer SECRET-AAAA"]
        );
        let record = world.record();
        assert_eq!(record["door"], "mcp");
        assert_eq!(record["agent"], "bot");
        assert_eq!(record["action"], "get_item");
        assert_eq!(record["decision"], "allowed");
        assert_eq!(record["request_id"], reply["request_id"]);
        world.last_records();
    }
}

#[test]
fn a_refusal_is_a_result_that_the_model_can_act_on() {
    let world = world();
    let mut pipe = world.pipe(LATEST, Some("bot"), None);
    for (tool, arguments, code, pointer) in [
        ("get_item", json!({}), "parameter_missing", "/id"),
        ("get_item", json!({"id": 7}), "parameter_invalid", "/id"),
        (
            "get_item",
            json!({"id": "../x"}),
            "parameter_invalid",
            "/id",
        ),
        (
            "get_item",
            json!({"id": "a", "x": 1}),
            "parameter_undeclared",
            "/x",
        ),
        (
            "write_to_customer",
            json!({"contact.email": "me@x.test"}),
            "parameter_undeclared",
            "/contact.email",
        ),
        ("off", json!({}), "action_disabled", ""),
        ("raw", json!({}), "door_closed", ""),
    ] {
        let answer = pipe.call(tool, arguments.clone());
        let error = &failed(&answer)["error"];
        assert_eq!(error["code"], code, "{tool} {arguments}");
        assert_eq!(error["action"], tool, "{error}");
        let named = error["pointer"].as_str().unwrap_or_default();
        assert_eq!(named, pointer, "{error}");
    }
    let mut pipe = world.pipe(LATEST, Some("other"), None);
    let answer = pipe.call("remove_item", json!({"id": "a"}));
    let error = &failed(&answer)["error"];
    assert_eq!(error["code"], "action_not_allowed");
    assert_eq!(error["nearest"], json!(["get_item"]));
    assert_eq!(world.records(8).len(), 8);
    world.assert_nothing_left();
}

#[test]
fn context_comes_from_no_message_of_the_client() {
    let world = world();
    let mut pipe = world.pipe(LATEST, Some("bot"), None);
    let context = json!({"contact.email": "me@x.test"});
    let answer = pipe.request(
        "tools/call",
        json!({
            "name": "write_to_customer", "arguments": {}, "context": context, "session": "x",
        }),
    );
    assert_eq!(failed(&answer)["error"]["code"], "variable_missing");
    world.assert_nothing_left();
}

#[test]
fn a_server_that_did_not_do_it_is_an_error_too() {
    let world = world();
    world.origin("api.good.test", |_| {
        b"HTTP/1.1 404 X\r\nContent-Length: 7\r\n\r\nno such".to_vec()
    });
    let mut pipe = world.pipe(LATEST, Some("bot"), None);
    let answer = pipe.call("get_item", json!({"id": "a"}));
    let reply = failed(&answer);
    assert_eq!(reply["status"], 404);
    assert_eq!(reply["outcome"], "failed");
    assert_eq!(reply["body"], "no such");
}

#[test]
fn what_is_no_tool_is_a_protocol_error() {
    let world = world();
    for revision in Revision::ALL {
        let mut pipe = world.pipe(revision, Some("bot"), None);
        let unknown = pipe.call("get_itm", json!({}));
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
        let nearest = &unknown["error"]["data"]["error"]["nearest"];
        assert_eq!(nearest[0], "get_item", "{unknown}");
        let nameless = pipe.call("get item\n", json!({}));
        assert_eq!(nameless["error"]["code"], -32602, "{nameless}");
        let shapeless = pipe.call("get_item", json!([1]));
        assert_eq!(shapeless["error"]["code"], -32602, "{shapeless}");
        let method = pipe.request("tools/destroy", json!({}));
        assert_eq!(method["error"]["code"], -32601, "{method}");
        pipe.close();
    }
    let records = world.records(9);
    let codes: Vec<_> = records.iter().map(|it| &it["code"]).collect();
    let each = [
        "action_undeclared",
        "action_undeclared",
        "request_malformed",
    ];
    assert_eq!(codes, each.repeat(3));
    assert!(
        records.iter().all(|it| it["agent"] == "bot"),
        "{records:#?}"
    );
}

#[test]
fn what_is_not_offered_is_not_there() {
    let world = world();
    for revision in Revision::ALL {
        let mut pipe = world.pipe(revision, Some("bot"), None);
        for (method, params) in NOT_OFFERED {
            let params = serde_json::from_str(params).unwrap();
            let answer = pipe.request(method, params);
            assert_eq!(answer["error"]["code"], -32601, "{answer}");
        }
        pipe.close();
    }
}

#[test]
fn a_line_that_can_be_read_in_two_ways_is_refused_and_the_next_is_served() {
    let world = world();
    let mut pipe = world.pipe(LATEST, Some("bot"), None);
    let twice = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"get_item","arguments":{"id":"a"},"arguments":{"id":"b"}}}"#;
    for (line, code) in [
        (twice, -32700),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"ping","Method":"x"}"#,
            -32700,
        ),
        ("{", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#, -32600),
        (&" ".repeat((16 << 20) + 1), -32600),
    ] {
        pipe.write(line);
        let answer = pipe.read();
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["id"], Value::Null, "{answer}");
    }
    pipe.write("");
    assert_eq!(pipe.tools().len(), 5);
    world.assert_nothing_left();
}

#[test]
fn the_calls_of_a_process_share_its_session() {
    let world = world();
    let origin = world.origin("api.good.test", |_| json_reply(r#"{"name":"lamp"}"#));
    let session = world.open_session(Some("bot"));
    let mut pipe = world.pipe(LATEST, Some("bot"), Some(&session));
    done(&pipe.call("get_item", json!({"id": "a"})));
    done(&pipe.call("rename_item", json!({"to": "torch"})));
    assert_eq!(origin.seen()[1].text(), r#"{"from":"lamp","to":"torch"}"#);
}

#[test]
fn a_client_that_asks_for_progress_is_told_each_step() {
    for revision in Revision::ALL {
        let world = world();
        let upstream = hanging(&world);
        let mut pipe = world.pipe(revision, Some("bot"), None);
        let id = pipe.send_telling("t7", "tools/call", json!({"name": "slow", "arguments": {}}));
        let mut progress = |number: f64, message: &str| {
            let told = pipe.read();
            assert_eq!(told["method"], "notifications/progress", "{told}");
            let expected = json!({"progressToken": "t7", "progress": number, "total": 3.0, "message": message});
            assert_eq!(told["params"], expected, "{revision:?}");
        };
        progress(1.0, "the request is on its way");
        let mut asked = asked(&upstream);
        asked
            .write_all(b"HTTP/1.1 202 X\r\nContent-Length: 2\r\n\r\n")
            .unwrap();
        progress(2.0, "the server has answered with 202");
        asked.write_all(b"{}").unwrap();
        let answer = pipe.read();
        assert_eq!(answer["id"], id);
        assert_eq!(done(&answer)["status"], 202);
    }
}

#[test]
fn calls_do_not_wait_for_each_other() {
    let world = world();
    world.origin("api.good.test", |_| json_reply("{}"));
    let upstream = hanging(&world);
    let mut pipe = world.pipe(LATEST, Some("bot"), None);
    let slow = pipe.send("tools/call", json!({"name": "slow", "arguments": {}}));
    let mut asked = asked(&upstream);
    done(&pipe.call("get_item", json!({"id": "a"})));
    asked.write_all(&json_reply("{}")).unwrap();
    let answer = pipe.read();
    assert_eq!(answer["id"], slow);
    done(&answer);
}

#[test]
fn a_client_hears_of_a_new_policy() {
    for revision in Revision::ALL {
        let world = world();
        let mut pipe = world.pipe(revision, Some("other"), None);
        assert_eq!(pipe.tools().len(), 1);
        if revision == Revision::Stateless {
            pipe.send(
                "subscriptions/listen",
                json!({"notifications": {"toolsListChanged": true}}),
            );
            let confirmed = pipe.read();
            assert_eq!(
                confirmed["method"],
                "notifications/subscriptions/acknowledged"
            );
        }
        world.reload(&POLICY.replace("allow: [get_item]", "allow: [get_item, slow]"));
        let told = pipe.read();
        assert_eq!(
            told["method"], "notifications/tools/list_changed",
            "{revision:?}"
        );
        assert_eq!(pipe.tools().len(), 2);
    }
}
