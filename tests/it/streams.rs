//! Replies that come in pieces: each goes on as soon as it is here, scrubbed, whatever the client speaks; and the
//! deadlines that hold for them.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;

use async_compression::Level;
use async_compression::tokio::write::GzipEncoder;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::world::{Plan, Stream, World, read_answer, read_head, read_request, read_until};

const POLICY: &str = r#"
version: 1
secrets: {good_token: {env: GOOD_TOKEN}}
auth: {good: {type: bearer, token: {secret: good_token}}}
actions:
  events:
    description: Streams what happens.
    method: GET
    url: https://api.good.test/events
    auth: good
    stream: true
    timeout: 800ms
  short:
    description: Streams, but not for long.
    method: GET
    url: https://api.good.test/short
    auth: good
    timeout: 800ms
  impatient:
    description: Streams without long pauses.
    method: GET
    url: https://api.good.test/impatient
    auth: good
    stream: true
    idle_timeout: 400ms
"#;

const FIRST: &str = "data: SECRET-AAAA\n\n";
const MASKED: &str = "data: ***********\n\n";
const SECOND: &str = "data: 2\n\n";

/// An origin that sends its second event only when it is told, and what tells it.
fn events(world: &World, coding: Coding) -> mpsc::Sender<()> {
    let (seen, go_on) = mpsc::channel::<()>();
    let go_on = std::sync::Mutex::new(go_on);
    world.scripted("api.good.test", 443, move |stream| {
        read_request(stream).unwrap();
        let line = match coding {
            Coding::Identity => "",
            Coding::Gzip => "Content-Encoding: gzip\r\n",
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n{line}Transfer-Encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut pieces = coding.pieces().into_iter();
        chunk(stream, &pieces.next().unwrap());
        if go_on.lock().unwrap().recv().is_err() {
            return;
        }
        for piece in pieces {
            chunk(stream, &piece);
        }
        let _ = stream.write_all(b"0\r\n\r\n").and_then(|()| stream.flush());
    });
    seen
}

fn chunk(stream: &mut dyn Stream, bytes: &[u8]) {
    let head = format!("{:x}\r\n", bytes.len());
    let whole = [head.as_bytes(), bytes, b"\r\n"].concat();
    stream
        .write_all(&whole)
        .and_then(|()| stream.flush())
        .unwrap();
}

#[derive(Clone, Copy)]
enum Coding {
    Identity,
    Gzip,
}

impl Coding {
    /// Both events, each in bytes that say all of it.
    fn pieces(self) -> Vec<Vec<u8>> {
        let Self::Gzip = self else {
            return [FIRST, SECOND].map(|it| it.as_bytes().to_vec()).into();
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut encoder = GzipEncoder::with_quality(Vec::new(), Level::Default);
            encoder.write_all(FIRST.as_bytes()).await.unwrap();
            encoder.flush().await.unwrap();
            let first = encoder.get_ref().clone();
            encoder.write_all(SECOND.as_bytes()).await.unwrap();
            encoder.shutdown().await.unwrap();
            let rest = encoder.into_inner().split_off(first.len());
            vec![first, rest]
        })
    }
}

/// A chunk as exeat writes it.
fn expect(stream: &mut dyn Stream, text: &str) {
    let expected = format!("{:x}\r\n{text}\r\n", text.len());
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8(got).unwrap(), expected);
}

