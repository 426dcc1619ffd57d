//! Heads that say two things, or something that HTTP/1 could not say or would say in two ways.

use serde_json::json;

use super::raw::{END_STREAM, Fields, Outcome, PROTOCOL_ERROR, Raw, asking, data, headers};
use super::{ITEM, traces};
use crate::attacks::stage::Stage;
use crate::world::Seen;

/// A request that is answered with a refusal and leaves no trace, and after which its neighbours go on.
fn refuses(stage: &Stage, fields: &Fields<'_>, expected: (u16, &str)) {
    refuses_with(stage, fields, "", expected);
}

fn refuses_with(stage: &Stage, fields: &Fields<'_>, body: &str, expected: (u16, &str)) {
    let (before, records) = (traces(stage), stage.world.records(0).len());
    let mut raw = Raw::client(stage);
    raw.send(&request(1, fields, body));
    let (status, code) = raw.outcome(1).refusal();
    assert_eq!((status, code.as_str()), expected, "{fields:?}");
    let written = stage.world.records(records + 1);
    assert_eq!(written.len(), records + 1, "{fields:?}: {written:#?}");
    assert_eq!(written[records]["code"], expected.1, "{fields:?}");
    assert_eq!(traces(stage), before, "{fields:?}");
    assert_eq!(
        raw.get(3, ITEM),
        Outcome::Answer(200, "{}".into()),
        "{fields:?}"
    );
    stage.world.records(records + 2);
}

/// A request that is answered by the server, and what came to it.
fn allows(stage: &Stage, fields: &Fields<'_>, body: &str) -> Seen {
    let (records, seen) = (stage.world.records(0).len(), stage.good.seen().len());
    let mut raw = Raw::client(stage);
    raw.send(&request(1, fields, body));
    assert_eq!(
        raw.outcome(1),
        Outcome::Answer(200, "{}".into()),
        "{fields:?}"
    );
    stage.world.records(records + 1);
    let mut came = stage.good.seen().split_off(seen);
    assert_eq!(came.len(), 1, "{fields:?}");
    came.remove(0)
}

/// A request that HTTP/2 itself refuses: it leaves no trace, and a record says that it was none.
fn resets(stage: &Stage, fields: &Fields<'_>, body: &str) {
    let (before, records) = (traces(stage), stage.world.records(0).len());
    let mut raw = Raw::client(stage);
    raw.send(&request(1, fields, body));
    let outcome = raw.outcome(1);
    let expected = [
        Outcome::Reset(PROTOCOL_ERROR),
        Outcome::Gone(Some(PROTOCOL_ERROR)),
    ];
    assert!(expected.contains(&outcome), "{fields:?}: {outcome:?}");
    drop(raw);
    let written = stage.world.records(records + 1);
    assert_eq!(written.len(), records + 1, "{fields:?}: {written:#?}");
    let (method, end) = (&written[records]["method"], &written[records]["end"]);
    assert_eq!(
        (method, end),
        (&json!("CONNECT"), &json!("failed")),
        "{fields:?}"
    );
    assert_eq!(
        written[records]["detail"], "HTTP/2 streams that were no requests: 1",
        "{fields:?}"
    );
    assert_eq!(traces(stage), before, "{fields:?}");
}

fn request(stream: u32, fields: &Fields<'_>, body: &str) -> Vec<u8> {
    match body {
        "" => headers(stream, END_STREAM, fields),
        body => [
            headers(stream, 0, fields),
            data(stream, END_STREAM, body.as_bytes()),
        ]
        .concat(),
    }
}

/// The usual head, with these behind it.
fn with<'a>(more: &Fields<'a>) -> Vec<(&'a str, &'a str)> {
    [&asking("GET", ITEM)[..], more].concat()
}

/// A GET from this authority.
fn from(authority: &str) -> [(&str, &str); 4] {
    let [method, scheme, _, path] = asking("GET", ITEM);
    [method, scheme, (":authority", authority), path]
}

fn post<'a>(more: &Fields<'a>) -> Vec<(&'a str, &'a str)> {
    let json = ("content-type", "application/json");
    [&asking("POST", "/v1/items")[..], &[json], more].concat()
}

const CREATE: &str = r#"{"name":"a","qty":1}"#;

