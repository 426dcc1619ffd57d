//! The HTTP tool door: actions called by name, as the same requests that the proxy sends; who may, and what comes back.

use std::cell::{Cell, RefCell};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::world::{
    Answer, Client, Origin, Plan, Revision, Seen, World, json_reply, read_answer, read_head,
};

const POLICY: &str = r#"
version: 1
secrets: {good_token: {env: A}, two_key: {env: B}}
auth:
  good: {type: bearer, token: {secret: good_token}}
  two: {type: api_key, in: query, name: key, value: {secret: two_key}}
  member: {type: api_key, in: body, name: key, value: {secret: two_key}}
actions:
  get_item:
    title: Looking at an item
    description: Returns one item of the catalogue.
    method: GET
    url: https://api.good.test/v1/items/{{id}}
    auth: good
    headers: {X-Team: "team {{team}}"}
    parameters:
      properties:
        id: {type: string}
        team: {type: string, default: blue}
        n: {type: integer}
        tags: {type: array, items: {type: string}}
      required: [id]
    outcomes: {"200": {name: found, say: "It is there ({{status}})."}}
    outputs: {item.name: {path: $.name, expose: true}, item.pin: {path: $.pin, sensitive: true}}
    response: {shape: {what: $.name}}
  create_item:
    description: Adds an item to the catalogue.
    method: POST
    url: https://api.good.test/v1/items
    auth: member
    parameters:
      properties:
        name: {type: string}
        size: {type: object, properties: {w: {type: number}, h: {type: number}}}
        on: {type: boolean, default: true}
      required: [name]
  note:
    description: Writes a note about an item.
    method: POST
    url: https://api.good.test/v1/notes/{{id}}
    auth: two
    query: {kind: note}
    variables:
      - {name: id, type: integer, required: true}
      - {name: text, type: string, required: true}
    body: '{"note": {"text": "{{text}}", "of": {{id}}}}'
  upload:
    description: Passes bytes on as they are.
    method: PUT
    url: https://api.good.test/v1/files
    accept_body: any
  greet:
    description: Greets whoever is there.
    method: GET
    url: https://api.good.test/v1/greet
    query: {who: "{{contact.name}}"}
  plain:
    description: Answers with whatever there is.
    method: GET
    url: https://api.good.test/v1/plain
context: {contact.name: {type: string}}
"#;

const AGENTS: &str = r#"
agents:
  bot: {token: {secret: bot_token}, runtime_token: {secret: run_token}, allow: ["*"]}
  two: {token: {secret: two_token}, runtime_token: {secret: run_token}, allow: [plain, greet]}
"#;