#[test]
fn an_event_does_not_wait_for_the_next_one_however_it_is_asked_for() {
    for coding in [Coding::Identity, Coding::Gzip] {
        for inside in [false, true] {
            let world = Plan::of(POLICY).start();
            let seen = events(&world, coding);
            let client = world.client();
            let (target, mut stream): (_, Box<dyn Stream>) = match inside {
                true => ("/events", Box::new(client.tunnel("api.good.test"))),
                false => ("https://api.good.test/events", Box::new(client.connect())),
            };
            let request = format!("GET {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stream.flush().unwrap();
            let head = read_head(&mut *stream).unwrap();
            assert_eq!(head.header("content-encoding"), None);
            expect(&mut *stream, MASKED);
            // The record says that it has begun, before it is over.
            let opened = &world.records(1)[0];
            assert_eq!(
                (&opened["event"], &opened["action"]),
                (&json!("opened"), &json!("events"))
            );
            seen.send(()).unwrap();
            expect(&mut *stream, SECOND);
            assert_eq!(read_until(&mut *stream, b"0\r\n\r\n").unwrap(), "0\r\n\r\n");
            let last = &world.records(2)[1];
            assert_eq!(
                (last.get("event"), &last["end"]),
                (None, &json!("complete"))
            );
            assert_eq!(last["request_id"], opened["request_id"]);
            assert_eq!(last["redactions"], 1);
        }
    }
}

#[test]
fn an_event_does_not_wait_for_the_next_one_over_http_2() {
    for coding in [Coding::Identity, Coding::Gzip] {
        let world = Plan::of(POLICY).start();
        let seen = events(&world, coding);
        let mut reply = world.client().http2("api.good.test", "/events", &[]);
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.read(MASKED.len()), MASKED);
        seen.send(()).unwrap();
        assert_eq!(reply.read(SECOND.len()), SECOND);
        assert!(reply.next().is_none());
    }
}

/// `timeout` holds until the last byte, unless the action says `stream: true`; `idle_timeout` holds for both.
#[test]
fn a_stream_ends_at_its_deadlines() {
    for (path, is_cut) in [("short", true), ("impatient", true), ("events", false)] {
        let world = Plan::of(POLICY).start();
        let seen = events(&world, Coding::Identity);
        let mut stream = world.client().connect();
        let request =
            format!("GET https://api.good.test/{path} HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
        let began = std::time::Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        read_head(&mut stream).unwrap();
        expect(&mut stream, MASKED);
        if is_cut {
            assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "{path}");
            let record = &world.records(2)[1];
            assert_eq!(
                (&record["end"], &record["code"]),
                (&json!("truncated"), &json!("upstream_timeout"))
            );
        } else {
            while began.elapsed().as_millis() < 900 {
                std::thread::yield_now();
            }
            seen.send(()).unwrap();
            expect(&mut stream, SECOND);
        }
    }
}

/// What no client reads until its end still ends its record.
#[test]
fn a_client_that_leaves_in_the_midst_of_events_is_recorded() {
    let world = Plan::of(POLICY).start();
    let _seen = events(&world, Coding::Identity);
    let mut stream = world.client().connect();
    stream
        .write_all(b"GET https://api.good.test/events HTTP/1.1\r\nHost: api.good.test\r\n\r\n")
        .unwrap();
    read_head(&mut stream).unwrap();
    expect(&mut stream, MASKED);
    drop(stream);
    assert_eq!(world.records(2)[1]["end"], "aborted");
}

/// Before anybody knows whether a reply stays as it is, a sum of its bytes cannot go on.
#[test]
fn sums_of_the_bytes_do_not_pass_and_entity_tags_do() {
    let world = Plan::of(POLICY).start();
    world.origin("api.good.test", |_| {
        let body = "nothing of ours";
        format!(
            "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Digest: a\r\nRepr-Digest: b\r\nDigest: c\r\n\
             Content-MD5: d\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    });
    let answer = world.client().get("https://api.good.test/short");
    for name in ["content-digest", "repr-digest", "digest", "content-md5"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("etag"), Some("\"1\""));
}

/// A decoder of zstd may remember 8 MiB, and that is taken from the room for all bodies.
#[test]
fn decoders_have_no_more_room_than_there_is() {
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nTransfer-Encoding: chunked\r\n\r\n";
    let world = Plan::of(POLICY).room(12 << 20).start();
    world.scripted("api.good.test", 443, |stream| {
        // Heads of encoded replies whose content does not come.
        while read_request(stream).is_some() {
            stream
                .write_all(HEAD.as_bytes())
                .and_then(|()| stream.flush())
                .unwrap();
        }
    });
    let ask = || {
        let mut stream = world.client().connect();
        let request = b"GET https://api.good.test/events HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
        stream.write_all(request).unwrap();
        stream
    };
    let mut first = ask();
    assert_eq!(read_head(&mut first).unwrap().status, 200);
    let refused = read_answer(&mut ask(), "GET").unwrap();
    assert_eq!(
        (refused.status, refused.refusal()),
        (502, "upstream_too_large")
    );
    drop(first);
    world.records(2);
    assert_eq!(read_head(&mut ask()).unwrap().status, 200);
}