#[test]
fn h1_two_names_of_a_server_are_refused() {
    let stage = Stage::usual();
    let mismatch = (421, "host_mismatch");
    for host in [
        "evil.test",
        "api.two.test",
        "api.good.test:8443",
        "api.good.test@evil.test",
        "",
        "evil.test, api.good.test",
    ] {
        refuses(&stage, &with(&[("host", host)]), mismatch);
    }
    for authority in [
        "evil.test",
        "api.two.test",
        "10.0.0.5",
        "[::1]",
        "xapi.good.test",
        "api.good.test.evil.test",
    ] {
        refuses(&stage, &from(authority), mismatch);
        refuses(
            &stage,
            &[&from(authority)[..], &[("host", "api.good.test")]].concat(),
            mismatch,
        );
    }
    // However a client spells it, the server hears its name in one way.
    for authority in [
        "api.good.test",
        "API.Good.TEST",
        "api.good.test:443",
        "api.good.test.",
    ] {
        for host in [None, Some("api.good.test"), Some("api.GOOD.test:443")] {
            let host: Vec<_> = host.map(|it| ("host", it)).into_iter().collect();
            let seen = allows(&stage, &[&from(authority)[..], &host].concat(), "");
            assert_eq!(
                seen.header("host"),
                ["api.good.test"],
                "{authority} {host:?}"
            );
        }
    }
}

#[test]
fn h2_there_is_one_authority_and_at_most_one_host() {
    let stage = Stage::usual();
    let malformed = (400, "request_malformed");
    for (one, two) in [
        ("api.good.test", "api.good.test"),
        ("api.good.test", "evil.test"),
        ("evil.test", "api.good.test"),
    ] {
        refuses(&stage, &with(&[("host", one), ("host", two)]), malformed);
    }
    let [method, scheme, _, path] = asking("GET", ITEM);
    let nameless = [method, scheme, path];
    refuses(&stage, &nameless, malformed);
    refuses(
        &stage,
        &[
            &nameless[..],
            &[("host", "api.good.test"), ("host", "api.good.test")],
        ]
        .concat(),
        malformed,
    );
    // A host does not stand for the authority, whatever it names.
    for host in ["evil.test", "", "api.good.test:8443", "api.good.test"] {
        let fields = [&nameless[..], &[("host", host)]].concat();
        refuses(&stage, &fields, malformed);
    }
    resets(
        &stage,
        &[&from("")[..], &[("host", "api.good.test")]].concat(),
        "",
    );
}

#[test]
fn h3_a_path_is_one_path_of_this_server() {
    let stage = Stage::usual();
    let malformed = (400, "request_malformed");
    for path in [
        "//evil.test/x",
        "///",
        "//",
        "*",
        "?fields=name",
        "//api.good.test/v1/items/1",
    ] {
        refuses(&stage, &asking("GET", path), malformed);
    }
    refuses(&stage, &asking("OPTIONS", "*"), malformed);
    let canonical = (400, "path_not_canonical");
    for path in [
        "/v1/items/../items/1",
        "/v1/./items/1",
        "/v1\\items\\1",
        "/v1/items/%2e%2e",
        "/v1/items/{1}",
        "/v1//items/1",
    ] {
        refuses(&stage, &asking("GET", path), canonical);
    }
    for path in [
        "",
        "v1/items/1",
        "https://evil.test/x",
        "/v1/items/1 HTTP/1.1",
        "/v1/items/1\r\nx: y",
        "/v1/items/1\0",
        "/v1/items/\u{e9}",
        "\\x",
    ] {
        resets(&stage, &asking("GET", path), "");
    }
    // A fragment is cut off before anybody behind h2 sees it. What was decided on is what is sent.
    for (path, line) in [
        ("/v1/items/1#../../x", "GET /v1/items/1 HTTP/1.1"),
        (
            "/v1/items/1?fields=name#&fields=qty",
            "GET /v1/items/1?fields=name HTTP/1.1",
        ),
    ] {
        let seen = allows(&stage, &asking("GET", path), "");
        assert_eq!(seen.line(), line);
    }
    let [method, _, authority, path] = asking("GET", ITEM);
    for scheme in ["http", "HTTPS", "wss", "ftp", ""] {
        refuses(
            &stage,
            &[method, (":scheme", scheme), authority, path],
            malformed,
        );
    }
    resets(
        &stage,
        &[method, (":scheme", "https://evil.test/"), authority, path],
        "",
    );
}

#[test]
fn h5_an_authority_that_is_none_is_refused() {
    let stage = Stage::usual();
    for authority in [
        "api.good.test@evil.test",
        "u@api.good.test",
        "u:p@api.good.test",
        "api.good.test:99999",
        "api.good.test:0443",
        "api.good.test:",
        "api.good.test:+443",
        "api.good.test:80",
        "api.good.test:-1",
        "*.good.test",
        "api_good.test",
        "[api.good.test]",
    ] {
        let mut raw = Raw::client(&stage);
        let (before, records) = (traces(&stage), stage.world.records(0).len());
        raw.send(&headers(1, END_STREAM, &from(authority)));
        match raw.outcome(1) {
            Outcome::Reset(code) => assert_eq!(code, PROTOCOL_ERROR, "{authority}"),
            answer => assert_eq!(
                answer.refusal(),
                (421, "host_mismatch".into()),
                "{authority}"
            ),
        }
        drop(raw);
        assert_eq!(stage.world.records(records + 1).len(), records + 1);
        assert_eq!(traces(&stage), before, "{authority}");
    }
    for authority in [
        "api.good.test ",
        "api.good.test/x",
        "api.good.test:80:443",
        "a%70i.good.test",
        "api.good.test\t",
        "api.good.test\\@evil.test",
    ] {
        resets(&stage, &from(authority), "");
    }
}

