//! Values of parameters at the tool doors, and the same request by every door.

use std::io::Write as _;

use serde_json::{Value, json};

use super::say;
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, Revision, Seen};

/// What would change a path, a query or a head if it were put there as it is.
const TWISTED: [&str; 33] = [
    "../admin",
    "..",
    ".",
    "",
    "a/b",
    "/",
    "//evil.test/",
    "a?x=1",
    "?fields=name",
    "a#",
    "a#b",
    "%2e%2e",
    "%2E%2e%2fadmin",
    "%252e%252e",
    "..;",
    "..;/admin",
    "a;b=c",
    "a\\b",
    "..\\admin",
    "a b",
    "a\r\nX-Own: 1",
    "a\n",
    "\u{7f}",
    "\u{ff0e}\u{ff0e}",
    "\u{2024}\u{2024}\u{ff0f}",
    "a\u{202e}b",
    "@evil.test",
    ":80",
    "a&fields=qty",
    "{{id}}",
    "{{.variables.x}}",
    "A",
    "é",
];

#[test]
fn m6_a_value_that_is_no_good_is_refused_by_its_pattern() {
    let stage = Stage::usual();
    let mut web = stage.world.web(Revision::Stateless, "");
    let mut records = 0;
    for value in TWISTED {
        let arguments = json!({"id": value});
        let answer = stage
            .world
            .call("get_item", "", &json!({"parameters": arguments}));
        let code = answer.refusal();
        assert_eq!(
            (answer.status, code),
            (403, "parameter_invalid"),
            "{value:?}"
        );
        assert_eq!(answer.json()["error"]["pointer"], "/id");
        let told = web.call("get_item", arguments);
        let error = &told["result"]["structuredContent"]["error"];
        assert_eq!(
            (&error["code"], &error["pointer"]),
            (&json!(code), &json!("/id")),
            "{told}"
        );
        records += 2;
        for record in &stage.world.records(records)[records - 2..] {
            assert_eq!(record["code"], code);
        }
    }
    // No text of JSON holds this one, to some readers' minds.
    let body = r#"{"parameters":{"id":"a\u0000b"}}"#;
    let tools = stage.world.tools();
    let head = format!(
        "POST /v1/actions/get_item HTTP/1.1\r\nHost: {tools}\r\nContent-Type: application/json"
    );
    let answer = say(
        tools,
        &format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    assert_eq!(answer.refusal(), "parameter_invalid", "{answer:?}");
    assert_eq!(stage.world.records(records + 1).len(), records + 1);
    stage.world.assert_nothing_left();
}

/// Without a pattern, what can stand in one segment stands there encoded, and all else is refused.
#[test]
fn m6_a_value_without_a_pattern_stays_one_segment() {
    let policy = POLICY.replace(", pattern: \"^[a-z0-9-]{1,64}$\"", "");
    let stage = Stage::of(Plan::of(&policy));
    let mut web = stage.world.web(Revision::Stateless, "");
    for value in TWISTED {
        let seen = stage.seen().len();
        let arguments = json!({"id": value, "fields": "name"});
        let answer = stage
            .world
            .call("get_item", "", &json!({"parameters": arguments}));
        let told = web.call("get_item", arguments);
        let came = stage.seen().split_off(seen);
        if answer.status != 200 {
            assert_eq!(
                (answer.status, came.len()),
                (403, 0),
                "{value:?} {answer:?}"
            );
            assert_eq!(told["result"]["isError"], true);
            continue;
        }
        assert_eq!(came.len(), 2, "{value:?}");
        assert_eq!(came[0], came[1], "{value:?}");
        let line = came[0].line();
        let target = line
            .strip_prefix("GET ")
            .and_then(|it| it.strip_suffix(" HTTP/1.1"));
        let segment =
            target.and_then(|it| it.strip_prefix("/v1/items/")?.strip_suffix("?fields=name"));
        let segment = segment.unwrap_or_else(|| panic!("{value:?}: {line}"));
        assert_eq!(decoded(segment).as_deref(), Some(value), "{line}");
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~%!$'()*+,:@&=;".contains(&it);
        assert!(segment.bytes().all(is_plain), "{line}");
        assert!(![".", "..", ""].contains(&segment), "{line}");
        assert_eq!(came[0].header("x-own"), Vec::<&str>::new());
    }
}

fn decoded(segment: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(segment);
    Some(decoded.decode_utf8().ok()?.into_owned())
}

/// Those of a record that tell of the request, whichever door it came through.
fn shared(record: &Value) -> Value {
    let mut shared = record.as_object().unwrap().clone();
    for of_the_door in ["door", "bytes_in", "bytes_out", "tls", "http_version"] {
        shared.remove(of_the_door);
    }
    for of_the_moment in [
        "time",
        "request_id",
        "duration_ms",
        "upstream_ms",
        "seq",
        "prev_hash",
        "hash",
    ] {
        shared.remove(of_the_moment);
    }
    // A call that is refused was never a request with a query.
    if shared["decision"] == "refused" {
        shared.remove("query");
    }
    // As it was asked, and a program has its own order.
    if let Some(names) = shared.get_mut("parameters").and_then(Value::as_array_mut) {
        names.sort_by_key(Value::to_string);
    }
    shared.into()
}

/// The property test of all kinds of actions and parameters is `doors::every_door_sends_the_same_bytes_…`; this is the
/// row's own world.
#[test]
fn m8_the_same_request_by_every_door_is_one_request() {
    let stage = Stage::usual();
    let mut web = stage.world.web(Revision::Stateless, "");
    let mut agree =
        |action: &str, parameters: Value, host: &str, (method, path, body): (&str, &str, &str)| {
            let (before, records) = (stage.seen().len(), stage.world.records(0).len());
            let mut lines = String::new();
            if !body.is_empty() {
                lines = format!(
                    "Content-Type: application/json\r\nContent-Length: {}\r\n",
                    body.len()
                );
            }
            for door in Door::ALL {
                let mut stream: Box<dyn crate::world::Stream> = match (door, host) {
                    (Door::Tunnel, host) => Box::new(stage.world.client().tunnel(host)),
                    (door, _) => Box::new(stage.open(door)),
                };
                let request =
                    String::from_utf8(door.request(method, host, path, &lines, body)).unwrap();
                // The scheme of the action, so that there is nothing to be carried over.
                let request = request.replacen(" http://", " https://", 1);
                stream.write_all(request.as_bytes()).unwrap();
                stage.answer(&mut stream, method).unwrap();
            }
            stage
                .world
                .call(action, "", &json!({"parameters": parameters}));
            web.call(action, parameters);
            let seen: Vec<Seen> = stage.seen().split_off(before);
            let records = stage.world.records(records + 4).split_off(records);
            assert_eq!(records.len(), 4);
            for record in &records {
                assert_eq!(shared(record), shared(&records[0]), "{action}");
            }
            for it in &seen {
                assert_eq!(it, &seen[0], "{action}");
            }
            (seen.len(), records[0]["decision"].clone())
        };
    let allowed = (4, json!("allowed"));
    let refused = (0, json!("refused"));
    let good = "api.good.test";
    let get = |path| ("GET", path, "");
    assert_eq!(
        agree("get_item", json!({"id": "a-1"}), good, get("/v1/items/a-1")),
        allowed
    );
    let named = json!({"id": "a-1", "fields": "qty"});
    assert_eq!(
        agree("get_item", named, good, get("/v1/items/a-1?fields=qty")),
        allowed
    );
    assert_eq!(
        agree("get_item", json!({"id": "A"}), good, get("/v1/items/A")),
        refused
    );
    let odd = json!({"id": "a", "fields": "all"});
    assert_eq!(
        agree("get_item", odd, good, get("/v1/items/a?fields=all")),
        refused
    );
    let pen = json!({"name": "pen \"é\"\u{7f}", "qty": 7});
    let body = r#" {"qty" : 7, "name":"pen \"\u00e9\"\u007f"}"#;
    assert_eq!(
        agree("create_item", pen, good, ("POST", "/v1/items", body)),
        allowed
    );
    let many = json!({"name": "pen", "qty": 1001});
    let body = r#"{"name":"pen","qty":1001}"#;
    assert_eq!(
        agree("create_item", many, good, ("POST", "/v1/items", body)),
        refused
    );
    assert_eq!(agree("two", json!({}), "api.two.test", get("/me")), allowed);
}
