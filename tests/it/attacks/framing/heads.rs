//! Request lines and headers.

use super::{MALFORMED, Raw, TOO_LARGE, lines_refused, posts_refused, refused};
use crate::attacks::stage::{Door, Stage};

/// hyper drops the length and closes after the answer.
#[test]
fn f1_a_length_and_a_coding_in_one_head_are_refused() {
    let chunks = "\r\n0\r\n\r\nX";
    let both = [
        ("Content-Length: 6", "Transfer-Encoding: chunked"),
        ("Content-Length: 0", "Transfer-Encoding: chunked"),
        ("Content-Length: 6", "Transfer-Encoding: identity"),
        ("Content-Length: 6", "Transfer-Encoding:"),
        ("Content-Length:", "Transfer-Encoding: chunked"),
        ("CONTENT-LENGTH: 6", "transfer-encoding: CHUNKED"),
        ("Content-Length: x", "Transfer-Encoding: chunked"),
        ("Content-Length: 6\r\nX: y", "Transfer-Encoding: chunked"),
    ];
    let orders = both.iter().flat_map(|(length, coding)| {
        [
            format!("{length}\r\n{coding}\r\n{chunks}"),
            format!("{coding}\r\n{length}\r\n{chunks}"),
        ]
    });
    refused(MALFORMED, orders.map(Raw::post));
}

/// hyper takes lengths that agree.
#[test]
fn f2_a_length_said_twice_is_refused() {
    lines_refused(&[
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2\r\nX: y\r\ncontent-length: 2",
        "Content-Length: 0\r\nContent-Length: 2",
        "Content-Length: 2\r\nContent-Length:",
        "Content-Length:\r\nContent-Length: 2",
        "Content-Length: 2, 2",
        "Content-Length: 2,2",
        "Content-Length: 2,",
        "Content-Length: ,2",
        "Content-Length: 2;2",
    ]);
}

#[test]
fn f5_a_length_is_digits_and_nothing_else() {
    lines_refused(&[
        "Content-Length: +2",
        "Content-Length: -1",
        "Content-Length: -0",
        "Content-Length: 0x2",
        "Content-Length: 2 2",
        "Content-Length: 2\t",
        "Content-Length: \t2",
        "Content-Length: \x0b2",
        "Content-Length: 2.0",
        "Content-Length: 1e1",
        "Content-Length: 2_0",
        "Content-Length: 2h",
        "Content-Length: \"2\"",
        "Content-Length: \u{ff12}",
        "Content-Length: \u{664}",
        "Content-Length: 18446744073709551616",
        "Content-Length: 18446744073709551617",
        "Content-Length: 99999999999999999999999999999999",
        "Content-Length: 2\0",
        "Content-Length: \x002",
        "Content-Length:",
        "Content-Length: ",
    ]);
}

/// hyper reads 2, and its client would write `002` again.
#[test]
fn f6_a_length_has_no_leading_zeros() {
    let long = format!("Content-Length: {}2", "0".repeat(40));
    lines_refused(&[
        "Content-Length: 002",
        "Content-Length: 02",
        "Content-Length: 00",
        "Content-Length: 0000000000",
        &long,
    ]);
}

/// hyper takes it for one, and its client would write the line again while it chunks once.
#[test]
fn f7_a_body_is_chunked_once() {
    lines_refused(&[
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked,chunked",
        "Transfer-Encoding: chunked , chunked",
        "Transfer-Encoding: Chunked, CHUNKED",
        "Transfer-Encoding: chunked, chunked, chunked",
        "Transfer-Encoding: chunked, gzip, chunked",
    ]);
}

#[test]
fn f8_a_coding_is_said_in_one_line() {
    lines_refused(&[
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
        "Transfer-Encoding: chunked\r\nX: y\r\ntransfer-encoding: chunked",
    ]);
}

/// hyper takes whatever ends in `chunked`.
#[test]
fn f9_no_coding_stands_before_the_chunks() {
    lines_refused(&[
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: deflate, chunked",
        "Transfer-Encoding: compress, chunked",
        "Transfer-Encoding: x-gzip, chunked",
        "Transfer-Encoding: br, chunked",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, gzip, chunked",
        "Transfer-Encoding: gzip",
    ]);
}

#[test]
fn f10_a_coding_that_only_looks_like_chunked_is_refused() {
    lines_refused(&[
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: x-chunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunked;",
        "Transfer-Encoding: chunked=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: (a) chunked",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunk ed",
        "Transfer-Encoding: chunke",
        "Transfer-Encoding: nothing",
        "Transfer-Encoding:",
    ]);
}