#[test]
fn h7_two_lengths_never_become_one_of_http_1() {
    let stage = Stage::usual();
    for lengths in [["2", "3"], ["3", "2"], ["0", "2"], ["2", "02a"]] {
        let lengths = lengths.map(|it| ("content-length", it));
        resets(&stage, &post(&lengths), "ab");
    }
    let malformed = (400, "request_malformed");
    for lengths in [["20", "20"], ["20", "020"]] {
        let lengths = lengths.map(|it| ("content-length", it));
        refuses_with(&stage, &post(&lengths), CREATE, malformed);
    }
    refuses(
        &stage,
        &with(&[("content-length", "0"), ("content-length", "0")]),
        malformed,
    );
}

#[test]
fn h8_a_length_that_is_wrong_or_no_number_reaches_no_server() {
    let stage = Stage::usual();
    for length in [
        "+20",
        "-20",
        "0x14",
        "20, 20",
        "20 20",
        "2e1",
        "99999999999999999999",
    ] {
        resets(&stage, &post(&[("content-length", length)]), CREATE);
    }
    resets(&stage, &with(&[("content-length", "5")]), "");
    refuses_with(
        &stage,
        &post(&[("content-length", "020")]),
        CREATE,
        (400, "request_malformed"),
    );
    // The head has become a request by then, which has a record of its own.
    for length in ["19", "21", "1", "1000", "0"] {
        let before = traces(&stage);
        let records = stage.world.records(0).len();
        let mut raw = Raw::client(&stage);
        raw.send(&request(1, &post(&[("content-length", length)]), CREATE));
        assert_eq!(raw.outcome(1), Outcome::Reset(PROTOCOL_ERROR), "{length}");
        let record = &stage.world.records(records + 1)[records];
        assert_eq!(
            (&record["method"], &record["end"]),
            (&json!("POST"), &json!("failed")),
            "{length}"
        );
        assert_eq!(traces(&stage), before, "{length}");
        assert_eq!(
            raw.get(3, ITEM),
            Outcome::Answer(200, "{}".into()),
            "{length}"
        );
        stage.world.records(records + 2);
    }
    let seen = allows(&stage, &post(&[("content-length", "20")]), CREATE);
    assert_eq!(seen.header("content-length"), ["20"]);
}

#[test]
fn h10_fields_of_a_connection_of_http_1_are_none_of_a_stream() {
    let stage = Stage::usual();
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("connection", "close"),
        ("connection", "keep-alive"),
        ("connection", "x-a"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", "chunked"),
    ] {
        resets(&stage, &with(&[(name, value)]), "");
        resets(&stage, &post(&[(name, value)]), CREATE);
    }
    let fields = with(&[("te", "trailers"), ("proxy-authorization", "Bearer x")]);
    let head = allows(&stage, &fields, "").head.to_ascii_lowercase();
    assert!(!head.contains("te:") && !head.contains("proxy-"), "{head}");
}

#[test]
fn h11_a_value_that_http_1_would_read_otherwise_is_refused() {
    let stage = Stage::usual();
    let malformed = (400, "request_malformed");
    for value in [
        " a ",
        "a ",
        " a",
        "\ta",
        "a\t",
        "a\tb",
        "caf\u{e9}",
        "\u{ff}",
        " ",
    ] {
        refuses(&stage, &with(&[("x", value)]), malformed);
        refuses(&stage, &with(&[("authorization", value)]), malformed);
    }
    for value in [
        "a\r\nx-b: c",
        "a\nb",
        "a\rb",
        "a\0b",
        "\0",
        "a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "a\x7f",
        "a\x1bb",
    ] {
        resets(&stage, &with(&[("x", value)]), "");
    }
    for name in [
        "X-Upper",
        "x y",
        "x:y",
        "",
        "x\r\ny",
        "x\0",
        "caf\u{e9}",
        "x ",
        " x",
        "x\t",
        "(x)",
        "content-length\r\nx",
    ] {
        resets(&stage, &with(&[(name, "a")]), "");
    }
    refuses(&stage, &with(&[("x_a", "a")]), malformed);
    refuses(&stage, &with(&[("content_length", "5")]), malformed);
    let crumbs = with(&[("cookie", "a=1"), ("cookie", "b=2")]);
    allows(&stage, &crumbs, "");
}

