//! A server that speaks HTTP/2, and not well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::ITEM;
use super::raw::{
    DATA, END_HEADERS, END_STREAM, Fields, GOAWAY, HEADERS, PING, PUSH_PROMISE, RST_STREAM, Raw,
    block, data, frame, headers, settings, window_update,
};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, Stream};

/// A server that reads a request with its body, if it has one, and answers with these bytes; and how often it did.
fn server(
    stage: &Stage,
    answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    stage
        .world
        .scripted_http2("api.good.test", move |stream: &mut dyn Stream| {
            let mut raw = Raw::server(stream);
            while let Some(it) = raw.frame() {
                if matches!(it.kind, DATA | HEADERS) && it.flags & END_STREAM != 0 {
                    let bytes = answer(counted.fetch_add(1, Ordering::Relaxed));
                    // Somebody who has enough leaves in the midst of it.
                    if bytes.chunks(100_000).any(|it| raw.try_send(it).is_err())
                        || bytes.ends_with(&goaway(0))
                    {
                        return;
                    }
                }
            }
        });
    asked
}

/// A server whose first answer is this one, and which is good from then on.
fn once(stage: &Stage, answer: Vec<u8>) {
    server(stage, move |number| match number {
        0 => answer.clone(),
        _ => [ok(&[]), data(1, END_STREAM, b"{}")].concat(),
    });
}

/// The next request goes well, on a connection of its own.
fn dials_anew(stage: &Stage, which: &str) {
    let (answer, record) = item(stage, Door::Proxy);
    assert_eq!(answer, Some((200, "none".into())), "{which}: {record}");
    assert_eq!(stage.world.dials().len(), 2, "{which}");
}

fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

fn ok(more: &Fields<'_>) -> Vec<u8> {
    headers(1, 0, &[&[(":status", "200")], more].concat())
}

fn stage() -> Stage {
    Stage::of(Plan::of(POLICY).connections(100))
}

/// What a client of HTTP/1.1 gets for an item, and the record of it.
fn item(stage: &Stage, door: Door) -> (Option<(u16, String)>, serde_json::Value) {
    let records = stage.world.records(0).len();
    let mut stream = stage.open(door);
    stream.write_all(&door.get(ITEM)).unwrap();
    let answer = stage.answer(&mut *stream, "GET");
    let record = stage.world.records(records + 1)[records].clone();
    (
        answer.map(|it| (it.status, it.refusal().to_owned())),
        record,
    )
}

#[test]
fn h19_a_good_answer_is_passed_on() {
    let stage = stage();
    let asked = server(&stage, |number| {
        let stream = 2 * number as u32 + 1;
        [
            headers(stream, 0, &[(":status", "200")]),
            data(stream, END_STREAM, b"{}"),
        ]
        .concat()
    });
    for door in Door::ALL {
        assert_eq!(item(&stage, door).0, Some((200, "none".into())));
    }
    assert_eq!(
        (asked.load(Ordering::Relaxed), stage.world.dials().len()),
        (2, 1)
    );
}

#[test]
fn h19_what_nobody_asked_for_is_not_taken() {
    let promise = |stream: u32| {
        let asked = block(&[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "api.good.test"),
            (":path", "/v1/items/2"),
        ]);
        let pushed = headers(2, 0, &[(":status", "200"), ("x-pushed", "1")]);
        let promised = frame(
            PUSH_PROMISE,
            END_HEADERS,
            stream,
            &[&2u32.to_be_bytes()[..], &asked].concat(),
        );
        [
            promised,
            pushed,
            data(2, END_STREAM, b"forged"),
            ok(&[]),
            data(1, END_STREAM, b"{}"),
        ]
        .concat()
    };
    for door in Door::ALL {
        let stage = stage();
        server(&stage, move |_| promise(1));
        let (answer, record) = item(&stage, door);
        assert_eq!(answer, Some((502, "upstream_malformed".into())), "{record}");
        assert_eq!(record["end"], "failed");
    }
}

#[test]
fn h19_interim_answers_and_frames_that_carry_nothing_have_an_end() {
    let hint = headers(1, 0, &[(":status", "103"), ("link", "</x>")]);
    for (which, piece) in [
        ("interim", hint),
        ("ping", frame(PING, 0, 0, b"12345678")),
        ("settings", settings(&[(4, 70_000)])),
        ("room", window_update(0, 1)),
        ("unknown", frame(0xfa, 0, 0, b"")),
    ] {
        let stage = stage();
        let flood = piece.repeat(100_000);
        server(&stage, move |_| {
            [&flood[..], &ok(&[]), &data(1, END_STREAM, b"{}")].concat()
        });
        let (answer, record) = item(&stage, Door::Tunnel);
        assert_eq!(
            answer,
            Some((502, "upstream_malformed".into())),
            "{which}: {record}"
        );
        // The same agent is served by another.
        let mut other = stage.open(Door::Proxy);
        other
            .write_all(&Door::Proxy.request("GET", "api.two.test", "/me", "", ""))
            .unwrap();
        assert_eq!(
            stage.answer(&mut *other, "GET").unwrap().status,
            200,
            "{which}"
        );
    }
    let stage = stage();
    server(&stage, |_| {
        let hint = headers(1, 0, &[(":status", "103"), ("link", "</x>")]);
        [hint.repeat(8), ok(&[]), data(1, END_STREAM, b"{}")].concat()
    });
    assert_eq!(item(&stage, Door::Proxy).0, Some((200, "none".into())));
}

