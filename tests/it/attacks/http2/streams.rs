//! Streams beside each other, and clients that do not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use exeat::proxy::ClientLimits;
use serde_json::json;

use super::raw::{
    CANCEL, END_STREAM, HEADERS, NO_ERROR, Outcome, RST_STREAM, Raw, asking, data, frame, headers,
};
use super::{ITEM, traces};
use crate::attacks::stage::{POLICY, Stage};
use crate::world::{Plan, read_request};

#[test]
fn h17_a_client_without_room_holds_little_and_not_for_long() {
    const WHOLE: u64 = 1 << 30;
    let limits = ClientLimits {
        write_stall: Duration::from_millis(400),
        keep_alive: Duration::from_secs(5),
        ..ClientLimits::default()
    };
    for first_window in [0, 1, 70_000] {
        let place = "/v1/items/{{id}}\n";
        let policy = POLICY.replace(place, &format!("{place}    max_response_bytes: 1GiB\n"));
        let stage = Stage::of(Plan::of(&policy).clients(limits).shares(1));
        let (sent, (told, over)) = (Arc::new(AtomicU64::new(0)), mpsc::channel());
        let counted = sent.clone();
        stage.world.scripted("api.good.test", 443, move |stream| {
            if read_request(stream).unwrap().contains("/items/2") {
                let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
                let _ = stream.write_all(reply).and_then(|()| stream.flush());
                return;
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {WHOLE}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let block = [b'x'; 16 * 1024];
            while stream.write_all(&block).is_ok() {
                counted.fetch_add(block.len() as u64, Ordering::Relaxed);
            }
            let _ = told.send(());
        });
        let mut raw = Raw::client_with(&stage, &[(4, first_window)]);
        raw.send(&headers(1, END_STREAM, &asking("GET", ITEM)));
        raw.frame_of(HEADERS).unwrap();
        over.recv().unwrap();
        // What sockets and TLS hold on the way is far from all of it.
        assert!(
            sent.load(Ordering::Relaxed) < WHOLE / 10,
            "{}",
            sent.load(Ordering::Relaxed)
        );
        let record = stage.world.record();
        assert_eq!(record["end"], "aborted", "{record}");
        // The only place of this agent is free again.
        let mut other = Raw::client(&stage);
        assert_eq!(
            other.get(1, "/v1/items/2"),
            Outcome::Answer(200, "{}".into())
        );
    }
}

#[test]
fn h18_each_stream_is_decided_by_itself() {
    let stage = Stage::usual();
    let mut raw = Raw::client(&stage);
    let json = [
        ("content-type", "application/json"),
        ("authorization", "Bearer mine"),
    ];
    let create = |stream, body: &[u8]| {
        let head = [&asking("POST", "/v1/items")[..], &json].concat();
        [headers(stream, 0, &head), data(stream, END_STREAM, body)].concat()
    };
    let get = |stream, path| headers(stream, END_STREAM, &asking("GET", path));
    let other = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "api.two.test"),
        (":path", "/me"),
    ];
    raw.send(
        &[
            get(1, ITEM),
            get(3, "/v1/secrets"),
            create(5, br#"{"name":"a","qty":1}"#),
            create(7, br#"{"name":"a","qty":1001}"#),
            headers(9, END_STREAM, &other),
            get(11, "/v1/items/UPPER"),
            get(13, "/v1/items/2?fields=name"),
        ]
        .concat(),
    );
    let mut ends = [(); 7].map(|()| raw.any_outcome());
    ends.sort_by_key(|(stream, _)| *stream);
    let mut shown = Vec::new();
    for (stream, outcome) in &ends {
        let Outcome::Answer(status, content) = outcome else {
            panic!("{stream}: {outcome:?}");
        };
        let code = match content.as_str() {
            "{}" => "none".to_owned(),
            _ => outcome.refusal().1,
        };
        shown.push((*stream, *status, code));
    }
    let expected = [
        (1, 200, "none"),
        (3, 403, "action_undeclared"),
        (5, 200, "none"),
        (7, 403, "parameter_invalid"),
        (9, 421, "host_mismatch"),
        (11, 403, "parameter_invalid"),
        (13, 200, "none"),
    ];
    assert_eq!(
        shown,
        expected.map(|(stream, status, code)| (stream, status, code.to_owned()))
    );
    let seen = stage.good.seen();
    assert_eq!((seen.len(), stage.two.seen().len()), (3, 0));
    for it in seen {
        assert_eq!(it.header("authorization"), ["Bearer SECRET-AAAA"]);
    }
    // Nobody's connection ended, and a stream that breaks hurts no other.
    let before = traces(&stage);
    raw.send(&headers(
        15,
        END_STREAM,
        &[&asking("GET", ITEM)[..], &[("te", "gzip")]].concat(),
    ));
    assert_eq!(raw.outcome(15), Outcome::Reset(1));
    assert_eq!(traces(&stage), before);
    assert_eq!(raw.get(17, ITEM), Outcome::Answer(200, "{}".into()));
    drop(raw);
    let records = stage.world.records(9);
    assert_eq!(records.len(), 9, "{records:#?}");
    assert_eq!(
        records[8]["detail"],
        json!("HTTP/2 streams that were no requests: 1")
    );
}

/// A reset without an error is what a server may send behind a whole answer (RFC 9113 §8.1). A client's says nothing
/// of its body.
#[test]
fn h8_a_body_that_its_client_takes_back_is_not_whole() {
    let policy = POLICY.replace(
        "  two:\n    description",
        "  upload:\n    description: Takes what comes.\n    method: POST\n    \
        url: https://api.good.test/v1/upload\n    accept_body: any\n  two:\n    description",
    );
    for code in [NO_ERROR, CANCEL] {
        for path in ["/v1/items", "/v1/upload"] {
            let stage = Stage::of(Plan::of(&policy));
            let mut raw = Raw::client(&stage);
            let head = [
                &asking("POST", path)[..],
                &[("content-type", "application/json")],
            ]
            .concat();
            let taken_back = frame(RST_STREAM, 0, 1, &code.to_be_bytes());
            raw.send(
                &[
                    headers(1, 0, &head),
                    data(1, 0, br#"{"name":"a","qty":1}"#),
                    taken_back,
                ]
                .concat(),
            );
            stage.world.records(0);
            assert_eq!(raw.get(3, ITEM), Outcome::Answer(200, "{}".into()));
            drop(raw);
            let records = stage.world.records(2);
            assert_eq!(records.len(), 2, "{records:#?}");
            for seen in stage.good.seen() {
                assert_eq!(seen.line(), "GET /v1/items/1 HTTP/1.1", "{code} {path}");
            }
        }
    }
    // The same where exeat reads along: it has begun by the time at which the client takes it back.
    for code in [NO_ERROR, CANCEL] {
        let stage = Stage::of(Plan::of(&policy));
        let ((told, begun), (ended, over)) = (mpsc::channel(), mpsc::channel());
        stage.world.scripted("api.good.test", 443, move |stream| {
            read_request(stream).unwrap();
            let mut piece = [0; 8];
            stream.read_exact(&mut piece).unwrap();
            told.send(()).unwrap();
            let mut rest = piece.to_vec();
            let _ = stream.read_to_end(&mut rest);
            ended.send(String::from_utf8(rest).unwrap()).unwrap();
        });
        let mut raw = Raw::client(&stage);
        raw.send(
            &[
                headers(1, 0, &asking("POST", "/v1/upload")),
                data(1, 0, &[b'x'; 1000]),
            ]
            .concat(),
        );
        begun.recv().unwrap();
        raw.send(&frame(RST_STREAM, 0, 1, &code.to_be_bytes()));
        let body = over.recv().unwrap();
        assert!(!body.ends_with("0\r\n\r\n"), "{code}: {body:?}");
        assert_ne!(stage.world.record()["end"], "complete", "{code}");
    }
}
