//! What follows what on a connection, and which protocols are spoken there.

use std::io::Write as _;

use serde_json::json;

use super::{MALFORMED, Raw, refused};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, Tap, read_answer, rest};

#[test]
fn f27_requests_in_one_write_are_decided_and_answered_in_their_order() {
    let stage = Stage::usual();
    for door in Door::ALL {
        // Inside a tunnel there is no other server to name.
        let (foreign, refusal) = match door {
            Door::Proxy => ("http://evil.test/", (403, "host_undeclared")),
            Door::Tunnel => ("https://evil.test/", (421, "host_mismatch")),
        };
        let foreign = format!("GET {foreign} HTTP/1.1\r\nHost: evil.test\r\n\r\n");
        let body = r#"{"name":"GET /admin HTTP/1.1\r\n\r\n","qty":1}"#;
        let sent = [
            (door.get("/v1/items/1"), (200, "none")),
            (foreign.into_bytes(), refusal),
            (door.post(body), (200, "none")),
            (door.get("/admin"), (403, "action_undeclared")),
            (door.get("/v1/items/2?fields=x"), (403, "parameter_invalid")),
            (door.get("/v1/items/3"), (200, "none")),
        ];
        let (records, seen) = (stage.world.recorded(), stage.seen().len());
        let mut stream = stage.open(door);
        let bytes: Vec<u8> = sent.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        stream.write_all(&bytes).unwrap();
        for (bytes, expected) in &sent {
            let answer = stage.answer(&mut stream, "GET").unwrap();
            let got = (answer.status, answer.refusal());
            let shown = String::from_utf8_lossy(bytes);
            assert_eq!(got, *expected, "{door:?} {shown}: {answer:?}");
        }
        stream.finish();
        assert_eq!(rest(&mut stream), "");
        let lines: Vec<String> = stage.seen()[seen..]
            .iter()
            .map(|it| it.line().to_owned())
            .collect();
        let expected = ["GET /v1/items/1", "POST /v1/items", "GET /v1/items/3"];
        assert_eq!(lines, expected.map(|it| format!("{it} HTTP/1.1")));
        let records = stage.world.records_behind(records, 6);
        let codes: Vec<_> = records.iter().map(|it| it["code"].clone()).collect();
        let codes_of = |(_, (status, code)): &(_, (u16, &str))| match status {
            200 => json!(null),
            _ => json!(code),
        };
        assert_eq!(codes, sent.iter().map(codes_of).collect::<Vec<_>>());
    }
}

#[test]
fn f29_what_speaks_another_protocol_is_told_so_and_closed() {
    let texts = [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0",
        "PRI * HTTP/1.1\r\nHost: api.good.test\r\n\r\nSM\r\n\r\n",
        "PRI {target} HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "pri * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "SSH-2.0-OpenSSH_9\r\n",
        "EHLO x\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
        "\u{4}\u{1}\0\u{50}",
        "\u{5}\u{1}\0",
        "\0\0\0\u{4}\0\0\0\0\0",
        "PROXY TCP4 203.0.114.1 203.0.114.2 1 2\r\n",
        "{\"jsonrpc\":\"2.0\"}\r\n",
        "*1\r\n$4\r\nPING\r\n",
    ];
    let binary: [&[u8]; 3] = [
        b"\x80\x2e\x01\x03\x01",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        b"\xff\xfd\x01",
    ];
    let all = texts.map(Raw::of).into_iter().chain(binary.map(Raw::of));
    refused(MALFORMED, all);
}

/// Servers may ignore it, and a client that gets a plain answer goes on in HTTP/1.1. Nothing of it reaches a server.
#[test]
fn f30_an_offer_of_h2c_is_ignored_and_goes_nowhere() {
    let stage = Stage::usual();
    let settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    for door in Door::ALL {
        for lines in [
            format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n{settings}"),
            format!("Connection: upgrade,http2-settings\r\nUpgrade: H2C\r\n{settings}"),
            format!("Connection: HTTP2-Settings\r\n{settings}"),
            format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{settings}"),
            format!("Connection: keep-alive\r\nUpgrade: h2c\r\n{settings}{settings}"),
            format!("Upgrade: h2c\r\n{settings}"),
            "Connection: Upgrade\r\nUpgrade:\r\n".into(),
            "Connection: Upgrade, HTTP2-Settings\r\n".into(),
            "Connection: Upgrade, X-A, Accept-Language\r\nX-A: b\r\nAccept-Language: de\r\n".into(),
        ] {
            let sent = door.request("GET", "api.good.test", "/v1/items/1", &lines, "");
            stage.same(door, &sent, &door.get("/v1/items/1"));
        }
        for lines in [
            "Connection: Upgrade\r\nUpgrade: h2c, h2c\r\n",
            "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
            "Connection: Upgrade\r\nUpgrade: h2\r\n",
            "Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n",
            "Connection: Upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n",
            "Upgrade: h2c;x\r\n",
        ] {
            let sent = door.request("GET", "api.good.test", "/v1/items/1", lines, "");
            stage.refuses_and_closes(door, &sent, (403, "upgrade_refused"));
        }
    }
}

