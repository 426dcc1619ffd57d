//! Heads as attackers send them: the rows F and B of the attack cases that a head alone decides.

use bytes::BytesMut;
use proptest::prelude::*;

use crate::wire::Form;
use crate::wire::Framing;
use crate::wire::Head;
use crate::wire::HeadLimits;
use crate::wire::HeadReader;
use crate::wire::Malformed;
use crate::wire::nominated;

const NEXT: &[u8] = b"GET http://next.test/ HTTP/1.1\r\nHost: next.test\r\n\r\n";

/// Feeds `bytes` in segments of the given lengths, over and over, and reads one head; what is left
/// in the end is what was not consumed.
fn read_in(
    segments: &[usize],
    bytes: &[u8],
    limits: HeadLimits,
) -> Result<Option<(Head, Vec<u8>)>, Malformed> {
    let (mut reader, mut buf) = (HeadReader::new(limits), BytesMut::new());
    let mut rest = bytes;
    for length in segments.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (segment, later) = rest.split_at(rest.len().min(*length));
        buf.extend_from_slice(segment);
        rest = later;
        if let Some(head) = reader.read(&mut buf)? {
            return Ok(Some((head, [&buf, rest].concat())));
        }
    }
    Ok(None)
}

/// Reads a head whole, in single bytes, and with another request behind it; all three agree.
fn read(head: impl AsRef<[u8]>) -> Result<Head, Malformed> {
    let head = head.as_ref();
    let followed = [head, NEXT].concat();
    let whole = read_in(&[usize::MAX], head, HeadLimits::default());
    for (segments, bytes) in [
        (1, head),
        (usize::MAX, &followed),
        (1, &followed),
        (7, &followed),
    ] {
        let other = read_in(&[segments], bytes, HeadLimits::default());
        match (&whole, other) {
            (Ok(Some((one, left))), Ok(Some((two, behind)))) => {
                assert_eq!(shown(one), shown(&two));
                assert_eq!(
                    behind.strip_prefix(&left[..]).unwrap(),
                    &bytes[head.len()..]
                );
            }
            (Err(one), Err(two)) => assert_eq!(*one, two),
            (one, two) => panic!("{one:?} is not {two:?} in segments of {segments}"),
        }
    }
    whole.map(|it| it.expect("the head is complete").0)
}

/// All of a head that tests compare, values included.
fn shown(head: &Head) -> String {
    format!(
        "{head:?} {} {:?} {} {}",
        head.target.as_str(),
        head.headers,
        head.keep_alive,
        head.expect_continue
    )
}

/// Every text of the table, made into a head, is refused for its reason.
fn all_refused(cases: &[(Malformed, &[&str])], head: impl Fn(&str) -> String) {
    for (why, texts) in cases {
        for text in *texts {
            assert_eq!(read(head(text)).map(|_| ()), Err(*why), "{text:?}");
        }
    }
}

/// A good GET with `lines` among its headers.
fn get(lines: &str) -> String {
    format!("GET http://api.good.test/ HTTP/1.1\r\nHost: api.good.test\r\n{lines}\r\n")
}

/// A good POST with `lines` among its headers.
fn post(lines: &str) -> String {
    format!("POST http://api.good.test/v1/items HTTP/1.1\r\n{lines}Host: api.good.test\r\n\r\n")
}

#[test]
fn a_plain_request_is_read() {
    let head = read(
        "GET http://api.good.test/v1/items/1?fields=name HTTP/1.1\r\n\
         Host: api.good.test\r\nUser-Agent:curl/8.5.0  \r\nAccept: */*\r\nX-Empty:\r\n\
         Cookie: a=1\r\ncookie: b=2\r\nProxy-Connection: Keep-Alive\r\n\r\n",
    )
    .unwrap();
    assert_eq!(head.method, "GET");
    assert_eq!(
        head.target.as_str(),
        "http://api.good.test/v1/items/1?fields=name"
    );
    assert_eq!(head.target.form(), Form::Absolute);
    assert_eq!(head.version, http::Version::HTTP_11);
    assert_eq!(head.host(), Some("api.good.test"));
    assert_eq!(head.headers["user-agent"], "curl/8.5.0");
    assert_eq!(head.headers["x-empty"], "");
    assert_eq!(
        head.headers.get_all("cookie").iter().collect::<Vec<_>>(),
        ["a=1", "b=2"]
    );
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive && !head.expect_continue);
}

