//! Group G: an origin that is hostile or broken.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use async_compression::tokio::bufread::GzipEncoder;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::http2::raw::{INTERNAL_ERROR, Outcome, Raw};
use super::stage::{Door, Line, POLICY, Stage};
use crate::world::{
    Answer, Origin, Plan, Reply, Then, frame, json_reply, read_answer, read_head, read_request,
    rest,
};

const ITEM: &str = "/v1/items/1";

/// One worker, which would find a connection again that was kept.
fn stage() -> Stage {
    Stage::of(Plan::of(POLICY).connections(100))
}

/// The usual policy with one more field of its first action, on one worker.
fn stage_with(field: &str) -> Stage {
    let place = "    url: https://api.good.test/v1/items/{{id}}\n";
    let policy = POLICY.replace(place, &format!("{place}    {field}\n"));
    Stage::of(Plan::of(&policy).connections(100).shares(1))
}

/// Sends the request for an item on an open connection.
fn ask(stage: &Stage, door: Door, stream: &mut dyn Line) -> Answer {
    stream.write_all(&door.get(ITEM)).unwrap();
    stream.flush().unwrap();
    stage.answer(stream, "GET").unwrap()
}

/// An origin whose first reply, and every second after it, is the one that was set last.
struct Hostile {
    origin: Origin,
    next: Arc<Mutex<(Vec<u8>, Then)>>,
}

impl Hostile {
    fn of(stage: &Stage) -> Self {
        let next = Arc::new(Mutex::new((Vec::new(), Then::Stay)));
        let (set, count) = (next.clone(), AtomicUsize::new(0));
        let origin = stage.world.origin("api.good.test", move |_| {
            match count.fetch_add(1, Ordering::Relaxed) % 2 {
                0 => {
                    let (bytes, then) = &*set.lock().unwrap();
                    Reply::of(bytes, *then)
                }
                _ => json_reply("{}").into(),
            }
        });
        Self { origin, next }
    }

    /// Makes this the next bad reply. How many connections there will have been when a good one has followed: one more,
    /// and one for the first of all.
    fn set(&self, bytes: &[u8], then: Then) -> usize {
        *self.next.lock().unwrap() = (bytes.to_vec(), then);
        self.origin.connections().max(1) + 1
    }
}

/// Replies that are answered with a refusal at every door, and whose connection carries no other request.
fn are_not_believed(replies: &[Vec<u8>]) {
    for door in Door::ALL {
        let stage = stage();
        let hostile = Hostile::of(&stage);
        for reply in replies {
            let shown = String::from_utf8_lossy(&reply[..reply.len().min(120)]).into_owned();
            let shown = format!("{door:?} {shown:?}");
            let (records, dials) = (stage.world.records(0).len(), hostile.set(reply, Then::Stay));
            let mut stream = stage.open(door);
            let answer = ask(&stage, door, &mut *stream);
            let got = (answer.status, answer.refusal());
            assert_eq!(got, (502, "upstream_malformed"), "{shown}");
            assert_eq!(answer.header("connection"), None, "{shown}");
            assert_eq!(ask(&stage, door, &mut *stream).status, 200, "{shown}");
            let dialled = (hostile.origin.connections(), stage.world.dials().len());
            assert_eq!(dialled, (dials, dials), "{shown}");
            let record = &stage.world.records(records + 2)[records];
            let (end, code) = (&record["end"], &record["code"]);
            let expected = (&json!("failed"), &json!("upstream_malformed"));
            assert_eq!((end, code), expected, "{shown}");
        }
    }
}

/// Replies as [`are_not_believed`], each a head with something behind it.
fn are_no_heads(heads: &[&str], behind: &str) {
    let replies = heads
        .iter()
        .map(|head| format!("{head}{behind}").into_bytes());
    are_not_believed(&replies.collect::<Vec<_>>());
}

