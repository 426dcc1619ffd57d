//! Secrets out of what comes back, and out of what agents send: in every form, place and coding, at every door.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use async_compression::tokio::bufread::{
    BrotliEncoder, DeflateEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::world::{Answer, Plan, Reply, Then, World, json_reply, read_answer, read_head};

/// A token, a cookie, and secrets of other actions than the one that is called.
const POLICY: &str = r#"
version: 1
secrets: {token: {env: A}, other: {env: B}, sid: {env: C}, client: {env: D}}
auth:
  good: {type: bearer, token: {secret: token}}
  two: {type: api_key, in: query, name: key, value: {secret: other}}
  session: {type: api_key, in: cookie, name: sid, value: {secret: sid}}
  oauth:
    type: oauth2_client_credentials
    token_url: https://id.good.test/token
    client_id: exeat
    client_secret: {secret: client}
actions:
  get_item:
    description: Returns one item.
    method: GET
    url: https://api.good.test/v1/items/{{id}}
    auth: good
    accept_headers: [X-Trace]
    parameters: {properties: {id: {type: string}, q: {type: string}}, required: [id]}
  note:
    description: Writes a note.
    method: POST
    url: https://api.good.test/v1/notes
    auth: good
    parameters: {properties: {text: {type: string}}, required: [text]}
  read:
    description: Reads a value out of the reply.
    method: GET
    url: https://api.good.test/v1/read
    auth: good
    outputs: {item.name: {path: $.name, expose: true}}
    response: {fields: [$.name, $.n]}
  small:
    description: Returns little.
    method: GET
    url: https://api.good.test/v1/small
    auth: good
    max_response_bytes: 1000
  login:
    description: Has a session.
    method: GET
    url: https://api.good.test/v1/login
    auth: session
  two:
    description: Has a secret of its own.
    method: GET
    url: https://api.two.test/me
    auth: two
  oauth:
    description: Has a token that is fetched.
    method: GET
    url: https://api.two.test/oauth
    auth: oauth
  events:
    description: Streams what happens.
    method: GET
    url: http://events.good.test/events
    allow_http: true
    stream: true
  upload:
    description: Takes what comes.
    method: POST
    url: https://api.good.test/v1/upload
    auth: good
    accept_body: any
"#;

/// With something for each encoding to change.
const TOKEN: &str = r#"TOKEN/+=&<1>"'"#;
const OTHER: &str = "OTHER-SECRET-1";

const GET: &str = "http://api.good.test/v1/items/1";

fn plan() -> Plan {
    Plan::of(POLICY)
        .secret("token", TOKEN)
        .secret("other", OTHER)
        .secret("sid", "SESSION-SECRET")
        .secret("client", "CLIENT-SECRET")
}

/// What the agent gets for a reply of these bytes, and the record of it.
fn answer(plan: Plan, url: &str, reply: Vec<u8>) -> (Answer, serde_json::Value, World) {
    let world = plan.start();
    world.origin("api.good.test", move |_| reply.clone());
    let answer = world.client().get(url);
    let record = world.record();
    assert!(!world.everything_written().contains(TOKEN));
    (answer, record, world)
}

fn reply(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// What is left of a secret: as many bytes as its form has.
fn stars(form: &str) -> String {
    "*".repeat(form.len())
}

#[test]
fn every_form_is_masked_in_headers_and_bodies_and_lengths_stay() {
    let hex: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    for form in [
        TOKEN,
        "TOKEN%2F%2B%3D%26%3C1%3E%22%27",
        "TOKEN%2f%2b%3d%26%3c1%3e%22%27",
        "TOKEN/%2B%3D%26%3C1%3E%22%27",
        r#"TOKEN/+=&<1>\"'"#,
        r#"TOKEN\/+=&<1>\"'"#,
        r#"TOKEN/+=\u0026\u003c1\u003e\"'"#,
        "TOKEN/+=&amp;&lt;1&gt;&quot;&#39;",
        "TOKEN/+=&amp;&lt;1&gt;&quot;&#x27;",
        &hex,
        &hex.to_uppercase(),
    ] {
        let headers = format!("Content-Type: text/plain\r\nX-Echo: a {form} b\r\n");
        let body = format!("<{form}>, <{form}>");
        let (answer, record, world) = answer(plan(), GET, reply(&headers, &body));
        let masked = stars(form);
        assert_eq!(answer.text(), format!("<{masked}>, <{masked}>"));
        assert_eq!(answer.header("x-echo"), Some(&*format!("a {masked} b")));
        let length = answer.header("content-length").unwrap();
        assert_eq!(length, body.len().to_string());
        assert_eq!(record["redactions"], 3, "{record}");
        let counted = "exeat_scrubbed_secrets_total{action=\"get_item\"} 3";
        assert!(world.everything_written().contains(counted));
    }
}

/// As a part of a longer text, such as the user name and the password of Basic.
#[test]
fn base64_is_masked_in_each_alignment() {
    for before in ["", "b", "bo", "bot"] {
        let text = format!("{before}{TOKEN}");
        for encoded in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            let (answer, record, _world) = answer(plan(), GET, reply("", &encoded));
            assert_eq!(answer.body.len(), encoded.len());
            let left = answer.text().replace('*', "");
            // Of the secret's own no more than the two characters that it shares with its neighbours.
            assert!(left.len() <= before.len() * 4 / 3 + 5, "{encoded} {left}");
            assert_eq!(record["redactions"], 1);
        }
    }
}