fn open_world(reply: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> (World, Origin) {
    let world = Plan::of(POLICY).start();
    let origin = world.origin("api.good.test", reply);
    (world, origin)
}

fn world_of_agents() -> (World, Origin) {
    let tokens = "bot_token: {env: C}, two_token: {env: D}, run_token: {env: E}";
    let policy = POLICY.replace(
        "two_key: {env: B}",
        &format!("two_key: {{env: B}}, {tokens}"),
    );
    let world = Plan::of(&format!("{policy}{AGENTS}"))
        .secret("bot_token", "bot-secret")
        .secret("two_token", "two-secret")
        .secret("run_token", "run-secret")
        .start();
    let origin = world.origin("api.good.test", |_| item());
    (world, origin)
}

fn item() -> Vec<u8> {
    json_reply(r#"{"name":"pen","pin":"4711","more":[1]}"#)
}

fn error(answer: &Answer) -> (u16, String, String) {
    let error = &answer.json()["error"];
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.refusal(), error["code"]);
    (answer.status, text("code"), text("pointer"))
}

/// What a tool call has sent, sent once more by a client of the proxy, which has no key.
fn again(client: &Client, seen: &Seen) -> Answer {
    let mut words = seen.line().split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let lines = seen.head.lines().skip(1).filter(|line| {
        let name = line.split(':').next().unwrap().to_lowercase();
        !["", "host", "content-length", "authorization"].contains(&name.as_str())
    });
    let target = target.replace("&key=SECRET-BBBB", "");
    let body = seen.text().replace(r#","key":"SECRET-BBBB""#, "");
    let url = format!("https://api.good.test{target}");
    client.send(method, &url, &lines.collect::<Vec<_>>(), &body)
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9 .;%?&=#+~-]{1,12}", "\\PC{1,8}"]
}

/// An action with parameters for it; not all of them are good.
fn calls() -> impl Strategy<Value = (&'static str, Map<String, Value>)> {
    let get = (
        texts(),
        prop::option::of("[ -~]{1,6}"),
        prop::option::of(any::<i32>()),
    );
    let tags = prop::option::of(prop::collection::vec(texts(), 1..3));
    let get = (get, tags).prop_map(|((id, team, n), tags)| {
        (
            "get_item",
            json!({"id": id, "team": team, "n": n, "tags": tags}),
        )
    });
    let size =
        prop::option::of((any::<i16>(), -1e6..1e6).prop_map(|(w, h)| json!({"h": h, "w": w})));
    let create = (texts(), size, prop::option::of(any::<bool>()));
    let create = create.prop_map(|(name, size, on)| {
        ("create_item", json!({"on": on, "size": size, "name": name}))
    });
    let note = (any::<u32>(), texts());
    let note = note.prop_map(|(id, text)| ("note", json!({"id": id.to_string(), "text": text})));
    prop_oneof![get, create, note].prop_map(|(name, all)| {
        let all = all.as_object().unwrap().clone();
        (
            name,
            all.into_iter().filter(|(_, it)| !it.is_null()).collect(),
        )
    })
}

/// Those of a record that tell of the request, whichever door it came through.
fn shared(record: &Value) -> Value {
    let mut shared = record.as_object().unwrap().clone();
    for name in [
        "time",
        "request_id",
        "seq",
        "prev_hash",
        "hash",
        "door",
        "duration_ms",
        "upstream_ms",
        "upstream_addr",
        "bytes_in",
        "bytes_out",
    ] {
        shared.remove(name);
    }
    // As they were given, and the proxy finds them in its own order.
    if let Some(names) = shared.get_mut("parameters").and_then(Value::as_array_mut) {
        names.sort_by_key(Value::to_string);
    }
    shared.into()
}

/// Without what only HTTP has.
fn over_a_pipe(mut record: Value) -> Value {
    record.as_object_mut().unwrap().remove("http_version");
    record
}

#[test]
fn the_same_call_at_each_door_sends_the_same_bytes() {
    let (world, origin) = open_world(|_| item());
    let client = world.client();
    let pipe = RefCell::new(world.pipe(Revision::ALL[1], None, None));
    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    });
    let carried = Cell::new(0);
    let outcome = runner.run(&calls(), |(name, parameters)| {
        let before = (origin.seen().len(), world.records(0).len());
        let answer = world.call(name, "", &json!({"parameters": parameters}));
        let seen = origin.seen();
        carried.set(carried.get() + usize::from(answer.status == 200));
        if answer.status != 200 {
            // What no request can say is refused before anything leaves.
            prop_assert_eq!(error(&answer).1, "parameter_invalid");
            prop_assert_eq!(seen.len(), before.0);
            world.records(before.1 + 1);
            return Ok(());
        }
        let called = &seen[before.0];
        let answer = again(&client, called);
        prop_assert_eq!(answer.refusal(), "none", "{:?}", answer);
        prop_assert_eq!(&origin.seen()[before.0 + 1], called);
        let records = world.records(before.1 + 2);
        prop_assert_eq!(shared(&records[before.1]), shared(&records[before.1 + 1]));
        prop_assert_eq!(&records[before.1]["door"], "http");
        pipe.borrow_mut().call(name, parameters.clone().into());
        prop_assert_eq!(&origin.seen()[before.0 + 2], called);
        let records = world.records(before.1 + 3);
        prop_assert_eq!(
            over_a_pipe(shared(&records[before.1 + 2])),
            over_a_pipe(shared(&records[before.1]))
        );
        prop_assert_eq!(&records[before.1 + 2]["door"], "mcp");
        Ok(())
    });
    outcome.unwrap();
    let (carried, cases) = (carried.get(), runner.config().cases as usize);
    assert!(
        carried > cases / 4,
        "only {carried} of {cases} calls were good"
    );
}