/// Replies that begin well and are cut off where they do not, and whose connections carry no other request: header
/// lines, what is good behind the head, what is wrong, and what the server does then.
fn are_cut(cases: &[(&str, &str, &str, Then)]) {
    for door in Door::ALL {
        let stage = stage();
        let hostile = Hostile::of(&stage);
        for (head, good, wrong, then) in cases {
            let shown = format!("{door:?} {head:?} {good:?} {wrong:?} {then:?}");
            let reply = format!("HTTP/1.1 200 OK\r\n{head}\r\n{good}{wrong}");
            let (records, dials) = (
                stage.world.records(0).len(),
                hostile.set(reply.as_bytes(), *then),
            );
            let mut stream = stage.open(door);
            stream.write_all(&door.get(ITEM)).unwrap();
            let text = rest(&mut *stream);
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{shown}: {text:?}");
            let is_whole = body.ends_with("0\r\n\r\n") || head.contains("connection: close");
            assert!(!is_whole, "{shown}: {text:?}");
            assert_eq!(
                ask(&stage, door, &mut *stage.open(door)).status,
                200,
                "{shown}"
            );
            assert_eq!(hostile.origin.connections(), dials, "{shown}");
            assert_truncated(&stage.world.records(records + 2)[records], &shown);
        }
    }
    // A client of HTTP/2 sees its stream reset, and only that.
    let stage = stage();
    let hostile = Hostile::of(&stage);
    let mut raw = Raw::client(&stage);
    for (stream, (head, good, wrong, then)) in (1..).step_by(4).zip(cases) {
        let shown = format!("{head:?} {good:?} {wrong:?} {then:?}");
        let reply = format!("HTTP/1.1 200 OK\r\n{head}\r\n{good}{wrong}");
        let (records, dials) = (
            stage.world.records(0).len(),
            hostile.set(reply.as_bytes(), *then),
        );
        assert_eq!(
            raw.get(stream, ITEM),
            Outcome::Reset(INTERNAL_ERROR),
            "{shown}"
        );
        let next = raw.get(stream + 2, ITEM);
        assert_eq!(next, Outcome::Answer(200, "{}".into()), "{shown}");
        assert_eq!(hostile.origin.connections(), dials, "{shown}");
        assert_truncated(&stage.world.records(records + 2)[records], &shown);
    }
}

fn assert_truncated(record: &Value, shown: &str) {
    let (end, code) = (&record["end"], &record["code"]);
    let expected = (&json!("truncated"), &json!("upstream_malformed"));
    assert_eq!((end, code), expected, "{shown}: {record}");
}

