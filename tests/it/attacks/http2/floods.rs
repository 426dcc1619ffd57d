//! Frames and streams without end. Whatever comes, the connection ends soon, little of it reaches a server, and others
//! are served.

use super::ITEM;
use std::time::Duration;

use exeat::proxy::ClientLimits;

use super::raw::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, PRIORITY, Raw,
    SETTINGS, asking, block, data, frame, headers, reset, settings, window_update,
};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::Plan;

/// How often a flood repeats what it repeats.
const TIMES: u32 = 100_000;

/// How many requests may reach a server before a flood of them ends.
const FEW: usize = 500;

/// Sends the beginning, and then one piece after the other until the other side has enough. The code of its `GOAWAY`.
fn flood(stage: &Stage, beginning: &[u8], piece: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
    let mut raw = Raw::client(stage);
    raw.send(beginning);
    let numbers: Vec<u32> = (0..TIMES).collect();
    for some in numbers.chunks(500) {
        let bytes: Vec<u8> = some.iter().flat_map(|number| piece(*number)).collect();
        if raw.try_send_and_take(&bytes).is_err() {
            break;
        }
    }
    let code = raw.end();
    serves_others(stage);
    assert!(stage.seen().len() < FEW, "{}", stage.seen().len());
    assert!(stage.world.dials().len() < FEW);
    code
}

/// One whose last words have no long wait behind them.
fn hasty() -> Stage {
    let limits = ClientLimits {
        linger: Duration::from_millis(100),
        ..ClientLimits::default()
    };
    Stage::of(Plan::of(POLICY).clients(limits))
}

fn serves_others(stage: &Stage) {
    for door in Door::ALL {
        let mut stream = stage.open(door);
        stream.write_all(&door.get(ITEM)).unwrap();
        assert_eq!(stage.answer(&mut *stream, "GET").unwrap().status, 200);
    }
}

/// The number of the stream that is begun so manieth.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

fn ask(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &asking("GET", ITEM))
}

#[test]
fn h15_streams_that_are_reset_at_once_are_no_storm() {
    let stage = hasty();
    let code = flood(&stage, b"", |number| {
        [ask(stream(number)), reset(stream(number))].concat()
    });
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    let stage = hasty();
    let open = |stream| headers(stream, 0, &asking("POST", "/v1/items"));
    let code = flood(&stage, b"", |number| {
        [open(stream(number)), reset(stream(number))].concat()
    });
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    let lost = stage.world.records(1);
    assert!(
        lost.iter().any(|it| it["detail"]
            .as_str()
            .is_some_and(|it| it.starts_with("HTTP/2 streams"))),
        "{lost:#?}"
    );
}

/// What makes the server end a stream that the client has begun (CVE-2025-8671).
#[test]
fn h15_streams_that_the_server_is_made_to_reset_are_no_storm() {
    let overflow = |it| {
        [
            ask(it),
            window_update(it, 0x7fff_ffff),
            window_update(it, 0x7fff_ffff),
        ]
        .concat()
    };
    let on_itself = |it: u32| {
        [
            ask(it),
            frame(PRIORITY, 0, it, &[&it.to_be_bytes()[..], &[1]].concat()),
        ]
        .concat()
    };
    let short = |it| {
        [
            headers(
                it,
                0,
                &[&asking("POST", "/v1/items")[..], &[("content-length", "1")]].concat(),
            ),
            data(it, 0, b"abc"),
        ]
        .concat()
    };
    let odd = |it| {
        headers(
            it,
            END_STREAM,
            &[&asking("GET", ITEM)[..], &[("connection", "close")]].concat(),
        )
    };
    let pathless = |it| headers(it, END_STREAM, &asking("GET", ITEM)[..3]);
    let makers: [&dyn Fn(u32) -> Vec<u8>; 5] = [&overflow, &on_itself, &short, &odd, &pathless];
    for (which, make) in makers.into_iter().enumerate() {
        let stage = hasty();
        let code = flood(&stage, b"", |number| make(stream(number)));
        assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{which}");
    }
}