#[test]
fn f31_http_1_0_is_served_once_whatever_it_wishes() {
    let stage = Stage::usual();
    for door in Door::ALL {
        let target = match door {
            Door::Proxy => "http://api.good.test/v1/items/1",
            Door::Tunnel => "/v1/items/1",
        };
        for lines in [
            "",
            "Connection: keep-alive\r\n",
            "Proxy-Connection: keep-alive\r\n",
            "Host: api.good.test\r\n",
            "Host: api.good.test\r\nConnection: keep-alive\r\nKeep-Alive: timeout=60\r\n",
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            "Expect: 100-continue\r\n",
        ] {
            let sent = format!("GET {target} HTTP/1.0\r\n{lines}\r\n").into_bytes();
            // What stands behind it would be a second request at the origin.
            let both = [sent, door.get("/v1/items/behind")].concat();
            stage.same(door, &both, &door.get("/v1/items/1"));
        }
    }
}

#[test]
fn f31_http_1_0_has_no_chunks_and_http_1_1_no_request_without_a_host() {
    let heads = [
        "POST {target} HTTP/1.0\r\nHost: api.good.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST {target} HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST {target} HTTP/1.1\r\n\r\n",
        "POST {target} HTTP/1.1\r\nX-Host: api.good.test\r\n\r\n",
        "POST {target} HTTP/1.1\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    ];
    refused(MALFORMED, heads.map(Raw::of));
}

/// What a server has not read of a body it may read as the next request of somebody else.
#[test]
fn f32_a_connection_on_which_a_body_was_not_written_to_its_end_is_not_used_again() {
    let policy = format!(
        "{POLICY}  upload:\n    description: Takes a file of any kind.\n    method: PUT\n    \
         url: http://files.wild.test/file\n    allow_http: true\n    accept_body: any\n"
    );
    let stage = Stage::of(Plan::of(&policy));
    stage.world.resolve("files.wild.test", &["203.0.114.40"]);
    let tap = Tap::new();
    stage.world.lead("files.wild.test", 80, tap.address());
    let put = |framing: &str, body: &str| {
        let head = "PUT http://files.wild.test/file HTTP/1.1\r\nHost: files.wild.test\r\n";
        format!("{head}{framing}\r\n\r\n{body}")
    };
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    for (framing, body) in [
        (
            "Content-Length: 400",
            "GET /admin HTTP/1.1\r\nHost: files.wild.test\r\n\r\n",
        ),
        ("Content-Length: 40", "GET /"),
        ("Content-Length: 40", ""),
        ("Transfer-Encoding: chunked", "5\r\nGET /\r\n"),
        ("Transfer-Encoding: chunked", "ff\r\nGET / HTTP/1.1\r\n"),
    ] {
        let mut client = stage.open(Door::Proxy);
        client.write_all(put(framing, body).as_bytes()).unwrap();
        let mut first = tap.accept();
        first.head();
        first.say(reply);
        let answer = read_answer(&mut client, "PUT").unwrap();
        assert_eq!(answer.status, 200, "{framing}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{framing}");
        // The next request comes on another connection, and the first one ends without it.
        let mut other = stage.open(Door::Proxy);
        other
            .write_all(put("Content-Length: 2", "ab").as_bytes())
            .unwrap();
        let mut second = tap.accept();
        let head = second.head();
        assert!(
            head.to_ascii_lowercase().contains("content-length: 2"),
            "{head}"
        );
        second.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        assert_eq!(read_answer(&mut other, "PUT").unwrap().status, 200);
        drop(client);
        let mut left = String::new();
        loop {
            let more = first.hear();
            if more.is_empty() {
                break;
            }
            left += &more;
        }
        assert!(!left.contains("PUT /file"), "{framing}: {left:?}");
    }
}

/// The same seen from the client: what it says is a body stays one.
#[test]
fn f32_a_body_that_was_refused_is_not_read_as_a_request() {
    let stage = Stage::usual();
    for door in Door::ALL {
        let next = String::from_utf8(door.get("/v1/items/smuggled")).unwrap();
        let json = "Content-Type: application/json\r\n";
        let length = format!("Content-Length: {}\r\n", next.len());
        let chunk = format!("{:x}\r\n{next}\r\n0\r\n\r\n", next.len());
        for (method, path, lines, body, expected) in [
            (
                "GET",
                "/v1/items/1",
                length.clone(),
                &next,
                (400, "body_unexpected"),
            ),
            (
                "GET",
                "/v1/items/1",
                "Transfer-Encoding: chunked\r\n".into(),
                &chunk,
                (400, "body_unexpected"),
            ),
            (
                "POST",
                "/admin",
                length.clone(),
                &next,
                (403, "action_undeclared"),
            ),
            (
                "POST",
                "/v1/items",
                format!("{json}Content-Length: 10737418240\r\n"),
                &next,
                (413, "too_large"),
            ),
            (
                "POST",
                "/v1/items",
                format!("{json}{length}"),
                &next,
                (400, "body_unexpected"),
            ),
        ] {
            let sent = door.request(method, "api.good.test", path, &lines, body);
            assert_eq!(stage.refuses(door, &sent, expected), "", "{lines}");
        }
    }
}