#[test]
fn framing_is_reported_as_it_was_sent() {
    for (lines, framing) in [
        ("", Framing::None),
        ("Content-Length: 0\r\n", Framing::Length(0)),
        ("Content-Length: 40\r\n", Framing::Length(40)),
        ("content-length:   2  \r\n", Framing::Length(2)),
        (
            "Content-Length: 18446744073709551615\r\n",
            Framing::Length(u64::MAX),
        ),
        ("Transfer-Encoding: chunked\r\n", Framing::Chunked),
        ("Transfer-Encoding: CHUNKED\r\n", Framing::Chunked),
        ("transfer-encoding: Chunked \r\n", Framing::Chunked),
    ] {
        assert_eq!(read(post(lines)).unwrap().framing, framing, "{lines:?}");
        assert_eq!(read(get(lines)).unwrap().framing, framing, "GET {lines:?}");
    }
}

/// Header lines of a POST that two readers could frame differently, by what refuses them.
const FRAMING: &[(Malformed, &[&str])] = &[
    // F1
    (
        Malformed::LengthAndCoding,
        &[
            "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
            "Content-Length: x\r\nTransfer-Encoding: y\r\n",
        ],
    ),
    // F2
    (
        Malformed::RepeatedContentLength,
        &[
            "Content-Length: 2\r\nContent-Length: 2\r\n",
            "Content-Length: 2\r\nX: y\r\ncontent-length: 3\r\n",
        ],
    ),
    // F5, F6
    (
        Malformed::ContentLength,
        &[
            "Content-Length: +2\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 0x2\r\n",
            "Content-Length: 2 2\r\n",
            "Content-Length: 2, 2\r\n",
            "Content-Length: 18446744073709551617\r\n",
            "Content-Length: 002\r\n",
            "Content-Length:\r\n",
        ],
    ),
    // F7, F9, F10
    (
        Malformed::TransferEncoding,
        &[
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked;q=1\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: chunked,\r\n",
            "Transfer-Encoding:\r\n",
        ],
    ),
    // F8
    (
        Malformed::RepeatedTransferEncoding,
        &[
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ],
    ),
    // F9
    (
        Malformed::TransferCoding,
        &["Transfer-Encoding: gzip, chunked\r\n"],
    ),
    // F5, F11
    (
        Malformed::ValueBytes,
        &[
            "Content-Length: 2\0\r\n",
            "Transfer-Encoding: chunked\t\r\n",
            "Transfer-Encoding:\tchunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding: chun\u{212a}ed\r\n",
        ],
    ),
    // F12
    (
        Malformed::SpaceBeforeColon,
        &[
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding\t: chunked\r\n",
            "Content-Length : 2\r\n",
        ],
    ),
    (Malformed::UnderscoreInName, &["Content_Length: 2\r\n"]),
];

#[test]
fn ambiguous_framing_is_refused() {
    all_refused(FRAMING, post);
}

#[test]
fn folded_headers_are_refused() {
    let cases = ["X: a\r\n Transfer-Encoding: chunked\r\n", "X: a\r\n\tb\r\n"];
    all_refused(&[(Malformed::Folded, &cases)], post);
    let first = |line: &str| format!("GET / HTTP/1.1\r\n{line}Host: a.test\r\n\r\n");
    all_refused(&[(Malformed::Folded, &[" X: a\r\n", "\tX: a\r\n"])], first); // F13
}

#[test]
fn lines_end_with_a_carriage_return_and_a_line_feed() {
    for head in [
        "GET http://a.test/ HTTP/1.1\nHost: a.test\n\n",
        "GET http://a.test/ HTTP/1.1\r\nHost: a.test\n\r\n",
        "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\n",
        "GET http://a.test/ HTTP/1.1\r\nHost: a.test\n\n",
        "GET http://a.test/\nHost: a.test HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(
            read(head).map(|_| ()),
            Err(Malformed::BareLineFeed),
            "F15: {head:?}"
        );
    }
    for lines in ["X: a\rb\r\n", "X: a\r\r\n", "X: \r\r\n"] {
        assert_eq!(
            read(get(lines)).map(|_| ()),
            Err(Malformed::ValueBytes),
            "F16: {lines:?}"
        );
    }
}