#[test]
fn h15_frames_that_carry_nothing_have_an_end() {
    let post = headers(1, 0, &asking("POST", "/v1/items"));
    for (which, beginning, piece) in [
        ("ping", vec![], frame(PING, 0, 0, b"12345678")),
        ("pong", vec![], frame(PING, 1, 0, b"12345678")),
        ("settings", vec![], settings(&[(4, 70_000)])),
        ("empty settings", vec![], frame(SETTINGS, 0, 0, b"")),
        ("priority", vec![], frame(PRIORITY, 0, 9, &[0, 0, 0, 3, 1])),
        ("room for all", vec![], window_update(0, 1)),
        ("room for a stream", post.clone(), window_update(1, 1)),
        ("unknown", vec![], frame(0xfa, 0xff, 0, b"")),
        (
            "priority update",
            vec![],
            frame(0x10, 0, 0, b"\0\0\0\x01u=1"),
        ),
        ("empty data", post.clone(), data(1, 0, b"")),
        ("padding alone", post, frame(DATA, 8, 1, &[0])),
    ] {
        let stage = hasty();
        let code = flood(&stage, &beginning, |_| piece.clone());
        assert!(code.is_some(), "{which}: the connection ends with a word");
    }
}

#[test]
fn h15_a_head_without_end_is_no_head() {
    let begun = frame(HEADERS, END_STREAM, 1, &block(&asking("GET", ITEM)));
    let long = block(&[("x-long", &"x".repeat(4000))]);
    for (which, piece) in [
        ("empty", frame(CONTINUATION, 0, 1, b"")),
        ("short", frame(CONTINUATION, 0, 1, &block(&[("x", "y")]))),
        ("long", frame(CONTINUATION, 0, 1, &long)),
        (
            "a value without end",
            frame(CONTINUATION, 0, 1, &[b'x'; 16_000]),
        ),
    ] {
        let stage = hasty();
        // A literal whose value has a gigabyte.
        let value = [&[0, 1, b'x', 0x7f, 0x81, 0x80, 0x80, 0x80, 0x04][..]].concat();
        let beginning = match which {
            "a value without end" => frame(
                HEADERS,
                END_STREAM,
                1,
                &[block(&asking("GET", ITEM)), value].concat(),
            ),
            _ => begun.clone(),
        };
        let code = flood(&stage, &beginning, |_| piece.clone());
        assert!(code.is_some_and(|it| it != 0), "{which}: {code:?}");
        assert_eq!(stage.seen().len(), 2, "{which}");
    }
}

/// A few bytes that name a long header again and again.
#[test]
fn h15_a_small_head_that_unpacks_to_a_large_one_is_refused() {
    let stage = hasty();
    let value = "x".repeat(4000);
    // A literal that is to be remembered (RFC 7541 §6.2.1), and then its number, 62.
    let mut remembered = block(&[("x", &value)]);
    remembered[0] = 0x40;
    for times in [30, 1_000, 16_000] {
        let bomb = [
            block(&asking("GET", ITEM)),
            remembered.clone(),
            vec![0xbe; times],
        ]
        .concat();
        let first = bomb.len().min(16_384);
        let mut raw = Raw::client(&stage);
        let flags = if first == bomb.len() {
            END_HEADERS | END_STREAM
        } else {
            END_STREAM
        };
        let mut sent = frame(HEADERS, flags, 1, &bomb[..first]);
        if first < bomb.len() {
            sent.extend(frame(CONTINUATION, END_HEADERS, 1, &bomb[first..]));
        }
        let records = stage.world.records(0).len();
        raw.send(&sent);
        let outcome = raw.outcome(1);
        let is_refused = match &outcome {
            super::raw::Outcome::Answer(status, _) => *status == 431,
            super::raw::Outcome::Reset(_) => true,
            super::raw::Outcome::Gone(code) => code.is_some_and(|it| it != 0),
        };
        assert!(is_refused, "{times}: {outcome:?}");
        drop(raw);
        assert_eq!(stage.world.records(records + 1).len(), records + 1);
        assert_eq!(stage.seen(), [], "{times}");
    }
    serves_others(&stage);
}

/// More streams than may be open are refused, and those that are open come to their end.
#[test]
fn h15_more_streams_than_may_be_are_refused() {
    let stage = Stage::of(Plan::of(POLICY).shares(1000));
    let mut raw = Raw::client(&stage);
    let open: Vec<u8> = (0..200)
        .flat_map(|it| headers(stream(it), 0, &asking("POST", "/v1/items")))
        .collect();
    raw.send(&open);
    let refused = (0..100).map(|_| raw.frame_of(super::raw::RST_STREAM).unwrap().code());
    assert!(refused.into_iter().all(|it| it == 7), "REFUSED_STREAM");
    assert_eq!(stage.seen(), []);
}
