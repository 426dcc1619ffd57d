//! WebSockets: a handshake that is decided like any request, and frames both ways once both sides agree.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{
    Plan, Stream, World, echo, frame, grant, json_reply, read_answer, read_frame, read_head,
    read_request,
};

const POLICY: &str = r#"
version: 1
secrets: {good_token: {env: GOOD_TOKEN}, two_key: {env: TWO_KEY}}
auth:
  good: {type: bearer, token: {secret: good_token}}
  two: {type: api_key, in: query, name: key, value: {secret: two_key}}
actions:
  talk:
    description: Talks about one room.
    method: GET
    url: https://api.good.test/v1/rooms/{{room}}
    auth: good
    upgrade: websocket
    parameters:
      properties: {room: {type: string, pattern: "^[a-z]+$"}, since: {type: integer}}
      required: [room]
  brief:
    description: Talks about little.
    method: GET
    url: http://ws.good.test/brief
    allow_http: true
    upgrade: websocket
    timeout: 1s
    max_request_bytes: 100
    max_response_bytes: 100
  silent:
    description: Talks without long pauses.
    method: GET
    url: http://ws.good.test/silent
    allow_http: true
    upgrade: websocket
    idle_timeout: 50ms
  named:
    description: Talks in one subprotocol.
    method: GET
    url: http://ws.good.test/named
    allow_http: true
    upgrade: websocket
    headers: {Sec-WebSocket-Protocol: v1}
  get_item:
    description: Returns one item.
    method: GET
    url: https://api.good.test/v1/items/{{id}}
    auth: good
    parameters: {properties: {id: {type: string}}, required: [id]}
  two:
    description: Has a secret of its own.
    method: GET
    url: https://api.two.test/me
    auth: two
"#;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const ROOM: &str = "https://api.good.test/v1/rooms/a";
const BRIEF: &str = "http://ws.good.test/brief";

fn plan() -> Plan {
    Plan::of(POLICY)
}

fn world() -> World {
    let world = plan().start();
    world.resolve("ws.good.test", &["203.0.114.42"]);
    world
}

/// A handshake for this target, with these lines beside what it needs.
fn opening(target: &str, lines: &str) -> String {
    let host = target
        .split("//")
        .nth(1)
        .and_then(|it| it.split('/').next());
    let host = host.unwrap_or("api.good.test");
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
}

/// An open WebSocket of a client.
fn open(world: &World, target: &str) -> std::net::TcpStream {
    let mut stream = world.client().connect();
    stream.write_all(opening(target, "").as_bytes()).unwrap();
    let answer = read_head(&mut stream).unwrap();
    assert_eq!(answer.status, 101, "{}", answer.head);
    stream
}

fn say(stream: &mut dyn Stream, text: &str) {
    stream
        .write_all(&frame(0x81, text.as_bytes(), true))
        .unwrap();
    stream.flush().unwrap();
}

/// A frame of exeat's own that closes: the number, and the code of a refusal.
fn closed(number: u16, code: &str) -> Option<(u8, Vec<u8>)> {
    Some((0x88, [&number.to_be_bytes()[..], code.as_bytes()].concat()))
}

/// Grants a handshake and sends frames back.
fn granting(stream: &mut dyn Stream) {
    let request = read_request(stream).unwrap();
    stream.write_all(grant(&request, "").as_bytes()).unwrap();
    stream.flush().unwrap();
    echo(stream);
}

fn converse(stream: &mut dyn Stream) {
    for text in ["hello", "", &"x".repeat(70_000)] {
        say(stream, text);
        assert_eq!(read_frame(stream), Some((0x81, text.into())));
    }
    stream.write_all(&frame(0x89, b"ping", true)).unwrap();
    assert_eq!(read_frame(stream), Some((0x89, b"ping".to_vec())));
    stream.write_all(&frame(0x88, b"\x03\xe8", true)).unwrap();
    assert_eq!(read_frame(stream), Some((0x88, b"\x03\xe8".to_vec())));
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}