#[test]
fn a_secret_that_is_cut_into_chunks_is_masked() {
    let text = format!("one {TOKEN} two\nthree {TOKEN}");
    for size in [1, 3, 8] {
        let chunks = text.as_bytes().chunks(size);
        let chunks =
            chunks.map(|it| format!("{:x}\r\n{}\r\n", it.len(), str::from_utf8(it).unwrap()));
        let chunks: String = chunks.collect();
        let bytes =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
        let (answer, record, _world) = answer(plan(), GET, bytes.into());
        let expected = text.replace(TOKEN, &stars(TOKEN));
        assert_eq!(answer.text(), expected);
        assert_eq!(record["redactions"], 2);
        assert_eq!(record["bytes_out"], text.len());
    }
}

#[test]
fn a_reply_without_a_secret_is_as_it_came() {
    let text = "a line\nand the beginning of another TOKEN/+=".repeat(1000);
    let headers = "ETag: \"1\"\r\nX-Digest: x\r\n";
    let (answer, record, _world) = answer(plan(), GET, reply(headers, &text));
    assert_eq!(answer.text(), text);
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.header("x-digest"), Some("x"));
    assert_eq!(record.get("redactions"), None);
}

/// The encoded text.
fn encoded(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut bytes = Vec::new();
    runtime.block_on(encoder.read_to_end(&mut bytes)).unwrap();
    bytes
}

#[test]
fn a_reply_that_comes_encoded_goes_on_decoded_and_masked() {
    let text = format!(
        "{{\"echo\":\"{}\"}}",
        "TOKEN%2F%2B%3D%26%3C1%3E%22%27 ".repeat(2000)
    );
    let plain = text.as_bytes();
    let members = [
        encoded(GzipEncoder::new(&plain[..999])),
        encoded(GzipEncoder::new(&plain[999..])),
    ];
    for (coding, bytes) in [
        ("gzip", encoded(GzipEncoder::new(plain))),
        ("X-GZip", encoded(GzipEncoder::new(plain))),
        ("gzip", members.concat()),
        ("deflate", encoded(ZlibEncoder::new(plain))),
        ("deflate", encoded(DeflateEncoder::new(plain))),
        ("br", encoded(BrotliEncoder::new(plain))),
        ("identity, zstd", encoded(ZstdEncoder::new(plain))),
    ] {
        let headers = format!(
            "Content-Encoding: {coding}\r\nETag: \"1\"\r\nContent-Digest: x\r\nContent-Type: text/plain\r\n"
        );
        let (answer, record, _world) = answer(plan(), GET, reply(&headers, bytes));
        let masked = text.replace("TOKEN%2F%2B%3D%26%3C1%3E%22%27", &"*".repeat(30));
        assert_eq!(answer.text(), masked, "{coding}");
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.header("content-digest"), None);
        assert_eq!(answer.header("etag"), Some("W/\"1\""));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
        assert_eq!(record["redactions"], 2000, "{coding}");
    }
    let (answer, ..) = answer(plan(), GET, reply("Content-Encoding: gzip\r\n", ""));
    assert_eq!((answer.status, answer.text()), (200, ""));
}

#[test]
fn a_reply_that_cannot_be_decoded_is_not_passed_on() {
    let gzip = encoded(GzipEncoder::new(TOKEN.as_bytes()));
    for headers in [
        "Content-Encoding: compress\r\n",
        "Content-Encoding: gzip, gzip\r\n",
        "Content-Encoding: gzip\r\nContent-Encoding: br\r\n",
        "Content-Encoding: gzip\r\nContent-Range: bytes 0-1/9\r\n",
    ] {
        let (answer, record, _world) = answer(plan(), GET, reply(headers, &gzip));
        assert_eq!(
            (answer.status, answer.refusal()),
            (502, "upstream_malformed")
        );
        assert_eq!(record["end"], "failed", "{headers}");
    }
    for (coding, bytes) in [
        ("gzip", &b"not gzip at all"[..]),
        ("gzip", &gzip[..gzip.len() - 4]),
        ("br", TOKEN.as_bytes()),
        ("zstd", b"not zstd either"),
    ] {
        let world = plan().start();
        let bytes = reply(&format!("Content-Encoding: {coding}\r\n"), bytes);
        world.origin("api.good.test", move |_| bytes.clone());
        let mut stream = world.client().connect();
        write!(stream, "GET {GET} HTTP/1.1\r\nHost: api.good.test\r\n\r\n").unwrap();
        let cut = read_answer(&mut stream, "GET");
        assert!(cut.is_none(), "{coding}: {cut:?}");
        let record = world.record();
        assert_eq!(record["end"], "truncated", "{coding}: {record}");
        assert_eq!(record["code"], "upstream_malformed", "{coding}: {record}");
    }
}

