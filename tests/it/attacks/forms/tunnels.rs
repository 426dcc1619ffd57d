//! A CONNECT, and what stands behind it in the same segment.

use std::io::{Read as _, Write as _};

use rustls::StreamOwned;

use super::{MALFORMED, connect};
use crate::attacks::stage::{Door, Line as _, Stage};
use crate::world::{read_answer, read_head, rest};

const CONNECT: &str = "CONNECT api.good.test:443 HTTP/1.1\r\nHost: api.good.test:443\r\n\r\n";

#[test]
fn b11_a_connect_has_no_body() {
    let stage = Stage::usual();
    let host = "Host: api.good.test:443";
    for (lines, body) in [
        ("Content-Length: 3", "abc"),
        ("Content-Length: 1", ""),
        ("Content-Length: 18446744073709551616", ""),
        ("Content-Length: 0\r\nContent-Length: 0", ""),
        ("Content-Length: +0", ""),
        ("Transfer-Encoding: chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: identity", ""),
        (
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n",
        ),
    ] {
        let sent = connect("api.good.test:443", &format!("{host}\r\n{lines}")) + body;
        stage.refuses_and_closes(Door::Proxy, sent.as_bytes(), MALFORMED);
    }
}

/// What stands behind a CONNECT is the tunnel's, whether there is one or not.
#[test]
fn b19_nothing_behind_a_connect_that_leads_nowhere_is_served() {
    let stage = Stage::usual();
    for behind in [
        Door::Proxy.get("/v1/items/1"),
        Door::Tunnel.get("/v1/items/1"),
        CONNECT.into(),
        Door::Proxy.post(r#"{"name":"a","qty":1}"#),
    ] {
        for (target, expected) in [
            ("evil.test:22", (403, "host_undeclared")),
            ("api.good.test:22", (403, "port_undeclared")),
            ("203.0.114.10:443", (403, "address_refused")),
            ("evil.test", MALFORMED),
        ] {
            let head = connect(target, &format!("Host: {target}"));
            let sent = [head.as_bytes(), &behind].concat();
            let followed = stage.refuses(Door::Proxy, &sent, expected);
            assert_eq!(followed, "", "{target}");
        }
        // An undeclared host hears of it inside, in TLS alone.
        let head = connect("evil.test:443", "Host: evil.test:443");
        let sent = [head.as_bytes(), &behind].concat();
        assert_eq!(cleartext(&stage, &sent)["code"], "tls_expected");
    }
}

/// Cleartext where a handshake belongs: the tunnel opens, and ends. The record comes back.
fn cleartext(stage: &Stage, sent: &[u8]) -> serde_json::Value {
    let case = String::from_utf8_lossy(sent).into_owned();
    stage.records_alone(&case, || {
        let mut stream = stage.world.client().connect();
        stream.write_all(sent).unwrap();
        let answer = read_head(&mut stream).unwrap();
        assert_eq!(answer.status, 200, "{case}");
        stream.finish();
        assert!(!rest(&mut stream).contains("HTTP"), "{case}");
    })
}

#[test]
fn b20_cleartext_behind_a_connect_is_no_request() {
    let stage = Stage::usual();
    for behind in [
        Door::Proxy.get("/v1/items/1"),
        Door::Tunnel.get("/v1/items/1"),
        CONNECT.into(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        b"\r\n\r\nGET http://api.good.test/v1/items/1 HTTP/1.1\r\n".to_vec(),
        b"SSH-2.0-x\r\n".to_vec(),
        b"\x17\x03\x03\0\x01x".to_vec(),
    ] {
        let sent = [CONNECT.as_bytes(), &behind].concat();
        assert_eq!(cleartext(&stage, &sent)["code"], "tls_expected");
    }
}

#[test]
fn b21_a_hello_behind_its_connect_is_not_lost() {
    let stage = Stage::usual();
    for cut in [0, 1, 5, 100, usize::MAX] {
        let client = stage.world.client();
        let mut session = client.session("api.good.test", &["http/1.1"]);
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        let (with, after) = hello.split_at(cut.min(hello.len()));
        let mut stream = client.connect();
        stream
            .write_all(&[CONNECT.as_bytes(), with].concat())
            .unwrap();
        stream.write_all(after).unwrap();
        assert_eq!(read_head(&mut stream).unwrap().status, 200);
        let mut tunnel = StreamOwned::new(session, stream);
        tunnel.write_all(&Door::Tunnel.get("/v1/items/1")).unwrap();
        let answer = read_answer(&mut tunnel, "GET").unwrap();
        assert_eq!(answer.status, 200, "{cut}: {answer:?}");
        tunnel.finish();
    }
    assert_eq!((stage.seen().len(), stage.world.records(5).len()), (5, 5));
}

#[test]
fn b22_a_client_that_goes_on_after_a_refusal_is_not_listened_to() {
    let stage = Stage::usual();
    for noise in [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".repeat(2000),
        Door::Proxy.get("/v1/items/1").repeat(200),
        CONNECT.repeat(200).into_bytes(),
        vec![0; 20_000],
    ] {
        let record = stage.records_alone("noise", || {
            let mut stream = stage.world.client().connect();
            stream
                .write_all(b"CONNECT evil.test:22 HTTP/1.1\r\nHost: evil.test:22\r\n\r\n")
                .unwrap();
            let answer = stage.answer(&mut stream, "CONNECT").unwrap();
            assert_eq!((answer.status, answer.refusal()), (403, "host_undeclared"));
            assert_eq!(answer.header("connection"), Some("close"));
            // It may be gone before the last byte could be written.
            let _ = stream.write_all(&noise);
            stream.finish();
            assert_eq!(rest(&mut stream), "");
        });
        assert_eq!(record["code"], "host_undeclared", "{record}");
    }
}

#[test]
fn b23_the_reply_to_a_connect_is_a_head_and_nothing_else() {
    let stage = Stage::usual();
    for lines in [
        "",
        "Connection: keep-alive\r\n",
        "Proxy-Connection: keep-alive\r\n",
        "Connection: close\r\n",
    ] {
        for version in ["1.1", "1.0"] {
            let mut stream = stage.world.client().connect();
            let head = format!(
                "CONNECT api.good.test:443 HTTP/{version}\r\nHost: api.good.test:443\r\n{lines}\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            let expected = b"HTTP/1.1 200 Connection Established\r\n\r\n";
            let mut first = vec![0; expected.len()];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(first, expected, "{head}");
            stream.finish();
            assert_eq!(rest(&mut stream), "", "{head}");
        }
    }
}