#[test]
fn g1_a_length_and_a_transfer_coding_are_no_reply() {
    let heads = [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "content-length: 5\r\nX: y\r\ntransfer-encoding: Chunked\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: \r\n",
        "Content-Length: 3\r\nTransfer-Encoding:\tchunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ];
    let heads = heads.map(|it| format!("HTTP/1.1 200 OK\r\n{it}\r\n"));
    are_no_heads(&heads.each_ref().map(String::as_str), "0\r\n\r\n");
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    are_no_heads(&[old], "0\r\n\r\n");
}

#[test]
fn g2_two_lengths_or_one_that_is_no_number_are_no_reply() {
    let heads = [
        "Content-Length: 3\r\nContent-Length: 2\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nX: y\r\ncontent-length: 3\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: 3, 2\r\n",
        "Content-Length: 3,\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 003\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3.0\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: 3_0\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551619\r\n",
        "Content-Length: 9999999999999999999\r\n",
    ];
    let heads = heads.map(|it| format!("HTTP/1.1 200 OK\r\n{it}\r\n"));
    are_no_heads(&heads.each_ref().map(String::as_str), "abc");
    let empty = [
        "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    are_no_heads(&empty, "0\r\n\r\n");
}

#[test]
fn g5_a_switch_of_protocols_that_nobody_asked_for_is_no_reply() {
    let heads = [
        "Upgrade: websocket\r\nConnection: Upgrade\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\n",
        "Upgrade: TLS/1.0\r\nConnection: Upgrade\r\nContent-Length: 0\r\n",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        "",
    ];
    let heads = heads.map(|it| format!("HTTP/1.1 101 Switching Protocols\r\n{it}\r\n"));
    let behind = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    are_no_heads(&heads.each_ref().map(String::as_str), behind);
}

#[test]
fn g6_an_ordinary_reply_to_a_handshake_is_an_ordinary_reply() {
    for (reply, status) in [
        (json_reply("{\"a\":1}"), 200),
        (b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 7\r\n\r\n{\"a\":1}".to_vec(), 200),
        (b"HTTP/1.1 426 X\r\nUpgrade: websocket\r\nContent-Length: 7\r\n\r\n{\"a\":1}".to_vec(), 426),
        (b"HTTP/1.1 200 OK\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n".to_vec(), 200),
    ] {
        for door in Door::ALL {
            let stage = stage();
            let (told, heard) = mpsc::channel();
            let reply = reply.clone();
            stage.world.scripted("api.good.test", 443, move |stream| {
                read_request(stream).unwrap();
                stream.write_all(&reply).and_then(|()| stream.flush()).unwrap();
                let mut more = Vec::new();
                let _ = stream.read_to_end(&mut more);
                told.send(more).unwrap();
            });
            let mut stream = stage.open(door);
            let early = [&frame(0x81, b"early", true)[..], &door.get("/v1/items/behind")].concat();
            stream.write_all(&[handshake(door), early].concat()).unwrap();
            let answer = stage.answer(&mut *stream, "GET").unwrap();
            assert_eq!((answer.status, answer.json()), (status, json!({"a": 1})));
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(answer.header("upgrade"), None);
            assert_eq!(stage.answer(&mut *stream, "GET").map(|it| it.status), None);
            assert_eq!(heard.recv().unwrap(), b"", "no byte goes behind a handshake that was not granted");
            assert_eq!(stage.world.record()["end"], "complete");
        }
    }
}

fn handshake(door: Door) -> Vec<u8> {
    let lines = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    door.request("GET", "api.good.test", "/v1/ws", lines, "")
}

#[test]
fn g7_interim_answers_have_an_end() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let large = format!(
        "HTTP/1.1 100 Continue\r\nX: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let many = format!("HTTP/1.1 100 Continue\r\n{}\r\n", "X: y\r\n".repeat(300));
    let floods = [
        hint.repeat(10_000),
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000),
        "HTTP/1.1 199 Odd\r\n\r\n".repeat(9),
        large,
        many,
        // An interim answer has no content, and what would be its content is no head.
        "HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n".into(),
        "HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
    ];
    are_no_heads(&floods.each_ref().map(String::as_str), ok);
    let stage = stage();
    let few = format!("HTTP/1.1 100 Continue\r\n\r\n{}{ok}", hint.repeat(7));
    stage
        .world
        .origin("api.good.test", move |_| Vec::from(few.as_str()));
    for door in Door::ALL {
        let answer = ask(&stage, door, &mut *stage.open(door));
        assert_eq!((answer.status, answer.header("link")), (200, None));
    }
}

#[test]
fn g9_a_reply_that_breaks_off_never_ends_as_if_it_were_whole() {
    let (sized, chunked) = ("Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n");
    let cut_off = [
        (sized, "abc"),
        (chunked, "5\r\nabc"),
        (chunked, "3\r\nabc"),
        (chunked, "3\r\nabc\r"),
        (chunked, "3\r\nabc\r\n"),
        (chunked, "3\r\nabc\r\n0"),
        (chunked, "3\r\nabc\r\n0\r\n"),
        (chunked, "3\r\nabc\r\n0\r\nX: y\r\n"),
        (chunked, "3\r\nabc\r\n0\r\n\r"),
    ];
    for then in [Then::Close, Then::Cut] {
        are_cut(&cut_off.map(|(head, good)| (head, good, "", then)));
    }
    // Without a length the end has to be one that nobody on the way can make.
    are_cut(&[("", "abc", "", Then::Cut)]);
}

/// A tool has no half of a reply either.
#[test]
fn g9_a_tool_gets_no_reply_that_breaks_off() {
    let stage = stage();
    let hostile = Hostile::of(&stage);
    for (reply, then) in [
        ("Content-Length: 10\r\n\r\n{}", Then::Close),
        ("Content-Length: 10\r\n\r\n{}", Then::Cut),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", Then::Close),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
            Then::Cut,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n2 \r\n{}\r\n0\r\n\r\n",
            Then::Stay,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\n0\r\n\r\n",
            Then::Stay,
        ),
        ("\r\n{}", Then::Cut),
        ("Content-Length: 2\n\r\n{}", Then::Stay),
        (
            "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            Then::Stay,
        ),
    ] {
        let dials = hostile.set(format!("HTTP/1.1 200 OK\r\n{reply}").as_bytes(), then);
        let call = || {
            stage
                .world
                .call("get_item", "", &json!({"parameters": {"id": "1"}}))
        };
        let called = call();
        let got = (called.status, called.refusal());
        assert_eq!(got, (502, "upstream_malformed"), "{reply:?} {then:?}");
        assert_eq!(call().status, 200, "{reply:?} {then:?}");
        assert_eq!(hostile.origin.connections(), dials, "{reply:?} {then:?}");
    }
}

/// What hyper repairs in the content of a reply.
#[test]
fn g10_a_body_with_another_reading_is_cut_where_it_begins() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let wrong = [
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\t\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3;a=b\r\nabc\r\n0\r\n\r\n",
        "3;\r\nabc\r\n0\r\n\r\n",
        "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "\r\n3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcX\r\n0\r\n\r\n",
        "zz\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "00000000000000000003\r\nabc\r\n0\r\n\r\n",
        "0 \r\n\r\n",
        "0;x\r\n\r\n",
        "0\n\n",
        "0\r\n\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: y\r\n\n",
    ];
    are_cut(&wrong.map(|it| (chunked, "1\r\nx\r\n", it, Then::Stay)));
    // Zeros before a size are how some servers leave room for it.
    let stage = stage();
    let padded = format!("HTTP/1.1 200 OK\r\n{chunked}\r\n00000002\r\n{{}}\r\n000\r\n\r\n");
    let origin = stage
        .world
        .origin("api.good.test", move |_| Vec::from(padded.as_str()));
    let mut stream = stage.open(Door::Proxy);
    for _ in 0..2 {
        assert_eq!(ask(&stage, Door::Proxy, &mut *stream).text(), "{}");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn g10_a_head_that_is_not_well_formed_is_no_reply() {
    let heads = [
        "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        " HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n Content-Length: 9\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie : x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length\t: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 9\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 099 x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 000 x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 600 x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 999 x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 1000 x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 20 x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 2x0 x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 +20 x\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200\tOK\r\nContent-Length: 2\r\n\r\n",
        "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n",
        "HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\n",
        "ICY 200 OK\r\nContent-Length: 2\r\n\r\n",
        "SSH-2.0-OpenSSH_9.0\r\n\r\n",
    ];
    are_no_heads(&heads, "{}");
    let stage = stage();
    for line in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 ",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 200 A  strange: reason!",
    ] {
        let reply = format!("{line}\r\nContent-Length: 2\r\n\r\n{{}}");
        stage
            .world
            .origin("api.good.test", move |_| Reply::and(&reply, Then::Close));
        for door in Door::ALL {
            let answer = ask(&stage, door, &mut *stage.open(door));
            assert_eq!((answer.status, answer.text()), (200, "{}"), "{line:?}");
            assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
        }
    }
}

#[test]
fn g11_odd_headers_pass_as_they_are_or_not_at_all() {
    let wrong = [
        "X: a\x1b[31mb\r\n".to_owned(),
        "X: \x07\r\n".into(),
        "X: \x7f\r\n".into(),
        "X: \x08\x08\r\n".into(),
        "X: y\r\n".repeat(300),
        format!("X: {}\r\n", "y".repeat(1 << 20)),
        format!("{}: y\r\n", "x".repeat(70_000)),
        format!("X: {}\r\n", "y".repeat(70_000)),
    ];
    let heads = wrong.map(|it| format!("HTTP/1.1 200 OK\r\n{it}Content-Length: 2\r\n\r\n"));
    are_no_heads(&heads.each_ref().map(String::as_str), "{}");
    for value in [&b"caf\xe9"[..], b"\xff\xfe", "日本".as_bytes(), b"a\tb"] {
        for door in Door::ALL {
            let stage = stage();
            let reply = [
                b"HTTP/1.1 200 OK\r\nX-Odd: ",
                value,
                b"\r\nContent-Length: 2\r\n\r\n{}",
            ]
            .concat();
            stage.world.origin("api.good.test", move |_| reply.clone());
            let mut stream = stage.open(door);
            let lines = "Connection: close\r\n";
            let get = door.request("GET", "api.good.test", ITEM, lines, "");
            stream.write_all(&get).unwrap();
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            let line = [b"x-odd: ", value, b"\r\n"].concat();
            assert!(bytes.windows(line.len()).any(|it| it == line), "{bytes:?}");
            let record = stage.world.record().to_string();
            assert!(record.is_ascii() && !record.contains("x-odd"), "{record}");
        }
    }
}

#[test]
fn g12_a_server_that_drips_is_given_up_and_its_place_is_free() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (field, drips) in [("idle_timeout: 150ms", false), ("timeout: 300ms", true)] {
        for door in Door::ALL {
            let stage = stage_with(field);
            let (left, gone) = mpsc::channel();
            stage.world.scripted("api.good.test", 443, move |stream| {
                if read_request(stream).unwrap().contains("/items/2") {
                    let _ = stream
                        .write_all(&json_reply("{}"))
                        .and_then(|()| stream.flush());
                    return;
                }
                let mut sent = stream.write_all(format!("{head}1\r\na\r\n").as_bytes());
                while drips && sent.is_ok() {
                    std::thread::yield_now();
                    sent = stream
                        .write_all(b"1\r\na\r\n")
                        .and_then(|()| stream.flush());
                }
                let _ = stream.flush();
                let _ = stream.read(&mut [0]);
                let _ = left.send(());
            });
            let mut stream = stage.open(door);
            stream.write_all(&door.get(ITEM)).unwrap();
            assert_eq!(read_head(&mut stream).unwrap().status, 200);
            assert!(!rest(&mut *stream).ends_with("0\r\n\r\n"), "{field}");
            gone.recv().unwrap();
            let record = stage.world.record();
            let (end, code) = (&record["end"], &record["code"]);
            assert_eq!(
                (end, code),
                (&json!("truncated"), &json!("upstream_timeout")),
                "{field}"
            );
            // The only place of this agent is free again.
            let mut stream = stage.open(door);
            stream.write_all(&door.get("/v1/items/2")).unwrap();
            assert_eq!(stage.answer(&mut *stream, "GET").unwrap().status, 200);
        }
    }
}

