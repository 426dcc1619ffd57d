//! How often: limits of actions, connections and agents, the same at every door.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::world::{Answer, Plan, Revision, World, json_reply};

/// Limits of a day, so that nothing comes back while a test runs.
const POLICY: &str = r#"
version: 1
secrets: {key: {env: KEY}, a_token: {env: A}, b_token: {env: B}}
auth: {api: {type: bearer, token: {secret: key}}}
connections:
  api: {base_url: "https://api.good.test", auth: api, rate_limit: 9/day}
actions:
  get_item:
    description: Returns one item.
    method: GET
    connection: api
    path: /items/{{id}}
    parameters: {properties: {id: {type: string, pattern: "^[a-z]+$"}}, required: [id]}
    rate_limit: 4/day
  list_items:
    description: Lists all items.
    method: GET
    connection: api
    path: /items
  begin:
    description: Begins what can be done twice in a conversation.
    method: GET
    connection: api
    path: /begin
    rate_limit: {limit: 2, per: day, key: session}
agents:
  a: {token: {secret: a_token}, allow: ["*"], rate_limit: {limit: 24, per: day, burst: 6}}
  b: {token: {secret: b_token}, allow: ["*"]}
"#;

fn world() -> World {
    Plan::of(POLICY)
        .secret("key", "SECRET-AAAA")
        .secret("a_token", "a-secret")
        .secret("b_token", "b-secret")
        .start()
}

fn get(world: &World, login: &str, path: &str) -> Answer {
    let agent = login.split('~').next().unwrap();
    let pair = STANDARD.encode(format!("{login}:{agent}-secret"));
    let header = format!("Proxy-Authorization: Basic {pair}");
    let url = format!("http://api.good.test{path}");
    world.client().send("GET", &url, &[&header], "")
}

/// Of so many calls one after another, how many pass.
fn passed(calls: usize, mut call: impl FnMut() -> Answer) -> usize {
    let answers = (0..calls).map(|_| call());
    let refused = |it: &Answer| match (it.status, it.refusal()) {
        (200, "none") => false,
        (429, "rate_limited") => true,
        other => panic!("{other:?}"),
    };
    answers.filter(|it| !refused(it)).count()
}

#[test]
fn every_door_takes_from_the_same_limit_and_says_when_to_come_back() {
    let world = world();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let asked = json!({"parameters": {"id": "x"}});
    let mut pipe = world.pipe(Revision::Stateless, Some("a"), None);
    assert_eq!(get(&world, "a", "/items/x").status, 200);
    assert_eq!(world.call("get_item", "a-secret", &asked).status, 200);
    assert_eq!(
        pipe.call("get_item", json!({"id": "x"}))["result"]["isError"],
        false
    );
    assert_eq!(get(&world, "b", "/items/x").status, 200);
    let fetched = world.fetched().len();
    for answer in [
        get(&world, "a", "/items/x"),
        world.call("get_item", "a-secret", &asked),
    ] {
        assert_eq!((answer.status, answer.refusal()), (429, "rate_limited"));
        let error = &answer.json()["error"];
        let seconds = error["retry_after"].as_u64().unwrap();
        assert!((21_500..=21_600).contains(&seconds), "{error}");
        let header = answer.header("retry-after").map(str::to_owned);
        assert_eq!(header, Some(seconds.to_string()));
        assert_eq!(error["retryable"], true);
        assert_eq!(error["action"], "get_item");
        let message = error["message"].as_str().unwrap();
        let expected = "the rate limit of this action is used up (4 calls a day); try again in ";
        assert!(message.starts_with(expected), "{message}");
    }
    let told = pipe.call("get_item", json!({"id": "x"}));
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert!(told.to_string().contains("rate_limited"), "{told}");
    assert!(told.to_string().contains("retry_after"), "{told}");
    // Nothing was fetched but tokens of agents, and nothing was sent.
    let secrets = world.fetched().split_off(fetched);
    assert!(!secrets.contains(&"key".to_owned()), "{secrets:?}");
    assert_eq!(origin.seen().len(), 4);
    let records = world.records(7);
    let refused = records.iter().filter(|it| it["code"] == "rate_limited");
    let of: Vec<_> = refused.map(|it| (&it["action"], &it["agent"])).collect();
    assert_eq!(of, [(&json!("get_item"), &json!("a")); 3]);
    let metrics = world.everything_written();
    let series = r#"exeat_rate_limited_total{action="get_item",agent="a"} 3"#;
    assert!(metrics.contains(series), "{metrics}");
    pipe.close();
}

#[test]
fn a_refused_call_takes_nothing() {
    let world = world();
    let _origin = world.origin("api.good.test", |_| json_reply("{}"));
    for (path, code) in [
        ("/items/9", "parameter_invalid"),
        ("/items/x?more=1", "parameter_undeclared"),
        ("/other", "action_undeclared"),
    ] {
        for _ in 0..9 {
            assert_eq!(get(&world, "a", path).refusal(), code);
        }
    }
    assert_eq!(passed(9, || get(&world, "a", "/items/x")), 4);
}