#[test]
fn h19_a_post_is_not_sent_again_when_the_server_goes() {
    for last in [0, 1] {
        let stage = stage();
        let asked = server(&stage, move |_| [goaway(last), goaway(0)].concat());
        for (door, sent) in [(Door::Proxy, 1), (Door::Tunnel, 2)] {
            let records = stage.world.records(0).len();
            let mut stream = stage.open(door);
            stream
                .write_all(&door.post(r#"{"name":"a","qty":1}"#))
                .unwrap();
            let answer = stage.answer(&mut *stream, "POST").unwrap();
            assert_eq!(
                (answer.status, answer.refusal()),
                (502, "upstream_malformed"),
                "{last}"
            );
            assert_eq!(asked.load(Ordering::Relaxed), sent, "{last}");
            assert_eq!(stage.world.records(records + 1)[records]["end"], "failed");
        }
    }
}

#[test]
fn h19_an_answer_that_is_not_well_formed_is_none() {
    let whole = |head: Vec<u8>| [head, data(1, END_STREAM, b"abc")].concat();
    for (which, answer) in [
        ("no status", whole(headers(1, 0, &[("x", "y")]))),
        (
            "two",
            whole(headers(1, 0, &[(":status", "200"), (":status", "200")])),
        ),
        ("600", whole(headers(1, 0, &[(":status", "600")]))),
        ("999", whole(headers(1, 0, &[(":status", "999")]))),
        ("099", whole(headers(1, 0, &[(":status", "099")]))),
        ("101", whole(headers(1, 0, &[(":status", "101")]))),
        ("upper case", whole(ok(&[("X-A", "y")]))),
        ("a line end", whole(ok(&[("x", "a\r\nb: c")]))),
        ("connection", whole(ok(&[("connection", "close")]))),
        ("a coding", whole(ok(&[("transfer-encoding", "chunked")]))),
        (
            "lengths",
            whole(ok(&[("content-length", "3"), ("content-length", "3")])),
        ),
        (
            "two lengths",
            whole(ok(&[("content-length", "3"), ("content-length", "2")])),
        ),
        ("a zero", whole(ok(&[("content-length", "03")]))),
        ("no number", whole(ok(&[("content-length", "+3")]))),
        ("reset", frame(RST_STREAM, 0, 1, &[0, 0, 0, 2])),
        ("data first", data(1, END_STREAM, b"abc")),
        ("not HTTP/2", b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
    ] {
        let stage = stage();
        once(&stage, answer);
        let (answer, record) = item(&stage, Door::Proxy);
        let expected = Some((502, "upstream_malformed".into()));
        assert_eq!(answer, expected, "{which}: {record}");
        assert_eq!(record["end"], json!("failed"), "{which}");
        dials_anew(&stage, which);
    }
    for (which, answer) in [
        (
            "too short",
            [ok(&[("content-length", "3")]), data(1, END_STREAM, b"ab")].concat(),
        ),
        (
            "too long",
            [ok(&[("content-length", "3")]), data(1, END_STREAM, b"abcd")].concat(),
        ),
        (
            "reset",
            [
                ok(&[]),
                data(1, 0, b"ab"),
                frame(RST_STREAM, 0, 1, &[0, 0, 0, 2]),
            ]
            .concat(),
        ),
        (
            "reset without an error",
            [
                ok(&[]),
                data(1, 0, b"ab"),
                frame(RST_STREAM, 0, 1, &[0, 0, 0, 0]),
            ]
            .concat(),
        ),
        (
            "cancelled",
            [
                ok(&[]),
                data(1, 0, b"ab"),
                frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
            ]
            .concat(),
        ),
        (
            "gone",
            [ok(&[]), data(1, 0, b"ab"), goaway(1), goaway(0)].concat(),
        ),
    ] {
        let stage = stage();
        once(&stage, answer);
        let (answer, record) = item(&stage, Door::Proxy);
        assert_ne!(answer.map(|it| it.0), Some(200), "{which}: {record}");
        let code = &record["code"];
        assert_eq!(code, "upstream_malformed", "{which}: {record}");
        dials_anew(&stage, which);
    }
}