#[test]
fn frames_go_both_ways_in_absolute_form_and_inside_a_tunnel() {
    let lines = "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: v1, v2\r\n\
                 Authorization: Bearer mine\r\nX-Other: 1\r\n";
    for inside in [false, true] {
        let mut world = world();
        let (heads, seen) = mpsc::channel();
        world.scripted("api.good.test", 443, move |stream| {
            let request = read_request(stream).unwrap();
            let granted = grant(
                &request,
                "Sec-WebSocket-Protocol: v2\r\nExeat-Refusal: x\r\nX-A: 1\r\n",
            );
            heads.send(request).unwrap();
            stream.write_all(granted.as_bytes()).unwrap();
            stream.flush().unwrap();
            echo(stream);
        });
        let client = world.client();
        let (target, mut stream): (_, Box<dyn Stream>) = match inside {
            true => (
                "/v1/rooms/a?since=7",
                Box::new(client.tunnel("api.good.test")),
            ),
            false => (
                "https://api.good.test/v1/rooms/a?since=7",
                Box::new(client.connect()),
            ),
        };
        stream.write_all(opening(target, lines).as_bytes()).unwrap();
        stream.flush().unwrap();
        let answer = read_head(&mut *stream).unwrap();
        assert_eq!(answer.status, 101, "{}", answer.head);
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        assert_eq!(answer.header("connection"), Some("Upgrade"));
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
        assert_eq!(answer.header("sec-websocket-protocol"), Some("v2"));
        assert_eq!(answer.header("exeat-refusal"), None);
        assert_eq!(answer.header("exeat-outcome"), Some("succeeded"));
        assert_eq!(answer.header("x-a"), Some("1"));
        converse(&mut *stream);
        drop(stream);

        let head = seen.recv().unwrap().to_ascii_lowercase();
        assert!(
            head.starts_with("get /v1/rooms/a?since=7 http/1.1\r\n"),
            "{head}"
        );
        for line in [
            "upgrade: websocket",
            "connection: upgrade",
            "sec-websocket-version: 13",
            "sec-websocket-protocol: v1, v2",
            "authorization: bearer secret-aaaa",
        ] {
            assert_eq!(head.matches(line).count(), 1, "{line}: {head}");
        }
        for name in ["extensions", "x-other", "mine", "proxy-"] {
            assert!(!head.contains(name), "{name}: {head}");
        }
        let records = world.last_records();
        assert_eq!(records.len(), 2, "{records:#?}");
        assert_eq!(records[0]["event"], "opened");
        assert_eq!(records[0]["action"], "talk");
        let last = &records[1];
        assert_eq!(last.get("event"), None);
        assert_eq!(
            (&last["status"], &last["end"]),
            (&json!(101), &json!("complete"))
        );
        assert_eq!(last["outcome"], "succeeded");
        assert_eq!(last["request_id"], records[0]["request_id"]);
        // Heads of frames are bytes too: 6 and 2, 6 and 2, 14 and 10, 6 and 2, 6 and 2.
        assert_eq!(last["bytes_in"], 70_000 + 5 + 4 + 2 + 38, "{last}");
        assert_eq!(last["bytes_out"], 70_000 + 5 + 4 + 2 + 18, "{last}");
        let dropped = last["dropped"].as_array().unwrap();
        assert!(
            dropped.contains(&json!("sec-websocket-extensions")),
            "{last}"
        );
    }
}