#[test]
fn a_small_reply_that_decodes_to_a_large_one_meets_the_cap() {
    let zeros = vec![b'0'; 10_000_000];
    for (coding, bytes) in [
        ("gzip", encoded(GzipEncoder::new(&zeros[..]))),
        ("br", encoded(BrotliEncoder::new(&zeros[..]))),
        ("zstd", encoded(ZstdEncoder::new(&zeros[..]))),
    ] {
        // The announced length is not what counts.
        let chunked = bytes.len() > 1000;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n");
        let mut reply = match chunked {
            true => format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                bytes.len()
            ),
            false => format!("{head}Content-Length: {}\r\n\r\n", bytes.len()),
        }
        .into_bytes();
        reply.extend(bytes);
        if chunked {
            reply.extend(b"\r\n0\r\n\r\n");
        }
        let world = plan().start();
        world.origin("api.good.test", move |_| reply.clone());
        let mut stream = world.client().connect();
        let get = "GET http://api.good.test/v1/small HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
        stream.write_all(get.as_bytes()).unwrap();
        assert!(read_answer(&mut stream, "GET").is_none());
        assert_eq!(world.record()["code"], "upstream_too_large");
    }
}

/// By causality: the origin sends its second event only after the client has the first.
#[test]
fn an_event_does_not_wait_for_the_next_one() {
    let world = plan().start();
    world.origin("api.good.test", |_| json_reply("{}"));
    world.client().get(GET);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    world.resolve("events.good.test", &["203.0.114.41"]);
    world.lead("events.good.test", 80, listener.local_addr().unwrap());
    let (seen, go_on) = mpsc::channel::<()>();
    let origin = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        write!(stream, "{head}data: {TOKEN}\n\n").unwrap();
        go_on.recv().unwrap();
        write!(stream, "data: 2\n\n").unwrap();
    });
    let mut stream = world.client().connect();
    let get = "GET http://events.good.test/events HTTP/1.1\r\nHost: events.good.test\r\n\r\n";
    stream.write_all(get.as_bytes()).unwrap();
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    let first = format!("data: {}\n\n", stars(TOKEN));
    let expected = format!("{:x}\r\n{first}\r\n", first.len());
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), expected);
    seen.send(()).unwrap();
    let expected = "9\r\ndata: 2\n\n\r\n0\r\n\r\n";
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), expected);
    origin.join().unwrap();
}

/// `on_echo: refuse`.
#[test]
fn a_reply_with_a_secret_can_be_refused() {
    let in_header = reply(&format!("X-Echo: {TOKEN}\r\n"), "");
    let (refused, record, world) = answer(plan().refusing_echoes(), GET, in_header);
    assert_eq!((refused.status, refused.refusal()), (502, "secret_echoed"));
    assert_eq!(
        (&record["code"], &record["end"]),
        (&json!("secret_echoed"), &json!("failed"))
    );
    drop(world);

    let (whole, ..) = answer(plan().refusing_echoes(), GET, json_reply("{\"a\":1}"));
    assert_eq!((whole.status, whole.text()), (200, "{\"a\":1}"));

    let world = plan().refusing_echoes().start();
    world.origin("api.good.test", |_| {
        reply("", format!("{{\"name\":{}}}", json!(TOKEN)))
    });
    let read = world.client().get("http://api.good.test/v1/read");
    assert_eq!((read.status, read.refusal()), (502, "secret_echoed"));
    let called = world.call("get_item", "", &json!({"parameters": {"id": "1"}}));
    assert_eq!((called.status, called.refusal()), (502, "secret_echoed"));
    let mut stream = world.client().connect();
    write!(stream, "GET {GET} HTTP/1.1\r\nHost: api.good.test\r\n\r\n").unwrap();
    assert!(read_answer(&mut stream, "GET").is_none());
    let records = world.records(3);
    assert_eq!(records[2]["end"], "truncated");
    assert_eq!(records[2]["code"], "secret_echoed");
}