#[test]
fn odd_bytes_in_headers_are_refused() {
    for (row, line, why) in [
        ("F16", &b"X: a\0b"[..], Malformed::ValueBytes),
        ("F16", b"X\0: a", Malformed::Name),
        ("F16", b"X\x80: a", Malformed::Name),
        ("F16", b"X: \x80", Malformed::ValueBytes),
        ("F16", b"X: \xc3\xa9", Malformed::ValueBytes),
        ("F16", b"X: \x1b[2J", Malformed::ValueBytes),
        ("F16", b"X: \x7f", Malformed::ValueBytes),
        ("F25", b"X\t: a", Malformed::SpaceBeforeColon),
        ("F25", b"{X}: a", Malformed::Name),
        ("F25", b"X Y: a", Malformed::Name),
        ("F25", b"X(Y): a", Malformed::Name),
        ("F25", b": x", Malformed::EmptyName),
        ("F25", b"X", Malformed::NoColon),
        ("F25", b"X=a", Malformed::NoColon),
        ("F25", b"X_Api_Key: a", Malformed::UnderscoreInName),
    ] {
        let head = [
            b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n",
            line,
            b"\r\n\r\n",
        ]
        .concat();
        assert_eq!(
            read(head).map(|_| ()),
            Err(why),
            "{row}: {}",
            line.escape_ascii()
        );
    }
}

/// Request lines, by what refuses them.
const REQUEST_LINES: &[(Malformed, &[&str])] = &[
    // B7, B8, B10
    (
        Malformed::TargetForm,
        &[
            "GET //evil.test/v1 HTTP/1.1",
            "GET evil.test:80 HTTP/1.1",
            "CONNECT http://api.good.test:443/ HTTP/1.1",
            "CONNECT /path HTTP/1.1",
            "CONNECT * HTTP/1.1",
        ],
    ),
    // B30
    (
        Malformed::Method,
        &["GET\0 / HTTP/1.1", "G(T / HTTP/1.1", "G\u{cb}T / HTTP/1.1"],
    ),
    // B30, F23
    (
        Malformed::VersionUnsupported,
        &[
            "PRI * HTTP/2.0",
            "GET / HTTP/2.0",
            "GET / HTTP/1.2",
            "GET / HTTP/0.9",
        ],
    ),
    (
        Malformed::Version,
        &[
            "GET / http/1.1",
            "GET / HTTP/1.1x",
            "GET / HTTP/1.10",
            "GET / HTTP/1",
            "GET / HTTP/1.1\r",
            "GET / ",
        ],
    ),
    (Malformed::NoVersion, &["GET /"]),
    (
        Malformed::RequestLine,
        &[
            "GET",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /a b HTTP/1.1",
            "GET  HTTP/1.1",
            "GET\t/\tHTTP/1.1",
        ],
    ),
    (
        Malformed::LeadingBlank,
        &[" GET / HTTP/1.1", "\r\nGET / HTTP/1.1", "\nGET / HTTP/1.1"],
    ),
    (Malformed::NotHttp, &["\u{16}\u{3}\u{1}", "\u{5}\u{1}"]),
    (
        Malformed::TargetBytes,
        &[
            "GET /#b HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /\u{1} HTTP/1.1",
            "GET /\u{7f} HTTP/1.1",
        ],
    ),
];

#[test]
fn a_request_line_has_one_spelling() {
    let request = |line: &str| format!("{line}\r\nHost: a.test\r\n\r\n");
    all_refused(REQUEST_LINES, request);
    let long = format!("{} / HTTP/1.1", "A".repeat(300));
    all_refused(&[(Malformed::MethodTooLong, &[&long])], request);
}

#[test]
fn methods_are_not_folded() {
    for method in ["get", "Get", "TRACE", "TRACK", "PURGE", "M-SEARCH"] {
        let head = read(format!(
            "{method} http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"
        ));
        assert_eq!(head.unwrap().method.as_str(), method, "B29, B30");
    }
}

