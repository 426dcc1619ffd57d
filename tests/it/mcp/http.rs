//! Streamable HTTP on the tools listener: who is let in, whose session it is, and what ends a call.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{NOT_OFFERED, asked, done, failed, hanging, is_given_up};
use crate::world::{Origin, Plan, Revision, Seen, World, json_reply, read_answer, read_head};

const POLICY: &str = r#"
version: 1
secrets: {bot_token: {env: BOT}, other_token: {env: OTHER}}
actions:
  verify_customer:
    description: Verifies a customer by a code.
    method: POST
    url: https://api.good.test/verify
    parameters: {properties: {customer: {type: string}, code: {type: string}}, required: [customer, code]}
    success: {path: $.verified, equals: true}
    outputs: {person.name: {path: $.name}}
  look_up_orders:
    description: Lists the orders of a verified customer.
    method: GET
    url: https://api.good.test/orders/{{customer}}
    query: {name: "{{.variables.person.name}}"}
    parameters: {properties: {customer: {type: string}}, required: [customer]}
    requires: [{action: verify_customer, within: 15m, bind: {customer: customer}}]
  slow:
    description: Takes its time to answer.
    method: GET
    allow_http: true
    url: http://api.two.test/
agents:
  bot: {token: {secret: bot_token}, allow: ["*"]}
  other: {token: {secret: other_token}, allow: [verify_customer]}
"#;

fn world() -> World {
    let plan = Plan::of(POLICY).secret("bot_token", "bot-secret");
    plan.secret("other_token", "other-secret").start()
}

fn shop(world: &World) -> Origin {
    world.origin("api.good.test", |seen: &Seen| {
        json_reply(match seen.text().contains("1234") {
            true => r#"{"verified":true,"name":"Ada"}"#,
            false => r#"{"verified":false}"#,
        })
    })
}

#[test]
fn what_an_agent_holds_open_at_the_tools_listener_is_of_its_share() {
    let plan = Plan::of(POLICY).secret("bot_token", "bot-secret");
    let world = plan.secret("other_token", "other-secret").shares(1).start();
    let own = world.web(Revision::Handshake("2025-11-25"), "bot-secret");
    let head = own.head(&Value::Null);
    let refusals = |expected: &str| {
        let tools = world.tool("POST", "/v1/sessions", "bot-secret", Some(&json!({})));
        let call = world.call("verify_customer", "bot-secret", &json!({}));
        let mut again = world.knock("GET", &head, "");
        let stream = read_head(&mut again).unwrap();
        assert_eq!((tools.refusal(), call.refusal()), (expected, expected));
        assert_eq!((stream.status, stream.refusal()), (503, expected));
        // Others are not kept out.
        let other = world.tool("POST", "/v1/sessions", "other-secret", Some(&json!({})));
        assert_eq!(other.status, 201);
    };
    let mut events = world.knock("GET", &head, "");
    assert_eq!(read_head(&mut events).unwrap().status, 200);
    refusals("overloaded");
    drop(events);
    for page in ["/v1/sessions", "/v1/actions/verify_customer", "/mcp"] {
        let mut body = std::net::TcpStream::connect(world.tools()).unwrap();
        let lines = head.join("\r\n");
        let begun = format!(
            "POST {page} HTTP/1.1\r\n{lines}\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n"
        );
        // The stream before is over once its share can be taken.
        let interim = loop {
            body.write_all(begun.as_bytes()).unwrap();
            let interim = read_head(&mut body).unwrap();
            if interim.status != 503 {
                break interim;
            }
            body = std::net::TcpStream::connect(world.tools()).unwrap();
        };
        assert_eq!(interim.status, 100, "{page}");
        refusals("overloaded");
    }
}