#[test]
fn what_is_no_handshake_of_this_action_is_refused_before_anything_is_dialled() {
    let world = world();
    let of = |target: &str, lines: &[&str]| {
        let lines: String = lines.iter().map(|it| format!("{it}\r\n")).collect();
        format!("GET {target} HTTP/1.1\r\nHost: api.good.test\r\n{lines}\r\n")
    };
    let (u, c) = ("Upgrade: websocket", "Connection: Upgrade");
    let (k, v) = (
        &*format!("Sec-WebSocket-Key: {KEY}"),
        "Sec-WebSocket-Version: 13",
    );
    let post = of(ROOM, &[u, c, k, v, "Content-Length: 2"]).replacen("GET", "POST", 1) + "{}";
    let item = "https://api.good.test/v1/items/1";
    for (bytes, expected) in [
        (of(ROOM, &[]), (403, "upgrade_refused")),
        (
            of(ROOM, &["Upgrade: websocket, h2c", c, k, v]),
            (403, "upgrade_refused"),
        ),
        (
            of(ROOM, &[u, "Upgrade: h2c", c, k, v]),
            (403, "upgrade_refused"),
        ),
        (
            of(ROOM, &["Upgrade: foo", c, k, v]),
            (403, "upgrade_refused"),
        ),
        (
            of(ROOM, &["Upgrade: h2c", c, k, v]),
            (403, "upgrade_refused"),
        ),
        (of(ROOM, &[u, k, v]), (400, "request_malformed")),
        (of(ROOM, &[u, c, v]), (400, "request_malformed")),
        (of(ROOM, &[u, c, k]), (400, "request_malformed")),
        (
            of(ROOM, &[u, c, k, "Sec-WebSocket-Version: 12"]),
            (400, "request_malformed"),
        ),
        (
            of(ROOM, &[u, c, "Sec-WebSocket-Key: AAAA", v]),
            (400, "request_malformed"),
        ),
        (of(ROOM, &[u, c, k, k, v]), (400, "request_malformed")),
        (
            of(ROOM, &[u, "Connection: Upgrade, Sec-WebSocket-Key", k, v]),
            (400, "request_malformed"),
        ),
        (
            opening(ROOM, "").replace("HTTP/1.1", "HTTP/1.0"),
            (403, "upgrade_refused"),
        ),
        (
            of(ROOM, &[u, c, k, v, "Content-Length: 2"]) + "{}",
            (400, "body_unexpected"),
        ),
        (post, (403, "action_undeclared")),
        (
            opening("https://api.good.test/v1/rooms/A", ""),
            (403, "parameter_invalid"),
        ),
        (
            opening("https://api.good.test/v1/rooms/a?x=1", ""),
            (403, "parameter_undeclared"),
        ),
        (opening("https://evil.test/", ""), (403, "host_undeclared")),
        (of(item, &[u, c, k, v]), (403, "upgrade_refused")),
        (of(item, &[u]), (403, "upgrade_refused")),
        (of(item, &["Upgrade: foo", c]), (403, "upgrade_refused")),
    ] {
        // No frame that follows a handshake is read as a request.
        let is_handshake = bytes.contains("websocket") || bytes.contains("foo");
        let mut bytes = bytes.into_bytes();
        if is_handshake {
            bytes.extend(frame(0x81, b"GET / HTTP/1.1\r\n\r\n", true));
        }
        let rest = world.refuses(&bytes, expected);
        assert_eq!(rest, "");
    }
}

#[test]
fn an_offer_of_http2_in_cleartext_changes_nothing() {
    let world = world();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let lines = [
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABk",
        "Connection: Upgrade, HTTP2-Settings",
    ];
    let url = "http://api.good.test/v1/items/1";
    assert_eq!(world.client().send("GET", url, &lines, "").status, 200);
    let seen = origin.only();
    for name in ["upgrade", "http2-settings", "connection"] {
        assert_eq!(seen.header(name), [""; 0], "{name}");
    }
}

#[test]
fn a_tool_cannot_open_one() {
    let world = world();
    let listed = world.tool("GET", "/v1/actions", "", None);
    assert!(!listed.text().contains("talk"), "{}", listed.text());
    let called = world.call("talk", "", &json!({"parameters": {"room": "a"}}));
    assert_eq!((called.status, called.refusal()), (403, "door_closed"));
    world.assert_nothing_left();
}

#[test]
fn a_grant_that_does_not_fit_is_no_grant() {
    let head = |lines: &[&str]| {
        let lines: String = lines.iter().map(|it| format!("{it}\r\n")).collect();
        format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n")
    };
    let (u, c) = ("Upgrade: websocket", "Connection: Upgrade");
    let a = &*format!("Sec-WebSocket-Accept: {ACCEPT}");
    for reply in [
        head(&[u, c]),
        head(&[u, a]),
        head(&[c, a]),
        head(&["Upgrade: h2c", c, a]),
        head(&[u, c, "Sec-WebSocket-Accept: AAAA"]),
        head(&[u, c, a, "Sec-WebSocket-Protocol: chat"]),
        head(&[u, c, a, "Sec-WebSocket-Extensions: permessage-deflate"]),
        head(&[u, c, a, "Content-Length: 5"]),
    ] {
        let mut world = world();
        let shown = reply.clone();
        world.scripted("api.good.test", 443, move |stream| {
            read_request(stream);
            let _ = stream
                .write_all(reply.as_bytes())
                .and_then(|()| stream.flush());
            // Nothing of the client's ever comes.
            assert_eq!(read_frame(stream), None);
        });
        let mut stream = world.client().connect();
        let early = frame(0x81, b"early", true);
        stream
            .write_all(&[opening(ROOM, "").as_bytes(), &early].concat())
            .unwrap();
        let answer = read_answer(&mut stream, "GET").unwrap();
        assert_eq!(
            (answer.status, answer.refusal()),
            (502, "upstream_malformed"),
            "{shown}"
        );
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "{shown}");
        let records = world.last_records();
        assert_eq!(records.len(), 1, "{records:#?}");
        assert_eq!(records[0]["end"], "failed");
    }
}