#[test]
fn the_narrowest_limit_is_asked_first_and_has_lost_its_call_to_a_wider_one() {
    let world = world();
    let _origin = world.origin("api.good.test", |_| json_reply("{}"));
    // Those of the action are four; its refusals took nothing from the connection and the agent.
    assert_eq!(passed(20, || get(&world, "a", "/items/x")), 4);
    // The agent's last two, which the connection has lost as well, with two more that it gave in vain.
    assert_eq!(passed(4, || get(&world, "a", "/items")), 2);
    // Nine less eight.
    assert_eq!(passed(9, || get(&world, "b", "/items")), 1);
}

#[test]
fn a_session_has_a_limit_of_its_own_and_outside_of_one_the_agent_has() {
    let world = world();
    let _origin = world.origin("api.good.test", |_| json_reply("{}"));
    let (first, second) = (world.open_session(Some("b")), world.open_session(Some("b")));
    let proxied = |session: &str| get(&world, &format!("b~{session}"), "/begin");
    assert_eq!(proxied(&first).status, 200);
    let asked = json!({"session": first});
    assert_eq!(passed(3, || world.call("begin", "b-secret", &asked)), 1);
    assert_eq!(passed(3, || proxied(&first)), 0);
    assert_eq!(passed(1, || proxied(&second)), 1);
    // There is no such session: it could be made up anew for every call.
    let made_up = AtomicUsize::new(0);
    let call = || proxied(&format!("{:032x}", made_up.fetch_add(1, Ordering::SeqCst)));
    assert_eq!(passed(3, call), 2);
    assert_eq!(passed(3, || get(&world, "b", "/begin")), 0);
}

#[test]
fn many_at_once_get_as_many_as_there_are() {
    let policy = r#"
version: 1
actions:
  get:
    description: Gets it whenever it is asked.
    method: GET
    url: https://api.good.test/it
    rate_limit: {limit: 24, per: day, burst: 7}
"#;
    let world = Plan::of(policy).start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let (barrier, good) = (Barrier::new(8), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                let count = passed(4, || world.client().get("http://api.good.test/it"));
                good.fetch_add(count, Ordering::SeqCst);
            });
        }
    });
    assert_eq!(good.into_inner(), 7);
    assert_eq!(origin.seen().len(), 7);
}

#[test]
fn an_agent_has_so_many_requests_under_way_and_keeps_no_other_out() {
    let world = Plan::of(POLICY)
        .secret("key", "SECRET-AAAA")
        .secret("a_token", "a-secret")
        .secret("b_token", "b-secret")
        .shares(2)
        .start();
    let (arrived, waited) = (Barrier::new(3), Barrier::new(3));
    let stage = Arc::new((arrived, waited));
    let held = stage.clone();
    let origin = world.origin("api.good.test", move |seen| {
        if seen.line().contains("/begin") {
            held.0.wait();
            held.1.wait();
        }
        json_reply("{}")
    });
    std::thread::scope(|scope| {
        let begin = || get(&world, "a", "/begin").status;
        let waiting = [scope.spawn(begin), scope.spawn(begin)];
        stage.0.wait();
        for answer in [
            get(&world, "a", "/items"),
            world.call("list_items", "a-secret", &json!({})),
        ] {
            assert_eq!((answer.status, answer.refusal()), (503, "overloaded"));
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert_eq!(get(&world, "b", "/items").status, 200);
        stage.1.wait();
        let waiting = waiting.map(|it| it.join().unwrap());
        assert_eq!(waiting, [200, 200]);
    });
    assert_eq!(get(&world, "a", "/items").status, 200);
    assert_eq!(origin.seen().len(), 4);
}

#[test]
fn a_new_policy_keeps_what_was_counted_where_a_limit_is_as_it_was() {
    let world = world();
    let _origin = world.origin("api.good.test", |_| json_reply("{}"));
    let call = || get(&world, "b", "/items/x");
    assert_eq!(passed(5, call), 4);
    world.reload(&POLICY.replace("Returns one item.", "Returns the item."));
    assert_eq!(passed(3, call), 0);
    world.reload(&POLICY.replace("4/day", "3/day"));
    assert_eq!(passed(5, call), 3);
    // The connection has counted all along: nine less seven.
    world.reload(&POLICY.replace("    rate_limit: 4/day\n", ""));
    assert_eq!(passed(5, call), 2);
}

#[test]
fn a_request_that_is_sent_again_with_a_fresh_token_counts_once() {
    let policy = r#"
version: 1
secrets: {s: {env: S}}
auth:
  api:
    type: oauth2_client_credentials
    token_url: https://auth.good.test/token
    client_id: agents
    client_secret: {secret: s}
actions:
  get:
    description: Gets it whenever it is asked.
    method: GET
    url: https://api.good.test/it
    auth: api
    rate_limit: 2/day
"#;
    let world = Plan::of(policy).secret("s", "SECRET-CCCC").start();
    world.resolve("auth.good.test", &["203.0.114.40"]);
    let count = AtomicUsize::new(0);
    let _issuer = world.origin("auth.good.test", move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        json_reply(&format!(
            r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":3600}}"#
        ))
    });
    let origin = world.origin("api.good.test", |seen| {
        match seen.header("authorization")[0] {
            "Bearer t0" => b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec(),
            _ => json_reply("{}"),
        }
    });
    assert_eq!(
        passed(4, || world.client().get("http://api.good.test/it")),
        2
    );
    assert_eq!(origin.seen().len(), 3);
}
