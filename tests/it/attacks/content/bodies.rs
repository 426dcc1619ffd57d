//! Which bodies there may be, of which type, and how large.

use std::io::Write as _;

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{MALFORMED, MISSING, TOO_LARGE, TYPE, UNREADABLE, call_refused_with, stage_with};
use crate::attacks::stage::{Door, Stage};
use crate::world::{Tap, read_answer, rest};

const JSON: &str = r#"{"name":"a","qty":1}"#;

/// A POST to `create_item` with these lines, its length and a body.
fn post(door: Door, lines: &str, body: &str) -> Vec<u8> {
    let lines = format!("{lines}Content-Length: {}\r\n", body.len());
    door.request("POST", "api.good.test", "/v1/items", &lines, body)
}

#[test]
fn e31_a_body_is_read_as_what_it_says_it_is_or_not_at_all() {
    let stage = Stage::usual();
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: text/json\r\n",
        "Content-Type: text/html\r\n",
        "Content-Type: application/octet-stream\r\n",
        "Content-Type: application/vnd.api+json\r\n",
        "Content-Type: application/merge-patch+json\r\n",
        "Content-Type: application/json5\r\n",
        "Content-Type: application/jsonx\r\n",
        "Content-Type: application/x-json\r\n",
        "Content-Type: application/ json\r\n",
        "Content-Type: application /json\r\n",
        "Content-Type: application/json, text/html\r\n",
        "Content-Type: text/html, application/json\r\n",
        "Content-Type: text/html; application/json\r\n",
        "Content-Type: application/json; charset=a; charset=b\r\n",
        "Content-Type: application/json; charset=utf-8; x\r\n",
        "Content-Type: application/json; boundary=x\r\n",
        "Content-Type: application/json; version=1\r\n",
        "Content-Type: application/json; charset utf-8\r\n",
        "Content-Type: application/json\\\r\n",
        "Content-Type: \"application/json\"\r\n",
        "Content-Type: json\r\n",
        "Content-Type: */*\r\n",
        "Content-Type: multipart/form-data\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type:\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nContent-Encoding: identity\r\n",
        "Content-Type: application/json\r\nContent-Encoding:\r\n",
        "Content-Type: application/json\r\nContent-Encoding: br, gzip\r\n",
    ] {
        for door in Door::ALL {
            stage.refuses(door, &post(door, kind, JSON), TYPE);
        }
        let call = format!("{{\"parameters\":{JSON}}}");
        call_refused_with(&stage, ("create_item", kind), TYPE, call.as_bytes());
    }
    for kind in [
        "Content-Type: application/json\r\nContent-Type: application/json\r\n",
        "Content-Type: text/plain\r\nContent-Type: application/json\r\n",
        "Content-Type: application/json\r\nX: y\r\ncontent-type: text/plain\r\n",
        "Content-Type: application/json\r\n ; charset=utf-8\r\n",
        "Content-Type: application/json\t\r\n",
        "Content_Type: application/json\r\n",
    ] {
        for door in Door::ALL {
            stage.refuses_and_closes(door, &post(door, kind, JSON), MALFORMED);
        }
        let call = format!("{{\"parameters\":{JSON}}}");
        call_refused_with(&stage, ("create_item", kind), MALFORMED, call.as_bytes());
    }
}

/// The action takes forms too; what is no form is not read as JSON behind its back.
#[test]
fn e31_json_that_says_it_is_a_form_is_no_form() {
    let stage = Stage::usual();
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for door in Door::ALL {
        for body in [
            JSON,
            "\u{feff}name=a&qty=1",
            "name=a;qty=1",
            "name=%zz&qty=1",
            "=a&qty=1",
        ] {
            stage.refuses(door, &post(door, form, body), UNREADABLE);
        }
        for (body, code) in [
            ("name=a&qty=1&qty=2", "parameter_duplicate"),
            ("name=a&qty=1&%71ty=2", "parameter_duplicate"),
            ("name=a&qty=1&QTY=2", "parameter_duplicate"),
            ("name=a&qty=1&name[]=b", "parameter_undeclared"),
            ("name=a&Qty=1", "parameter_undeclared"),
            ("name=a&qty=01", "parameter_invalid"),
            ("name=a&qty=1.0", "parameter_invalid"),
            ("name=a&qty=%2B1", "parameter_invalid"),
            ("name=a&qty=", "parameter_invalid"),
            ("name=a", "parameter_missing"),
        ] {
            let status = match code {
                "parameter_duplicate" | "parameter_missing" => 400,
                _ => 403,
            };
            stage.refuses(door, &post(door, form, body), (status, code));
        }
        for body in ["name=a&qty=1", "n%61me=%61&qty=1", "&name=a&&qty=%31&"] {
            stage.same(door, &post(door, form, body), &door.post(JSON));
        }
    }
}