#[test]
fn any_other_answer_is_an_ordinary_reply_after_which_nothing_is_read() {
    for (reply, status) in [
        (json_reply("{\"a\":1}"), 200),
        (
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"
                .to_vec(),
            426,
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec(),
            403,
        ),
    ] {
        let world = world();
        let origin = world.origin("api.good.test", move |_| reply.clone());
        for _ in 0..2 {
            let mut stream = world.client().connect();
            let next =
                "GET https://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
            stream
                .write_all((opening(ROOM, "") + next).as_bytes())
                .unwrap();
            let answer = read_answer(&mut stream, "GET").unwrap();
            assert_eq!(
                (answer.status, answer.header("connection")),
                (status, Some("close"))
            );
            assert_eq!(answer.header("upgrade"), None);
            assert_eq!(answer.header("exeat-outcome"), Some("failed"));
            assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        }
        // The second request never came, and no connection served twice.
        assert_eq!((origin.seen().len(), origin.connections()), (2, 2));
        assert_eq!(world.records(2)[1]["end"], "complete");
    }
}

#[test]
fn frames_that_come_with_the_handshake_wait_for_the_grant() {
    let world = world();
    world.scripted("ws.good.test", 80, granting);
    let mut stream = world.client().connect();
    let early = frame(0x81, b"early", true);
    stream
        .write_all(&[opening(BRIEF, "").as_bytes(), &early].concat())
        .unwrap();
    assert_eq!(read_head(&mut stream).unwrap().status, 101);
    assert_eq!(read_frame(&mut stream), Some((0x81, b"early".to_vec())));
}

#[test]
fn a_secret_that_comes_back_is_masked_also_where_frames_cut_it() {
    let world = world();
    world.scripted("api.good.test", 443, |stream| {
        let request = read_request(stream).unwrap();
        stream
            .write_all(grant(&request, "X-Echo: SECRET-AAAA\r\n").as_bytes())
            .unwrap();
        stream
            .write_all(&frame(0x81, b"one SECRET-AAAA", false))
            .unwrap();
        stream
            .write_all(&frame(0x01, b"two SECRET", false))
            .unwrap();
        stream.write_all(&frame(0x89, b"ping", false)).unwrap();
        stream
            .write_all(&frame(0x80, b"-AAAA three", false))
            .unwrap();
        stream.flush().unwrap();
        echo(stream);
    });
    let mut stream = world.client().connect();
    stream.write_all(opening(ROOM, "").as_bytes()).unwrap();
    let head = read_head(&mut stream).unwrap();
    assert_eq!(head.header("x-echo"), Some("***********"));
    assert_eq!(
        read_frame(&mut stream),
        Some((0x81, b"one ***********".to_vec()))
    );
    let (mut whole, mut control) = (Vec::new(), 0);
    while !whole.ends_with(b"three") {
        let (first, content) = read_frame(&mut stream).unwrap();
        match first {
            0x89 => control += 1,
            _ => whole.extend(content),
        }
    }
    assert_eq!((control, whole), (1, b"two *********** three".to_vec()));
    drop(stream);
    assert_eq!(world.records(2)[1]["redactions"], 3);
    assert!(!world.everything_written().contains("SECRET-AAAA"));
}

#[test]
fn where_no_echo_may_be_it_ends_before_it_and_says_so() {
    let whole = frame(0x81, b"a SECRET-AAAA", false);
    for (bytes, last_words) in [
        (whole.clone(), closed(1008, "secret_echoed")),
        (
            frame(0x88, b"\x03\xe8SECRET-AAAA", false),
            closed(1008, "secret_echoed"),
        ),
        // The head of a frame is out, and no other may stand behind it.
        (frame(0x81, &[b'x'; 200], false)[..150].to_vec(), None),
    ] {
        let world = plan().refusing_echoes().start();
        let (go_on, told) = mpsc::channel::<()>();
        let told = std::sync::Mutex::new(told);
        let is_begun = last_words.is_none();
        world.scripted("api.good.test", 443, move |stream| {
            let request = read_request(stream).unwrap();
            stream.write_all(grant(&request, "").as_bytes()).unwrap();
            stream.write_all(&bytes).unwrap();
            stream.flush().unwrap();
            if is_begun {
                told.lock().unwrap().recv().unwrap();
                let rest = format!("{:<54}", "SECRET-AAAA");
                stream.write_all(rest.as_bytes()).unwrap();
                stream.flush().unwrap();
            }
            let _ = read_frame(stream);
        });
        let mut stream = open(&world, ROOM);
        if is_begun {
            stream.read_exact(&mut [0; 4]).unwrap();
            go_on.send(()).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(rest.iter().all(|it| *it == b'x'), "{rest:x?}");
        }
        assert_eq!(read_frame(&mut stream), last_words);
        assert_eq!(read_frame(&mut stream), None);
        let record = &world.records(2)[1];
        assert_eq!(
            (&record["end"], &record["code"]),
            (&json!("truncated"), &json!("secret_echoed"))
        );
    }
}