#[test]
fn every_revision_lists_and_calls() {
    for revision in Revision::ALL {
        let world = world();
        let origin = shop(&world);
        let mut web = world.web(revision, "bot-secret");
        let names: Vec<Value> = web.tools().iter().map(|it| it["name"].clone()).collect();
        assert_eq!(names, ["look_up_orders", "slow", "verify_customer"]);
        let answer = web.call("verify_customer", json!({"customer": "7", "code": "1234"}));
        assert_eq!(
            done(&answer)["body"],
            json!({"verified": true, "name": "Ada"})
        );
        assert_eq!(origin.only().text(), r#"{"customer":"7","code":"1234"}"#);
        let record = world.record();
        assert_eq!(record["door"], "mcp");
        assert_eq!(record["agent"], "bot");
        assert_eq!(record["http_version"], "HTTP/1.1");
    }
}

#[test]
fn who_is_no_agent_or_comes_from_a_browser_is_turned_away() {
    let world = world();
    let host = format!("Host: {}", world.tools());
    let token = "Authorization: Bearer bot-secret";
    let json = "Content-Type: application/json";
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(2 << 20));
    for (number, (headers, body, status, code)) in [
        (&[&*host, json][..], ping, 401, "agent_unknown"),
        (
            &[&host, json, "Authorization: Bearer wrong"],
            ping,
            401,
            "agent_unknown",
        ),
        (
            &[&host, json, token, "Origin: http://localhost"],
            ping,
            403,
            "browser_refused",
        ),
        (
            &["Host: rebound.test", json, token],
            ping,
            403,
            "browser_refused",
        ),
        (&[&host, token], ping, 415, "content_type_refused"),
        (
            &[&host, token, "Content-Type: application/jsonp"],
            ping,
            415,
            "content_type_refused",
        ),
        (&[&host, json, token], &long, 413, "too_large"),
        (
            &[&host, json, token, "Exeat-Session: 1"],
            ping,
            400,
            "request_malformed",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut headers: Vec<String> = headers.iter().map(|it| (*it).to_owned()).collect();
        headers.push("Accept: application/json, text/event-stream".into());
        let mut stream = world.knock("POST", &headers, body);
        let answer = read_answer(&mut stream, "POST").unwrap();
        assert_eq!(
            (answer.status, answer.refusal()),
            (status, code),
            "{headers:?}"
        );
        let challenged = answer.header("www-authenticate").is_some();
        assert_eq!(challenged, status == 401, "{answer:?}");
        let records = world.records(number + 1);
        assert_eq!(records[number]["door"], "mcp");
        assert_eq!(records[number]["code"], code);
    }
    assert!(world.dials().is_empty());
}

#[test]
fn what_is_no_message_has_a_record_as_well() {
    let world = world();
    let own = world.web(Revision::Handshake("2025-11-25"), "bot-secret");
    let head = own.head(&json!({}));
    let strange: Vec<String> = head
        .iter()
        .map(|it| it.replace("bot-secret", "other-secret"))
        .collect();
    let unwanted: Vec<String> = head
        .iter()
        .map(|it| it.replace("text/event-stream", "text/html"))
        .collect();
    let mut listening = Vec::new();
    for (number, (method, head, status, code)) in [
        ("GET", &strange, 404, Some("session_unknown")),
        ("DELETE", &strange, 202, None),
        ("GET", &unwanted, 406, Some("request_malformed")),
        ("PUT", &head, 405, Some("method_refused")),
        ("GET", &head, 200, None),
        ("DELETE", &head, 202, None),
        ("GET", &head, 404, Some("session_unknown")),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = world.knock(method, head, "");
        let answer = read_head(&mut stream).unwrap();
        assert_eq!(answer.status, status, "{method}: {answer:?}");
        let records = world.records(number + 1);
        let record = &records[number];
        assert_eq!(record["door"], "mcp");
        assert_eq!(record["code"].as_str(), code, "{method}: {record}");
        listening.push(stream);
    }
    let post = own.post(&json!({"jsonrpc": "2.0", "id": 9, "method": "ping"}));
    assert_eq!((post.status, post.refusal()), (404, "session_unknown"));
    assert_eq!(world.records(8)[7]["code"], "session_unknown");
    assert!(world.dials().is_empty());
}

#[test]
fn what_is_not_offered_is_not_there() {
    let world = world();
    let mut web = world.web(Revision::Stateless, "bot-secret");
    for (method, params) in NOT_OFFERED {
        let (_, mut stream) = web.send(method, serde_json::from_str(params).unwrap());
        let answer = read_answer(&mut stream, "POST").unwrap();
        assert_eq!(answer.json()["error"]["code"], -32601, "{answer:?}");
    }
}

#[test]
fn a_message_that_can_be_read_in_two_ways_is_refused() {
    let world = world();
    for revision in Revision::ALL {
        let web = world.web(revision, "bot-secret");
        let head = web.head(&json!({"method": "tools/call", "params": {"name": "slow"}}));
        for (body, code) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","name":"x"}}"#,
                -32700,
            ),
            ("{", -32700),
            ("", -32700),
            ("[]", -32600),
            (r#"{"jsonrpc":"2.0"}"#, -32600),
        ] {
            let mut stream = world.knock("POST", &head, body);
            let answer = read_answer(&mut stream, "POST").unwrap();
            assert_eq!(answer.status, 400, "{body}: {answer:?}");
            assert_eq!(answer.json()["error"]["code"], code, "{body}");
        }
    }
    for record in world.records(15) {
        assert_eq!(record["code"], "request_malformed", "{record}");
        assert_eq!(record["agent"], "bot");
    }
    assert!(world.dials().is_empty());
}