#[test]
fn what_a_reply_means_is_read_without_its_secrets_at_every_door() {
    let world = plan().start();
    // The second value shows its secret only to who decodes it.
    let escaped = TOKEN.replace('T', "\\u0054").replace('"', "\\\"");
    let body = format!("{{\"n\":{},\"name\":\"{escaped}\"}}", json!(TOKEN));
    world.origin("api.good.test", move |_| json_reply(&body));
    let masked = json!({"n": stars(&TOKEN.replace('"', "\\\"")), "name": stars(TOKEN)});

    let read = world.client().get("http://api.good.test/v1/read");
    assert_eq!(read.json(), masked);
    for action in ["read", "get_item"] {
        let body = match action {
            "read" => json!({}),
            _ => json!({"parameters": {"id": "1"}}),
        };
        let called = world.call(action, "", &body).json();
        assert_eq!(called["body"], masked, "{action}");
        if action == "read" {
            assert_eq!(called["variables"]["item.name"], stars(TOKEN));
        }
    }
    for record in world.records(3) {
        assert!(record["redactions"].as_u64() >= Some(2), "{record}");
    }
}

#[test]
fn a_token_that_was_fetched_is_known() {
    let world = plan().start();
    world.resolve("id.good.test", &["203.0.114.40"]);
    world.origin("id.good.test", |_| {
        json_reply(r#"{"access_token":"FETCHED-TOKEN","token_type":"bearer","expires_in":3600}"#)
    });
    world.origin("api.two.test", |_| {
        json_reply(r#"{"a":"FETCHED-TOKEN","b":"CLIENT-SECRET","c":"exeat"}"#)
    });
    let answer = world.client().get("http://api.two.test/oauth");
    let expected = json!({"a": "*************", "b": "*************", "c": "exeat"});
    assert_eq!(answer.json(), expected);
}

#[test]
fn a_session_that_the_server_renews_stays_here() {
    let cookies =
        "Set-Cookie: sid=NEW-SESSION; Path=/\r\nSet-Cookie: lang=en\r\nSet-Cookie: sid2=x\r\n";
    let (login, _, world) = answer(
        plan(),
        "http://api.good.test/v1/login",
        reply(cookies, "SESSION-SECRET"),
    );
    assert_eq!(login.text(), "**************");
    assert!(!login.head.contains("NEW-SESSION"), "{}", login.head);
    assert!(login.head.contains("lang=en") && login.head.contains("sid2=x"));
    drop(world);
    let (other, ..) = answer(plan(), GET, reply(cookies, ""));
    assert!(other.head.contains("NEW-SESSION"), "{}", other.head);
}

#[test]
fn what_exeat_keeps_may_not_be_sent() {
    let world = plan().start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    world.origin("api.two.test", |_| json_reply("{}"));
    world.client().get("http://api.two.test/me");
    let (basic, hex) = (
        STANDARD.encode(format!("x{OTHER}")),
        "4f544845522d5345435245542d31",
    );
    let items = "http://api.good.test/v1/items";
    let (json, client) = ("Content-Type: application/json", world.client());
    for (answer, place) in [
        (client.get(&format!("{items}/{OTHER}")), "the path"),
        (client.get(&format!("{items}/1?q={hex}")), "the query"),
        (
            client.get(&format!("{items}/1?q=TOKEN%2F%2B%3D%26%3C1%3E%22%27")),
            "the query",
        ),
        (
            client.send("GET", GET, &[&format!("X-Trace: {OTHER}")], ""),
            "a header",
        ),
        (
            client.send(
                "POST",
                "http://api.good.test/v1/notes",
                &[json],
                &json!({"text": basic}).to_string(),
            ),
            "the body",
        ),
        (
            world.call(
                "get_item",
                "",
                &json!({"parameters": {"id": "1", "q": OTHER}}),
            ),
            "the query",
        ),
    ] {
        assert_eq!(
            (answer.status, answer.refusal()),
            (403, "secret_outgoing"),
            "{place}"
        );
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(place), "{place}: {message}");
        assert!(!answer.text().contains(OTHER), "{place}");
    }
    assert_eq!(origin.seen(), []);
    assert_eq!(client.get(&format!("{items}/OTHER-SECRET-2")).status, 200);
}

/// The origin never gets the end of such a body.
#[test]
fn an_unread_body_breaks_off_before_a_secret() {
    let world = plan().start();
    world.origin("api.two.test", |_| json_reply("{}"));
    world.client().get("http://api.two.test/me");
    let origin = world.origin("api.good.test", |_| Reply::and("", Then::Close));
    let body = format!("{}{OTHER}", "x".repeat(5000));
    let answer = world
        .client()
        .send("POST", "http://api.good.test/v1/upload", &[], &body);
    assert_eq!((answer.status, answer.refusal()), (403, "secret_outgoing"));
    assert_eq!(origin.seen(), []);

    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let body = body.replace("SECRET", "secret");
    let answer = world
        .client()
        .send("POST", "http://api.good.test/v1/upload", &[], &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(origin.only().text(), body);
}
