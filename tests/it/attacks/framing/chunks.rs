//! Bodies in chunks.

use std::io::{Read as _, Write as _};

use super::{MALFORMED, Raw, refused};
use crate::attacks::stage::{Door, POLICY, Stage};
use crate::world::{Plan, Tap, read_answer};

/// A good head, so that only the body can be what is refused.
fn chunks(body: impl AsRef<[u8]>) -> Raw {
    let head = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    Raw::post([head, body.as_ref()].concat())
}

/// hyper takes blanks behind a size, and extensions whatever they hold.
#[test]
fn f19_a_chunk_size_is_digits_and_nothing_else() {
    let sizes = [
        "2 ",
        "2\t",
        " 2",
        "\t2",
        "+2",
        "-2",
        "0x2",
        "2h",
        "2_0",
        "2.0",
        "",
        "\"2\"",
        "2\0",
        "\x002",
        "\u{ff12}",
        "2\r",
        "\r2",
        "2;",
        "2;x",
        "2;x=y",
        "2 ;x=y",
        "2;x=\"y\"",
        ";2",
        "2,2",
        "2 2",
    ];
    let sizes = sizes.map(|it| chunks(format!("{it}\r\nab\r\n0\r\n\r\n")));
    let zeros = "0".repeat(1000);
    let numbers = [
        "ffffffffffffffff1",
        "ffffffffffffffff",
        "10000000000000002",
        "100000002",
        "7fffffffffffffff",
        "8000000000000000",
        "80000000",
        "00000000000000002",
        &zeros,
        &format!("{zeros}2"),
    ];
    let numbers = numbers.map(|it| chunks(format!("{it}\r\nab\r\n0\r\n\r\n")));
    let ends = [
        "2\nab\r\n0\r\n\r\n",
        "2\r\r\nab\r\n0\r\n\r\n",
        "2\rXab\r\n0\r\n\r\n",
        "\r\n2\r\nab\r\n0\r\n\r\n",
        "2;\nx\r\nab\r\n0\r\n\r\n",
        "2;x=\"\r\n\"\r\nab\r\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\r\n",
        "0 \r\n\r\n",
        "0;x\r\n\r\n",
        "X\r\n\r\n",
    ];
    let all = sizes.into_iter().chain(numbers).chain(ends.map(chunks));
    refused(MALFORMED, all);
}

#[test]
fn f20_the_data_of_a_chunk_ends_where_its_size_says() {
    let bodies = [
        "2\r\nabX\r\n0\r\n\r\n",
        "2\r\nabXX0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "2\r\nab\n0\r\n\r\n",
        "2\r\nab\r0\r\n\r\n",
        "2\r\nab\rX0\r\n\r\n",
        "2\r\nab0\r\n\r\n",
        "2\r\nab\n\r0\r\n\r\n",
        "2\r\nab \r\n0\r\n\r\n",
        "2\r\nab\r\n0\r\n\n",
        "2\r\nab\r\n0\r\nX",
    ];
    refused(MALFORMED, bodies.map(chunks));
}

/// The policy of the rows, and an upload in cleartext that passes as it comes.
fn with_upload() -> Stage {
    let policy = format!(
        "{POLICY}  upload:\n    description: Takes a file of any kind.\n    method: PUT\n    \
         url: http://files.wild.test/file\n    allow_http: true\n    accept_body: any\n"
    );
    let stage = Stage::of(Plan::of(&policy));
    stage.world.resolve("files.wild.test", &["203.0.114.40"]);
    stage
}

const UPLOAD: &str = "PUT http://files.wild.test/file HTTP/1.1\r\nHost: files.wild.test\r\n\
    Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A body that streams has left in part by the time that something is wrong with it: the server never sees an end.