#[test]
fn f11_only_chunked_in_letters_of_any_case_passes_and_leaves_as_a_length() {
    lines_refused(&[
        "Transfer-Encoding: chunked\t",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding: \tchunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \x0cchunked",
        "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding: \0chunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: chun\u{212a}ed",
        "Transfer-Encoding: c\u{ff48}unked",
        "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding: \u{feff}chunked",
        "Transfer-Encoding: chunked\u{2028}",
        "Transfer-Encoding: chunked\x7f",
    ]);
    let stage = Stage::usual();
    let canonical = r#"{"name":"a","qty":1}"#;
    for coding in ["chunked", "Chunked", "CHUNKED", "chUNKed", "  chunked  "] {
        for door in Door::ALL {
            let lines = format!("Content-Type: application/json\r\nTransfer-Encoding:{coding}\r\n");
            let body = format!("14\r\n{canonical}\r\n0\r\n\r\n");
            let chunked = door.request("POST", "api.good.test", "/v1/items", &lines, &body);
            stage.same(door, &chunked, &door.post(canonical));
        }
    }
}

#[test]
fn f12_no_blank_stands_before_a_colon() {
    lines_refused(&[
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding  : chunked",
        "Content-Length : 2",
        "Content-Length\t: 2",
        "Content-Length \t : 2",
        "Content-Length\x0b: 2",
        "Content-Length\0: 2",
        "Transfer-Encoding\r: chunked",
        "Transfer-Encoding\u{a0}: chunked",
        "Transfer_Encoding: chunked",
        "Content_Length: 2",
    ]);
}