#[test]
fn a_request_has_one_host() {
    let two = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n";
    for (row, head, why) in [
        (
            "B3",
            format!("{two}Host: a.test\r\n\r\n"),
            Malformed::RepeatedHost,
        ),
        (
            "B3",
            format!("{two}X: y\r\nhost: b.test\r\n\r\n"),
            Malformed::RepeatedHost,
        ),
        (
            "",
            "GET http://a.test/ HTTP/1.1\r\n\r\n".into(),
            Malformed::NoHost,
        ),
        (
            "",
            "CONNECT a.test:443 HTTP/1.1\r\nX: y\r\n\r\n".into(),
            Malformed::NoHost,
        ),
    ] {
        assert_eq!(read(&head).map(|_| ()), Err(why), "{row}: {head:?}");
    }
}

#[test]
fn target_and_host_are_both_shown_to_who_compares_them() {
    let head = read("GET http://evil.test/p HTTP/1.1\r\nHost: api.good.test\r\n\r\n").unwrap();
    assert_eq!(head.target.as_str(), "http://evil.test/p", "B1");
    assert_eq!(head.host(), Some("api.good.test"));
}

#[test]
fn headers_that_must_agree_stand_once() {
    for (lines, why) in [
        (
            "Content-Type: a/b\r\ncontent-type: a/b\r\n",
            Malformed::RepeatedContentType,
        ),
        (
            "Expect: 100-continue\r\nExpect: 100-continue\r\n",
            Malformed::RepeatedExpect,
        ),
        (
            "Authorization: a\r\nAuthorization: b\r\n",
            Malformed::RepeatedAuthorization,
        ),
        (
            "Proxy-Authorization: a\r\nProxy-Authorization: a\r\n",
            Malformed::RepeatedProxyAuthorization,
        ),
    ] {
        assert_eq!(read(post(lines)).map(|_| ()), Err(why), "{lines:?}");
    }
}

#[test]
fn an_expectation_is_100_continue_or_refused() {
    assert!(
        read(post("Expect: 100-continue\r\n"))
            .unwrap()
            .expect_continue,
        "B31"
    );
    assert!(
        read(post("Expect: 100-Continue\r\n"))
            .unwrap()
            .expect_continue
    );
    for value in ["", "100", "100-continue, x", "x", "200-ok"] {
        let refused = read(post(&format!("Expect: {value}\r\n"))).map(|_| ());
        assert_eq!(refused, Err(Malformed::Expectation), "{value:?}");
    }
    let old = read("POST http://a.test/ HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert!(!old.expect_continue);
}

#[test]
fn http_1_0_is_served_once() {
    for (lines, host) in [
        ("", None),
        ("Connection: keep-alive\r\n", None),
        ("Host: a.test\r\nConnection: keep-alive\r\n", Some("a.test")),
    ] {
        let head = read(format!("GET http://a.test/ HTTP/1.0\r\n{lines}\r\n")).unwrap();
        assert_eq!(
            (head.keep_alive, head.host()),
            (false, host),
            "F31: {lines:?}"
        );
    }
    let chunked = "POST http://a.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(
        read(chunked).map(|_| ()),
        Err(Malformed::TransferEncodingOnOld)
    );
}

#[test]
fn connection_closes_and_nominates() {
    let head = read(get(
        "Connection: X-A, authorization\r\nConnection: host\r\n",
    ))
    .unwrap();
    assert_eq!(
        nominated(&head.headers).collect::<Vec<_>>(),
        ["x-a", "authorization", "host"],
        "B28"
    );
    assert!(head.keep_alive);
    for value in ["close", "Close", "keep-alive, close", "x,close"] {
        assert!(
            !read(get(&format!("Connection: {value}\r\n")))
                .unwrap()
                .keep_alive,
            "{value}"
        );
    }
    for value in ["a b", "x;y", "\"close\"", "x, (y)"] {
        let refused = read(get(&format!("Connection: {value}\r\n"))).map(|_| ());
        assert_eq!(refused, Err(Malformed::Connection), "{value}");
    }
}

#[test]
fn an_upgrade_is_shown_and_decided_elsewhere() {
    let lines =
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings\r\n";
    let mut head = read(get(lines)).unwrap();
    assert_eq!(head.headers["upgrade"], "h2c", "F30");
    crate::wire::strip_hop_by_hop(&mut head.headers);
    assert_eq!(head.headers.keys().collect::<Vec<_>>(), ["host"]);
}

