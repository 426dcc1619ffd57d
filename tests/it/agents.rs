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
fn nobody_without_a_good_token_gets_further_than_407() {
    for header in [
        None,
        Some(login("bot", "wrong")),
        Some(login("nobody", "bot-secret")),
        Some(login("tester", "bot-secret")),
        Some(login("bot", "")),
        Some("Proxy-Authorization: Basic !!!".into()),
        Some("Proxy-Authorization: Basic Ym90".into()),
        Some("Proxy-Authorization: Bearer bot-secret".into()),
        Some("Authorization: Basic Ym90OmJvdC1zZWNyZXQ=".into()),
    ] {
        let world = world();
        let headers: Vec<&str> = header.iter().map(String::as_str).collect();
        let client = world.client();
        let answer = client.send("GET", "http://api.good.test/items/1", &headers, "");
        assert_eq!(
            (answer.status, answer.refusal()),
            (407, "agent_unknown"),
            "{header:?}"
        );
        assert_eq!(
            answer.header("proxy-authenticate"),
            Some("Basic realm=\"exeat\"")
        );
        let (connect, _) = client.open("api.good.test:443", &headers);
        assert_eq!((connect.status, connect.refusal()), (407, "agent_unknown"));
        let records = world.records(2);
        assert!(records.iter().all(|it| it["code"] == "agent_unknown"));
        assert!(records.iter().all(|it| it.get("agent").is_none()));
        assert_eq!((world.lookups().len(), world.dials().len()), (0, 0));
    }
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
fn an_identity_is_that_of_the_connect_and_not_of_what_is_inside() {
    let world = world();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let mut tunnel = world.client().tunnel_as(
        "api.good.test",
        "api.good.test",
        &[&login("bot", "bot-secret")],
    );
    use std::io::Write as _;
    let other = login("tester", "tester-secret");
    write!(
        tunnel,
        "DELETE /items/1 HTTP/1.1\r\nHost: api.good.test\r\n{other}\r\n\r\n"
    )
    .unwrap();
    let answer = crate::world::read_answer(&mut tunnel, "DELETE").unwrap();
    assert_eq!(answer.refusal(), "action_not_allowed");
    write!(
        tunnel,
        "GET /items/1 HTTP/1.1\r\nHost: api.good.test\r\n{other}\r\n\r\n"
    )
    .unwrap();
    let answer = crate::world::read_answer(&mut tunnel, "GET").unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(origin.only().header("proxy-authorization"), [""; 0]);
    assert!(world.records(2).iter().all(|it| it["agent"] == "bot"));
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