#[test]
fn verify_then_look_up_in_one_session_of_exeat() {
    for revision in Revision::ALL {
        let world = world();
        let origin = shop(&world);
        let session = world.open_session(Some("bot"));
        let header = format!("Exeat-Session: {session}");
        let look_up = json!({"customer": "7"});
        let unmet = |answer: &Value| {
            let error = &failed(answer)["error"];
            assert_eq!(error["code"], "precondition_unmet", "{answer}");
        };
        let mut web = world.web(revision, "bot-secret");
        web.headers.push(header.clone());
        unmet(&web.call("look_up_orders", look_up.clone()));
        failed(&web.call("verify_customer", json!({"customer": "7", "code": "9"})));
        unmet(&web.call("look_up_orders", look_up.clone()));
        done(&web.call("verify_customer", json!({"customer": "7", "code": "1234"})));
        done(&web.call("look_up_orders", look_up.clone()));
        assert_eq!(origin.seen()[2].line(), "GET /orders/7?name=Ada HTTP/1.1");
        unmet(&web.call("look_up_orders", json!({"customer": "8"})));
        // Another client of the agent, and the other door, are in the same conversation if they say so.
        let mut again = world.web(revision, "bot-secret");
        unmet(&again.call("look_up_orders", look_up.clone()));
        again.headers.push(header);
        done(&again.call("look_up_orders", look_up.clone()));
        let body = json!({"parameters": look_up, "session": session});
        assert_eq!(
            world.call("look_up_orders", "bot-secret", &body).status,
            200
        );
    }
}

#[test]
fn a_cancelled_call_takes_its_upstream_request_with_it() {
    for version in ["2025-06-18", "2025-11-25"] {
        let world = world();
        let upstream = hanging(&world);
        let mut web = world.web(Revision::Handshake(version), "bot-secret");
        let (id, mut stream) = web.send("tools/call", json!({"name": "slow"}));
        let asked = asked(&upstream);
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        assert_eq!(web.post(&note).status, 202);
        is_given_up(asked);
        assert_eq!(world.record()["end"], "abandoned");
        // The stream ends, and nothing comes on it.
        let answer = read_answer(&mut stream, "POST").unwrap();
        assert!(!answer.text().contains("data: {"), "{answer:?}");
        assert_eq!(web.tools().len(), 3);
    }
}

#[test]
fn progress_comes_before_the_answer() {
    for revision in Revision::ALL {
        let world = world();
        let upstream = hanging(&world);
        let mut web = world.web(revision, "bot-secret");
        let telling = json!({"name": "slow", "_meta": {"progressToken": 7}});
        let answering = std::thread::spawn(move || {
            let mut asked = asked(&upstream);
            asked.write_all(&json_reply("{}")).unwrap();
            asked
        });
        let told = web.exchange("tools/call", telling);
        let (answer, progress) = told.split_last().unwrap();
        done(answer);
        assert!(!progress.is_empty(), "{revision:?}");
        for step in progress {
            assert_eq!(step["method"], "notifications/progress", "{step}");
            assert_eq!(step["params"]["progressToken"], 7, "{step}");
        }
        drop(answering.join().unwrap());
    }
}

#[test]
fn a_client_that_listens_hears_of_a_new_policy() {
    for revision in Revision::ALL {
        let world = world();
        let mut web = world.web(revision, "other-secret");
        assert_eq!(web.tools().len(), 1);
        let mut events = web.listen();
        if revision == Revision::Stateless {
            let confirmed = events.next();
            assert_eq!(
                confirmed["method"],
                "notifications/subscriptions/acknowledged"
            );
        }
        world.reload(&POLICY.replace("allow: [verify_customer]", "allow: [\"*\"]"));
        let told = events.next();
        assert_eq!(
            told["method"], "notifications/tools/list_changed",
            "{revision:?}"
        );
        assert_eq!(web.tools().len(), 3);
        // Whom the policy does not name any more is nobody, in whatever session.
        world.reload(POLICY.split("  other: {").next().unwrap());
        let ping = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
        assert_eq!(web.post(&ping).status, 401);
    }
}

#[test]
fn an_agent_has_so_many_sessions_of_mcp_and_no_more() {
    let world = world();
    let latest = Revision::Handshake("2025-11-25");
    let first = world.web(latest, "bot-secret");
    for _ in 1..1024 {
        world.web(latest, "bot-secret");
    }
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "it", "version": "1"},
    }});
    let mut one_more = world.web(Revision::Stateless, "bot-secret");
    assert_eq!(one_more.tools().len(), 3);
    // Without what that revision adds.
    let head: Vec<String> = one_more.head(&initialize).into_iter().take(4).collect();
    let open = || {
        let mut stream = world.knock("POST", &head, &initialize.to_string());
        read_answer(&mut stream, "POST").unwrap()
    };
    assert_eq!(open().refusal(), "overloaded");
    // Others have their own.
    world.web(latest, "other-secret");
    let mut stream = world.knock("DELETE", &first.head(&json!({})), "");
    read_answer(&mut stream, "DELETE").unwrap();
    assert_eq!(open().status, 200);
}