#[test]
fn a_connect_has_no_body() {
    let connect = |lines: &str| {
        read(format!(
            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n{lines}\r\n"
        ))
        .map(|_| ())
    };
    assert_eq!(connect(""), Ok(()));
    assert_eq!(connect("Content-Length: 0\r\n"), Ok(()));
    assert_eq!(
        connect("Content-Length: 3\r\n"),
        Err(Malformed::ConnectBody),
        "B11"
    );
    assert_eq!(
        connect("Transfer-Encoding: chunked\r\n"),
        Err(Malformed::ConnectBody),
        "B11"
    );
}

#[test]
fn limits_hold_to_the_byte() {
    let line = "GET http://a.test/ HTTP/1.1\r\n";
    let many = |count: usize| {
        format!(
            "{line}{}\r\n",
            "Host: a.test\r\n".replace("Host", "X").repeat(count)
        )
    };
    assert_eq!(
        read(many(101)).map(|_| ()),
        Err(Malformed::TooManyHeaders),
        "F26"
    );
    assert_eq!(read(many(100)).map(|_| ()), Err(Malformed::NoHost));

    let sized = |bytes: usize| {
        let empty = get("X: \r\n").len();
        get(&format!("X: {}\r\n", "a".repeat(bytes - empty)))
    };
    assert_eq!(read(sized(64 * 1024)).map(|_| ()), Ok(()));
    assert_eq!(
        read(sized(64 * 1024 + 1)).map(|_| ()),
        Err(Malformed::HeadTooLarge)
    );
    assert_eq!(
        read(sized(500_000)).map(|_| ()),
        Err(Malformed::HeadTooLarge),
        "F26"
    );

    let target = |bytes: usize| {
        let long = "a".repeat(bytes - "http://a.test/".len());
        format!("GET http://a.test/{long} HTTP/1.1\r\nHost: a.test\r\n\r\n")
    };
    assert_eq!(read(target(16 * 1024)).map(|_| ()), Ok(()));
    assert_eq!(
        read(target(16 * 1024 + 1)).map(|_| ()),
        Err(Malformed::TargetTooLong)
    );
    assert_eq!(
        read(target(100_000)).map(|_| ()),
        Err(Malformed::TargetTooLong),
        "F26"
    );
}

#[test]
fn a_head_without_an_end_is_refused_when_it_is_too_large_and_not_before() {
    for (bytes, why) in [
        (
            format!("GET /{}", "a".repeat(100_000)),
            Malformed::TargetTooLong,
        ),
        (
            format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(100_000)),
            Malformed::HeadTooLarge,
        ),
        (
            format!("GET / HTTP/1.1\r\n{}", "X: a\r\n".repeat(101)),
            Malformed::TooManyHeaders,
        ),
    ] {
        for segments in [1, 1000, usize::MAX] {
            let refused = read_in(&[segments], bytes.as_bytes(), HeadLimits::default());
            assert_eq!(refused.map(|_| ()), Err(why));
        }
    }
    let head = get("");
    for length in 0..head.len() {
        let part = read_in(
            &[usize::MAX],
            &head.as_bytes()[..length],
            HeadLimits::default(),
        );
        assert!(matches!(part, Ok(None)), "{length}");
    }
}

#[test]
fn what_is_wrong_is_said_as_soon_as_its_line_is_there() {
    for (part, why) in [
        (&b"\x16"[..], Malformed::NotHttp),
        (b"\r", Malformed::LeadingBlank),
        (b"GET /\r\n", Malformed::NoVersion),
        (b"PRI * HTTP/2.0\r\n", Malformed::VersionUnsupported),
        (b"GET / HTTP/1.1\r\nX : a\r\n", Malformed::SpaceBeforeColon),
    ] {
        let refused = read_in(&[1], part, HeadLimits::default()).map(|_| ());
        assert_eq!(refused, Err(why), "{}", part.escape_ascii());
    }
}