#[test]
fn f20_a_broken_chunk_never_completes_a_request_that_has_begun() {
    for broken in [
        "2\r\nabX\r\n0\r\n\r\n",
        "2\r\nab\n0\r\n\r\n",
        "+2\r\nab\r\n0\r\n\r\n",
        "2;x\r\nab\r\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nGET / HTTP/1.1\r\n\r\n",
        "ffffffffffffffff1\r\n",
    ] {
        let stage = with_upload();
        let tap = Tap::new();
        stage.world.lead("files.wild.test", 80, tap.address());
        let mut client = stage.open(Door::Proxy);
        write!(client, "{UPLOAD}5\r\nfirst\r\n").unwrap();
        let mut origin = tap.accept();
        let mut came = origin.head();
        while !came.ends_with("first\r\n") {
            let more = origin.hear();
            assert_ne!(more, "", "{came:?}");
            came += &more;
        }
        write!(client, "{broken}{UPLOAD}0\r\n\r\n").unwrap();
        let answer = read_answer(&mut client, "PUT").unwrap();
        let got = (answer.status, answer.refusal());
        assert_eq!(got, MALFORMED, "{broken:?}: {answer:?}");
        let mut behind = String::new();
        let _ = client.read_to_string(&mut behind);
        assert_eq!(behind, "", "{broken:?}");
        loop {
            let more = origin.hear();
            if more.is_empty() {
                break;
            }
            came += &more;
        }
        assert!(!came.contains("0\r\n\r\n"), "{broken:?}: {came:?}");
        assert_eq!(stage.world.record()["code"], MALFORMED.1, "{broken:?}");
        assert_eq!(stage.world.dials().len(), 1, "{broken:?}");
    }
}

/// hyper hands them to whoever asks.
#[test]
fn f21_trailers_are_dropped() {
    let json = r#"{"name":"a","qty":1}"#;
    let trailers = [
        "Authorization: evil\r\n",
        "Content-Length: 5\r\n",
        "Host: evil.test\r\n",
        "Transfer-Encoding: x\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "X-HTTP-Method-Override: DELETE\r\nCookie: a=b\r\n",
        "Connection: close\r\nProxy-Authorization: Basic eDp4\r\n",
        "Expect: 100-continue\r\nUpgrade: websocket\r\n",
    ];
    let stage = Stage::usual();
    for trailer in trailers {
        for door in Door::ALL {
            let lines = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\
                         Trailer: Authorization, Host\r\nTE: trailers\r\n";
            let body = format!(
                "9\r\n{}\r\nB\r\n{}\r\n0\r\n{trailer}\r\n",
                &json[..9],
                &json[9..]
            );
            let sent = door.request("POST", "api.good.test", "/v1/items", lines, &body);
            stage.same(door, &sent, &door.post(json));
        }
    }
}

#[test]
fn f21_trailers_of_a_body_that_streams_are_dropped() {
    let stage = with_upload();
    let origin = stage
        .world
        .plain_origin("files.wild.test", 80, |_| crate::world::json_reply("{}"));
    let mut client = stage.open(Door::Proxy);
    write!(
        client,
        "{UPLOAD}5\r\nfirst\r\n0\r\nAuthorization: evil\r\nContent-Length: 5\r\n\r\n"
    )
    .unwrap();
    let answer = stage.answer(&mut client, "PUT").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = origin.only();
    assert_eq!(seen.text(), "first");
    for name in ["authorization", "content-length", "trailer", "te"] {
        assert_eq!(seen.header(name), [""; 0], "{}", seen.head);
    }
}

#[test]
fn f21_what_is_no_trailer_is_refused_although_it_would_be_dropped() {
    let lines = [
        "X: a\n\r\n",
        "X: a\r\n\n",
        "no colon\r\n\r\n",
        " X: y\r\n\r\n",
        "X: y\r\n z\r\n\r\n",
        "X : y\r\n\r\n",
        ": y\r\n\r\n",
        "X: a\rb\r\n\r\n",
        "X: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    ];
    let with = |it: &str| chunks(format!("2\r\nab\r\n0\r\n{it}"));
    refused(MALFORMED, lines.map(with));
    let long = format!("X: {}\r\n\r\n", "y".repeat(10_000));
    let many = format!("{}\r\n", "X: y\r\n".repeat(2000));
    refused(MALFORMED, [with(&long), with(&many)]);
}