#[test]
fn a_call_answers_with_what_the_reply_means() {
    let (world, origin) = open_world(|_| item());
    let answer = world.call(
        "get_item",
        "",
        &json!({"parameters": {"id": "7", "n": null}}),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let record = world.record();
    let expected = json!({
        "status": 200, "outcome": "found", "say": "It is there (200).", "body": {"what": "pen"},
        "variables": {"item.name": "pen"}, "request_id": record["request_id"],
    });
    assert_eq!(answer.json(), expected);
    let seen = origin.only();
    assert_eq!(seen.line(), "GET /v1/items/7 HTTP/1.1");
    assert_eq!(seen.header("authorization"), ["Bearer SECRET-AAAA"]);
    assert_eq!(seen.header("x-team"), ["team blue"]);
    for (name, value) in [
        ("door", "http"),
        ("action", "get_item"),
        ("decision", "allowed"),
        ("end", "complete"),
        ("outcome", "found"),
        ("path", "/v1/items/{{id}}"),
        ("host", "api.good.test"),
        ("http_version", "HTTP/1.1"),
    ] {
        assert_eq!(record[name], value, "{name}");
    }
}

#[test]
fn a_body_is_json_or_text_or_nothing() {
    for (reply, body, outcome) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
            json!({"a": 1}),
            "succeeded",
        ),
        (
            "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nnope",
            json!("nope"),
            "failed",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"a\":1,\"a\":2}\r\n",
            json!("{\"a\":1,\"a\":2}\r\n"),
            "succeeded",
        ),
        ("HTTP/1.1 204 OK\r\n\r\n", Value::Null, "succeeded"),
        (
            "HTTP/1.1 302 OK\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            Value::Null,
            "failed",
        ),
    ] {
        let (world, _origin) = open_world(|_| reply.into());
        let answer = world.call("plain", "", &json!({}));
        assert_eq!(answer.status, 200, "{answer:?}");
        let told = answer.json();
        let status: u16 = reply[9..12].parse().unwrap();
        assert_eq!(
            (&told["body"], &told["outcome"]),
            (&body, &json!(outcome)),
            "{reply}"
        );
        assert_eq!(
            (&told["status"], &told["say"]),
            (&json!(status), &Value::Null)
        );
        assert_eq!(world.record()["status"], status);
    }
}