/// Bodies of several parts, as their readers have disagreed about them.
fn parts() -> Vec<(&'static str, String)> {
    let part = |head: &str, text: &str| {
        format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n")
    };
    let plain = part("name=\"name\"", "a");
    vec![
        ("boundary=x", format!("{plain}{plain}--x--\r\n")),
        (
            "boundary=x",
            part("name=\"a\"; name=\"b\"", "1") + "--x--\r\n",
        ),
        (
            "boundary=x",
            part("name=a; filename=\"b\"; filename*=UTF-8''c", "1") + "--x--\r\n",
        ),
        ("boundary=\"x\"", format!("{plain}--x--\r\n")),
        ("boundary=\"x y\"", "--x y\r\n\r\n--x y--\r\n".into()),
        ("boundary=x; boundary=y", format!("{plain}--x--\r\n--y--")),
        ("boundary=x", format!("preamble {JSON}\r\n{plain}--x--\r\n")),
        ("boundary=x", format!("{plain}--x--\r\n{JSON}")),
        ("boundary=x", plain.replace("\r\n", "\n") + "--x--\n"),
        (
            "boundary=x",
            part(
                "name=a\r\nContent-Type: multipart/mixed; boundary=y",
                "--y\r\n\r\n--y--",
            ) + "--x--\r\n",
        ),
        ("", format!("{plain}--x--\r\n")),
    ]
}

#[test]
fn e32_bodies_of_several_parts_are_not_read() {
    let stage = Stage::usual();
    for (boundary, body) in parts() {
        for kind in ["form-data", "mixed", "related", "x-json"] {
            let kind = format!("Content-Type: multipart/{kind}; {boundary}\r\n");
            for door in Door::ALL {
                stage.refuses(door, &post(door, &kind, &body), TYPE);
            }
            call_refused_with(&stage, ("create_item", &kind), TYPE, body.as_bytes());
        }
    }
}

const UPLOADS: &str = r"  upload:
    description: Takes a form with files, unread.
    method: POST
    url: https://api.good.test/uploads
    accept_body: any
    content_types: [multipart/form-data, image/png]
    max_request_bytes: 2KiB
";

/// Where the policy lets one pass unread, its type is still one type: what a server reads of it is what was looked at.
#[test]
fn e32_a_body_that_passes_unread_has_one_declared_type() {
    let stage = stage_with(UPLOADS);
    let upload = |door: Door, lines: &str, body: &str| {
        let lines = format!("{lines}Content-Length: {}\r\n", body.len());
        door.request("POST", "api.good.test", "/uploads", &lines, body)
    };
    for door in Door::ALL {
        for kind in [
            "multipart/form-data; boundary=x",
            "multipart/form-data; boundary=\"x y; z, \\\" =\"",
            "multipart/form-data;boundary=x ; charset=utf-8",
            "Multipart/Form-Data; BOUNDARY=x",
            "image/png",
            "image/PNG; q=1",
            "image/png;",
            "image/png;; a=b ;",
        ] {
            let lines = format!("Content-Type: {kind}\r\n");
            let (seen, record) = stage.serves(door, &upload(door, &lines, "--x--\r\n"));
            assert_eq!(seen.header("content-type"), [kind]);
            assert_eq!(
                (seen.text(), &record["body"]),
                ("--x--\r\n", &json!("unread"))
            );
        }
        for kind in [
            "",
            "text/html",
            "multipart/mixed; boundary=x",
            "image/png, text/html",
            "image/png; a=b, text/html",
            "image/png; a=b; a=c",
            "multipart/form-data; boundary=x; boundary=y",
            "multipart/form-data; boundary=x; BOUNDARY=y",
            "image/png; text/html",
            "image/png; a",
            "image/png; =b",
            "image/png; a=",
            "image/png; a=\"b",
            "image/png; a=\"b\"c",
            "image/png; a=b c",
            "image/png; a =b",
            "image/png text/html",
            "image/png (x)",
        ] {
            let lines = match kind {
                "" => String::new(),
                kind => format!("Content-Type: {kind}\r\n"),
            };
            stage.refuses(door, &upload(door, &lines, "--x--\r\n"), TYPE);
        }
    }
}