#[test]
fn g13_a_reply_over_its_cap_is_cut() {
    let zeros = vec![b'0'; 20_000_000];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut bomb = Vec::new();
    runtime
        .block_on(GzipEncoder::new(&zeros[..]).read_to_end(&mut bomb))
        .unwrap();
    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let gzip = [
        &b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        &chunk(&bomb),
    ]
    .concat();
    let endless = [
        &b"Transfer-Encoding: chunked\r\n\r\n"[..],
        &chunk(&zeros[..2_000_000]),
    ]
    .concat();
    let to_the_end = [&b"\r\n"[..], &zeros[..2_000_000]].concat();
    for (rest_of_it, status) in [
        (gzip, 200),
        (endless, 200),
        (to_the_end, 200),
        (b"Content-Length: 10000000000\r\n\r\n".to_vec(), 502),
        (b"Content-Length: 100001\r\n\r\n".to_vec(), 502),
    ] {
        for door in Door::ALL {
            let stage = stage_with("max_response_bytes: 100000");
            let reply = [&b"HTTP/1.1 200 OK\r\n"[..], &rest_of_it].concat();
            let hostile = Hostile::of(&stage);
            let dials = hostile.set(&reply, Then::Stay);
            let mut stream = stage.open(door);
            stream.write_all(&door.get(ITEM)).unwrap();
            assert_eq!(read_head(&mut stream).unwrap().status, status);
            if status != 200 {
                stream.finish();
            }
            let body = rest(&mut *stream);
            assert!(
                body.len() < 120_000 && !body.ends_with("0\r\n\r\n"),
                "{}",
                body.len()
            );
            let record = stage.world.record();
            assert_eq!(record["code"], "upstream_too_large", "{record}");
            let counted = "upstream_too_large";
            assert!(
                stage
                    .world
                    .everything_written()
                    .lines()
                    .any(|it| it.starts_with("exeat_") && it.contains(counted))
            );
            assert_eq!(ask(&stage, door, &mut *stage.open(door)).status, 200);
            assert_eq!(hostile.origin.connections(), dials);
        }
    }
}