#[test]
fn what_is_refused_leaves_nothing_and_is_recorded_once() {
    let (world, _origin) = open_world(|_| item());
    for (name, body, expected) in [
        ("get_itm", "{}", (404, "action_undeclared", "")),
        ("a%20b", "{}", (404, "action_undeclared", "")),
        ("upload", "{}", (403, "door_closed", "")),
        ("get_item", "{}", (400, "parameter_missing", "/id")),
        (
            "get_item",
            r#"{"parameters": {"id": "7", "x": 1}}"#,
            (403, "parameter_undeclared", "/x"),
        ),
        (
            "get_item",
            r#"{"parameters": {"id": 7}}"#,
            (403, "parameter_invalid", "/id"),
        ),
        (
            "get_item",
            r#"{"parameters": {"id": "a", "id": "b"}}"#,
            (400, "parameter_duplicate", "/parameters"),
        ),
        (
            "get_item",
            r#"{"parameters": {"id": "a"}, "parameters": {}}"#,
            (400, "parameter_duplicate", ""),
        ),
        (
            "get_item",
            r#"{"parameters": {"id": "../admin"}}"#,
            (403, "parameter_invalid", "/id"),
        ),
        (
            "get_item",
            r#"{"parameters": {"id": "a/b"}}"#,
            (403, "parameter_invalid", "/id"),
        ),
        (
            "get_item",
            r#"{"parameters": {"id": ".."}}"#,
            (403, "parameter_invalid", "/id"),
        ),
        (
            "get_item",
            r#"{"parameters": {"id": "..;"}}"#,
            (403, "parameter_invalid", "/id"),
        ),
        (
            "get_item",
            r#"{"parameters": {"id": "a\u0000"}}"#,
            (403, "parameter_invalid", "/parameters/id"),
        ),
        (
            "get_item",
            r#"{"parameters": [1]}"#,
            (403, "parameter_invalid", "/parameters"),
        ),
        (
            "get_item",
            r#"{"arguments": {}}"#,
            (403, "parameter_undeclared", "/arguments"),
        ),
        (
            "get_item",
            r#"{"session": "mine"}"#,
            (403, "parameter_invalid", "/session"),
        ),
        (
            "get_item",
            r#"{"context": {"contact.nam": "A"}, "parameters": {"id": "7"}}"#,
            (403, "parameter_undeclared", "/contact.nam"),
        ),
        ("get_item", "[]", (400, "body_unexpected", "")),
        ("get_item", "{", (400, "body_unexpected", "")),
        (
            "note",
            r#"{"parameters": {"id": "1e1", "text": "a"}}"#,
            (403, "parameter_invalid", "/id"),
        ),
        ("greet", "{}", (403, "variable_missing", "")),
    ] {
        let before = world.records(0).len();
        let path = format!("/v1/actions/{name}");
        let answer = raw(
            &world,
            "POST",
            &path,
            &["Content-Type: application/json"],
            body,
        );
        let (status, code, pointer) = error(&answer);
        assert_eq!(
            (status, code.as_str(), pointer.as_str()),
            expected,
            "{name} {body}"
        );
        let records = world.records(before + 1);
        assert_eq!(records.len(), before + 1);
        let record = &records[before];
        assert_eq!(
            (&record["code"], &record["door"]),
            (&json!(code), &json!("http"))
        );
        assert_eq!(record["request_id"], answer.json()["error"]["request_id"]);
        assert_eq!(record["status"], status);
    }
    world.assert_nothing_left();
}

const LISTS: &str = r#"
version: 1
actions:
  search:
    description: Searches by lists of labels.
    method: GET
    url: https://api.good.test/v1/search
    query: {of: "{{of}}"}
    parameters:
      properties:
        of: {type: array, items: {type: string}}
        any: {type: array, items: {type: string}, default: [new]}
        none: {type: array, items: {type: string}, default: []}
        more: {type: array, items: {type: string}}
      required: [of]
"#;

#[test]
fn an_empty_list_is_sent_only_where_its_absence_means_the_same() {
    let query = LISTS.to_owned();
    let form = query.replace("method: GET", "method: POST").replace(
        "query: {of: \"{{of}}\"}",
        "content_types: [application/x-www-form-urlencoded]",
    );
    let json = form.replace("application/x-www-form-urlencoded", "application/json");
    for (policy, given, refused) in [
        (&query, json!({"of": ["a"], "none": [], "more": []}), None),
        (&query, json!({"of": []}), Some("/of")),
        (&query, json!({"of": ["a"], "any": []}), Some("/any")),
        (&form, json!({"of": ["a"], "none": [], "more": []}), None),
        (&form, json!({"of": []}), Some("/of")),
        (&form, json!({"of": ["a"], "any": []}), Some("/any")),
        (
            &json,
            json!({"of": [], "any": [], "none": [], "more": []}),
            None,
        ),
    ] {
        let world = Plan::of(policy).start();
        let _origin = world.origin("api.good.test", |_| item());
        let answer = world.call("search", "", &json!({"parameters": given}));
        match refused {
            None => assert_eq!(answer.status, 200, "{given}: {answer:?}"),
            Some(pointer) => {
                let expected = (403, "parameter_invalid".to_owned(), pointer.to_owned());
                assert_eq!(error(&answer), expected, "{given}");
            }
        }
    }
}

