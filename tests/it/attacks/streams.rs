//! Group I: WebSockets, upgrades, events, gRPC.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::json;

use super::http2::raw::{DATA, END_STREAM, Frame, HEADERS, Outcome, Raw, asking, data, headers};
use super::stage::{Door, Line, POLICY, Stage};
use crate::world::{
    Plan, Stream, echo, frame, grant, read_frame, read_head, read_request, read_until, rest,
};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";

/// The usual policy with one more field of `ws`.
fn stage_with(field: &str) -> Stage {
    Stage::of(plan_with(field))
}

fn plan_with(field: &str) -> Plan {
    let place = "    upgrade: websocket\n";
    Plan::of(&POLICY.replace(place, &format!("{place}    {field}\n")))
}

/// A request for `ws` with these lines.
fn asks(door: Door, lines: &[&str]) -> Vec<u8> {
    door.request("GET", "api.good.test", "/v1/ws", &lines.concat(), "")
}

fn opening(door: Door) -> Vec<u8> {
    asks(door, &[UPGRADE, CONNECTION, KEY, VERSION])
}

/// Grants a handshake and sends frames back.
fn granting(stream: &mut dyn Stream) {
    let request = read_request(stream).unwrap();
    stream.write_all(grant(&request, "").as_bytes()).unwrap();
    stream.flush().unwrap();
    echo(stream);
}

/// An open WebSocket.
fn open(stage: &Stage, door: Door) -> Box<dyn Line> {
    let mut stream = stage.open(door);
    send(&mut *stream, &opening(door));
    assert_eq!(read_head(&mut stream).unwrap().status, 101);
    stream
}

fn send(stream: &mut dyn Line, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    stream.flush().unwrap();
}

/// A frame of exeat's own that closes: the number, and the code of a refusal.
fn closed(number: u16, code: &str) -> Option<(u8, Vec<u8>)> {
    Some((0x88, [&number.to_be_bytes()[..], code.as_bytes()].concat()))
}

#[test]
fn i2_what_comes_before_the_grant_waits_for_it() {
    for door in Door::ALL {
        for early in [
            frame(0x81, b"early", true),
            door.get("/v1/items/1"),
            [frame(0x82, &[0; 5000], true), door.get("/v1/items/1")].concat(),
        ] {
            let stage = Stage::usual();
            let (told, heard) = mpsc::channel();
            stage.world.scripted("api.good.test", 443, move |stream| {
                read_request(stream).unwrap();
                let refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
                stream
                    .write_all(refused)
                    .and_then(|()| stream.flush())
                    .unwrap();
                let mut more = Vec::new();
                let _ = stream.read_to_end(&mut more);
                told.send(more).unwrap();
            });
            let mut stream = stage.open(door);
            send(&mut *stream, &[opening(door), early].concat());
            let answer = stage.answer(&mut *stream, "GET").unwrap();
            assert_eq!((answer.status, answer.text()), (403, "no"));
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(rest(&mut *stream), "");
            assert_eq!(heard.recv().unwrap(), b"");
            assert_eq!(stage.world.records(1).len(), 1);
        }
        // Where it is granted, the early frame is the first of all, and arrives after the grant.
        let stage = Stage::usual();
        stage.world.scripted("api.good.test", 443, granting);
        let mut stream = stage.open(door);
        send(
            &mut *stream,
            &[opening(door), frame(0x81, b"early", true)].concat(),
        );
        assert_eq!(read_head(&mut stream).unwrap().status, 101);
        assert_eq!(read_frame(&mut stream), Some((0x81, b"early".to_vec())));
    }
}

