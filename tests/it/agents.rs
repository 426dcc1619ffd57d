//! Who is asking: nobody who cannot prove it, and nobody beyond what they may use.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::world::{Plan, World, json_reply};

const POLICY: &str = r#"
version: 1
environments: [production, staging]
secrets:
  key: {production: {env: KEY}, staging: {env: STAGING_KEY}}
  bot_token: {env: BOT}
  tester_token: {env: TESTER}
auth:
  api: {type: bearer, token: {secret: key}}
actions:
  read_item:
    description: Returns one item.
    method: GET
    url: {production: "https://api.good.test/items/{{id}}", staging: "https://api.two.test/items/{{id}}"}
    auth: api
    parameters: {properties: {id: {type: string}}, required: [id]}
  drop_item:
    description: Deletes one item.
    method: DELETE
    url: {production: "https://api.good.test/items/{{id}}", staging: "https://api.two.test/items/{{id}}"}
    auth: api
    parameters: {properties: {id: {type: string}}, required: [id]}
  old_item:
    description: Was an item once.
    enabled: false
    method: GET
    url: {production: "https://api.good.test/old", staging: "https://api.two.test/old"}
agents:
  bot: {token: {secret: bot_token}, environment: production, allow: ["read_*", old_item]}
  tester: {token: {secret: tester_token}, environment: staging, allow: ["*"]}
"#;

fn world() -> World {
    Plan::of(POLICY)
        .secret("key", "SECRET-AAAA")
        .secret("bot_token", "bot-secret")
        .secret("tester_token", "tester-secret")
        .start()
}

fn login(name: &str, token: &str) -> String {
    let pair = STANDARD.encode(format!("{name}:{token}"));
    format!("Proxy-Authorization: Basic {pair}")
}

#[test]
fn an_agent_reaches_what_it_may_use_in_its_own_environment() {
    let world = world();
    let production = world.origin("api.good.test", |_| json_reply("{}"));
    let staging = world.origin("api.two.test", |_| json_reply("{}"));
    let client = world.client();
    for (agent, token, url, method, expected) in [
        (
            "bot",
            "bot-secret",
            "http://api.good.test/items/1",
            "GET",
            "none",
        ),
        (
            "bot",
            "bot-secret",
            "http://api.good.test/items/1",
            "DELETE",
            "action_not_allowed",
        ),
        (
            "bot",
            "bot-secret",
            "http://api.good.test/old",
            "GET",
            "action_disabled",
        ),
        (
            "bot",
            "bot-secret",
            "http://api.two.test/items/1",
            "GET",
            "host_undeclared",
        ),
        (
            "tester",
            "tester-secret",
            "http://api.two.test/items/1",
            "DELETE",
            "none",
        ),
        (
            "tester",
            "tester-secret",
            "http://api.good.test/items/1",
            "GET",
            "host_undeclared",
        ),
    ] {
        let answer = client.send(method, url, &[&login(agent, token)], "");
        assert_eq!(answer.refusal(), expected, "{agent} {method} {url}");
    }
    let seen = production.only();
    assert_eq!(seen.header("authorization"), ["Bearer SECRET-AAAA"]);
    assert_eq!(seen.header("proxy-authorization"), [""; 0]);
    assert_eq!(staging.only().line(), "DELETE /items/1 HTTP/1.1");
    let records = world.records(6);
    assert_eq!(records[0]["agent"], "bot");
    assert_eq!(records[0]["environment"], "production");
    assert_eq!(records[4]["environment"], "staging");
    for secret in ["bot-secret", "tester-secret", "SECRET-AAAA"] {
        assert!(!world.everything_written().contains(secret));
    }
}

#[test]
fn the_nearest_actions_are_those_that_the_agent_may_use() {
    let world = world();
    let answer = world.client().send(
        "GET",
        "http://api.good.test/item/1",
        &[&login("bot", "bot-secret")],
        "",
    );
    assert_eq!(answer.refusal(), "action_undeclared");
    assert_eq!(
        answer.json()["error"]["nearest"],
        serde_json::json!(["read_item"])
    );
}