#[test]
fn g14_what_belongs_to_the_way_or_leads_round_the_gate_stays_behind() {
    let lines = "Connection: keep-alive, Set-Cookie, X-Hop, Exeat-Outcome\r\nConnection: Content-Length, content-type\r\n\
                 X-Hop: 1\r\nSet-Cookie: a=b\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nProxy-Odd: x\r\n\
                 Proxy-Connection: close\r\nTrailer: X\r\nTE: trailers\r\nUpgrade: h2c\r\nAlt-Svc: h3=\":443\"\r\n\
                 ALT-SVC: clear\r\nExeat-Refusal: none\r\nContent-Type: text/plain\r\n\
                 Strict-Transport-Security: max-age=1\r\nRefresh: 0;url=http://evil.test/\r\nLocation: http://evil.test/\r\n";
    for door in Door::ALL {
        let stage = stage();
        let reply = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\n{{}}");
        stage
            .world
            .origin("api.good.test", move |_| Vec::from(reply.as_str()));
        let answer = ask(&stage, door, &mut *stage.open(door));
        assert_eq!(answer.text(), "{}");
        for name in [
            "connection",
            "x-hop",
            "set-cookie",
            "keep-alive",
            "proxy-authenticate",
            "proxy-odd",
            "proxy-connection",
            "trailer",
            "te",
            "upgrade",
            "alt-svc",
            "exeat-refusal",
        ] {
            assert_eq!(answer.header(name), None, "{name}: {answer:?}");
        }
        // How the content is read is end to end, whoever nominates it; and these are for the client to judge.
        for (name, value) in [
            ("content-type", "text/plain"),
            ("content-length", "2"),
            ("exeat-outcome", "succeeded"),
            ("strict-transport-security", "max-age=1"),
            ("refresh", "0;url=http://evil.test/"),
            ("location", "http://evil.test/"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}: {answer:?}");
        }
        assert_eq!(stage.world.dials().len(), 1);
    }
    for door in Door::ALL {
        let stage = stage();
        let reply = "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
        stage
            .world
            .origin("api.good.test", move |_| Vec::from(reply));
        let answer = ask(&stage, door, &mut *stage.open(door));
        assert_eq!(
            (answer.status, answer.refusal()),
            (502, "upstream_malformed")
        );
        assert_eq!(answer.header("proxy-authenticate"), None);
    }
}