#[test]
fn a_client_hears_of_no_subprotocol_that_it_has_not_offered() {
    for (lines, expected) in [
        ("", None),
        ("Sec-WebSocket-Protocol: v0, v1\r\n", Some("v1")),
    ] {
        let world = world();
        world.scripted("ws.good.test", 80, |stream| {
            let request = read_request(stream).unwrap();
            let asked = request.to_ascii_lowercase();
            assert!(asked.contains("sec-websocket-protocol: v1\r\n"), "{asked}");
            let granted = grant(&request, "Sec-WebSocket-Protocol: v1\r\n");
            stream.write_all(granted.as_bytes()).unwrap();
            echo(stream);
        });
        let mut stream = world.client().connect();
        let head = opening("http://ws.good.test/named", lines);
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read_head(&mut stream).unwrap();
        assert_eq!(answer.status, 101, "{}", answer.head);
        assert_eq!(answer.header("sec-websocket-protocol"), expected);
    }
}

#[test]
fn a_client_that_sends_a_secret_is_stopped_before_it() {
    let world = world();
    world.origin("api.two.test", |_| json_reply("{}"));
    world.client().get("http://api.two.test/me");
    let (told, heard) = mpsc::channel();
    world.scripted("ws.good.test", 80, move |stream| {
        let request = read_request(stream).unwrap();
        stream.write_all(grant(&request, "").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        told.send(bytes).unwrap();
    });
    let mut stream = open(&world, BRIEF);
    say(&mut stream, "harmless");
    say(&mut stream, "the key is SECRET-BBBB");
    assert_eq!(read_frame(&mut stream), closed(1008, "secret_outgoing"));
    assert_eq!(read_frame(&mut stream), None);
    let record = &world.records(3)[2];
    assert_eq!(
        (&record["end"], &record["code"]),
        (&json!("refused"), &json!("secret_outgoing"))
    );
    let heard = heard.recv().unwrap();
    assert!(
        heard.starts_with(&frame(0x81, b"harmless", true)),
        "{heard:x?}"
    );
    // At most the head of the second message.
    assert!(heard.len() <= 14 + 6 + 11, "{heard:x?}");
}

#[test]
fn so_many_bytes_pass_in_either_direction() {
    for (asked, code) in [
        ("x".repeat(90), "upstream_too_large"),
        ("x".repeat(200), "too_large"),
    ] {
        let world = world();
        world.scripted("ws.good.test", 80, move |stream| {
            let request = read_request(stream).unwrap();
            stream.write_all(grant(&request, "").as_bytes()).unwrap();
            while let Some((first, content)) = read_frame(stream) {
                let twice = [content.clone(), content].concat();
                if stream.write_all(&frame(first, &twice, false)).is_err() {
                    return;
                }
            }
        });
        let mut stream = open(&world, BRIEF);
        say(&mut stream, &asked);
        assert_eq!(read_frame(&mut stream), closed(1009, code));
        assert_eq!(read_frame(&mut stream), None);
        let record = &world.records(2)[1];
        assert_eq!(
            (&record["end"], &record["code"]),
            (&json!("truncated"), &json!(code))
        );
    }
}

#[test]
fn silence_ends_it_and_the_timeout_of_a_request_does_not() {
    let world = world();
    world.scripted("ws.good.test", 80, granting);
    let mut stream = open(&world, "http://ws.good.test/silent");
    assert_eq!(read_frame(&mut stream), closed(1001, "upstream_timeout"));
    assert_eq!(read_frame(&mut stream), None);
    let record = &world.records(2)[1];
    assert_eq!(
        (&record["end"], &record["code"]),
        (&json!("truncated"), &json!("upstream_timeout"))
    );

    let mut stream = open(&world, BRIEF);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1100) {
        std::thread::yield_now();
    }
    say(&mut stream, "still here");
    assert_eq!(
        read_frame(&mut stream),
        Some((0x81, b"still here".to_vec()))
    );
}

