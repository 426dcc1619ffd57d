//! What replies mean at the proxy door: their names, what of them reaches the agent, and what never does.

use std::io::{Read as _, Write as _};

use exeat::policy;
use exeat::problem::Problem;
use serde_json::{Value, json};

use crate::world::{Answer, Plan, Reply, Then, World};

const HEADER: &str = "version: 1\nactions:\n  look:\n    description: Looks something up.\n";

/// A policy of one action, which says this of its replies.
fn policy(reading: &str) -> String {
    format!("{HEADER}    method: GET\n    url: https://api.good.test/look\n    {reading}\n")
}

/// The answer to a call of an action that says this of its replies.
fn answer(reading: &str, reply: impl Into<String>) -> Answer {
    let world = Plan::of(&policy(reading)).start();
    let reply = reply.into();
    let _origin = world.origin("api.good.test", move |_| reply.clone().into_bytes());
    world.client().get("https://api.good.test/look")
}

fn reply(status: u16, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nETag: \"1\"\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

const BY_STATUS: &str =
    "outcomes: {\"200\": found, 2xx: fine, 404: {name: gone, say: SAID}, others: odd}";
const BY_PATH: &str = "success: {path: $.error, exists: false}\n    outcomes: \
    [{path: $.error.code, equals: 7, name: quota, say: SAID}, {status: 200, name: ok}, {status: 2xx, name: other}]";

#[test]
fn a_reply_is_named_by_its_status_and_by_what_stands_in_it() {
    for (reading, status, body, expected) in [
        ("", 200, "{}", "succeeded"),
        ("", 302, "{}", "failed"),
        ("", 500, "{}", "failed"),
        ("success: {status: [201]}", 200, "{}", "failed"),
        ("success: {status: 404}", 404, "{}", "succeeded"),
        (BY_STATUS, 200, "{}", "found"),
        (BY_STATUS, 201, "{}", "fine"),
        (BY_STATUS, 404, "{}", "gone"),
        (BY_STATUS, 500, "{}", "odd"),
        (BY_PATH, 200, r#"{"error":{"code":7}}"#, "quota"),
        (BY_PATH, 200, r#"{"error":{"code":7.0}}"#, "quota"),
        (BY_PATH, 500, r#"{"error":{"code":7}}"#, "quota"),
        // A call that has failed has no name that was meant for a success.
        (BY_PATH, 200, r#"{"error":{"code":8}}"#, "failed"),
        (BY_PATH, 200, r#"{"a":1}"#, "ok"),
        (BY_PATH, 201, r#"{"a":1}"#, "other"),
        (BY_PATH, 200, "not JSON", "failed"),
    ] {
        let got = answer(reading, reply(status, body));
        assert_eq!(
            got.header("exeat-outcome"),
            Some(expected),
            "{reading} {body}"
        );
        // The reply itself goes on as it came, and what an outcome says is for tools.
        assert_eq!((got.status, got.text()), (status, body), "{reading}");
        assert_eq!(got.header("etag"), Some("\"1\""), "{reading}");
        assert!(!got.head.contains("SAID"), "{}", got.head);
    }
}

#[test]
fn a_server_cannot_name_its_own_reply() {
    let got = answer(
        "",
        "HTTP/1.1 500 X\r\nExeat-Outcome: succeeded\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(got.header("exeat-outcome"), Some("failed"));
}

const FIELDS: &str = "response: {fields: [$.status, '$.items[1].id', $.nowhere]}";
const SENSITIVE: &str =
    "outputs: {customer.token: {path: $.token, sensitive: true}, name: {path: $.name}}";

#[test]
fn only_declared_fields_of_a_success_reach_the_agent() {
    let whole = r#"{"status":"sent","cost":9,"items":[{"id":1},{"id":2,"cost":8},{"id":3}]}"#;
    let got = answer(FIELDS, reply(200, whole));
    assert_eq!(
        got.json(),
        json!({"status": "sent", "items": [null, {"id": 2}]})
    );
    assert_eq!(got.header("etag"), None);
    assert_eq!(
        got.header("content-length"),
        Some(got.text().len().to_string().as_str())
    );
    let failed = answer(FIELDS, reply(400, whole));
    assert_eq!(failed.text(), whole);
}

#[test]
fn a_sensitive_place_is_replaced_at_every_status() {
    for status in [200, 201, 302, 400, 401, 500] {
        let got = answer(
            SENSITIVE,
            reply(status, r#"{"token":"S3CRET","name":"Ada"}"#),
        );
        assert_eq!(
            got.json(),
            json!({"token": "<customer.token>", "name": "Ada"}),
            "{status}"
        );
        assert_eq!((got.status, got.header("etag")), (status, None));
    }
    // Where it is not, there is nothing to replace.
    let untouched = answer(SENSITIVE, reply(200, r#"{ "name": "Ada" }"#));
    assert_eq!(untouched.text(), r#"{ "name": "Ada" }"#);
}

#[test]
fn a_reply_in_which_nothing_can_be_found_is_withheld() {
    let with = |line: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 X\r\n{line}Content-Length: {length}\r\n\r\n{body}")
    };
    for (what, reply) in [
        ("not JSON", reply(200, "token=S3CRET")),
        ("a key twice", reply(200, r#"{"token":1,"token":"S3CRET"}"#)),
        (
            "a key in another case",
            reply(200, r#"{"token":1,"Token":"S3CRET"}"#),
        ),
        ("two values", reply(200, r#"{} {"token":"S3CRET"}"#)),
        ("a part", reply(206, "\"S3CRET\"")),
        (
            "a part by its header",
            with("Content-Range: bytes 0-1/9\r\n", "\"S3CRET\""),
        ),
    ] {
        let got = answer(SENSITIVE, reply);
        assert_eq!(got.text(), "", "{what}");
        assert!(got.header("exeat-outcome").is_some(), "{what}");
        assert_eq!(got.header("content-type"), None, "{what}");
    }
    assert_eq!(answer(FIELDS, reply(200, "sent; cost 9")).text(), "");
    // Without a word about what may not go on, it goes on.
    assert_eq!(
        answer(BY_PATH, reply(200, "sent; cost 9")).text(),
        "sent; cost 9"
    );
}

#[test]
fn a_reply_that_is_not_whole_reaches_nobody() {
    let capped = format!("{SENSITIVE}\n    max_response_bytes: 20");
    let chunked = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n\
                   10\r\n{\"name\":\"Ada\",  \r\n10\r\n\"token\":\"S3CRET\"\r\n1\r\n}\r\n0\r\n\r\n";
    let long = r#"{"token":"S3CRET","name":"Ada"}"#;
    for (reading, reply, code) in [
        (capped.as_str(), chunked.to_owned(), "upstream_too_large"),
        (&capped, reply(200, long), "upstream_too_large"),
        (
            SENSITIVE,
            chunked.split("1\r\n}").next().unwrap().to_owned(),
            "upstream_malformed",
        ),
    ] {
        let world = Plan::of(&policy(reading)).start();
        let _origin = world.origin("api.good.test", move |_| Reply::and(&reply, Then::Close));
        let got = world.client().get("https://api.good.test/look");
        assert_eq!((got.status, got.refusal()), (502, code), "{reading}");
        assert!(!got.text().contains("S3CRET") && !got.text().contains("Ada"));
        assert_eq!(world.record()["code"], code);
    }
}

#[test]
fn replies_in_hand_have_only_so_much_room() {
    let world = Plan::of(&policy(SENSITIVE)).room(10).start();
    let _origin = world.origin("api.good.test", |_| {
        reply(200, r#"{"name":"Ada Lovelace"}"#).into_bytes()
    });
    let got = world.client().get("https://api.good.test/look");
    assert_eq!(got.refusal(), "upstream_too_large");
    // The request was carried out: nobody is invited to send it again.
    assert_eq!(got.json()["error"]["retryable"], Value::Bool(false));
}

#[test]
fn a_changed_reply_has_its_new_length_in_the_record() {
    let world: World = Plan::of(&policy(SENSITIVE)).start();
    let _origin = world.origin("api.good.test", |_| {
        reply(200, r#"{"token": "S"}"#).into_bytes()
    });
    let got = world.client().get("https://api.good.test/look");
    assert_eq!(world.record()["bytes_out"], got.text().len());
    assert!(!world.everything_written().contains("S3CRET"));
}

/// More than the buffers between exeat and its client take.
#[test]
fn a_client_that_leaves_in_the_midst_of_a_reply_in_hand_has_not_got_it_all() {
    let reading = "max_response_bytes: 32MiB\n    outputs: {id: {path: $.id}}";
    let body = format!("{{\"id\":\"1\",\"rest\":\"{}\"}}", "x".repeat(24 << 20));
    let length = body.len() as u64;
    let world = Plan::of(&policy(reading)).start();
    let body = reply(200, &body).into_bytes();
    let _origin = world.origin("api.good.test", move |_| body.clone());
    let mut stream = world.client().connect();
    stream
        .write_all(b"GET https://api.good.test/look HTTP/1.1\r\nHost: api.good.test\r\n\r\n")
        .unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    let record = world.record();
    assert_eq!(record["end"], "aborted", "{record}");
    assert!(record["bytes_out"].as_u64().unwrap() < length, "{record}");
}

#[test]
fn mistakes_are_told_at_their_place() {
    for (fields, expected) in [
        ("success: {}", "7:14 `success` says nothing"),
        ("success: {status: []}", "7:23 `status` names none"),
        ("success: {status: 2x}", "7:23 `2x` cannot stand here"),
        (
            "success: {path: $.a}",
            "7:21 nothing is asked of this place",
        ),
        ("success: {equals: 1}", "7:23 no place is named for this"),
        (
            "success: {path: $.a, equals: 1, exists: true}",
            "7:45 a place is asked for `equals` or",
        ),
        (
            "success: {path: $..a, exists: true}",
            "7:21 this JSONPath may select several",
        ),
        ("outcomes: x", "7:15 expected a mapping or a list"),
        ("outcomes: {600: a}", "7:16 `600` cannot stand here"),
        ("outcomes: {200: none}", "7:21 the name `none` is reserved"),
        ("outcomes: {200: a b}", "7:21 "),
        (
            "outcomes: {200: {say: x}}",
            "7:16 an outcome by status needs `name`",
        ),
        (
            "outcomes: {200: {name: a, say: '{{x}}'}}",
            "7:36 `{{status}}` is the only",
        ),
        (
            "outcomes: [{status: 200}]",
            "7:16 an outcome of a list needs `name`",
        ),
        (
            "outcomes: [{name: a, say: 'sk_live_4eC39HqLyjWDarjtT1zdp7dc'}]",
            "7:31 ",
        ),
        (
            "outputs: {Key: {path: $.a}}",
            "7:15 the name of an output has only small",
        ),
        ("outputs: {a: {}}", "7:15 an output needs `path`"),
        (
            "outputs: {a: {path: $.a}, a.b: {path: $.b}}",
            "7:31 this name begins with",
        ),
        (
            "outputs: {a: {path: $.a, sensitive: true, expose: true}}",
            "7:15 a sensitive output is",
        ),
        (
            "outputs: {a: {path: $.a}, b: {path: $.a.b, sensitive: true}}",
            "7:15 this output may hold",
        ),
        ("response: {}", "7:15 `response` says nothing"),
        (
            "response: {fields: [$.a], shape: {x: $.b}}",
            "7:42 `fields` does not let this",
        ),
        (
            "stream: true\n    outputs: {a: {path: $.a}}",
            "7:13 a stream passes before its end",
        ),
    ] {
        let text = policy(fields);
        let loaded = policy::from_texts(&[("p.yaml".into(), text.into())]);
        let headline = |it: &Problem| it.headline().replace(": error: ", " ");
        let told: Vec<String> = loaded.problems.iter().map(headline).collect();
        assert!(loaded.policy.is_none(), "{fields}");
        assert!(
            told.len() == 1 && told[0].contains(expected),
            "{fields}\n{told:#?}"
        );
    }
}

#[test]
fn nothing_is_looked_for_in_the_replies_to_head() {
    for fields in [
        "outputs: {a: {path: $.a}}",
        "response: {fields: [$.a]}",
        "success: {path: $.a, exists: true}",
        "outcomes: [{path: $.a, exists: true, name: a}]",
    ] {
        let text = policy(fields).replace("method: GET", "method: HEAD");
        let loaded = policy::from_texts(&[("p.yaml".into(), text.into())]);
        let told: Vec<String> = loaded.problems.iter().map(Problem::headline).collect();
        assert!(
            told.len() == 1 && told[0].contains("replies to HEAD"),
            "{fields}\n{told:#?}"
        );
    }
}