#[test]
fn i4_what_is_no_handshake_is_refused() {
    let stage = Stage::usual();
    let (u, c, k, v) = (UPGRADE, CONNECTION, KEY, VERSION);
    let (refused, malformed) = ((403, "upgrade_refused"), (400, "request_malformed"));
    for door in Door::ALL {
        for (lines, expected) in [
            (&["Upgrade: websocket, h2c\r\n", c, k, v][..], refused),
            (&["Upgrade: h2c, websocket\r\n", c, k, v], refused),
            (&[u, "Upgrade: h2c\r\n", c, k, v], refused),
            (&[u, u, c, k, v], refused),
            (&["Upgrade: foo\r\n", c, k, v], refused),
            (&["Upgrade: websocket/13\r\n", c, k, v], refused),
            (&["Upgrade: h2c\r\n", c, k, v], refused),
            (&["Upgrade: TLS/1.0\r\n", c], refused),
            (&[c, k, v], refused),
            (&[], refused),
            (&[u, k, v], malformed),
            (&[u, "Connection: close\r\n", k, v], malformed),
            (
                &[u, "Connection: Upgrade, Sec-WebSocket-Key\r\n", k, v],
                malformed,
            ),
            (
                &[u, "Connection: Upgrade, Sec-WebSocket-Version\r\n", k, v],
                malformed,
            ),
            (&[u, c, v], malformed),
            (&[u, c, k, k, v], malformed),
            (&[u, c, "Sec-WebSocket-Key: \r\n", v], malformed),
            (&[u, c, "Sec-WebSocket-Key: AAAA\r\n", v], malformed),
            (
                &[u, c, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", v],
                malformed,
            ),
            (
                &[u, c, "Sec-WebSocket-Key: !GhlIHNhbXBsZSBub25jZQ==\r\n", v],
                malformed,
            ),
            (&[u, c, k], malformed),
            (&[u, c, k, "Sec-WebSocket-Version: 12\r\n"], malformed),
            (&[u, c, k, "Sec-WebSocket-Version: 13, 8\r\n"], malformed),
            (&[u, c, k, "Sec-WebSocket-Version: 013\r\n"], malformed),
            (&[u, c, k, v, v], malformed),
        ] {
            // What follows is frames, or a request: nothing of it is read.
            let sent = asks(door, lines);
            let is_ours = lines.contains(&u) || lines.iter().any(|it| it.starts_with("Upgrade: "));
            match is_ours && !lines.contains(&"Upgrade: h2c\r\n") {
                true => stage.refuses_and_closes(door, &sent, expected),
                false => drop(stage.refuses(door, &sent, expected)),
            }
        }
        for method in ["POST", "PUT", "DELETE"] {
            let lines = [u, c, k, v, "Content-Length: 0\r\n"].concat();
            let sent = door.request(method, "api.good.test", "/v1/ws", &lines, "");
            stage.refuses(door, &sent, (403, "action_undeclared"));
        }
        let with_body = door.request(
            "GET",
            "api.good.test",
            "/v1/ws",
            &[u, c, k, v, "Content-Length: 2\r\n"].concat(),
            "{}",
        );
        stage.refuses(door, &with_body, (400, "body_unexpected"));
        // Another action does not become one.
        let item = door.request(
            "GET",
            "api.good.test",
            "/v1/items/1",
            &[u, c, k, v].concat(),
            "",
        );
        stage.refuses_and_closes(door, &item, refused);
    }
    for body in [json!({}), json!({"parameters": {}})] {
        let called = stage.world.call("ws", "", &body);
        assert_eq!((called.status, called.refusal()), (403, "door_closed"));
    }
    stage.world.assert_nothing_left();
}

#[test]
fn i6_what_is_not_websocket_ends_it() {
    let long = |length: u64| [&[0x82, 0xff][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat();
    let (wrong, over) = ((1002, "request_malformed"), (1009, "too_large"));
    for (sent, (number, code)) in [
        (frame(0x81, b"not masked", false), wrong),
        (frame(0x83, b"", true), wrong),
        (frame(0x87, b"x", true), wrong),
        (frame(0x8b, b"x", true), wrong),
        (frame(0x8f, b"", true), wrong),
        (long(1 << 63), wrong),
        (long(u64::MAX), wrong),
        (long(5), wrong),
        (long(1 << 40), over),
        (long((1 << 63) - 1), over),
        // Control frames that are cut, or too long.
        (frame(0x09, b"ping", true), wrong),
        (frame(0x08, b"", true), wrong),
        (frame(0x89, &[b'x'; 126], true), wrong),
        // Compressed, though nobody agreed to it.
        (frame(0xc1, &[0; 100], true), wrong),
        (frame(0xa1, b"", true), wrong),
        (frame(0x91, b"", true), wrong),
        // Messages that begin in the midst of another, or go on before they began.
        (
            [frame(0x01, b"a", true), frame(0x81, b"b", true)].concat(),
            wrong,
        ),
        (frame(0x80, b"a", true), wrong),
        (
            b"GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n".to_vec(),
            wrong,
        ),
    ] {
        for door in Door::ALL {
            let stage = Stage::usual();
            stage.world.scripted("api.good.test", 443, granting);
            let mut stream = open(&stage, door);
            send(&mut *stream, &sent);
            let shown = &sent[..sent.len().min(20)];
            let mut last = read_frame(&mut stream);
            while last.as_ref().is_some_and(|(first, _)| first & 0xf != 8) {
                last = read_frame(&mut stream);
            }
            assert_eq!(last, closed(number, code), "{shown:x?}");
            assert_eq!(read_frame(&mut stream), None, "{shown:x?}");
            assert_eq!(stage.world.records(2)[1]["code"], code, "{shown:x?}");
        }
    }
    // No extension is ever asked for, and one that is granted all the same is no grant.
    let stage = Stage::usual();
    let (told, heard) = mpsc::channel();
    stage.world.scripted("api.good.test", 443, move |stream| {
        let request = read_request(stream).unwrap();
        told.send(request.to_ascii_lowercase()).unwrap();
        let granted = grant(&request, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
        let _ = stream
            .write_all(granted.as_bytes())
            .and_then(|()| stream.flush());
    });
    let mut stream = stage.open(Door::Tunnel);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    send(
        &mut *stream,
        &asks(Door::Tunnel, &[UPGRADE, CONNECTION, KEY, VERSION, offer]),
    );
    assert!(!heard.recv().unwrap().contains("extensions"));
    let answer = stage.answer(&mut *stream, "GET").unwrap();
    assert_eq!(
        (answer.status, answer.refusal()),
        (502, "upstream_malformed")
    );
}

#[test]
fn i7_a_socket_ends_with_its_permission_after_the_grace() {
    let upgrade = "    upgrade: websocket\n";
    let ws = POLICY.find("  ws:").unwrap()..POLICY.find("  wild:\n").unwrap();
    let without = POLICY.replace(&POLICY[ws], "");
    for (changed, is_withdrawn) in [
        (POLICY.replace(upgrade, ""), true),
        (without, true),
        (POLICY.replace("v1/ws", "v2/ws"), true),
        (POLICY.replace("Talks both ways.", "Talks."), false),
    ] {
        for door in Door::ALL {
            let stage = Stage::of(Plan::of(POLICY).grace(Duration::from_millis(50)));
            stage.world.scripted("api.good.test", 443, granting);
            let mut stream = open(&stage, door);
            stage.world.reload(&changed);
            if is_withdrawn {
                assert_eq!(read_frame(&mut stream), closed(1008, "action_not_allowed"));
                assert_eq!(read_frame(&mut stream), None);
                assert_eq!(stage.world.records(2)[1]["end"], "withdrawn");
            } else {
                // Longer than the grace.
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(200) {
                    send(&mut *stream, &frame(0x81, b"still", true));
                    assert_eq!(read_frame(&mut stream), Some((0x81, b"still".to_vec())));
                }
            }
        }
    }
}

#[test]
fn i8_silence_has_its_own_limit_and_a_ping_breaks_it() {
    for door in Door::ALL {
        let stage = stage_with("idle_timeout: 300ms\n    timeout: 100ms");
        stage.world.scripted("api.good.test", 443, granting);
        let mut silent = open(&stage, door);
        let mut pinging = open(&stage, door);
        let began = Instant::now();
        let mut pings = 0;
        // Twice as long as silence may last, and longer than a request may take.
        while began.elapsed() < Duration::from_millis(600) {
            send(&mut *pinging, &frame(0x89, b"alive", true));
            assert_eq!(
                read_frame(&mut pinging),
                Some((0x89, b"alive".to_vec())),
                "{pings}"
            );
            pings += 1;
        }
        assert_eq!(read_frame(&mut silent), closed(1001, "upstream_timeout"));
        assert_eq!(read_frame(&mut silent), None);
        // Records: both were opened, and the silent one has ended.
        let records = stage.world.records(3);
        let (end, code) = (&records[2]["end"], &records[2]["code"]);
        assert_eq!(
            (end, code),
            (&json!("truncated"), &json!("upstream_timeout"))
        );
    }
}

/// An origin of events that sends the next piece when it is told.
fn events(stage: &Stage) -> mpsc::Sender<&'static str> {
    let (next, pieces) = mpsc::channel::<&str>();
    let pieces = Mutex::new(pieces);
    stage.world.scripted("api.good.test", 443, move |stream| {
        let request = read_request(stream).unwrap();
        if !request.contains("/v1/stream") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").and_then(|()| stream.flush());
            return;
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).and_then(|()| stream.flush()).unwrap();
        while let Ok(piece) = pieces.lock().unwrap().recv() {
            let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
            if stream.write_all(chunk.as_bytes()).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
        let _ = stream.write_all(b"0\r\n\r\n").and_then(|()| stream.flush());
    });
    next
}

fn listen(stage: &Stage, door: Door) -> Box<dyn Line> {
    let mut stream = stage.open(door);
    send(&mut *stream, &door.get("/v1/stream"));
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    stream
}

/// So much content, whatever its chunks are.
fn content(stream: &mut dyn Stream, length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        let size = read_until(stream, b"\r\n").unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).unwrap();
        text += std::str::from_utf8(&chunk[..size]).unwrap();
    }
    text
}

/// By causality: the next event is sent only after the one before has arrived.
#[test]
fn i9_an_event_waits_for_no_other_and_no_secret_comes_with_it() {
    for door in Door::ALL {
        let stage = Stage::usual();
        let next = events(&stage);
        let mut stream = listen(&stage, door);
        for (sent, expected) in [
            ("data: 1\n\n", "data: 1\n\n"),
            ("data: SECRET-AAAA\n\n", "data: ***********\n\n"),
            ("data: SECRET-\n", "data: SECRET-\n"),
            (":\n\n", ":\n\n"),
            ("data: SECRET-AAA\n\n", "data: SECRET-AAA\n\n"),
        ] {
            next.send(sent).unwrap();
            let got = content(&mut *stream, expected.len());
            assert_eq!(got, expected);
            stage.keep(got.as_bytes());
        }
        drop(next);
        assert_eq!(rest_of(&mut *stream), "0\r\n\r\n");
        let records = stage.world.records(2);
        assert_eq!(
            (&records[0]["event"], &records[1]["end"]),
            (&json!("opened"), &json!("complete"))
        );
    }
}

fn rest_of(stream: &mut dyn Stream) -> String {
    read_until(stream, b"0\r\n\r\n").unwrap()
}

#[test]
fn i10_a_stream_has_no_deadline_but_that_of_silence() {
    let place = "    stream: true\n";
    let field = |field: &str| Plan::of(&POLICY.replace(place, &format!("{place}    {field}\n")));
    for door in Door::ALL {
        let stage = Stage::of(field("timeout: 100ms"));
        let next = events(&stage);
        let mut stream = listen(&stage, door);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(300) {
            next.send("data: 1\n\n").unwrap();
            assert_eq!(content(&mut *stream, 9), "data: 1\n\n");
        }
        drop(next);
        assert_eq!(rest_of(&mut *stream), "0\r\n\r\n");
        assert_eq!(stage.world.records(2)[1]["end"], "complete");

        let stage = Stage::of(field("idle_timeout: 150ms"));
        let next = events(&stage);
        let mut stream = listen(&stage, door);
        next.send("data: 1\n\n").unwrap();
        assert_eq!(content(&mut *stream, 9), "data: 1\n\n");
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        let record = &stage.world.records(2)[1];
        assert_eq!(
            (&record["end"], &record["code"]),
            (&json!("truncated"), &json!("upstream_timeout"))
        );
    }
}

#[test]
fn i11_a_secret_in_two_pieces_is_one_secret() {
    for pieces in [
        &["data: SECRET-AA", "AA\n\n"][..],
        &["data: S", "ECRET-AAAA\n\n"],
        &["data: SECRET-AAA", "A\n\n"],
        &["d", "ata: ", "SEC", "RET", "-A", "AA", "A\n", "\n"],
        &["data: SECRET-AA", "AA", "\n\n"],
    ] {
        for refuses in [false, true] {
            for door in Door::ALL {
                let plan = Plan::of(POLICY);
                let stage = Stage::of(if refuses {
                    plan.refusing_echoes()
                } else {
                    plan
                });
                let next = events(&stage);
                let mut stream = listen(&stage, door);
                for piece in pieces {
                    next.send(piece).unwrap();
                }
                drop(next);
                let mut all = Vec::new();
                if refuses {
                    let _ = stream.read_to_end(&mut all);
                    let all = String::from_utf8(all).unwrap();
                    assert!(
                        !all.contains("AA") && !all.ends_with("0\r\n\r\n"),
                        "{all:?}"
                    );
                    assert_eq!(stage.world.records(2)[1]["code"], "secret_echoed");
                } else {
                    let whole = "data: ***********\n\n";
                    assert_eq!(content(&mut *stream, whole.len()), whole, "{pieces:?}");
                    assert_eq!(stage.world.records(2)[1]["redactions"], 1);
                }
            }
        }
    }
    // The same in a WebSocket, where a frame is a piece.
    let stage = Stage::usual();
    stage.world.scripted("api.good.test", 443, |stream| {
        let request = read_request(stream).unwrap();
        let pieces = [
            grant(&request, "").into_bytes(),
            frame(0x01, b"SECRET-AA", false),
            frame(0x80, b"AA", false),
        ];
        stream
            .write_all(&pieces.concat())
            .and_then(|()| stream.flush())
            .unwrap();
        echo(stream);
    });
    let mut stream = open(&stage, Door::Tunnel);
    let mut whole = Vec::new();
    while whole.len() < 11 {
        whole.extend(read_frame(&mut stream).unwrap().1);
    }
    assert_eq!(whole, [b'*'; 11]);
}

const GRPC: &str = r#"
version: 1
secrets: {good_token: {env: GOOD_TOKEN}}
auth: {good: {type: bearer, token: {secret: good_token}}}
actions:
  call:
    description: Calls a procedure.
    method: POST
    url: https://api.good.test/pkg.Service/Call
    auth: good
    accept_body: any
    trailers: true
  plain:
    description: Calls one without trailers.
    method: POST
    url: https://api.good.test/pkg.Service/Plain
    auth: good
    accept_body: any
"#;

/// A message of gRPC: not compressed, five bytes long.
const MESSAGE: &[u8] = b"\0\0\0\0\x05hello";

/// A server of gRPC that answers a whole request so; how many heads and which content it got.
fn grpc(stage: &Stage, answer: Vec<u8>) -> mpsc::Receiver<(usize, Vec<u8>)> {
    let (told, heard) = mpsc::channel();
    stage
        .world
        .scripted_http2("api.good.test", move |stream: &mut dyn Stream| {
            let mut raw = Raw::server(stream);
            let (mut heads, mut body) = (0, Vec::new());
            while let Some(it) = raw.frame() {
                match it.kind {
                    HEADERS => heads += 1,
                    DATA => body.extend(&it.content),
                    _ => continue,
                }
                if it.flags & END_STREAM != 0 {
                    told.send((heads, body.clone())).unwrap();
                    raw.send(&answer);
                }
            }
        });
    heard
}

fn calling(path: &str) -> Vec<(&str, &str)> {
    let grpc = ("content-type", "application/grpc");
    [&asking("POST", path)[..], &[grpc, ("te", "trailers")]].concat()
}

#[test]
fn i12_trailers_of_grpc_pass_where_they_are_declared_and_those_of_requests_never() {
    let head = headers(
        1,
        0,
        &[(":status", "200"), ("content-type", "application/grpc")],
    );
    let status = [
        ("grpc-status", "7"),
        ("grpc-message", "no SECRET-AAAA"),
        ("set-cookie", "a=b"),
    ];
    let whole = [head, data(1, 0, MESSAGE), headers(1, END_STREAM, &status)].concat();
    let alone = [
        &[(":status", "200"), ("content-type", "application/grpc")][..],
        &status[..2],
    ]
    .concat();
    let alone = headers(1, END_STREAM, &alone);
    for (path, passes) in [("/pkg.Service/Call", true), ("/pkg.Service/Plain", false)] {
        for (answer, is_alone) in [(&whole, false), (&alone, true)] {
            let stage = Stage::of(Plan::of(GRPC));
            let heard = grpc(&stage, answer.clone());
            let mut raw = Raw::client(&stage);
            let sent = [
                headers(1, 0, &calling(path)),
                data(1, 0, MESSAGE),
                headers(1, END_STREAM, &[("x-late", "1")]),
            ];
            raw.send(&sent.concat());
            let mut frames = Vec::new();
            while frames
                .last()
                .is_none_or(|it: &Frame| it.flags & END_STREAM == 0 || it.stream == 0)
            {
                frames.push(raw.frame().unwrap());
            }
            let heads = frames.iter().filter(|it| it.kind == HEADERS).count();
            let content: Vec<u8> = frames
                .iter()
                .filter(|it| it.kind == DATA)
                .flat_map(|it| it.content.clone())
                .collect();
            assert_eq!(content, if is_alone { b"" } else { MESSAGE });
            // With nothing but trailers these are the head, which passes in any case.
            let expected = if passes && !is_alone { 2 } else { 1 };
            assert_eq!(heads, expected, "{path} {is_alone}");
            // No second head came behind the content, so no trailers.
            assert_eq!(heard.recv().unwrap(), (1, MESSAGE.to_vec()));
            assert_eq!(stage.world.records(1)[0]["end"], "complete");
        }
    }
}

/// Over HTTP/1.1 on both sides, to a client that says that it takes them.
#[test]
fn i12_trailers_over_http_1_pass_in_chunks() {
    const REPLY: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\ngrpc-status: 0\r\nX-Echo: SECRET-AAAA\r\nAlt-Svc: h3=\":443\"\r\n\r\n";
    for door in Door::ALL {
        for (path, lines, expected) in [
            (
                "/pkg.Service/Call",
                "TE: trailers\r\nConnection: TE, close\r\n",
                "0\r\ngrpc-status: 0\r\nx-echo: ***********\r\n\r\n",
            ),
            ("/pkg.Service/Call", "Connection: close\r\n", "0\r\n\r\n"),
            (
                "/pkg.Service/Plain",
                "TE: trailers\r\nConnection: TE, close\r\n",
                "0\r\n\r\n",
            ),
        ] {
            let stage = Stage::of(Plan::of(GRPC));
            let origin = stage.world.origin("api.good.test", |_| REPLY.to_vec());
            let mut stream = stage.open(door);
            let lines = format!("{lines}Transfer-Encoding: chunked\r\n");
            let body = "5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n";
            send(
                &mut *stream,
                &door.request("POST", "api.good.test", path, &lines, body),
            );
            let text = rest(&mut *stream);
            assert_eq!(
                text.split_once("\r\n\r\n").unwrap().1,
                format!("5\r\nhello\r\n{expected}"),
                "{path} {lines:?}"
            );
            let seen = origin.only();
            assert_eq!(seen.text(), "hello");
            assert!(!seen.head.to_ascii_lowercase().contains("x-late"));
        }
    }
}

/// A client that leaves without a word, or cuts off what it sends, in the midst of everything.
#[test]
fn i8_a_client_that_is_gone_holds_nothing() {
    let stage = Stage::of(plan_with("idle_timeout: 5m").shares(1));
    stage.world.scripted("api.good.test", 443, granting);
    let stream = open(&stage, Door::Proxy);
    drop(stream);
    assert_eq!(stage.world.records(2)[1]["action"], "ws");
    drop(open(&stage, Door::Tunnel));
    assert_eq!(stage.world.records(4)[3]["action"], "ws");
    let cut: TcpStream = stage.world.client().connect();
    drop(cut);
    let mut raw = Raw::client(&stage);
    assert_eq!(
        raw.get(1, "/v1/nothing").refusal(),
        (403, "action_undeclared".into())
    );
    assert!(matches!(raw.get(3, "/v1/ws"), Outcome::Answer(403, _)));
}
