//! Where a request ends: every framing with two readings is refused, in the clear, inside a tunnel, and behind a good
//! request; and nothing behind it is read as another request.

use std::io::Write as _;

use crate::world::{POLICY, Plan, Stream, World, json_reply, read_answer, rest};

const MALFORMED: (u16, &str) = (400, "request_malformed");

/// What would be the next request to somebody who sees the end of the first one elsewhere.
const NEXT: &str = "GET /v1/items/smuggled HTTP/1.1\r\nHost: api.good.test\r\n\r\n";

/// Request lines and headers of a POST, with what is behind them; `{{target}}` is where it goes.
fn heads() -> Vec<(String, (u16, &'static str))> {
    let lines = [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX",
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        "Content-Length: 2\r\nX: y\r\ncontent-length: 2\r\n\r\nab",
        "Content-Length: 2, 2\r\n\r\nab",
        "Content-Length: +2\r\n\r\nab",
        "Content-Length: -1\r\n\r\nab",
        "Content-Length: 0x2\r\n\r\nab",
        "Content-Length: 2 2\r\n\r\nab",
        "Content-Length: 002\r\n\r\nab",
        "Content-Length: 2.0\r\n\r\nab",
        "Content-Length: 1e1\r\n\r\nab",
        "Content-Length: ２\r\n\r\nab",
        "Content-Length: 18446744073709551617\r\n\r\nab",
        "Content-Length: 2\0\r\n\r\nab",
        "Content-Length:\r\n\r\nab",
        "Content-Length: \t2\r\n\r\nab",
        "Content-Length : 2\r\n\r\nab",
        "Content-Length\t: 2\r\n\r\nab",
        "Content_Length: 2\r\n\r\nab",
        "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: 'chunked'\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding:\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chun\u{212a}ed\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
        "X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "X: a\r\n\tContent-Length: 2\r\n\r\nab",
        "X: a\nContent-Length: 2\r\n\r\nab",
        "X: a\r\n\nContent-Length: 2\r\n\r\nab",
        "X: a\rContent-Length: 2\r\n\r\nab",
        "X: a\0b\r\n\r\n",
        "X: a\x1bb\r\n\r\n",
        "X\0: a\r\n\r\n",
        "X\u{80}: a\r\n\r\n",
        "X\t: a\r\n\r\n",
        "X{}: a\r\n\r\n",
        "X y: a\r\n\r\n",
        ": a\r\n\r\n",
        "no colon\r\n\r\n",
        "Connection: a b\r\n\r\n",
        "Content-Type: text/plain\r\nContent-Type: application/json\r\n\r\n",
        "Authorization: a\r\nAuthorization: b\r\n\r\n",
    ];
    let head = |lines: &str| format!("POST {{target}} HTTP/1.1\r\nHost: api.good.test\r\n{lines}");
    let mut heads: Vec<_> = lines.iter().map(|it| (head(it), MALFORMED)).collect();
    for version in [
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/0.9",
        "http/1.1",
        "HTTP/1.1x",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1,1",
        " HTTP/1.1",
        "HTTP/1.1 ",
    ] {
        let head = format!("POST {{target}} {version}\r\nHost: api.good.test\r\n\r\n");
        heads.push((head, MALFORMED));
    }
    for head in [
        "POST {target}\r\n\r\n",
        "POST  {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "POST\t{target}\tHTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        " POST {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "\r\nPOST {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "\nPOST {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "POST {target} HTTP/1.1\nHost: api.good.test\n\n",
        "POST {target} HTTP/1.1\r\nHost: api.good.test\r\n\n",
        "POST {target} HTTP/1.1\r\n Host: api.good.test\r\n\r\n",
        "POST {target} HTTP/1.1\r\n\r\n",
        "POST {target} HTTP/1.0\r\nHost: api.good.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
        "\u{5}\u{1}\0",
        "\u{80}\u{2e}\u{1}",
        "SSH-2.0-OpenSSH_9\r\n",
        "EHLO x\r\n",
    ] {
        heads.push((head.to_owned(), MALFORMED));
    }
    let honest = "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    heads.push((head(honest), MALFORMED));
    heads.extend(sizes());
    heads.extend(chunks());
    heads
}

/// A head that is too large in one of three ways.
fn sizes() -> Vec<(String, (u16, &'static str))> {
    let too_large = (431, "head_too_large");
    let start = "POST {target} HTTP/1.1\r\nHost: api.good.test\r\n";
    vec![
        (format!("{start}{}\r\n", "X: y\r\n".repeat(101)), too_large),
        (
            format!("{start}X: {}\r\n\r\n", "y".repeat(500_000)),
            too_large,
        ),
        (
            format!("{start}{}: y\r\n\r\n", "x".repeat(70_000)),
            too_large,
        ),
        (
            format!("POST {{target}}?{} HTTP/1.1\r\n", "x".repeat(100_000)),
            (414, "target_too_long"),
        ),
    ]
}

/// A chunked body that is none. Its head is good, so that only the body can be what is refused.
fn chunks() -> Vec<(String, (u16, &'static str))> {
    let zeros = "0".repeat(1000);
    let long = format!("2\r\nab\r\n0\r\nX: {}\r\n\r\n", "y".repeat(10_000));
    let bodies = [
        "2 \r\nab\r\n0\r\n\r\n",
        " 2\r\nab\r\n0\r\n\r\n",
        "+2\r\nab\r\n0\r\n\r\n",
        "-2\r\nab\r\n0\r\n\r\n",
        "0x2\r\nab\r\n0\r\n\r\n",
        "2\nab\r\n0\r\n\r\n",
        "2\r\r\nab\r\n0\r\n\r\n",
        "\r\nab\r\n0\r\n\r\n",
        "2;x=y\r\nab\r\n0\r\n\r\n",
        "2;x=\"\r\n\"\r\nab\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\nab\r\n0\r\n\r\n",
        "7fffffffffffffff\r\nab\r\n0\r\n\r\n",
        "80000000\r\nab\r\n0\r\n\r\n",
        &format!("{zeros}2\r\nab\r\n0\r\n\r\n"),
        "2\r\nabX\r\n0\r\n\r\n",
        "2\r\nab\n0\r\n\r\n",
        "2\r\nab\rX0\r\n\r\n",
        "2\r\nab\r\n0\r\n\n",
        "2\r\nab\r\n0\r\nX: a\n\r\n",
        "2\r\nab\r\n0\r\nno colon\r\n\r\n",
        "2\r\nab\r\n0\r\n X: y\r\n\r\n",
        "2\r\nab\r\n0\r\nX : y\r\n\r\n",
        &long,
    ];
    let head = "POST {target} HTTP/1.1\r\nHost: api.good.test\r\nContent-Type: application/json\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    let cases = bodies.iter();
    cases.map(|it| (format!("{head}{it}"), MALFORMED)).collect()
}

/// One refusal, and the end of the connection: what came behind was no request to anybody.
fn expect_refusal(stream: &mut dyn Stream, case: &str, expected: (u16, &str)) {
    let shown = format!("{:?}", &case[..case.floor_char_boundary(200)]);
    let answer = read_answer(stream, "POST").unwrap_or_else(|| panic!("silence: {shown}"));
    assert_eq!(
        (answer.status, answer.refusal()),
        expected,
        "{shown}: {answer:?}"
    );
    assert_eq!(answer.header("connection"), Some("close"), "{shown}");
    assert_eq!(rest(stream), "", "{shown}");
}

#[test]
fn in_the_clear() {
    let mut world = World::usual();
    let cases = heads();
    for (case, expected) in &cases {
        let bytes = case.replace("{target}", "http://api.good.test/v1/items") + NEXT;
        let mut stream = world.client().connect();
        // A refusal may come before the last byte could be written.
        let _ = stream.write_all(bytes.as_bytes());
        expect_refusal(&mut stream, case, *expected);
    }
    world.assert_nothing_left();
    assert_eq!(world.last_records().len(), cases.len());
}

#[test]
fn inside_a_tunnel() {
    let mut world = World::usual();
    let cases = heads();
    for (case, expected) in &cases {
        let bytes = case.replace("{target}", "/v1/items") + NEXT;
        let mut tunnel = world.client().tunnel("api.good.test");
        let _ = tunnel.write_all(bytes.as_bytes());
        expect_refusal(&mut tunnel, case, *expected);
    }
    world.assert_nothing_left();
    assert_eq!(world.last_records().len(), cases.len());
}

#[test]
fn behind_a_good_request() {
    let mut world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let good = "GET http://api.good.test/v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
    let cases = heads();
    for (case, expected) in &cases {
        let bytes = case.replace("{target}", "http://api.good.test/v1/items");
        let mut stream = world.client().connect();
        let _ = stream.write_all(format!("{good}{bytes}{NEXT}").as_bytes());
        assert_eq!(read_answer(&mut stream, "GET").unwrap().status, 200);
        expect_refusal(&mut stream, case, *expected);
    }
    let seen = origin.seen();
    assert_eq!(seen.len(), cases.len());
    assert!(
        seen.iter()
            .all(|it| it.line() == "GET /v1/items/1 HTTP/1.1")
    );
    assert_eq!(world.last_records().len(), 2 * cases.len());
}

#[test]
fn requests_in_one_write_are_decided_and_answered_in_their_order() {
    let mut world = World::usual();
    let origin = world.origin("api.good.test", |seen| {
        json_reply(&format!("{:?}", seen.line()))
    });
    let mut stream = world.client().connect();
    let request = |host: &str, path: &str| {
        format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    };
    let all = [
        request("api.good.test", "/v1/items/1"),
        request("evil.test", "/"),
        request("api.good.test", "/v1/items/2"),
        request("api.good.test", "/admin"),
        request("api.good.test", "/v1/items/3"),
    ];
    stream.write_all(all.concat().as_bytes()).unwrap();
    let answers: Vec<_> = (0..5)
        .map(|_| read_answer(&mut stream, "GET").unwrap())
        .collect();
    let codes: Vec<&str> = answers.iter().map(|it| it.refusal()).collect();
    assert_eq!(
        codes,
        [
            "none",
            "host_undeclared",
            "none",
            "action_undeclared",
            "none"
        ]
    );
    for (answer, item) in answers.iter().step_by(2).zip(1..) {
        assert_eq!(
            answer.text(),
            format!("{:?}", format!("GET /v1/items/{item} HTTP/1.1"))
        );
    }
    assert_eq!(origin.seen().len(), 3);
    drop(stream);
    assert_eq!(world.last_records().len(), 5);
}

#[test]
fn a_chunked_body_arrives_under_one_length_and_without_its_trailers() {
    let world = World::usual();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    for coding in ["chunked", "Chunked", "CHUNKED"] {
        let bytes = format!(
            "POST http://api.good.test/v1/items HTTP/1.1\r\nHost: api.good.test\r\nTrailer: Authorization\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: {coding}\r\n\r\n\
             9\r\n{{\"name\":\"\r\n0A\r\na\",\"qty\":1\r\n1\r\n}}\r\n0\r\nAuthorization: evil\r\nContent-Length: 5\r\n\
             Host: evil.test\r\nTransfer-Encoding: x\r\nContent-Type: text/html\r\n\r\n"
        );
        let answer = world.client().raw(&bytes);
        assert_eq!(answer.status, 200, "{coding}: {answer:?}");
    }
    for seen in origin.seen() {
        assert_eq!(seen.text(), r#"{"name":"a","qty":1}"#);
        assert_eq!(seen.header("content-length"), ["20"]);
        for name in ["transfer-encoding", "trailer"] {
            assert_eq!(seen.header(name), [""; 0], "{}", seen.head);
        }
        assert_eq!(seen.header("authorization"), ["Bearer SECRET-AAAA"]);
    }
}

#[test]
fn a_body_that_was_refused_is_not_read_as_a_request() {
    let next = NEXT.replace("GET /", "GET http://api.good.test/");
    for (headers, code) in [
        (format!("Content-Length: {}", next.len()), "body_unexpected"),
        ("Content-Length: 10737418240".into(), "too_large"),
    ] {
        let mut world = World::usual();
        let mut stream = world.client().connect();
        let method = if code == "too_large" { "POST" } else { "GET" };
        let path = if method == "POST" {
            "/v1/items"
        } else {
            "/v1/items/1"
        };
        write!(
            stream,
            "{method} http://api.good.test{path} HTTP/1.1\r\nHost: api.good.test\r\n{headers}\r\n\r\n{next}"
        )
        .unwrap();
        let answer = read_answer(&mut stream, method).unwrap();
        assert_eq!(answer.refusal(), code);
        drop(stream);
        world.assert_nothing_left();
        assert_eq!(world.last_records().len(), 1);
    }
}

#[test]
fn a_body_over_the_cap_never_becomes_a_request() {
    let policy = POLICY.replace(
        "    url: https://api.good.test/v1/items\n",
        "    url: https://api.good.test/v1/items\n    max_request_bytes: 64\n",
    );
    let mut world = Plan::of(&policy).start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let json = format!("{{\"name\":\"{}\",\"qty\":1}}", "a".repeat(60));
    let chunks: String = json
        .as_bytes()
        .chunks(7)
        .map(|it| format!("{:x}\r\n{}\r\n", it.len(), String::from_utf8_lossy(it)))
        .collect();
    let head = "POST http://api.good.test/v1/items HTTP/1.1\r\nHost: api.good.test\r\nContent-Type: application/json\r\n";
    for framed in [
        format!("Content-Length: {}\r\n\r\n{json}", json.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"),
    ] {
        let answer = world.client().raw(&format!("{head}{framed}"));
        assert_eq!(
            (answer.status, answer.refusal()),
            (413, "too_large"),
            "{framed}"
        );
    }
    assert_eq!(origin.connections(), 0);
    world.assert_nothing_left();
    assert_eq!(world.last_records().len(), 2);
}

#[test]
fn a_body_for_which_there_is_no_room_is_refused_and_the_room_of_others_comes_back() {
    let mut world = Plan::of(POLICY).room(60).start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let json = ["Content-Type: application/json"];
    let send = |name: &str| {
        let body = format!("{{\"name\":\"{name}\",\"qty\":1}}");
        let url = "http://api.good.test/v1/items";
        world.client().send("POST", url, &json, &body)
    };
    for _ in 0..3 {
        let answer = send(&"a".repeat(50));
        assert_eq!((answer.status, answer.refusal()), (503, "overloaded"));
    }
    world.assert_nothing_left();
    // Together these have more than there is room for at a time.
    for _ in 0..5 {
        assert_eq!(send(&"a".repeat(30)).status, 200);
    }
    assert_eq!((origin.seen().len(), world.last_records().len()), (5, 8));
}