/// Exact headers and body.
fn raw(world: &World, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(world.tools()).unwrap();
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).unwrap();
    let mut headers: String = headers.iter().map(|it| format!("{it}\r\n")).collect();
    if !headers.to_lowercase().contains("host:") {
        headers += &format!("Host: {}\r\n", world.tools());
    }
    if !body.is_empty() {
        headers += &format!("Content-Length: {}\r\n", body.len());
    }
    write!(stream, "{method} {path} HTTP/1.1\r\n{headers}\r\n{body}").unwrap();
    read_answer(&mut stream, method).unwrap()
}

#[test]
fn who_is_no_program_or_sends_no_json_is_turned_away() {
    let (world, _origin) = open_world(|_| item());
    let own = world.tools();
    let (json, call) = ("Content-Type: application/json", "/v1/actions/plain");
    let rebound = format!("Host: rebound.evil.test:{}", own.port());
    for (request, headers, body, expected) in [
        (
            "GET /v1/actions",
            &[&*rebound][..],
            "",
            (403, "browser_refused"),
        ),
        (
            "GET /v1/actions",
            &["Origin: http://evil.test"],
            "",
            (403, "browser_refused"),
        ),
        (
            "GET /v1/openapi.json",
            &["Origin: null"],
            "",
            (403, "browser_refused"),
        ),
        (
            "POST /v1/actions/plain",
            &["Content-Type: text/plain"],
            "{}",
            (415, "content_type_refused"),
        ),
        (
            "POST /v1/actions/plain",
            &[],
            "{}",
            (415, "content_type_refused"),
        ),
        (
            "POST /v1/actions/plain",
            &[json, json],
            "{}",
            (400, "request_malformed"),
        ),
        (
            "POST /v1/actions/plain",
            &[json, "Content-Encoding: gzip"],
            "{}",
            (415, "content_type_refused"),
        ),
        (
            "POST /v1/actions/plain",
            &[json],
            "",
            (400, "body_unexpected"),
        ),
        ("DELETE /v1/actions/plain", &[], "", (405, "method_refused")),
        ("GET /v1/nothing", &[], "", (404, "page_unknown")),
        (
            "GET http://evil.test/v1/actions",
            &[],
            "",
            (400, "request_malformed"),
        ),
        ("OPTIONS *", &[], "", (400, "request_malformed")),
        ("GET /v1/actions", &[], "{}", (400, "body_unexpected")),
        (
            "GET /v1/actions?x=1",
            &[],
            "",
            (403, "parameter_undeclared"),
        ),
        ("GET /v1/sessions/0", &[], "", (404, "session_unknown")),
    ] {
        let (method, path) = request.split_once(' ').unwrap();
        let (status, code, _) = error(&raw(&world, method, path, headers, body));
        assert_eq!((status, code.as_str()), expected, "{request} {headers:?}");
    }
    let answer = raw(&world, "DELETE", call, &[], "");
    assert_eq!(answer.header("allow"), Some("GET, POST"));
    let long = format!(
        "{{\"parameters\": {{\"a\": \"{}\"}}}}",
        "x".repeat(1_200_000)
    );
    let (status, code, _) = error(&raw(&world, "POST", call, &[json], &long[..]));
    assert_eq!((status, code.as_str()), (413, "too_large"));
    world.assert_nothing_left();
    assert_eq!(world.records(17).len(), 17, "one record for each");
}

#[test]
fn an_agent_sees_its_actions_and_nothing_of_where_they_lead() {
    let (world, _origin) = world_of_agents();
    let names = |token: &str| -> Vec<String> {
        let answer = world.tool("GET", "/v1/actions", token, None);
        let shown = answer.text().to_owned();
        for inner in [
            "https",
            "good.test",
            "good_token",
            "bearer",
            "SECRET",
            "/v1/items",
        ] {
            assert!(!shown.contains(inner), "{inner}: {shown}");
        }
        let actions = answer.json()["actions"].as_array().unwrap().clone();
        actions
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names("bot-secret"),
        ["create_item", "get_item", "greet", "note", "plain"]
    );
    assert_eq!(names("two-secret"), ["greet", "plain"]);
    let shown = world
        .tool("GET", "/v1/actions/get_item", "bot-secret", None)
        .json();
    assert_eq!(shown["title"], "Looking at an item");
    assert_eq!(shown["parameters"]["required"], json!(["id"]));
    let refused = world.tool("GET", "/v1/actions/get_item", "two-secret", None);
    assert_eq!(error(&refused).1, "action_not_allowed");
    let refused = world.call("plane", "two-secret", &json!({}));
    assert_eq!(refused.json()["error"]["nearest"][0], "plain");
}