/// What an encoder makes of a text.
fn encoded(mut encoder: impl AsyncRead + Unpin) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let mut bytes = Vec::new();
    runtime.block_on(encoder.read_to_end(&mut bytes)).unwrap();
    bytes
}

/// Requests are not decoded: who sends one encoded is told so before a byte of it is read. Replies are, up to the cap
/// of the decoded text.
#[test]
fn e34_what_decodes_to_very_much_meets_the_cap() {
    let text = format!("{{\"name\":\"{}\",\"qty\":1}}", "a".repeat(8_000_000));
    let text = text.as_bytes();
    let bombs = [
        ("gzip", encoded(GzipEncoder::new(text))),
        ("deflate", encoded(ZlibEncoder::new(text))),
        ("br", encoded(BrotliEncoder::new(text))),
        ("zstd", encoded(ZstdEncoder::new(text))),
    ];
    let twice = encoded(GzipEncoder::new(&bombs[0].1[..]));
    let stage = Stage::usual();
    for (coding, bytes) in bombs.iter().chain([&("gzip, gzip", twice.clone())]) {
        let lines = format!("Content-Type: application/json\r\nContent-Encoding: {coding}\r\n");
        for door in Door::ALL {
            let length = format!("{lines}Content-Length: {}\r\n", bytes.len());
            let head = door.request("POST", "api.good.test", "/v1/items", &length, "");
            stage.refuses(door, &[&head, &bytes[..]].concat(), TYPE);
        }
        call_refused_with(&stage, ("create_item", &lines), TYPE, bytes);
    }
    for (coding, bytes) in bombs.iter().chain([&("gzip, gzip", twice)]) {
        let stage = stage_with(
            "  small:\n    description: Has a small reply.\n    method: GET\n    \
             url: https://api.good.test/small\n    max_response_bytes: 64KiB\n",
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            bytes.len()
        );
        let reply = [head.as_bytes(), &bytes[..]].concat();
        let _origin = stage.world.origin("api.good.test", move |_| reply.clone());
        let code = match *coding {
            "gzip, gzip" => "upstream_malformed",
            _ => "upstream_too_large",
        };
        let called = stage.world.call("small", "", &json!({}));
        assert_eq!((called.status, called.refusal()), (502, code), "{coding}");
        let mut stream = stage.open(Door::Proxy);
        stream.write_all(&Door::Proxy.get("/small")).unwrap();
        // It breaks off, unless it was known in time.
        let mut bytes = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut bytes);
        assert!(bytes.len() < 70 * 1024, "{coding}: {}", bytes.len());
        assert_eq!(stage.world.records(2)[1]["code"], code, "{coding}");
    }
}

#[test]
fn e35_a_method_without_a_body_has_none() {
    let stage = stage_with(
        "  look:\n    description: Looks whether there is an item.\n    method: HEAD\n    \
         url: https://api.good.test/look\n  remove:\n    description: Removes an item.\n    \
         method: DELETE\n    url: https://api.good.test/items/{{id}}\n    parameters:\n      \
         properties: {id: {type: string}}\n      required: [id]\n",
    );
    let json = "Content-Type: application/json\r\n";
    for door in Door::ALL {
        for (method, path, expected) in [
            ("GET", "/v1/items/1", UNREADABLE),
            ("GET", "/v1/items/1?fields=name", UNREADABLE),
            ("HEAD", "/look", UNREADABLE),
            ("DELETE", "/items/1", UNREADABLE),
            ("OPTIONS", "/v1/items/1", (405, "method_refused")),
            ("TRACE", "/v1/items/1", (405, "method_refused")),
        ] {
            for (lines, body) in [
                (format!("{json}Content-Length: 20\r\n"), JSON),
                ("Content-Length: 1\r\n".to_owned(), "x"),
                ("Content-Length: 13\r\n".to_owned(), "fields=name&x"),
                (
                    format!("{json}Transfer-Encoding: chunked\r\n"),
                    "2\r\n{}\r\n0\r\n\r\n",
                ),
            ] {
                let sent = door.request(method, "api.good.test", path, &lines, body);
                if method == "HEAD" {
                    // The answer has no body either; its header has the code.
                    let records = stage.world.recorded();
                    let mut stream = stage.open(door);
                    let _ = stream.write_all(&sent);
                    let answer = read_answer(&mut stream, method).unwrap();
                    assert_eq!((answer.status, answer.refusal()), expected);
                    let record = stage.world.records_behind(records, 1).remove(0);
                    assert_eq!(record["code"], expected.1);
                } else {
                    stage.refuses(door, &sent, expected);
                }
            }
        }
        // None at all, however that is said.
        for (lines, body) in [
            ("Content-Length: 0\r\n", ""),
            ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ] {
            let sent = door.request("GET", "api.good.test", "/v1/items/1", lines, body);
            stage.same(door, &sent, &door.get("/v1/items/1"));
        }
    }
}