#[test]
fn h12_pseudo_headers_are_each_there_once_and_first() {
    let stage = Stage::usual();
    let [method, scheme, authority, path] = asking("GET", ITEM);
    for fields in [
        with(&[(":path", "/x")]),
        with(&[(":method", "GET")]),
        with(&[(":authority", "api.good.test")]),
        with(&[(":scheme", "https")]),
        with(&[(":status", "200")]),
        with(&[(":unknown", "a")]),
        with(&[(":", "a")]),
        with(&[(":protocol", "websocket")]),
        with(&[("x", "a"), (":method", "GET")]),
        vec![method, scheme, ("x", "a"), authority, path],
        vec![("x", "a"), method, scheme, authority, path],
        vec![scheme, authority, path],
        vec![method, authority, path],
        vec![method, scheme, authority],
        vec![(":method", ""), scheme, authority, path],
        vec![(":method", "GE T"), scheme, authority, path],
        vec![(":method", "GET\r\n"), scheme, authority, path],
        vec![(":Method", "GET"), scheme, authority, path],
    ] {
        resets(&stage, &fields, "");
    }
    let end = |fields: &Fields<'_>| {
        let mut raw = Raw::client(&stage);
        let head = headers(1, 0, &post(&[]));
        raw.send(
            &[
                head,
                data(1, 0, CREATE.as_bytes()),
                headers(1, END_STREAM, fields),
            ]
            .concat(),
        );
        raw.outcome(1)
    };
    // Trailers are dropped, whatever stands in them that is well-formed.
    for fields in [
        &[("x-trailer", "1")][..],
        &[("content-length", "5")],
        &[("authorization", "Bearer x")],
        &[("host", "evil.test")],
    ] {
        let seen = stage.good.seen().len();
        assert_eq!(end(fields), Outcome::Answer(200, "{}".into()), "{fields:?}");
        let came = stage.good.seen().split_off(seen);
        assert_eq!((came.len(), came[0].text()), (1, CREATE));
        let head = came[0].head.to_ascii_lowercase();
        assert!(
            !head.contains("x-trailer") && !head.contains("evil") && !head.contains("bearer x"),
            "{head}"
        );
    }
    for fields in [
        &[(":path", "/x")][..],
        &[(":status", "200")],
        &[("x", "a"), (":method", "GET")],
    ] {
        let seen = stage.good.seen().len();
        match end(fields) {
            Outcome::Reset(code) | Outcome::Gone(Some(code)) => {
                assert_eq!(code, PROTOCOL_ERROR, "{fields:?}")
            }
            outcome => assert_eq!(outcome, Outcome::Answer(200, "{}".into()), "{fields:?}"),
        }
        for came in stage.good.seen().split_off(seen) {
            assert_eq!(
                (came.line(), came.text()),
                ("POST /v1/items HTTP/1.1", CREATE)
            );
        }
    }
}

#[test]
fn h14_there_are_no_tunnels_in_a_tunnel() {
    let stage = Stage::usual();
    for authority in [
        "api.good.test:443",
        "api.good.test",
        "evil.test:443",
        "10.0.0.5:22",
    ] {
        refuses(
            &stage,
            &[(":method", "CONNECT"), (":authority", authority)],
            (405, "method_refused"),
        );
    }
    let [_, scheme, authority, path] = asking("GET", "/v1/ws");
    for protocol in ["websocket", "connect-udp", "connect-ip", "h2c", ""] {
        let fields = [
            (":method", "CONNECT"),
            (":protocol", protocol),
            scheme,
            authority,
            path,
        ];
        resets(&stage, &fields, "");
    }
    resets(
        &stage,
        &[(":method", "CONNECT"), scheme, authority, path],
        "",
    );
    // A setting of the client's offers nothing: it is the server's to give (RFC 8441 §3).
    let mut raw = Raw::client_with(&stage, &[(8, 1)]);
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        scheme,
        authority,
        path,
    ];
    raw.send(&headers(1, 0, &fields));
    assert_eq!(raw.outcome(1), Outcome::Reset(PROTOCOL_ERROR));
    // A WebSocket has no other door than HTTP/1.1.
    refuses(&stage, &asking("GET", "/v1/ws"), (403, "upgrade_refused"));
    for method in ["TRACE", "get", "PROPFIND", "X"] {
        let mut raw = Raw::client(&stage);
        raw.send(&headers(1, END_STREAM, &asking(method, ITEM)));
        let (status, _) = raw.outcome(1).refusal();
        assert!([403, 405].contains(&status), "{method}: {status}");
    }
    assert_eq!(
        stage
            .good
            .seen()
            .iter()
            .filter(|it| !it.line().starts_with("GET /v1/items/1 "))
            .count(),
        0
    );
}