#[test]
fn every_page_but_the_description_asks_who_it_is() {
    let (world, _origin) = world_of_agents();
    for token in ["", "wrong", "SECRET-AAAA"] {
        for (method, path) in [
            ("GET", "/v1/actions"),
            ("GET", "/v1/actions/plain"),
            ("POST", "/v1/actions/plain"),
            ("POST", "/v1/sessions"),
            ("GET", "/v1/sessions/00112233445566778899aabbccddeeff"),
            ("DELETE", "/v1/sessions/00112233445566778899aabbccddeeff"),
        ] {
            let answer = world.tool(method, path, token, None);
            assert_eq!(error(&answer).0, 401, "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(world.tool("GET", "/v1/openapi.json", "", None).status, 200);
    assert_eq!(world.call("plain", "bot-secret", &json!({})).status, 200);
    let records = world.records(20);
    assert!(
        records[..18]
            .iter()
            .all(|it| it["code"] == "agent_unknown" && it["agent"].is_null())
    );
    assert_eq!(records[19]["agent"], "bot");
    for secret in ["bot-secret", "run-secret", "SECRET-AAAA"] {
        assert!(!world.everything_written().contains(secret));
    }
}

#[test]
fn only_the_runtime_says_what_a_conversation_is_about() {
    let (world, origin) = world_of_agents();
    let context = json!({"context": {"contact.name": "Ada"}});
    let sessions = |headers: &[&str], body: &Value| {
        let json = &["Content-Type: application/json"][..];
        raw(
            &world,
            "POST",
            "/v1/sessions",
            &[json, headers].concat(),
            &body.to_string(),
        )
    };
    let (bot, run) = (
        "Authorization: Bearer bot-secret",
        "Authorization: Bearer run-secret",
    );
    assert_eq!(error(&sessions(&[bot], &context)).1, "runtime_required");
    assert_eq!(
        error(&world.call("greet", "bot-secret", &context)).1,
        "runtime_required"
    );
    assert_eq!(
        error(&sessions(&[run], &context)).1,
        "agent_unknown",
        "of two agents"
    );
    assert_eq!(
        error(&sessions(&[run, "Exeat-Agent: nobody"], &context)).1,
        "agent_unknown"
    );
    let bot = "Exeat-Agent: bot";
    assert_eq!(
        error(&sessions(&[run, bot, bot], &context)).1,
        "request_malformed"
    );
    let opened = sessions(&[run, bot], &context);
    assert_eq!(opened.status, 201, "{opened:?}");
    let session = opened.json()["session"].clone();
    let wrong = json!({"context": {"contact.name": 7}});
    assert_eq!(
        error(&sessions(&[run, "Exeat-Agent: bot"], &wrong)).1,
        "parameter_invalid"
    );
    let called = world.call("greet", "bot-secret", &json!({"session": session}));
    assert_eq!(called.status, 200, "{called:?}");
    assert_eq!(origin.only().line(), "GET /v1/greet?who=Ada HTTP/1.1");
    // Another agent has no part in it.
    let other = world.call("greet", "two-secret", &json!({"session": session}));
    assert_eq!(error(&other).1, "variable_missing");
    // For one call alone, over what the session says.
    let headers = ["Content-Type: application/json", run, "Exeat-Agent: bot"];
    let once = json!({"session": session, "context": {"contact.name": "Bob"}}).to_string();
    raw(&world, "POST", "/v1/actions/greet", &headers, &once);
    world.call("greet", "bot-secret", &json!({"session": session}));
    let asked: Vec<_> = origin
        .seen()
        .iter()
        .map(|it| it.line().to_owned())
        .collect();
    assert!(
        asked[1].contains("who=Bob") && asked[2].contains("who=Ada"),
        "{asked:?}"
    );
}

#[test]
fn a_session_is_one_at_every_door_and_ends_for_all() {
    let (world, origin) = world_of_agents();
    let opened = world.tool("POST", "/v1/sessions", "bot-secret", None);
    let id = opened.json()["session"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{id}");
    let login = STANDARD.encode(format!("bot~{id}:bot-secret"));
    let login = format!("Proxy-Authorization: Basic {login}");
    world
        .client()
        .send("GET", "http://api.good.test/v1/items/7", &[&login], "");
    let shown = world.tool("GET", &path, "bot-secret", None);
    let expected = json!({"session": id, "variables": {"item.name": "pen"}});
    assert_eq!(
        shown.json(),
        expected,
        "what the proxy's reply has brought, but for the PIN"
    );
    assert_eq!(
        error(&world.tool("GET", &path, "two-secret", None)).1,
        "session_unknown"
    );
    assert_eq!(
        error(&world.tool("DELETE", &path, "two-secret", None)).1,
        "session_unknown"
    );
    let ended = world.tool("DELETE", &path, "bot-secret", None);
    assert_eq!((ended.status, ended.body.len()), (204, 0));
    assert_eq!(
        error(&world.tool("GET", &path, "bot-secret", None)).1,
        "session_unknown"
    );
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_call_in_a_session_shows_all_that_the_session_has_exposed() {
    let (world, _origin) = world_of_agents();
    let opened = world.tool("POST", "/v1/sessions", "bot-secret", None);
    let id = opened.json()["session"].clone();
    let variables = |action: &str, body: &Value| {
        let answer = world.call(action, "bot-secret", body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["variables"].clone()
    };
    let pen = json!({"item.name": "pen"});
    let item = json!({"parameters": {"id": "7"}});
    assert_eq!(
        variables("get_item", &item),
        pen,
        "without a session, what it has brought"
    );
    assert_eq!(variables("plain", &json!({"session": id})), json!({}));
    let mut item_in_session = item.clone();
    item_in_session["session"] = id.clone();
    assert_eq!(variables("get_item", &item_in_session), pen);
    assert_eq!(variables("plain", &json!({"session": id})), pen);
    assert_eq!(variables("plain", &json!({})), json!({}));
    for revision in Revision::ALL {
        let mut web = world.web(revision, "bot-secret");
        let session = id.as_str().unwrap();
        web.headers.push(format!("Exeat-Session: {session}"));
        let answer = web.call("plain", json!({}));
        let shown = &answer["result"]["structuredContent"]["variables"];
        assert_eq!(*shown, pen, "{answer}");
    }
}

#[test]
fn a_caller_who_leaves_takes_the_call_along() {
    let (asked, waiting) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (world, _origin) = open_world(move |_| {
        asked.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        item()
    });
    let mut stream = TcpStream::connect(world.tools()).unwrap();
    let host = world.tools();
    write!(
        stream,
        "POST /v1/actions/plain HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
    )
    .unwrap();
    waiting.recv().unwrap();
    drop(stream);
    let record = world.record();
    assert_eq!(
        (&record["end"], &record["door"]),
        (&json!("abandoned"), &json!("http"))
    );
    drop(release);
}

#[test]
fn one_connection_carries_many_calls() {
    let (world, _origin) = open_world(|_| item());
    let mut stream = TcpStream::connect(world.tools()).unwrap();
    let host = world.tools();
    for _ in 0..3 {
        write!(
            stream,
            "POST /v1/actions/plain HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        )
        .unwrap();
        assert_eq!(read_answer(&mut stream, "POST").unwrap().status, 200);
    }
    write!(
        stream,
        "GET /v1/actions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
}

#[test]
fn a_caller_that_waits_is_told_to_go_on_once_its_call_is_known() {
    let (world, _origin) = open_world(|_| item());
    let host = world.tools();
    let ask = |action: &str| {
        let mut stream = TcpStream::connect(host).unwrap();
        write!(
            stream,
            "POST /v1/actions/{action} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        .unwrap();
        stream
    };
    let mut stream = ask("plain");
    assert_eq!(read_head(&mut stream).unwrap().status, 100);
    stream.write_all(b"{}").unwrap();
    assert_eq!(read_answer(&mut stream, "POST").unwrap().status, 200);
    let answer = read_answer(&mut ask("nothing"), "POST").unwrap();
    assert_eq!(
        (answer.status, answer.refusal()),
        (404, "action_undeclared")
    );
}

/// A validator of what a page returns, as the description says.
fn returned(described: &Value, page: (&str, &str), status: u16) -> jsonschema::Validator {
    let responses = &described["paths"][page.0][page.1]["responses"];
    let found = responses
        .get(status.to_string())
        .unwrap_or(&responses["default"]);
    let found = match found["$ref"].as_str() {
        Some(place) => described.pointer(&place[1..]).unwrap(),
        None => found,
    };
    let schema = &found["content"]["application/json"]["schema"];
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": described["components"], "allOf": [schema],
    });
    jsonschema::validator_for(&whole).unwrap()
}

#[test]
fn the_description_is_true() {
    let (world, _origin) = world_of_agents();
    let described = world.tool("GET", "/v1/openapi.json", "", None).json();
    assert_eq!(described["info"]["version"], env!("CARGO_PKG_VERSION"));
    let opened = world.tool("POST", "/v1/sessions", "bot-secret", Some(&json!({})));
    let id = opened.json()["session"].as_str().unwrap().to_owned();
    let session = format!("/v1/sessions/{id}");
    let good = json!({"parameters": {"id": "7"}, "session": id});
    let (actions, action) = ("/v1/actions", "/v1/actions/{name}");
    let (sessions, one) = ("/v1/sessions", "/v1/sessions/{session}");
    let tools = "/v1/tools";
    for (page, method, path, token, body, status) in [
        (actions, "GET", "/v1/actions", "bot-secret", None, 200),
        (actions, "GET", "/v1/actions", "", None, 401),
        (
            action,
            "GET",
            "/v1/actions/get_item",
            "bot-secret",
            None,
            200,
        ),
        (action, "GET", "/v1/actions/none", "bot-secret", None, 404),
        (
            action,
            "POST",
            "/v1/actions/get_item",
            "bot-secret",
            Some(&good),
            200,
        ),
        (
            action,
            "POST",
            "/v1/actions/get_item",
            "bot-secret",
            Some(&json!({})),
            400,
        ),
        (
            tools,
            "GET",
            "/v1/tools?format=openai",
            "bot-secret",
            None,
            200,
        ),
        (
            tools,
            "GET",
            "/v1/tools?format=gemini",
            "bot-secret",
            None,
            200,
        ),
        (tools, "GET", "/v1/tools", "bot-secret", None, 400),
        (sessions, "POST", "/v1/sessions", "bot-secret", None, 201),
        (one, "GET", &session, "bot-secret", None, 200),
        (one, "DELETE", &session, "bot-secret", None, 204),
        (one, "DELETE", &session, "bot-secret", None, 404),
        ("/v1/openapi.json", "GET", "/v1/openapi.json", "", None, 200),
    ] {
        let answer = world.tool(method, path, token, body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        if status != 204 {
            let validator = returned(&described, (page, &method.to_lowercase()), status);
            let told = answer.json();
            let wrong: Vec<String> = validator
                .iter_errors(&told)
                .map(|it| it.to_string())
                .collect();
            assert!(wrong.is_empty(), "{method} {path}: {wrong:?}");
        }
    }
    let documented = include_str!("../../docs/tools.md");
    let pages = described["paths"].as_object().unwrap();
    for (page, item) in pages {
        for method in ["get", "post", "put", "patch", "delete", "head"] {
            let path = page.replace("{name}", "plain").replace("{session}", &id);
            let answer = world.tool(&method.to_uppercase(), &path, "bot-secret", None);
            let is_refused = answer.status == 405;
            assert_eq!(item.get(method).is_none(), is_refused, "{method} {page}");
            let row = format!("| `{} {page}` |", method.to_uppercase());
            assert_eq!(documented.contains(&row), !is_refused, "{row}");
        }
    }
}