#[test]
fn f13_a_header_is_one_line() {
    posts_refused(
        MALFORMED,
        &[
            "X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "X: a\r\n\tContent-Length: 2\r\n\r\nab",
            "X: a\r\n \r\n\r\n",
            "X: a\r\n\t\r\n\r\n",
            "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: \r\n\tchunked\r\n\r\n0\r\n\r\n",
            "Content-Length: 1\r\n 2\r\n\r\nab",
            "Authorization: Bearer\r\n x\r\n\r\n",
        ],
    );
    let first = [
        "POST {target} HTTP/1.1\r\n Host: api.good.test\r\n\r\n",
        "POST {target} HTTP/1.1\r\n\tHost: api.good.test\r\n\r\n",
        "POST {target} HTTP/1.1\r\n X: y\r\nHost: api.good.test\r\n\r\n",
        "POST {target} HTTP/1.1\r\nHost:\r\n api.good.test\r\n\r\n",
        "POST {target}\r\n HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "POST\r\n {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
    ];
    refused(MALFORMED, first.map(Raw::of));
}

/// hyper ends a line at a lone line feed, and skips blank lines before a head.
#[test]
fn f15_a_line_ends_with_both_its_bytes() {
    posts_refused(
        MALFORMED,
        &[
            "X: a\nContent-Length: 2\r\n\r\nab",
            "X: a\n\r\n",
            "X: a\r\n\n",
            "X: a\n\n",
            "\nX: a\r\n\r\n",
            "Content-Length: 2\n\nab",
            "Content-Length: 2\r\n\nab",
            "X: a\r\r\n\r\n",
            "X: a\n\rY: b\r\n\r\n",
        ],
    );
    let lines = [
        "POST {target} HTTP/1.1\nHost: api.good.test\n\n",
        "POST {target} HTTP/1.1\nHost: api.good.test\r\n\r\n",
        "POST {target} HTTP/1.1\r\nHost: api.good.test\r\n\n",
        "POST {target} HTTP/1.1\r\nHost: api.good.test\n\r\n",
        "POST {target} HTTP/1.1\n\n",
        "\r\nPOST {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "\nPOST {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "\r\n\r\nPOST {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "\rPOST {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        " POST {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "\tPOST {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
    ];
    refused(MALFORMED, lines.map(Raw::of));
}

#[test]
fn f16_no_control_character_and_no_byte_above_ascii_stands_in_a_header() {
    posts_refused(
        MALFORMED,
        &[
            "X: a\rContent-Length: 2\r\n\r\nab",
            "X: a\rb\r\n\r\n",
            "X: \r\r\n\r\n",
            "X: a\0b\r\n\r\n",
            "X: \0\r\n\r\n",
            "X: a\x1bb\r\n\r\n",
            "X: a\x08b\r\n\r\n",
            "X: a\x7fb\r\n\r\n",
            "X: a\tb\r\n\r\n",
            "X: \u{e9}\r\n\r\n",
            "X\0: a\r\n\r\n",
            "\0: a\r\n\r\n",
            "X\ry: a\r\n\r\n",
            "X\u{e9}: a\r\n\r\n",
        ],
    );
    let single: [&[u8]; 6] = [
        b"X\x80: a\r\n\r\n",
        b"\x80: a\r\n\r\n",
        b"X: \x80\r\n\r\n",
        b"X: a\xff\r\n\r\n",
        b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 2\xa0\r\n\r\nab",
    ];
    refused(MALFORMED, single.map(Raw::post));
}

#[test]
fn f23_only_http_1_0_and_1_1_are_spoken() {
    let versions = [
        "HTTP/1.2",
        "HTTP/1.9",
        "HTTP/2.0",
        "HTTP/2",
        "HTTP/3",
        "HTTP/0.9",
        "HTTP/1",
        "http/1.1",
        "Http/1.1",
        "HTTP/1.1x",
        "xHTTP/1.1",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1,1",
        "HTTP/1.+1",
        "HTTP/-1.1",
        "HTTP /1.1",
        "HTTP/ 1.1",
        " HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1\t",
        "HTTP/\u{ff11}.1",
        "HTTPS/1.1",
        "RTSP/1.0",
        "ICY",
    ];
    let with = |it: &str| {
        Raw::of(format!(
            "POST {{target}} {it}\r\nHost: api.good.test\r\n\r\n"
        ))
    };
    refused(MALFORMED, versions.map(with));
    let without = [
        "POST {target}\r\n\r\n",
        "POST {target} \r\n\r\n",
        "GET {target}\r\nHost: api.good.test\r\n\r\n",
        "POST  {target} HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "POST {target}  HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "POST\t{target}\tHTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "POST {target} HTTP/1.1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "POST {target}\x0bHTTP/1.1\r\nHost: api.good.test\r\n\r\n",
        "POST\r\n\r\n",
        "{target}\r\n\r\n",
        "X\r\n\r\n",
    ];
    refused(MALFORMED, without.map(Raw::of));
}

#[test]
fn f25_a_header_has_a_name_of_the_usual_letters() {
    posts_refused(
        MALFORMED,
        &[
            "X\t: a\r\n\r\n",
            "X{}: a\r\n\r\n",
            "X(): a\r\n\r\n",
            "X y: a\r\n\r\n",
            "X/y: a\r\n\r\n",
            "X@y: a\r\n\r\n",
            "X=y: a\r\n\r\n",
            "X,y: a\r\n\r\n",
            "X;y: a\r\n\r\n",
            "\"X\": a\r\n\r\n",
            "[X]: a\r\n\r\n",
            "X\\y: a\r\n\r\n",
            ": x\r\n\r\n",
            ":\r\n\r\n",
            " : x\r\n\r\n",
            "no colon\r\n\r\n",
            "X\r\n\r\n",
            "GET http://evil.test/ HTTP/1.1\r\n\r\n",
            "X_y: a\r\n\r\n",
            "Connection: a b\r\n\r\n",
            "Connection: close;x\r\n\r\n",
            // Those that must agree stand once.
            "Content-Type: text/plain\r\nContent-Type: application/json\r\n\r\n",
            "Authorization: a\r\nAuthorization: b\r\n\r\n",
            "Proxy-Authorization: a\r\nProxy-Authorization: b\r\n\r\n",
            "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n",
        ],
    );
}

#[test]
fn f26_a_head_has_so_many_lines_and_bytes_and_no_more() {
    let start = "POST {target} HTTP/1.1\r\nHost: api.good.test\r\n";
    let large = [
        format!("{start}{}\r\n", "X: y\r\n".repeat(100)),
        format!("{start}{}\r\n", "X: y\r\n".repeat(20_000)),
        format!("{start}X: {}\r\n\r\n", "y".repeat(500_000)),
        format!("{start}{}: y\r\n\r\n", "x".repeat(70_000)),
        format!(
            "{start}{}\r\n",
            format!("X: {}\r\n", "y".repeat(1000)).repeat(70)
        ),
        // Without an end.
        format!("{start}X: {}", "y".repeat(70_000)),
        format!("{start}{}", "X: y\r\n".repeat(101)),
    ];
    refused(TOO_LARGE, large.map(Raw::of));
    let long = "x".repeat(100_000);
    let targets = [
        format!("POST {{target}}?{long} HTTP/1.1\r\nHost: api.good.test\r\n\r\n"),
        format!("POST {{target}}/{long} HTTP/1.1\r\nHost: api.good.test\r\n\r\n"),
        format!("GET {{target}}?{long}"),
    ];
    refused((414, "target_too_long"), targets.map(Raw::of));
    let method = format!("{} {{target}} HTTP/1.1\r\n\r\n", "X".repeat(33));
    refused(MALFORMED, [Raw::of(method)]);
}

/// What the row's numbers are one more than.
#[test]
fn f26_a_head_at_the_limits_is_read() {
    let stage = Stage::usual();
    for door in Door::ALL {
        for lines in [
            "X: y\r\n".repeat(99),
            format!("X: {}\r\n", "y".repeat(60_000)),
        ] {
            let sent = door.request("GET", "api.good.test", "/v1/items/1", &lines, "");
            stage.same(door, &sent, &door.get("/v1/items/1"));
        }
    }
}