/// The pages of the tools listener too.
#[test]
fn e35_a_page_that_is_looked_at_takes_no_body() {
    let stage = Stage::usual();
    let tools = stage.world.tools();
    for (method, path) in [
        ("GET", "/v1/actions"),
        ("GET", "/v1/actions/get_item"),
        ("GET", "/v1/tools?format=mcp"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/v1/sessions/x"),
        ("DELETE", "/v1/sessions/x"),
        ("GET", "/mcp"),
        ("DELETE", "/mcp"),
    ] {
        for framing in [
            "Content-Length: 2\r\n\r\n{}",
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ] {
            let records = stage.world.recorded();
            let head = format!("{method} {path} HTTP/1.1\r\nHost: {tools}\r\n");
            let json = "Content-Type: application/json\r\n";
            let answer = stage.world.tool_raw(&format!("{head}{json}{framing}"));
            let got = (answer.status, answer.refusal());
            assert_eq!(got, UNREADABLE, "{method} {path}: {answer:?}");
            assert_eq!(answer.header("connection"), Some("close"), "{path}");
            let record = stage.world.records_behind(records, 1).remove(0);
            assert_eq!(record["code"], UNREADABLE.1, "{path}");
        }
    }
}

#[test]
fn e36_a_body_over_the_cap_sends_nothing() {
    let policy = "  small:\n    description: Takes a small note.\n    method: POST\n    \
         url: https://api.good.test/notes\n    max_request_bytes: 64\n    parameters:\n      \
         properties: {text: {type: string}}\n";
    let stage = stage_with(policy);
    let json = "Content-Type: application/json\r\n";
    let note = |bytes: usize| format!("{{\"text\":\"{}\"}}", "a".repeat(bytes - 11));
    let chunks = |text: &str| -> String {
        let pieces = text.as_bytes().chunks(7);
        pieces
            .map(|it| format!("{:x}\r\n{}\r\n", it.len(), String::from_utf8_lossy(it)))
            .collect()
    };
    for door in Door::ALL {
        let send = |lines: &str, body: &str| {
            let lines = format!("{json}{lines}\r\n");
            door.request("POST", "api.good.test", "/notes", &lines, body)
        };
        // By its head, before a byte of it came.
        for length in ["65", "10737418240", "18446744073709551615"] {
            let sent = send(&format!("Content-Length: {length}"), "");
            assert_eq!(stage.refuses(door, &sent, TOO_LARGE), "");
            let waits = send(
                &format!("Expect: 100-continue\r\nContent-Length: {length}"),
                "",
            );
            assert_eq!(stage.refuses(door, &waits, TOO_LARGE), "");
        }
        stage.refuses_and_closes(door, &send("Content-Length: 65", &note(65)), TOO_LARGE);
        // At the first byte over it, whatever comes behind.
        let chunked = "Transfer-Encoding: chunked";
        for body in [
            format!("{}0\r\n\r\n", chunks(&note(65))),
            chunks(&note(65)),
            chunks(&note(200)),
            format!("41\r\n{}", note(65)),
            format!("7fffffff\r\n{}", note(100)),
            format!("40\r\n{}\r\n1\r\n \r\n", note(64)),
        ] {
            stage.refuses_and_closes(door, &send(chunked, &body), TOO_LARGE);
        }
        let whole = format!("{}0\r\n\r\n", chunks(&note(64)));
        let plain = send("Content-Length: 64", &note(64));
        stage.same(door, &send(chunked, &whole), &plain);
    }
}

/// A body that passes unread has begun to leave: its request ends as one that broke off.
#[test]
fn e36_a_body_that_streams_over_the_cap_never_comes_to_its_end() {
    let stage = stage_with(
        "  upload:\n    description: Takes a file of any kind.\n    method: PUT\n    \
         url: http://files.wild.test/file\n    allow_http: true\n    accept_body: any\n    \
         max_request_bytes: 16\n",
    );
    stage.world.resolve("files.wild.test", &["203.0.114.40"]);
    let tap = Tap::new();
    stage.world.lead("files.wild.test", 80, tap.address());
    let head = "PUT http://files.wild.test/file HTTP/1.1\r\nHost: files.wild.test\r\n";
    let mut client = stage.open(Door::Proxy);
    write!(
        client,
        "{head}Transfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n"
    )
    .unwrap();
    let mut origin = tap.accept();
    let mut came = origin.head();
    while !came.ends_with("12345678\r\n") {
        came += &origin.hear();
    }
    write!(client, "9\r\n123456789\r\n0\r\n\r\n{head}\r\n").unwrap();
    let answer = read_answer(&mut client, "PUT").unwrap();
    assert_eq!((answer.status, answer.refusal()), TOO_LARGE, "{answer:?}");
    assert_eq!(rest(&mut client), "");
    loop {
        let more = origin.hear();
        if more.is_empty() {
            break;
        }
        came += &more;
    }
    assert!(!came.ends_with("0\r\n\r\n"), "{came:?}");
    let record = stage.world.record();
    assert_eq!(record["code"], TOO_LARGE.1, "{record}");
    // One whose length is told is known before.
    for length in [17_u64, 10_737_418_240] {
        let mut client = stage.open(Door::Proxy);
        write!(client, "{head}Content-Length: {length}\r\n\r\n").unwrap();
        let answer = read_answer(&mut client, "PUT").unwrap();
        assert_eq!((answer.status, answer.refusal()), TOO_LARGE, "{answer:?}");
    }
    assert_eq!(stage.world.dials().len(), 1);
}

#[test]
fn e37_a_declared_body_is_there() {
    let stage = Stage::usual();
    let json = "Content-Type: application/json\r\n";
    for door in Door::ALL {
        for (lines, body) in [
            ("", ""),
            ("Content-Length: 0\r\n", ""),
            (json, ""),
            (
                "Content-Type: application/json\r\nContent-Length: 0\r\n",
                "",
            ),
            ("Content-Type: text/plain\r\nContent-Length: 0\r\n", ""),
            (
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            (
                "Content-Type: application/json\r\nContent-Length: 2\r\n",
                "{}",
            ),
        ] {
            let sent = door.request("POST", "api.good.test", "/v1/items", lines, body);
            stage.refuses(door, &sent, MISSING);
        }
        for body in [" ", "\r\n", "\0"] {
            let sent = post(door, json, body);
            stage.refuses(door, &sent, UNREADABLE);
        }
        // In the query it is not there.
        let sent = door.request("POST", "api.good.test", "/v1/items?name=a&qty=1", "", "");
        stage.refuses(door, &sent, (403, "parameter_undeclared"));
    }
    call_refused_with(&stage, ("create_item", json), UNREADABLE, b"");
    call_refused_with(&stage, ("create_item", json), MISSING, b"{}");
    call_refused_with(
        &stage,
        ("create_item", json),
        MISSING,
        b"{\"parameters\":{}}",
    );
}

/// Its head said what the body is; nothing behind it says otherwise.
#[test]
fn e46_a_content_type_among_trailers_is_dropped() {
    let stage = Stage::usual();
    for door in Door::ALL {
        for trailers in [
            "Content-Type: text/html\r\n",
            "Content-Type: text/html\r\nContent-Encoding: gzip\r\n",
            "Content-Encoding: gzip\r\nContent-Language: x\r\n",
            "X-HTTP-Method-Override: DELETE\r\n",
        ] {
            for named in [
                "",
                "Trailer: Content-Type\r\n",
                "TE: trailers\r\nConnection: TE\r\n",
            ] {
                let lines = format!(
                    "Content-Type: application/json\r\n{named}Transfer-Encoding: chunked\r\n"
                );
                let body = format!("14\r\n{JSON}\r\n0\r\n{trailers}\r\n");
                let sent = door.request("POST", "api.good.test", "/v1/items", &lines, &body);
                stage.same(door, &sent, &door.post(JSON));
                // And makes no body what its head did not.
                let lines = format!("{named}Transfer-Encoding: chunked\r\n");
                let body = format!("14\r\n{JSON}\r\n0\r\nContent-Type: application/json\r\n\r\n");
                let sent = door.request("POST", "api.good.test", "/v1/items", &lines, &body);
                stage.refuses(door, &sent, TYPE);
            }
        }
    }
}
