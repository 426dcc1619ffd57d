//! Trailers of replies: through where an action declares them and the client takes them, scrubbed, and never such as
//! belong into a head.

use std::io::{Read as _, Write as _};
use std::sync::Mutex;
use std::sync::mpsc;

use serde_json::json;

use crate::world::{Plan, World, json_reply, read_head, read_request, rest};

const POLICY: &str = r#"
version: 1
secrets: {good_token: {env: GOOD_TOKEN}, two_key: {env: TWO_KEY}}
auth:
  good: {type: bearer, token: {secret: good_token}}
  two: {type: bearer, token: {secret: two_key}}
actions:
  with:
    description: Lets trailers through.
    method: GET
    url: https://api.good.test/with
    auth: good
    trailers: true
  without:
    description: Does not.
    method: GET
    url: https://api.good.test/without
    auth: good
  other:
    description: Has a secret of its own.
    method: GET
    url: https://api.two.test/other
    auth: two
"#;

const REPLY: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Grpc-Status\r\n\r\n\
    5\r\nhello\r\n0\r\nGrpc-Status: 0\r\nX-Echo: a SECRET-AAAA\r\nSet-Cookie: a=b\r\nContent-Type: text/html\r\n\
    Content-Length: 9\r\nAuthorization: x\r\nExeat-Refusal: x\r\nDigest: x\r\nTE: x\r\n\r\n";

/// What comes behind the head of the reply, and the request's head as the origin saw it.
fn behind_the_head(world: &World, request: &str) -> (String, String) {
    let origin = world.origin("api.good.test", |_| REPLY.as_bytes().to_vec());
    let mut stream = world.client().connect();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!head.to_ascii_lowercase().contains("trailer"), "{answer}");
    (rest.to_owned(), origin.only().head.to_ascii_lowercase())
}

fn request(path: &str, lines: &str) -> String {
    format!(
        "GET https://api.good.test/{path} HTTP/1.1\r\nHost: api.good.test\r\nConnection: close, TE\r\n{lines}\r\n"
    )
}

#[test]
fn trailers_pass_where_the_action_and_the_client_want_them() {
    let plain = "5\r\nhello\r\n0\r\n\r\n";
    let with = "5\r\nhello\r\n0\r\ngrpc-status: 0\r\nx-echo: a ***********\r\n\r\n";
    for (path, lines, expected) in [
        ("with", "TE: trailers\r\n", with),
        ("with", "TE: gzip, Trailers\r\n", with),
        ("with", "", plain),
        ("with", "TE: gzip\r\n", plain),
        ("without", "TE: trailers\r\n", plain),
    ] {
        let world = Plan::of(POLICY).start();
        let (got, asked) = behind_the_head(&world, &request(path, lines));
        assert_eq!(got, expected, "{path} {lines:?}");
        assert_eq!(
            asked.contains("te: trailers\r\n"),
            path == "with",
            "{asked}"
        );
        assert_eq!(
            asked.contains("connection: te\r\n"),
            path == "with",
            "{asked}"
        );
        let record = world.record();
        assert_eq!(
            (&record["end"], &record["bytes_out"]),
            (&json!("complete"), &json!(5))
        );
        assert!(!world.everything_written().contains("SECRET-AAAA"));
    }
}

/// A stream may outlast what was known when its head came.
#[test]
fn a_secret_that_became_known_meanwhile_is_masked_as_well() {
    let world = Plan::of(POLICY).start();
    let (go_on, told) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    world.scripted("api.good.test", 443, move |stream| {
        read_request(stream).unwrap();
        let (head, end) = REPLY.split_at(REPLY.find("0\r\nGrpc").unwrap());
        stream.write_all(head.as_bytes()).unwrap();
        stream.flush().unwrap();
        told.lock().unwrap().recv().unwrap();
        let end = end.replace("SECRET-AAAA", "SECRET-BBBB");
        stream.write_all(end.as_bytes()).unwrap();
        let _ = stream.flush();
    });
    world.origin("api.two.test", |_| json_reply("{}"));
    let mut stream = world.client().connect();
    let head = request("with", "TE: trailers\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    let other = world.client().get("https://api.two.test/other");
    assert_eq!(other.status, 200);
    go_on.send(()).unwrap();
    let rest = rest(&mut stream);
    assert!(rest.ends_with("x-echo: a ***********\r\n\r\n"), "{rest}");
}

#[test]
fn a_client_of_http_1_0_and_a_tool_get_none() {
    let world = Plan::of(POLICY).start();
    let old = "GET https://api.good.test/with HTTP/1.0\r\nTE: trailers\r\n\r\n";
    assert_eq!(behind_the_head(&world, old).0, "hello");
    let called = world.call("with", "", &json!({}));
    assert_eq!(called.json()["body"], "hello");
    assert!(!called.text().contains("grpc-status"));
}

#[test]
fn a_client_of_http_2_gets_them_in_any_case() {
    for headers in [&[][..], &[("te", "trailers")]] {
        let world = Plan::of(POLICY).start();
        world.origin("api.good.test", |_| REPLY.as_bytes().to_vec());
        let mut reply = world.client().http2("api.good.test", "/with", headers);
        assert_eq!(reply.read(5), "hello");
        let trailers = reply.next().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers["x-echo"], "a ***********");
        assert_eq!(trailers.len(), 2, "{trailers:?}");
        assert!(reply.next().is_none());
    }
}
