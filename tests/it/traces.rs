//! Traces: read at every door, told on to the server in exeat's own words, and in the record.

use serde_json::{Value, json};

use crate::world::{Origin, Plan, Revision, World, json_reply};

const POLICY: &str = r#"
version: 1
secrets: {good_token: {env: A}}
auth: {good: {type: bearer, token: {secret: good_token}}}
actions:
  get_item:
    description: Returns one item.
    method: GET
    url: https://api.good.test/v1/items/{{id}}
    auth: good
    parameters: {properties: {id: {type: string}}, required: [id]}
  stateful:
    description: Takes the state of tracers.
    method: GET
    url: https://api.good.test/v1/stateful
    accept_headers: [tracestate, traceparent]
  own:
    description: Says itself which trace it is.
    method: GET
    url: https://api.good.test/v1/own
    headers: {traceparent: "{{trace}}"}
    parameters: {properties: {trace: {type: string}}, required: [trace]}
"#;

const ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn parent() -> String {
    format!("00-{ID}-{SPAN}-01")
}

fn world() -> (World, Origin) {
    let world = Plan::of(POLICY).start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    (world, origin)
}

/// What the server was told, taken apart: version, trace, span, flags.
fn told(origin: &Origin) -> [String; 4] {
    let seen = origin.seen().pop().unwrap();
    let [value] = seen.header("traceparent")[..] else {
        panic!("{seen:#?}")
    };
    let parts: Vec<String> = value.split('-').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

/// The trace went on under a span of exeat's, and the record says so.
fn assert_carried(origin: &Origin, record: &Value) {
    let [version, trace, span, flags] = told(origin);
    assert_eq!((&*version, &*trace, &*flags), ("00", ID, "01"));
    assert_ne!(span, SPAN);
    assert_eq!(record["trace_id"], ID);
    assert_eq!(record["span_id"], *span);
    assert_eq!(record["parent_id"], SPAN);
}

#[test]
fn a_trace_goes_through_the_proxy_in_clear_and_inside() {
    let header = format!("traceparent: {}", parent());
    for inside in [false, true] {
        let (world, origin) = world();
        let client = world.client();
        let url = "https://api.good.test/v1/items/7";
        let answer = match inside {
            true => client.send_inside("GET", url, &[&header], ""),
            false => client.send("GET", url, &[&header], ""),
        };
        assert_eq!(answer.status, 200);
        let record = world.record();
        assert_carried(&origin, &record);
        assert_eq!(record.get("dropped"), None, "{record}");
    }
}

#[test]
fn a_trace_goes_through_the_tool_door_and_mcp() {
    let (world, origin) = world();
    let body = json!({"parameters": {"id": "7"}}).to_string();
    let request = format!(
        "POST /v1/actions/get_item HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTraceparent: {}\r\nContent-Length: {}\r\n\r\n{body}",
        world.tools(),
        parent(),
        body.len()
    );
    assert_eq!(world.tool_raw(&request).status, 200);
    assert_carried(&origin, &world.records(1)[0]);
    for revision in Revision::ALL {
        let (world, origin) = self::world();
        let mut web = world.web(revision, "x");
        let call = json!({"name": "get_item", "arguments": {"id": "7"}, "_meta": {"traceparent": parent()}});
        web.exchange("tools/call", call);
        assert_carried(&origin, &world.records(1)[0]);
        // The message says more about itself than the request that brought it.
        web.headers
            .push(format!("traceparent: 00-{}-{SPAN}-00", "9".repeat(32)));
        let call = json!({"name": "get_item", "arguments": {"id": "8"}, "_meta": {"traceparent": parent()}});
        web.exchange("tools/call", call);
        assert_carried(&origin, &world.records(2)[1]);
        web.headers.pop();
        web.headers.push(format!("traceparent: {}", parent()));
        web.exchange(
            "tools/call",
            json!({"name": "get_item", "arguments": {"id": "9"}}),
        );
        assert_carried(&origin, &world.records(3)[2]);
        web.exchange(
            "tools/call",
            json!({"name": "get_item", "arguments": {"id": "9"}, "_meta": {"traceparent": 7}}),
        );
        assert_ne!(told(&origin)[1], ID);
    }
}

#[test]
fn refusals_have_their_trace_too() {
    let (world, origin) = world();
    let header = format!("traceparent: {}", parent());
    world
        .client()
        .send("GET", "http://evil.test/", &[&header], "");
    let record = world.record();
    assert_eq!(
        (&record["code"], &record["trace_id"]),
        (&"host_undeclared".into(), &ID.into())
    );
    assert!(origin.seen().is_empty());
}

#[test]
fn without_a_trace_none_is_begun() {
    let (world, origin) = world();
    world.client().get("http://api.good.test/v1/items/7");
    assert_eq!(origin.only().header("traceparent"), Vec::<&str>::new());
    assert_eq!(world.record().get("trace_id"), None);
}

#[test]
fn what_is_no_traceparent_begins_anew_and_nothing_of_it_goes_on() {
    let good = parent();
    let upper = good.to_uppercase();
    for headers in [
        &["traceparent: 00-carried-out"][..],
        &[&format!("traceparent: {upper}")],
        &[&format!("traceparent: {good}-more")],
        &[&format!("traceparent: {good},{good}")],
        &[
            &format!("traceparent: {good}"),
            &format!("Traceparent: {good}"),
        ],
        &["traceparent: "],
    ] {
        let (world, origin) = world();
        let answer = world
            .client()
            .send("GET", "http://api.good.test/v1/items/7", headers, "");
        assert_eq!(answer.status, 200, "{headers:?}");
        let [version, trace, span, flags] = told(&origin);
        assert_eq!((&*version, &*flags), ("00", "02"));
        assert!(trace != ID && trace.len() == 32, "{trace}");
        let record = world.record();
        assert_eq!(
            (&record["trace_id"], &record["span_id"]),
            (&trace.into(), &span.into())
        );
        assert_eq!(record.get("parent_id"), None);
        assert_eq!(record["dropped"], json!(["traceparent"]));
    }
}

#[test]
fn free_text_goes_on_only_where_an_action_takes_it() {
    let parent = format!("traceparent: {}", parent());
    let long = format!("tracestate: a={}", "x".repeat(600));
    for (path, headers, expected) in [
        (
            "items/7",
            &[&*parent, "tracestate: congo=carried-out"][..],
            &[][..],
        ),
        ("items/7", &[&parent, "baggage: user=carried-out"], &[]),
        (
            "stateful",
            &[&parent, "tracestate: congo=t61rcWkgMzE"],
            &["congo=t61rcWkgMzE"],
        ),
        ("stateful", &[&parent, &long], &[]),
        ("stateful", &[&parent, "tracestate: carried out"], &[]),
        ("stateful", &["tracestate: congo=t61rcWkgMzE"], &[]),
    ] {
        let (world, origin) = world();
        let url = format!("http://api.good.test/v1/{path}");
        assert_eq!(world.client().send("GET", &url, headers, "").status, 200);
        let seen = origin.only();
        assert_eq!(seen.header("tracestate"), expected, "{headers:?}");
        assert!(seen.header("baggage").is_empty());
        if headers.contains(&&*parent) {
            assert_carried(&origin, &world.record());
        }
    }
}

#[test]
fn an_action_with_words_of_its_own_has_the_last_one() {
    let (world, origin) = world();
    let header = format!("traceparent: {}", parent());
    let url = "http://api.good.test/v1/own";
    let answer = world.client().send("GET", url, &[&header], "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(origin.only().header("traceparent"), [parent()]);
}

#[test]
fn a_trace_with_a_secret_in_its_numbers_begins_anew() {
    let (world, origin) = world();
    let client = world.client();
    client.get("http://api.good.test/v1/items/7");
    let secret: String = b"SECRET-AAAA"
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect();
    let header = format!("traceparent: 00-{secret:0<32}-{SPAN}-01");
    let answer = client.send("GET", "http://api.good.test/v1/items/7", &[&header], "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = origin.seen();
    let sent = seen[1].header("traceparent")[0];
    let record = world.records(2).remove(1).to_string();
    assert!(
        !sent.contains(&*secret) && !record.contains(&secret),
        "{sent} {record}"
    );
}
