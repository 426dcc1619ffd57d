//! A panic in what serves a request: made by what a test has scripted, since exeat has no switch for one.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, Revision, read_answer};

/// Told to the agent in words, recorded, and over.
fn is_recorded(record: &Value, door: &str) {
    assert_eq!(record["code"], "internal", "{record}");
    assert_eq!(record["door"], door);
    assert_eq!(record["end"], "failed");
    assert_eq!(record["status"], 500);
}

#[test]
fn l17_a_panic_is_the_end_of_one_request_at_every_door() {
    let stage = Stage::usual();
    let world = &stage.world;
    let mut web = world.web(Revision::Stateless, "");
    let arguments = json!({"id": "1"});
    let mut number = 0;
    for break_it in [true, false] {
        world.break_name(break_it.then_some("api.good.test"));
        for door in Door::ALL {
            let mut stream = stage.open(door);
            // The connection outlives it: nothing of the request is left unread.
            for _ in 0..2 {
                stream.write_all(&door.get("/v1/items/1")).unwrap();
                let answer = stage.answer(&mut stream, "GET").unwrap();
                let expected = if break_it {
                    (500, "internal")
                } else {
                    (200, "none")
                };
                assert_eq!((answer.status, answer.refusal()), expected, "{door:?}");
                number += 1;
                let record = &world.records(number)[number - 1];
                if break_it {
                    is_recorded(record, "proxy");
                    assert_eq!(answer.json()["error"]["request_id"], record["request_id"]);
                }
            }
        }
        let answer = world.call("get_item", "", &json!({"parameters": arguments}));
        let told = web.call("get_item", arguments.clone());
        number += 2;
        let records = world.records(number);
        if break_it {
            assert_eq!((answer.status, answer.refusal()), (500, "internal"));
            assert!(told.to_string().contains("\"internal\""), "{told}");
            is_recorded(&records[number - 2], "http");
            is_recorded(&records[number - 1], "mcp");
        } else {
            assert_eq!(
                (answer.status, told["result"]["isError"].clone()),
                (200, json!(false))
            );
        }
    }
    assert_eq!(world.records(0).len(), number, "one for each");
}

#[test]
fn l17_a_panic_in_one_stream_of_http2_leaves_the_others() {
    let stage = Stage::usual();
    let client = stage.world.client();
    stage.world.break_name(Some("api.good.test"));
    assert_eq!(
        client.http2("api.good.test", "/v1/items/1", &[]).status(),
        500
    );
    is_recorded(&stage.world.records(1)[0], "proxy");
    stage.world.break_name(None);
    assert_eq!(
        client.http2("api.good.test", "/v1/items/1", &[]).status(),
        200
    );
}

#[test]
fn l17_a_panic_before_it_is_known_who_asks_is_told_as_well() {
    let policy = format!(
        "{}agents:\n  bot: {{token: {{secret: bot_token}}, allow: ['*']}}\n",
        POLICY.replace("secrets:\n", "secrets:\n  bot_token: {env: BOT}\n")
    );
    let stage = Stage::of(Plan::of(&policy).secret("bot_token", "bot-secret"));
    let world = &stage.world;
    let login = "Proxy-Authorization: Basic Ym90OmJvdC1zZWNyZXQ=\r\n";
    world.break_secret(Some("bot_token"));
    let get = Door::Proxy.request("GET", "api.good.test", "/v1/items/1", login, "");
    let connect =
        format!("CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n{login}\r\n");
    for (number, bytes) in [&get[..], connect.as_bytes()].into_iter().enumerate() {
        let mut stream = stage.open(Door::Proxy);
        stream.write_all(bytes).unwrap();
        let answer = read_answer(&mut stream, "GET").unwrap();
        assert_eq!((answer.status, answer.refusal()), (500, "internal"));
        is_recorded(&world.records(number + 1)[number], "proxy");
    }
    let answer = world.call(
        "get_item",
        "bot-secret",
        &json!({"parameters": {"id": "1"}}),
    );
    assert_eq!((answer.status, answer.refusal()), (500, "internal"));
    is_recorded(&world.records(3)[2], "http");
    let mut head = vec![format!("Host: {}", world.tools())];
    head.extend(
        [
            "Authorization: Bearer bot-secret",
            "Content-Type: application/json",
        ]
        .map(str::to_owned),
    );
    let mut stream = world.knock("POST", &head, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let answer = read_answer(&mut stream, "POST").unwrap();
    assert_eq!((answer.status, answer.refusal()), (500, "internal"));
    is_recorded(&world.records(4)[3], "mcp");
    world.break_secret(None);
    stage.serves(Door::Proxy, &get);
}