#[test]
fn g17_a_coding_that_nobody_asked_for_hides_nothing() {
    for coding in [
        "compress",
        "x-compress",
        "aes128gcm",
        "exi",
        "pack200-gzip",
        "dcb",
        "dcz",
        "gzip, gzip",
        "gzip;q=1",
        "x",
        "\"gzip\"",
        "identity, unknown",
        "gzip\r\nContent-Encoding: br",
    ] {
        for door in Door::ALL {
            let stage = stage();
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: 11\r\n\r\nSECRET-AAAA"
            );
            let origin = stage
                .world
                .origin("api.good.test", move |_| Vec::from(reply.as_str()));
            let mut stream = stage.open(door);
            let lines = "Accept-Encoding: gzip, br, x\r\n";
            stream
                .write_all(&door.request("GET", "api.good.test", ITEM, lines, ""))
                .unwrap();
            let answer = read_answer(&mut stream, "GET").unwrap();
            stage.keep(&answer.body);
            assert_eq!(
                (answer.status, answer.refusal()),
                (502, "upstream_malformed"),
                "{coding}"
            );
            assert_eq!(origin.only().header("accept-encoding"), ["identity"]);
        }
    }
    let stage = stage();
    stage.world.origin("api.good.test", |_| {
        b"HTTP/1.1 200 OK\r\nContent-Encoding: unknown\r\nContent-Length: 2\r\n\r\n{}".to_vec()
    });
    let called = stage
        .world
        .call("get_item", "", &json!({"parameters": {"id": "1"}}));
    assert_eq!(
        (called.status, called.refusal()),
        (502, "upstream_malformed")
    );
}