#[test]
fn what_is_not_websocket_ends_it() {
    for (of_the_client, of_the_server, number, code) in [
        (
            frame(0x81, b"clear", false),
            vec![],
            1002,
            "request_malformed",
        ),
        (frame(0x83, b"", true), vec![], 1002, "request_malformed"),
        (
            frame(0xc1, b"compressed", true),
            vec![],
            1002,
            "request_malformed",
        ),
        (
            vec![],
            frame(0xc1, b"compressed", false),
            1014,
            "upstream_malformed",
        ),
        (
            vec![],
            frame(0x81, b"masked", true),
            1014,
            "upstream_malformed",
        ),
        (
            vec![],
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
            1014,
            "upstream_malformed",
        ),
    ] {
        let world = world();
        world.scripted("ws.good.test", 80, move |stream| {
            let request = read_request(stream).unwrap();
            stream.write_all(grant(&request, "").as_bytes()).unwrap();
            stream.write_all(&of_the_server).unwrap();
            echo(stream);
        });
        let mut stream = open(&world, BRIEF);
        stream.write_all(&of_the_client).unwrap();
        assert_eq!(read_frame(&mut stream), closed(number, code));
        assert_eq!(read_frame(&mut stream), None);
        assert_eq!(world.records(2)[1]["code"], code);
    }
}

#[test]
fn the_end_of_one_side_is_that_of_the_other() {
    let ends = |world: &World| -> (Value, Value) {
        let record = world.records(2).remove(1);
        (record["end"].clone(), record["code"].clone())
    };
    // The server leaves without a word.
    let mut world = world();
    world.scripted("ws.good.test", 80, |stream| {
        let request = read_request(stream).unwrap();
        stream.write_all(grant(&request, "").as_bytes()).unwrap();
    });
    let mut stream = open(&world, BRIEF);
    assert_eq!(read_frame(&mut stream), None);
    drop(stream);
    assert_eq!(ends(&world), (json!("complete"), Value::Null));

    // The client does, in the midst of a message.
    world = self::world();
    let (told, heard) = mpsc::channel();
    world.scripted("ws.good.test", 80, move |stream| {
        let request = read_request(stream).unwrap();
        stream.write_all(grant(&request, "").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        told.send(()).unwrap();
    });
    let mut stream = open(&world, BRIEF);
    stream.write_all(&frame(0x81, b"whole", true)[..9]).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    heard.recv().unwrap();
    assert_eq!(ends(&world), (json!("aborted"), Value::Null));
}

#[test]
fn an_open_one_is_a_request_under_way_and_a_stop_ends_it() {
    let mut world = plan().shares(1).start();
    world.resolve("ws.good.test", &["203.0.114.42"]);
    world.scripted("ws.good.test", 80, granting);
    let mut stream = open(&world, BRIEF);
    let refused = world.client().get("http://api.good.test/v1/items/1");
    assert_eq!((refused.status, refused.refusal()), (503, "overloaded"));
    let records = world.last_records();
    assert_eq!(records.len(), 3, "{records:#?}");
    assert_eq!(records[0]["event"], "opened");
    assert_eq!(records[2]["end"], "stopped", "{records:#?}");
    assert_eq!(read_frame(&mut stream), closed(1001, "overloaded"));
}

#[test]
fn it_ends_when_its_action_is_no_websocket_any_more() {
    let world = plan().grace(Duration::from_millis(50)).start();
    world.resolve("ws.good.test", &["203.0.114.42"]);
    world.scripted("ws.good.test", 80, granting);
    let mut stream = open(&world, BRIEF);
    let upgrade = "    upgrade: websocket\n    timeout: 1s\n";
    assert_eq!(POLICY.matches(upgrade).count(), 1);
    world.reload(&POLICY.replace(upgrade, "    timeout: 1s\n"));
    assert_eq!(read_frame(&mut stream), closed(1008, "action_not_allowed"));
    assert_eq!(read_frame(&mut stream), None);
    assert_eq!(world.records(2)[1]["end"], "withdrawn");
}