#[test]
fn pipelined_heads_come_one_by_one() {
    let one = get("X: 1\r\n");
    let mut buf = BytesMut::from([one.as_bytes(), NEXT, b"GET /half"].concat().as_slice());
    let mut reader = HeadReader::new(HeadLimits::default());
    let hosts = [(); 2].map(|()| {
        reader
            .read(&mut buf)
            .unwrap()
            .unwrap()
            .host()
            .map(str::to_owned)
    });
    assert_eq!(
        hosts,
        [Some("api.good.test".into()), Some("next.test".into())],
        "F27"
    );
    assert!(reader.read(&mut buf).unwrap().is_none());
    buf.extend_from_slice(b" HTTP/1.1\r\nHost: c.test\r\n\r\n");
    assert_eq!(
        reader.read(&mut buf).unwrap().unwrap().target.as_str(),
        "/half"
    );
    assert!(buf.is_empty());
}

#[test]
fn a_head_does_not_print_its_values() {
    let head = read(
        "GET http://a.test/?key=SECRET HTTP/1.1\r\nHost: a.test\r\nAuthorization: SECRET\r\n\r\n",
    )
    .unwrap();
    assert!(!format!("{head:?}").contains("SECRET"));
    assert!(format!("{head:?}").contains("authorization"));
    assert!(!format!("{:?}", head.headers).contains("SECRET"));
}

#[test]
fn every_refusal_has_a_status_of_its_kind_and_words_of_its_own() {
    let mut reasons: Vec<_> = Malformed::ALL.iter().map(|it| it.reason()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), Malformed::ALL.len());
    for (why, status) in [
        (Malformed::BareLineFeed, 400),
        (Malformed::TargetTooLong, 414),
        (Malformed::HeadTooLarge, 431),
        (Malformed::TooManyHeaders, 431),
        (Malformed::Expectation, 417),
        (Malformed::TransferCoding, 501),
        (Malformed::VersionUnsupported, 505),
    ] {
        assert_eq!(why.status().as_u16(), status, "{why:?}");
    }
}

/// Heads that are nearly right: a good one whose parts are swapped for odd ones now and then.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => Just("GET http://a.test/ HTTP/1.1\r\n"),
        1 => Just("POST /x HTTP/1.0\r\n"),
        1 => Just("GET  / HTTP/1.1\r\n"),
        1 => Just("GET / HTTP/1.1\n"),
        1 => Just("\r\n"),
    ];
    let field = prop_oneof![
        8 => "[A-Za-z-]{1,8}: ?[ -~]{0,20}\r\n",
        4 => Just("Host: a.test\r\n".to_owned()),
        2 => Just("Content-Length: 3\r\n".to_owned()),
        1 => Just("Transfer-Encoding: chunked\r\n".to_owned()),
        1 => "[ -~\r\n\t\0é]{0,6}",
    ];
    let end = prop_oneof![4 => Just("\r\n"), 1 => Just("\n"), 1 => Just("")];
    (line, prop::collection::vec(field, 0..6), end)
        .prop_map(|(line, fields, end)| format!("{line}{}{end}", fields.concat()).into_bytes())
}

proptest! {
    #[test]
    fn a_split_changes_nothing(
        head in nearly_a_head(),
        behind in prop::collection::vec(any::<u8>(), 0..20),
        segments in prop::collection::vec(1usize..20, 1..8),
        head_bytes in 20usize..200,
    ) {
        let bytes = [head, behind].concat();
        let limits = HeadLimits { head_bytes, headers: 4, target_bytes: 14 };
        let whole = read_in(&[usize::MAX], &bytes, limits);
        let split = read_in(&segments, &bytes, limits);
        let shown = |it: Option<(Head, Vec<u8>)>| it.map(|(head, left)| (shown(&head), left));
        prop_assert_eq!(whole.map(shown), split.map(shown));
    }

    #[test]
    fn nothing_beyond_the_blank_line_is_consumed(
        head in nearly_a_head(),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let bytes = [&head[..], &behind].concat();
        if let Ok(Some((_, left))) = read_in(&[usize::MAX], &bytes, HeadLimits::default()) {
            let consumed = &bytes[..bytes.len() - left.len()];
            let blank = memchr::memmem::find(&bytes, b"\r\n\r\n").unwrap();
            prop_assert_eq!(consumed.len(), blank + 4);
        }
    }
}
